"""One answer for many questions: an answer per row, and a transaction and a record per row as well."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from reviews.decisions.answers import BULK, AnswerNotPossible
from reviews.decisions.asks import is_heard
from reviews.decisions.deciding import decide
from reviews.decisions.foreseeing import Prospect, foresee
from reviews.decisions.items import NotAssigned
from reviews.models import Answer, ReviewItem

MOST_ITEMS = 500
ONE_AT_A_TIME = "Privileged access is answered one question at a time."


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
    AnswerNotPossible for answers that need a date. Privileged items are refused, each by itself: nobody looks at five
    hundred of them.
    """
    wanted, known = _wanted(item_ids, answer), versions or {}
    items = ReviewItem.objects.in_bulk(wanted)
    return [
        _row(pk, items.get(pk), known.get(pk), actor, answer=answer, now=now, reason=reason, is_bulk=True)
        for pk in wanted
    ]


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
    wanted = _wanted(item_ids, answer)
    privileged = _privileged(wanted)
    known = dict(ReviewItem.objects.filter(pk__in=wanted).values_list("pk", "version")) | dict(versions or {})
    is_narrowing = answer == Answer.SCOPE_DOWN
    prospects = [
        Prospect(pk, known.get(pk, 0), answer, has_target=is_narrowing) for pk in wanted if pk not in privileged
    ]
    found = {each.item_id: each for each in foresee(prospects=prospects, actor=actor, now=now)}
    return [
        _one_at_a_time(pk)
        if pk not in found
        else BulkResult(pk, found[pk].ok, found[pk].problem, found[pk].code, found[pk].is_attestation)
        for pk in wanted
    ]


def _wanted(item_ids: Iterable[UUID], answer: str) -> list[UUID]:
    wanted = list(dict.fromkeys(item_ids))
    if len(wanted) > MOST_ITEMS:
        raise TooManyItems(f"At most {MOST_ITEMS} questions can be answered at once; these are {len(wanted)}.")
    if answer not in BULK:
        raise AnswerNotPossible("This answer is given one question at a time.", fields={"answer": "not in bulk"})
    return wanted


def _privileged(item_ids: list[UUID]) -> frozenset[UUID]:
    return frozenset(ReviewItem.objects.filter(pk__in=item_ids, is_privileged=True).values_list("pk", flat=True))


def _one_at_a_time(pk: UUID) -> BulkResult:
    return BulkResult(pk, False, ONE_AT_A_TIME, "privileged-one-at-a-time")


def _row(pk: UUID, item: ReviewItem | None, version: int | None, actor: Actor, **more: Any) -> BulkResult:
    # Absent and not yours look alike here too.
    if item is None or not is_heard(item, actor):
        return BulkResult(pk, False, "This question is not assigned to you.", NotAssigned.code)
    if item.is_privileged:
        return _one_at_a_time(pk)
    seen = item.version if version is None else version
    try:
        target = _recommended(item) if more["answer"] == Answer.SCOPE_DOWN else None
        decision = decide(item=item, version=seen, actor=actor, target=target, **more)
    except DomainError as problem:
        return BulkResult(pk, False, problem.message, problem.code)
    return BulkResult(pk, True, is_attestation=decision.is_attestation)


def _recommended(item: ReviewItem) -> Permission:
    if item.recommendation != Answer.SCOPE_DOWN or item.recommended_target is None:
        raise NothingRecommended("No smaller set is recommended here. Answer this question by itself.")
    return Permission.from_json(item.recommended_target)
