"""Asking somebody about a question before answering it, and their reply. Neither moves the question."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind
from governance.kernel.errors import Conflict, DomainError, Forbidden, NotFound
from governance.people.models import User
from reviews.decisions.independence import Parties, list_active_people, parties_of_item
from reviews.decisions.items import item_context, item_subject, lock_item, require_open
from reviews.decisions.nudges import nudge_about_remark
from reviews.models import Nudge, NudgeKind, Remark, ReviewItem
from reviews.selectors import visible_items
from reviews.states import CampaignState

LONGEST = 2000
MOST_ON_ITEM = 50


class RemarkRefused(DomainError):
    """The text cannot be kept, or the person cannot be asked."""

    code = "remark-refused"


class AlreadyReplied(Conflict):
    """Somebody asked gets one reply in; another question can follow."""

    code = "already-replied"


class OnlyPeople(Forbidden):
    """Programs read what people say to each other; they take no part."""

    code = "only-people"


def list_remarks(item: ReviewItem) -> QuerySet[Remark]:
    """Questions about an item with their replies, oldest first. The caller reached the item through `access_item`."""
    asked = Remark.objects.filter(item=item, replies_to=None)
    return asked.select_related("author", "asked", "reply__author").order_by("made_at", "pk")


def list_asked_of(actor: Actor) -> QuerySet[Remark]:
    """What the person was asked and has not replied to, oldest first, in reviews that are still open."""
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    if person is None:
        return Remark.objects.none()
    waiting = Remark.objects.filter(asked=person, reply=None, item__campaign__state=CampaignState.OPEN)
    return waiting.select_related("author", "item__identity", "item__grant", "item__credential").order_by("made_at")


def list_replies_to(actor: Actor) -> QuerySet[Remark]:
    """The replies to the person's own questions that they have not looked at, in reviews that are still open.

    Opening the item ends that (`nudges.note_seen`). What they may not look at any more is left out.
    """
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    if person is None:
        return Remark.objects.none()
    unseen = Nudge.objects.filter(person=person, kind=NudgeKind.REPLY, seen_at=None, item__isnull=False)
    replies = Remark.objects.filter(pk__in=unseen.values("about"), item__campaign__state=CampaignState.OPEN)
    replies = replies.filter(Exists(visible_items(actor).filter(pk=OuterRef("item_id"))))
    return replies.select_related("author", "replies_to", "item__identity").order_by("-made_at", "-pk")


def access_remark(*, actor: Actor, remark_id: UUID) -> Remark:
    """A remark that was asked of the actor, or NotFound."""
    remark = Remark.objects.filter(pk=remark_id, asked=actor.person_id).select_related("item").first()
    if remark is None or actor.kind is not ActorKind.PERSON:
        raise NotFound("There is no such remark, or it was not asked of you.")
    return remark


def askable(item: ReviewItem, actor: Actor) -> list[User]:
    """Whom one can ask: the people around the item who may see it or answer for it, without the asking person."""
    parties = parties_of_item(item)
    campaign = item.campaign
    ids = [item.assignee_id, *_around(parties), campaign.manager_id, campaign.independent_reviewer_id]
    ids += item.decisions.filter(decided_by__isnull=False).values_list("decided_by_id", flat=True)[:20]
    ids += [pk for pair in item.remarks.values_list("author_id", "asked_id")[:50] for pk in pair]
    active = list_active_people()
    wanted = dict.fromkeys(pk for pk in ids if pk and pk in active and pk != actor.person_id)
    people = User.objects.in_bulk(list(wanted))
    return [people[pk] for pk in wanted if pk in people]


def ask_remark(*, item: ReviewItem, asked: User, text: str, actor: Actor, now: datetime) -> Remark:
    """Ask a person about an item; it stands in their inbox until they reply, and they may look at the item.

    The caller reached the item through `access_item`. Raises OnlyPeople, RemarkRefused and CampaignNotOpen.
    """
    text = _text(text)
    author = _person(actor)
    if asked.pk not in {person.pk for person in askable(item, actor)}:
        raise RemarkRefused("Choose somebody who knows this access.", fields={"asked": "cannot be asked"})
    with transaction.atomic(durable=True):
        locked = lock_item(item.pk)
        require_open(locked.campaign, now)
        if locked.remarks.count() >= MOST_ON_ITEM:
            raise RemarkRefused(f"{MOST_ON_ITEM} remarks on one question are enough. Talk to each other.")
        remark = Remark.objects.create(
            item=locked, author_id=author, asked=asked, text=text, item_version=locked.version, made_at=now
        )
        nudge_about_remark(remark, asked.pk, now)
        _record(Verb.REMARK_ASKED, locked, remark, actor, now, asked=str(asked.pk))
    return remark


def reply_to_remark(*, remark: Remark, text: str, actor: Actor, now: datetime) -> Remark:
    """The asked person's reply; once. Raises OnlyPeople, NotFound, RemarkRefused, AlreadyReplied, CampaignNotOpen."""
    text = _text(text)
    author = _person(actor)
    if remark.asked_id != author:
        raise NotFound("There is no such remark, or it was not asked of you.")
    with transaction.atomic(durable=True):
        locked = lock_item(remark.item_id)
        require_open(locked.campaign, now)
        try:
            with transaction.atomic():
                reply = Remark.objects.create(
                    item=locked,
                    author_id=author,
                    replies_to=remark,
                    text=text,
                    item_version=locked.version,
                    made_at=now,
                )
        except IntegrityError as error:
            raise AlreadyReplied("You replied to this already.") from error
        nudge_about_remark(reply, remark.author_id, now)
        _record(Verb.REMARK_ANSWERED, locked, reply, actor, now, replies_to=str(remark.pk))
    return reply


def _record(verb: Verb, item: ReviewItem, remark: Remark, actor: Actor, now: datetime, **more: str) -> None:
    """The text stands beside the chain, where it can be erased; the chain keeps its digest."""
    log.record(
        verb=verb,
        actor=actor,
        subject=item_subject(item),
        now=now,
        reason=remark.text,
        context=item_context(item) | {"remark": str(remark.pk)} | more,
    )


def _around(parties: Parties) -> Iterable[UUID | None]:
    makers = parties.creator, parties.asker
    return (parties.owner, parties.backup, parties.sponsor, *parties.team[:20], parties.source_owner, *makers)


def _text(text: str) -> str:
    text = text.strip()
    if not text:
        raise RemarkRefused("Write what you want to say.", fields={"text": "required"})
    if len(text) > LONGEST or "\x00" in text:
        raise RemarkRefused(f"At most {LONGEST} characters, all of them readable.", fields={"text": "too long"})
    return text


def _person(actor: Actor) -> UUID:
    if actor.kind is not ActorKind.PERSON or actor.person_id is None:
        raise OnlyPeople("Only people ask and reply; a program cannot.")
    return actor.person_id
