"""Answers that are prepared first and given together later.

Drafts leave no audit records: a draft changes nothing, is seen by nobody but its author, and may be typed and dropped
a hundred times. What counts is the answer, and each answer that is submitted leaves the record of its own decision.
They exist for people in a browser only; a program sends its answers when it has them.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from governance.kernel.actors import Actor, ActorKind
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from governance.people.models import User
from reviews.decisions.asks import seats_among
from reviews.decisions.deciding import Outcome, Wanted, answer_all
from reviews.decisions.foreseeing import Outlook, foresee
from reviews.decisions.items import get_item, require_assignee, require_open, require_undecided
from reviews.decisions.judging import Reply
from reviews.models import Draft, ReviewItem
from reviews.quality import note_draft

MOST_DRAFTS = 500
LARGEST = 200_000
Fields = Mapping[str, Sequence[str]]


class DraftTooLarge(DomainError):
    """More was typed than a draft keeps."""

    code = "draft-too-large"


@dataclass(frozen=True, slots=True)
class Prospective:
    """A draft with what would become of it now. is_stale: the question moved on, so it is not sent."""

    draft: Draft
    ok: bool
    problem: str
    is_attestation: bool
    is_stale: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one draft. problem is a sentence, empty when the answer was given."""

    draft: Draft
    ok: bool
    problem: str = ""
    is_attestation: bool = False


def list_drafts(actor: Actor) -> QuerySet[Draft]:
    """The person's drafts, oldest first, with what they are about."""
    related = ("item__campaign", "item__identity__source", "item__grant", "item__grant_version", "item__credential")
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    drafts = Draft.objects.select_related(*related, "named_person").filter(person=person)
    return drafts.order_by("changed_at", "pk") if person else drafts.none()


def save_draft(
    *,
    item: ReviewItem,
    version: int,
    actor: Actor,
    now: datetime,
    answer: str = "",
    reason: str = "",
    until: datetime | None = None,
    target: Permission | None = None,
    named_person: User | None = None,
    problem: str = "",
    fields: Fields | None = None,
) -> Draft:
    """Keep what the person means to answer, complete or not; a later one replaces it. No audit record, see above.

    version: of the question that the person saw; problem: what the form still lacks; fields: the form as typed. The
    last one written wins: two windows of the same person are one draft. Raises NotAssigned, StaleItem (the question is
    closed), CampaignNotOpen and DraftTooLarge.
    """
    item = get_item(item.pk)
    person = actor.person_id if seats_among([item], actor) else require_assignee(item, actor)
    require_open(item.campaign, now)
    require_undecided(item)
    typed = {name: [text.replace("\x00", "") for text in texts] for name, texts in (fields or {}).items()}
    if len(json.dumps(typed)) > LARGEST:
        raise DraftTooLarge("This is more than a draft can keep. Answer it now, or shorten it.")
    with transaction.atomic(durable=True):
        draft, _ = Draft.objects.update_or_create(
            item=item,
            person_id=person,
            defaults={
                "version": version if 0 < version < 2**31 else 0,
                "answer": answer,
                "reason": reason.replace("\x00", ""),
                "until": until,
                "target": target.to_json() if target else None,
                "named_person": named_person,
                "problem": problem.replace("\x00", "")[:500],
                "fields": typed,
                "changed_at": now,
            },
        )
        note_draft(item_id=item.pk, actor=actor, now=now)
    return draft


def drop_draft(*, item_id: UUID, actor: Actor) -> bool:
    """Forget the person's draft on this question; whether there was one. No audit record, see above."""
    with transaction.atomic(durable=True):
        deleted, _ = Draft.objects.filter(item=item_id, person=actor.person_id).delete()
    return bool(deleted)


def foresee_drafts(*, drafts: Sequence[Draft], actor: Actor, now: datetime) -> list[Prospective]:
    """What submitting would do to each draft, with a fixed number of queries; changes nothing."""
    outlooks = foresee([_wanted(draft, actor, now) for draft in drafts if _is_whole(draft)])
    by_item = {each.item_id: each for each in outlooks}
    seats = seats_among([each.item for each in drafts], actor)
    return [_prospective(draft, by_item.get(draft.item_id), actor, seats) for draft in drafts]


