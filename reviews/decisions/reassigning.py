"""Give many questions to somebody else at once, with an answer per row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import DomainError, Forbidden
from governance.people.access import MAIL_LINK
from governance.people.models import User
from identities.services.request_keys import Once, remember, require_new
from reviews.decisions.asks import people_beside
from reviews.decisions.independence import Parties, parties_of_items
from reviews.decisions.items import UNDECIDED, item_context, item_subject
from reviews.decisions.nudges import handed_on, keep_nudges
from reviews.decisions.rerouting import (
    NotEligible,
    answered_in_stages,
    handed_on_step,
    obstacle_of_hand_over,
    require_asked_for,
)
from reviews.decisions.witnesses import witnesses_by_item
from reviews.models import Campaign, ReviewItem

MOST_ROWS = 2000


class TooManyRows(DomainError):
    """More questions than one request may move."""

    code = "too-many-rows"


@dataclass(frozen=True, slots=True)
class Reassigned:
    """What became of one row. problem is a sentence, code the error's code; both empty when it moved."""

    item_id: UUID
    ok: bool
    problem: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All rows in the order asked for; left: how many of that person are still there, for another request."""

    rows: list[Reassigned]
    left: int = 0

    @property
    def moved(self) -> int:
        return sum(row.ok for row in self.rows)


@dataclass(frozen=True, slots=True)
class _Row:
    item: ReviewItem
    parties: Parties
    witnesses: frozenset[UUID]
    beside: frozenset[UUID]


def reassign_many(
    *,
    item_ids: Sequence[UUID],
    to: User,
    reason: str,
    actor: Actor,
    now: datetime,
    versions: Mapping[UUID, int] | None = None,
    once: Once[Outcome] | None = None,
) -> Outcome:
    """Give these questions to `to`. One row's refusal never touches another; all that move commit together.

    Allowed, row by row, for the person asked, the campaign's manager and administrators, and for programs with the
    scope `reviews:write`. versions: what the caller saw, per item. once: a request that must not be carried out
    twice. Raises NotEligible (no reason; nobody there), TooManyRows, Forbidden, AlreadyDone, KeyReused.
    """
    wanted = list(dict.fromkeys(item_ids))
    if len(wanted) > MOST_ROWS:
        raise TooManyRows(f"At most {MOST_ROWS} questions at once; these are {len(wanted)}.")
    _require_request(to, reason, actor)
    with transaction.atomic(durable=True):
        if once is not None:
            require_new(once)
        outcome = Outcome(_move(wanted, to, reason.strip(), actor, now, versions or {}))
        if once is not None:
            remember(once, outcome, now=now)
        dispatch.after_commit("reviews.send_due_mail")
    return outcome


def reassign_all_of(
    *,
    campaign: Campaign,
    person: User,
    to: User,
    reason: str,
    actor: Actor,
    now: datetime,
    once: Once[Outcome] | None = None,
) -> Outcome:
    """Give everything that `person` has not answered in this campaign to `to`, the first MOST_ROWS of it.

    Allowed for the campaign's manager, administrators, and programs with the scope `reviews:write`. Raises as
    `reassign_many`.
    """
    _require_request(to, reason, actor)
    if not _manages(campaign, actor):
        raise Forbidden("Only who manages the review moves everything of somebody.")
    theirs = ReviewItem.objects.filter(campaign=campaign, assignee=person, state__in=UNDECIDED)
    with transaction.atomic(durable=True):
        if once is not None:
            require_new(once)
        total = theirs.count()
        ids = list(theirs.order_by("pk").values_list("pk", flat=True)[:MOST_ROWS])
        outcome = Outcome(_move(ids, to, reason.strip(), actor, now, {}), left=total - len(ids))
        if once is not None:
            remember(once, outcome, now=now)
        dispatch.after_commit("reviews.send_due_mail")
    return outcome


def told(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain JSON."""
    rows = [{"item": str(row.item_id), "ok": row.ok, "code": row.code, "detail": row.problem} for row in outcome.rows]
    return {"moved": outcome.moved, "refused": len(rows) - outcome.moved, "left": outcome.left, "results": rows}


