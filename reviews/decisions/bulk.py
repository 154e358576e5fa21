"""One answer for many questions: an answer per row, and a transaction and a record per row as well."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from reviews.decisions.answers import BULK, AnswerNotPossible
from reviews.decisions.asks import is_heard
from reviews.decisions.deciding import decide, foresee
from reviews.decisions.items import NotAssigned
from reviews.models import ReviewItem

MOST_ITEMS = 500


class TooManyItems(DomainError):
    """More rows than anybody looked at."""

    code = "too-many-items"


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of one row. problem is a sentence, code the error's code; both empty when ok.

    is_attestation: the answer only attests, and somebody independent decides.
    """

    item_id: UUID
    ok: bool
    problem: str = ""
    code: str = ""
    is_attestation: bool = False


class Outcome(Protocol):
    """What `decide` and `foresee` have in common."""

    @property
    def is_attestation(self) -> bool: ...


def decide_many(
    *,
    item_ids: Iterable[UUID],
    answer: str,
    actor: Actor,
    now: datetime,
    reason: str = "",
    versions: Mapping[UUID, int] | None = None,
) -> list[BulkResult]:
    """Give the same answer to many items, in the order given; one row's refusal never touches another.

    versions: what the person saw, per item; rows without one are answered as they are now. Raises TooManyItems, and
    AnswerNotPossible for answers that need a date or a target of their own.
    """
    return _each_row(decide, item_ids, answer, actor, now, versions, reason=reason, is_bulk=True)


def foresee_many(
    *,
    item_ids: Iterable[UUID],
    answer: str,
    actor: Actor,
    now: datetime,
    reason: str = "",
    versions: Mapping[UUID, int] | None = None,
) -> list[BulkResult]:
    """What `decide_many` would answer for each row, without changing anything. A missing reason is no refusal yet."""
    return _each_row(foresee, item_ids, answer, actor, now, versions)


def _each_row(
    call: Callable[..., Outcome],
    item_ids: Iterable[UUID],
    answer: str,
    actor: Actor,
    now: datetime,
    versions: Mapping[UUID, int] | None,
    **more: Any,
) -> list[BulkResult]:
    wanted = list(dict.fromkeys(item_ids))
    if len(wanted) > MOST_ITEMS:
        raise TooManyItems(f"At most {MOST_ITEMS} questions can be answered at once; these are {len(wanted)}.")
    if answer not in BULK:
        raise AnswerNotPossible("This answer is given one question at a time.", fields={"answer": "not in bulk"})
    items = ReviewItem.objects.in_bulk(wanted)
    known = versions or {}
    return [_row(call, pk, items.get(pk), known.get(pk), actor, answer=answer, now=now, **more) for pk in wanted]


def _row(
    call: Callable[..., Outcome], pk: UUID, item: ReviewItem | None, version: int | None, actor: Actor, **more: Any
) -> BulkResult:
    # Absent and not yours look alike here too.
    if item is None or not is_heard(item, actor):
        return BulkResult(pk, False, "This question is not assigned to you.", NotAssigned.code)
    seen = item.version if version is None else version
    try:
        outcome = call(item=item, version=seen, actor=actor, **more)
    except DomainError as problem:
        return BulkResult(pk, False, problem.message, problem.code)
    return BulkResult(pk, True, is_attestation=outcome.is_attestation)
