"""The decision: one request against everything that is governed about it. What is not clearly permitted is denied.

`decide` and `decide_many` are what every edge calls. A batch is decided as of one check of freshness; the order of
answers is that of the questions. Neither raises for what it finds: a database that is away is an answer too.
"""

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID, SafeUUID, uuid4

import structlog
from django.db import Error, connection

from governance.waiting import is_over
from identities.pdp import explaining, logging
from identities.pdp.freshness import MEMORY, View
from identities.pdp.gathering import Gathered
from identities.pdp.judging import Judge, Verdict
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
    listed = list(requests)
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
    snapshots: dict[int, datetime | None] = {id(None): None}
    random = os.urandom(16 * len(requests))
    decisions = []
    for place, (request, verdict) in enumerate(zip(requests, verdicts, strict=True)):
        principal = verdict.principal
        if id(principal) not in snapshots and principal is not None:
            seen = judge.gathered.seen_at(principal)
            snapshots[id(principal)] = datetime.fromtimestamp(seen, UTC) if seen is not None else None
        evaluation_id = _id_of(random[16 * place : 16 * place + 16])
        grants, review = explaining.explain(judge, request, verdict) if request.wants_explanation else ((), None)
        decisions.append(
            Decision(
                verdict.reason is Reason.GRANTED,
                verdict.reason,
                evaluation_id,
                snapshots[id(principal)],
                number,
                grants,
                review,
                verdict.not_assessed,
            )
        )
    return decisions


_new, _set = object.__new__, object.__setattr__
_VARIABLE, _FIXED = ~(0xF000 << 64 | 0xC000 << 48), 4 << 76 | 0x8000 << 48


def _id_of(random: bytes) -> UUID:
    """A random id (RFC 9562, version 4), as `UUID(bytes=random, version=4)` makes it.

    Made by hand: that constructor looks at seven ways to be called, which is a tenth of a decision.
    """
    made: UUID = _new(UUID)
    _set(made, "int", int.from_bytes(random, "big") & _VARIABLE | _FIXED)
    _set(made, "is_safe", SafeUUID.unknown)
    return made
