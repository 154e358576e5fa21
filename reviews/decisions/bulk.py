"""One answer for many questions, in one transaction: an answer per row, and a record per row as well."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from reviews.decisions.answers import BULK, AnswerNotPossible
from reviews.decisions.deciding import Outcome, Wanted, answer_all
from reviews.decisions.foreseeing import Outlook, foresee
from reviews.decisions.judging import Reply

MOST_ITEMS = 500

# What became of one row; is_attestation: the answer only attests, and somebody independent decides.
BulkResult = Outlook


class TooManyItems(DomainError):
    """More rows than anybody looked at."""

    code = "too-many-items"


def decide_many(
    *,
    item_ids: Iterable[UUID],
    answer: str,
    actor: Actor,
    now: datetime,
    reason: str = "",
    versions: Mapping[UUID, int] | None = None,
) -> list[BulkResult]:
    """Give the same answer to many items, with a result for each in the order given; one row's refusal never touches
    another. What is taken is written in one transaction, all of it or nothing.

    Scoping down gives each row its own recommended target, proved like any other; a row without one is refused.

    versions: what the person saw, per item; rows without one are answered as they are now. Raises TooManyItems, and
    AnswerNotPossible for answers that need a date. Privileged items are refused, each by itself: nobody looks at five
    hundred of them.
    """
    reply = Reply(answer=answer, actor=actor, now=now, reason=reason, is_bulk=True)
    wanted = _wanted(item_ids, reply, versions)
    outcomes = answer_all(wanted=wanted, actor=actor, now=now)
    return [_result(each.item_id, outcome) for each, outcome in zip(wanted, outcomes, strict=True)]


def foresee_many(
    *,
    item_ids: Iterable[UUID],
    answer: str,
    actor: Actor,
    now: datetime,
    versions: Mapping[UUID, int] | None = None,
) -> list[BulkResult]:
    """What `decide_many` would answer for each row, without changing anything, with a fixed number of queries.

    A missing reason is no refusal yet.
    """
    return foresee(_wanted(item_ids, Reply(answer=answer, actor=actor, now=now, is_bulk=True), versions))


def _wanted(item_ids: Iterable[UUID], reply: Reply, versions: Mapping[UUID, int] | None) -> list[Wanted]:
    ids, known = list(dict.fromkeys(item_ids)), versions or {}
    if len(ids) > MOST_ITEMS:
        raise TooManyItems(f"At most {MOST_ITEMS} questions can be answered at once; these are {len(ids)}.")
    if reply.answer not in BULK:
        raise AnswerNotPossible("This answer is given one question at a time.", fields={"answer": "not in bulk"})
    return [Wanted(pk, known.get(pk), reply) for pk in ids]


def _result(item_id: UUID, outcome: Outcome) -> BulkResult:
    if isinstance(outcome, DomainError):
        return BulkResult(item_id, False, outcome.message, outcome.code)
    return BulkResult(item_id, True, is_attestation=outcome.is_attestation)
