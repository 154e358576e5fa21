"""From a decision to a changed and verified source: prepare, place, execute, verify, restore.

Orders are rows and messages are hints. Every step that talks to a source happens between two short transactions, so a
worker that dies leaves an expired lease behind and nothing else; executing twice changes once.
"""

from reviews.remediation.executing import drain_orders, execute_order
from reviews.remediation.placing import (
    make_order,
    order_record,
    place_order,
    recall_orders,
    refuse_order,
    release_order,
    report_task_done,
    settle_order,
    way_of,
    write_orders,
)
from reviews.remediation.preparing import Prepared, asks_source, may_order, others_of, prepare, prepare_narrowing
from reviews.remediation.restoring import restore_order
from reviews.remediation.retrying import retry_order
from reviews.remediation.verifying import verify_orders
from reviews.remediation.watching import protest

__all__ = [
    "Prepared",
    "asks_source",
    "drain_orders",
    "execute_order",
    "make_order",
    "may_order",
    "order_record",
    "others_of",
    "place_order",
    "prepare",
    "prepare_narrowing",
    "protest",
    "recall_orders",
    "refuse_order",
    "release_order",
    "report_task_done",
    "restore_order",
    "retry_order",
    "settle_order",
    "verify_orders",
    "way_of",
    "write_orders",
]