def _require_request(to: User, reason: str, actor: Actor) -> None:
    if actor.auth_method == MAIL_LINK:
        raise Forbidden("You came by a link from a mail. Sign in to hand questions on.")
    if actor.kind is ActorKind.API_CLIENT and "reviews:write" not in actor.scopes:
        raise Forbidden("The API token lacks the scope reviews:write.", scope="reviews:write")
    if not reason.strip():
        raise NotEligible("Say why they go to somebody else.", fields={"reason": "required"})
    if "\x00" in reason:
        raise NotEligible("The reason holds a character that cannot be stored.", fields={"reason": "bad character"})
    if not to.is_active or to.left_at is not None:
        raise NotEligible("This person has left or cannot sign in.", fields={"to": "not active"})


def _manages(campaign: Campaign, actor: Actor) -> bool:
    if actor.kind is not ActorKind.PERSON:
        return True
    manages = actor.person_id == campaign.manager_id and actor.has_role(Role.CAMPAIGN_MANAGER)
    return manages or actor.has_role(Role.ADMINISTRATOR)


def _move(
    wanted: Sequence[UUID], to: User, reason: str, actor: Actor, now: datetime, versions: Mapping[UUID, int]
) -> list[Reassigned]:
    rows = _rows(wanted)
    results, changed, records = [], [], []
    for pk in wanted:
        row = rows.get(pk)
        try:
            if row is None:
                raise NotEligible("There is no such question, or it is not yours to hand on.")
            giver = _require_movable(row, to, actor, now, versions.get(pk))
        except DomainError as problem:
            results.append(Reassigned(pk, False, problem.message, problem.code))
            continue
        records.append(_apply(row.item, to, giver, reason, actor, now))
        changed.append(row.item)
        results.append(Reassigned(pk, True))
    keep_nudges([handed_on(item, to.pk, now) for item in changed], actor)
    ReviewItem.objects.bulk_update(changed, ["assignee", "resolution", "version"], batch_size=500)
    log.record_many(records)
    return results


def _rows(wanted: Sequence[UUID]) -> dict[UUID, _Row]:
    locked = ReviewItem.objects.select_for_update(of=("self",)).filter(pk__in=wanted).order_by("pk")
    items = list(locked.select_related("campaign", "grant_version"))
    witnesses = witnesses_by_item(item.pk for item in items)
    beside = people_beside(item.pk for item in items)
    return {
        item.pk: _Row(item, parties, frozenset(witnesses.get(item.pk, ())), frozenset(beside.get(item.pk, ())))
        for item, parties in zip(items, parties_of_items(items), strict=True)
    }


def _require_movable(row: _Row, to: User, actor: Actor, now: datetime, version: int | None) -> UUID | None:
    """Whoever hands it on, None for a program. Raises what stands against it."""
    giver = None
    if actor.kind is ActorKind.PERSON:
        is_theirs = actor.person_id == row.item.assignee_id or _manages(row.item.campaign, actor)
        if not is_theirs:
            # Absent and not yours look alike here too.
            raise NotEligible("There is no such question, or it is not yours to hand on.")
        giver = actor.person_id
    require_asked_for(row.item, now, version)
    # Only where several answer, or have answered, somebody else's answer can stand.
    answered = answered_in_stages(row.item) if row.beside or row.item.stage > 1 else ()
    obstacle_of_hand_over(
        row.item,
        row.parties,
        giver,
        to,
        waiting={row.item.assignee_id, *row.beside},
        answered=answered,
        witnesses=row.witnesses,
    )
    return giver


def _apply(item: ReviewItem, to: User, giver: UUID | None, reason: str, actor: Actor, now: datetime) -> log.Record:
    old = str(item.assignee_id)
    # A program stands for nobody: the question stays, as it was, that of whoever was asked before.
    item.resolution = [*item.resolution, handed_on_step(to.pk, giver or item.assignee_id)]
    item.assignee_id = to.pk
    item.version += 1
    return log.Record(
        verb=Verb.ITEM_DELEGATED,
        actor=actor,
        subject=item_subject(item),
        now=now,
        old={"assignee": old},
        new={"assignee": str(to.pk)},
        reason=reason,
        context=item_context(item) | {"bulk": True},
    )