def submit_drafts(
    *, actor: Actor, now: datetime, item_ids: Iterable[UUID] | None = None, limit: int = MOST_DRAFTS
) -> list[Sent]:
    """Give the drafted answers in one transaction, with a record each; at most `limit`, oldest first.

    item_ids: only the drafts on these questions. A draft goes once its answer is given; one that is refused stays and
    says why. A crash in between leaves a draft on a question that has moved on: it is shown so and never sent again.
    """
    waiting = list_drafts(actor)
    if item_ids is not None:
        waiting = waiting.filter(item__in=list(item_ids))
    drafts = list(waiting[:limit])
    whole = [draft for draft in drafts if _is_whole(draft)]
    outcomes = answer_all(wanted=[_wanted(draft, actor, now) for draft in whole], actor=actor, now=now)
    by_item = {draft.item_id: outcome for draft, outcome in zip(whole, outcomes, strict=True)}
    sent = [_sent(draft, by_item.get(draft.item_id)) for draft in drafts]
    _forget([each.draft for each in sent if each.ok])
    return sent


def _is_whole(draft: Draft) -> bool:
    return bool(draft.answer) and not draft.problem


def _wanted(draft: Draft, actor: Actor, now: datetime) -> Wanted:
    target = Permission.from_json(draft.target) if draft.target is not None else None
    reply = Reply(
        answer=draft.answer,
        actor=actor,
        now=now,
        reason=draft.reason,
        until=draft.until,
        target=target,
        named_person=draft.named_person,
    )
    return Wanted(draft.item_id, draft.version, reply)


def _sent(draft: Draft, outcome: Outcome | None) -> Sent:
    if outcome is None:
        return Sent(draft, False, draft.problem or "No answer is chosen yet.")
    if isinstance(outcome, DomainError):
        return Sent(draft, False, outcome.message)
    return Sent(draft, True, is_attestation=outcome.is_attestation)


def _forget(drafts: Sequence[Draft]) -> None:
    """What was changed in this moment is another draft, and stays."""
    if not drafts:
        return
    with transaction.atomic(durable=True):
        given = {draft.pk: draft.changed_at for draft in drafts}
        as_they_are = Draft.objects.select_for_update().filter(pk__in=given).order_by("pk")
        same = [pk for pk, changed_at in as_they_are.values_list("pk", "changed_at") if changed_at == given[pk]]
        Draft.objects.filter(pk__in=same).delete()


def _prospective(draft: Draft, outlook: Outlook | None, actor: Actor, seats: Collection[UUID]) -> Prospective:
    stale = _why_stale(draft, draft.item, actor, seats)
    if stale:
        return Prospective(draft, False, stale, False, True)
    if outlook is None:
        return Prospective(draft, False, draft.problem or "No answer is chosen yet.", False, False)
    return Prospective(draft, outlook.ok, outlook.problem, outlook.is_attestation, False)


def why_stale(draft: Draft, item: ReviewItem, actor: Actor) -> str:
    """Why the draft no longer fits its question, as a sentence; empty where it does."""
    return _why_stale(draft, item, actor, seats_among([item], actor))


def _why_stale(draft: Draft, item: ReviewItem, actor: Actor, seats: Collection[UUID]) -> str:
    if item.state not in ("open", "attested") or item.campaign.state != "open":
        return "This question was closed meanwhile."
    if item.assignee_id != actor.person_id and item.pk not in seats:
        return "Somebody else is asked by now."
    if item.version != draft.version:
        return "The question changed since you drafted this. Look at it again."
    return ""


__all__ = [
    "DraftTooLarge",
    "Prospective",
    "Sent",
    "drop_draft",
    "foresee_drafts",
    "list_drafts",
    "save_draft",
    "submit_drafts",
    "why_stale",
]
