"""Rows of the inbox, with everything that they print."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.http import QueryDict
from django.utils.dateparse import parse_datetime

from governance.kernel.actors import Actor
from identities.models import Environment
from reviews.decisions.answers import reason_is_required
from reviews.decisions.changes import last_decisions
from reviews.models import Answer, Change, Decision, Draft, ItemKind, ReviewItem
from reviews.queue import Fold, Waiting, Wish
from reviews.views.wishes import Columns, query_of_fold
from reviews.views.workbench import plain_of

MOST_SENTENCES = 2
# One word for the person, the fitting answer for each kind of question.
MEANT = {
    ("approve", ItemKind.GRANT): Answer.APPROVE,
    ("approve", ItemKind.CREDENTIAL): Answer.KEEP,
    ("approve", ItemKind.OWNERSHIP): Answer.MINE,
    ("revoke", ItemKind.GRANT): Answer.REVOKE,
    ("revoke", ItemKind.CREDENTIAL): Answer.DEACTIVATE,
    ("revoke", ItemKind.OWNERSHIP): Answer.RETIRE,
}
# Recommendations that can be taken with one key: they need neither a date nor a reason.
TAKEN_AT_ONCE = frozenset({Answer.APPROVE, Answer.KEEP, Answer.SCOPE_DOWN, Answer.REVOKE, Answer.DEACTIVATE})
NOT_KNOWN = {"state": "not_observable", "text": "Use cannot be observed."}


@dataclass(frozen=True, slots=True)
class Row:
    """One question as the list prints it, or many identical ones (`fold`).

    used_at: the last use seen. beside: with whom it is asked, if any.
    """

    item: ReviewItem
    sentences: list[str]
    more: int
    use: dict[str, Any]
    used_at: datetime | None
    reason: str
    change: str
    reach: list[str]
    may_take: bool
    beside: str = ""
    draft: Draft | None = None
    last: Decision | None = None
    fold: Fold | None = None
    fold_query: str = ""
    fold_value: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows under one heading; an empty title is no heading."""

    title: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Section:
    """The rows of one campaign on this page. counted: all questions of it that wait, is_more: and others."""

    campaign: Any
    counted: int
    is_more: bool
    groups: list[Group] = field(default_factory=list)


def rows_of(items: Sequence[ReviewItem], actor: Actor, columns: Columns) -> list[Row]:
    """The rows with their drafts and, where that column is shown, the last decisions: at most three queries."""
    drafts = {each.item_id: each for each in Draft.objects.filter(person=actor.person_id, item__in=items)}
    last = last_of(items) if "last" in columns else {}
    return [_row(item, drafts.get(item.pk), last.get(item.pk), actor=actor) for item in items]


def folded_rows(
    found: Sequence[tuple[Fold, ReviewItem]], actor: Actor, columns: Columns, query: QueryDict
) -> list[Row]:
    """Rows of folds; one with a single question is that question's own row."""
    rows = rows_of([item for _, item in found], actor, columns)
    return [
        _row(row.item, None, row.last, fold=fold, query=query) if fold.counted > 1 else row
        for (fold, _), row in zip(found, rows, strict=True)
    ]


def sections_of(rows: Sequence[Row], wish: Wish, waiting: Sequence[Waiting]) -> list[Section]:
    """Rows by campaign and, inside, by what the order groups by."""
    counts = {each.id: each for each in waiting}
    sections = []
    for campaign, of_campaign in groupby(rows, key=lambda row: row.item.campaign):
        known = counts.get(campaign.pk)
        groups = list(_groups(list(of_campaign), wish.order.name))
        sections.append(Section(campaign, known.counted if known else 0, bool(known and known.is_more), groups))
    return sections


def last_of(items: Sequence[ReviewItem]) -> dict[UUID, Decision]:
    """The last decision of an earlier review about the same thing, by item; two queries."""
    grants = {item.grant_id: item.pk for item in items if item.grant_id}
    credentials = {item.credential_id: item.pk for item in items if item.credential_id}
    found = {grants[thing]: each for thing, each in last_decisions("grant", filter(None, grants)).items()}
    for thing, each in last_decisions("credential", filter(None, credentials)).items():
        found[credentials[thing]] = each
    return found


def _groups(rows: list[Row], order: str) -> Iterator[Group]:
    if order == "source":
        for title, found in groupby(rows, key=lambda row: row.item.source_name):
            yield Group(title, list(found))
    elif order == "change":
        for state, found in groupby(rows, key=lambda row: row.item.change):
            yield Group(str(Change(state).label), list(found))
    else:
        yield Group("", rows)


def _row(
    item: ReviewItem,
    draft: Draft | None,
    last: Decision | None,
    *,
    fold: Fold | None = None,
    query: QueryDict | None = None,
    actor: Actor | None = None,
) -> Row:
    sentences = plain_of(item) if item.kind == ItemKind.GRANT else []
    use = item.seen.get("use") or NOT_KNOWN
    return Row(
        item=item,
        sentences=sentences[:MOST_SENTENCES],
        more=max(0, len(sentences) - MOST_SENTENCES),
        use=use,
        used_at=parse_datetime(use["at"]) if use.get("at") else None,
        reason=_main_reason(item),
        change=str(Change(item.change).label) if item.change == Change.CHANGED else "",
        reach=reach_of(item.seen),
        may_take=may_take(item),
        beside=str(item.assignee) if actor is not None and item.assignee_id != actor.person_id else "",
        draft=draft,
        last=last,
        fold=fold,
        fold_query=query_of_fold(fold, query) if fold and query is not None else "",
        fold_value=_value_of(fold) if fold else "",
    )


def may_take(item: ReviewItem) -> bool:
    """Whether the recommendation can be drafted as it stands."""
    if item.recommendation not in TAKEN_AT_ONCE or reason_is_required(item, item.recommendation):
        return False
    return item.recommendation != Answer.SCOPE_DOWN or bool(item.recommended_target)


def reach_of(seen: Mapping[str, Any]) -> list[str]:
    """How far the access reaches, from what was known: words, of which missing knowledge is one."""
    identity = seen.get("identity") or {}
    environment = identity.get("environment") or "unknown"
    words = [
        "Environment unknown"
        if environment == "unknown"
        else str(Environment(environment).label)
        if environment in Environment.values
        else str(environment)
    ]
    words += [str(each).replace("_", " ").capitalize() for each in (seen.get("privilege_classes") or [])[:3]]
    count = len(seen.get("plain") or [])
    if count:
        words.append(f"{count} statement{'' if count == 1 else 's'}")
    if seen.get("shared_with"):
        others = seen["shared_with"]
        words.append(f"shared with {others} other{'' if others == 1 else 's'}")
    return words


def _main_reason(item: ReviewItem) -> str:
    """The first reason. The second where access shall shrink (what was never used), or where use was seen and still
    nothing is recommended (why not). None where use cannot be observed: that stands beside it already."""
    reasons = item.recommendation_reasons
    is_unknown = (item.seen.get("use") or NOT_KNOWN)["state"] == "not_observable"
    if is_unknown and not item.recommendation:
        return ""
    is_in_doubt = item.kind == ItemKind.GRANT and not item.recommendation
    if len(reasons) > 1 and (item.recommendation == Answer.SCOPE_DOWN or is_in_doubt):
        return str(reasons[1])
    return str(reasons[0]) if reasons else ""


def _value_of(fold: Fold) -> str:
    """A folded row as a tick box sends it; see `reviews.views.bulk`."""
    return f"fold:{fold.campaign}:{fold.sameness}:{fold.use_state}:{fold.recommendation}"
