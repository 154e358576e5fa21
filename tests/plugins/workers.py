"""Steps of an order that several systems' tests take: a worker that can be killed, a restoration."""

import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

from django.utils import timezone

from reviews import remediation
from reviews.models import Order
from reviews.remediation import restore_order

_WORKER = """
import sys
import django
django.setup()
from datetime import datetime
from reviews.remediation import execute_order
execute_order(order_id=sys.argv[1], now=datetime.fromisoformat(sys.argv[2]))
"""


def start_worker(order: Order, database_url: str) -> subprocess.Popen[bytes]:
    """A real process that carries this order out."""
    moment = max(order.execute_after, timezone.now()) + timedelta(seconds=1)
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(order.pk), moment.isoformat()],
        env=os.environ | {"DATABASE_URL": database_url},
    )


def finish(story: Any, order: Order) -> Order:
    """What the next worker does when the lease of a dead one has run out."""
    later = order.execute_after + timedelta(hours=1)
    assert remediation.drain_orders(now=later) == 1
    remediation.execute_order(order_id=str(order.pk), now=later)
    found: Order = story.again(order)
    return found


def restored(story: Any, order: Order) -> Order:
    """Bring back what the order took; returns the restoration as it was carried out."""
    wish = {"reason": "The month-end close needs it.", "days": 14, "actor": story.actor, "now": timezone.now()}
    done: Order = story.carry_out(restore_order(order=story.again(order), **wish))
    return done
