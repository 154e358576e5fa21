"""The decision: one request against everything that is governed about it. What is not clearly permitted is denied.

`decide` and `decide_many` are what every edge calls. A batch is decided as of one check of freshness; the order of
answers is that of the questions. Neither raises for what it finds: a database that is away is an answer too.
"""

import os
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID, SafeUUID, uuid4

import structlog
from django.db import Error, connection

from governance.measuring import note_decisions
from governance.waiting import is_over
from identities.pdp import explaining, logging
from identities.pdp.freshness import MEMORY, View
from identities.pdp.gathering import Gathered
from identities.pdp.index import Principal
from identities.pdp.judging import GRANTED, Judge, Verdict
from identities.pdp.policy import InvalidDecisionPolicy
from identities.pdp.reasons import Reason
from identities.pdp.requests import Decision, Request

logger = structlog.get_logger(__name__)


def decide(request: Request, *, now: datetime, is_search: bool = False) -> Decision:
    """Decide one request. Parameters as of `decide_many`."""
    return decide_many((request,), now=now, is_search=is_search)[0]


def decide_many(requests: Iterable[Request], *, now: datetime, is_search: bool = False) -> list[Decision]:
    """Decide requests, all as of one moment; answers in their order.

    is_search: asked by a search that goes through possible requests, which nobody makes: not logged, no use.
    """
    listed, began = list(requests), time.perf_counter()
    decisions = _decided(listed, now, is_search)
    asked = "search" if is_search else "batch" if len(listed) > 1 else "single"
    note_decisions(asked=asked, seconds=time.perf_counter() - began)
    return decisions


def _decided(listed: list[Request], now: datetime, is_search: bool) -> list[Decision]:
    try:
        view, judge, verdicts = _with_one_more_try(listed, now)
        decisions = _decisions(judge, listed, verdicts)
    except (Error, InvalidDecisionPolicy) as problem:
        logger.warning("decisions.unavailable", error=str(problem).partition("\n")[0], questions=len(listed))
        return [Decision(False, Reason.UNAVAILABLE, uuid4()) for _ in listed]
    if not is_search:
        logging.keep(judge.policy, listed, verdicts, decisions, now=now, is_shared=view.is_shared)
    return decisions


def _with_one_more_try(requests: Sequence[Request], now: datetime) -> tuple[View, Judge, list[Verdict]]:
    """A connection that the server ended while nobody used it is found out by using it: once more, with a new one."""
    try:
        return _judged(requests, now)
    except Error:
        if connection.in_atomic_block or is_over():
            raise
        connection.close()
        return _judged(requests, now)


def _judged(requests: Sequence[Request], now: datetime) -> tuple[View, Judge, list[Verdict]]:
    view = MEMORY.view()
    gathered = Gathered(view)
    gathered.gather(requests)
    judge = Judge(gathered, now)
    return view, judge, [judge.judge(request) for request in requests]


def _decisions(judge: Judge, requests: Sequence[Request], verdicts: Sequence[Verdict]) -> list[Decision]:
    number = judge.policy.number
    snapshot: datetime | None = None
    of: Principal | None = None
    decisions = []
    ids = _ids_of(os.urandom(16 * len(requests)))
    for request, verdict, evaluation_id in zip(requests, verdicts, ids, strict=True):
        reason, principal, _, _, not_assessed = verdict
        if principal is not of:
            of = principal
            seen = judge.gathered.seen_at(principal) if principal is not None else None
            snapshot = datetime.fromtimestamp(seen, UTC) if seen is not None else None
        grants, review = explaining.explain(judge, request, verdict) if request.wants_explanation else ((), None)
        decisions.append(
            Decision(reason is GRANTED, reason, evaluation_id, snapshot, number, grants, review, not_assessed)
        )
    return decisions


# A member of an enumeration is looked up in Python each time, which is dearer than deciding what to do with it.
_UNKNOWN = SafeUUID.unknown
_set_int, _set_is_safe = (vars(UUID)[name].__set__ for name in ("int", "is_safe"))
_VARIABLE, _FIXED = ~(0xF000 << 64 | 0xC000 << 48), 4 << 76 | 0x8000 << 48


def _ids_of(random: bytes) -> list[UUID]:
    """Random ids (RFC 9562, version 4), one of every 16 bytes, as `UUID(bytes=…, version=4)` makes them.

    Made by hand: that constructor looks at seven ways to be called, which is a fifth of a decision.
    """
    made = []
    for place in range(0, len(random), 16):
        each = UUID.__new__(UUID)
        _set_int(each, int.from_bytes(random[place : place + 16], "big") & _VARIABLE | _FIXED)
        _set_is_safe(each, _UNKNOWN)
        made.append(each)
    return made
