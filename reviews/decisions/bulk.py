"""One answer for many questions: an answer per row, and a transaction and a record per row as well."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from reviews.decisions.answers import BULK, AnswerNotPossible
from reviews.decisions.asks import is_heard
from reviews.decisions.deciding import decide, foresee
from reviews.decisions.items import NotAssigned
from reviews.models import Answer, ReviewItem

MOST_ITEMS = 500


class TooManyItems(DomainError):
    """More rows than anybody looked at."""

    code = "too-many-items"


class NothingRecommended(DomainError):
    """No smaller set is recommended for this row, so it has to be answered by itself."""

    code = "nothing-recommended"


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

    Scoping down gives each row its own recommended target, proved like any other; a row without one is refused.

    versions: what the person saw, per item; rows without one are answered as they are now. Raises TooManyItems, and
    AnswerNotPossible for answers that need a date.
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
        target = _recommended(item) if more["answer"] == Answer.SCOPE_DOWN else None
        outcome = call(item=item, version=seen, actor=actor, target=target, **more)
    except DomainError as problem:
        return BulkResult(pk, False, problem.message, problem.code)
    return BulkResult(pk, True, is_attestation=outcome.is_attestation)


def _recommended(item: ReviewItem) -> Permission:
    if item.recommendation != Answer.SCOPE_DOWN or item.recommended_target is None:
        raise NothingRecommended("No smaller set is recommended here. Answer this question by itself.")
    return Permission.from_json(item.recommended_target)
