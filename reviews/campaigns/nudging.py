"""Who is to learn of what by mail, beside the invitations and digests: one mail per person, never one per thing.

Two sources. What one person said or did to another (a question, a reply, a question passed on) has a row from the
use case that did it. What waits for *some* second person has a mark on itself, `told_in`: whatever is not marked yet is
taken here as one round, and whoever may release any of it gets one row. Rows without a mail become one mail per person.

The first mail goes out at once. What comes within `PAUSE` after it waits and goes out together, so that ten questions
in a row are two mails and not ten; what is urgent does not wait. Everything happens in one transaction that locks what
it takes and passes over what another worker has taken: a worker that dies leaves nothing half done.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import models, transaction
from django.db.models import QuerySet

from governance.kernel.actors import Actor
from governance.people.access import actor_in_full
from governance.people.models import User
from reviews.decisions import list_awaiting
from reviews.decisions.loading import among
from reviews.models import Brake, BrakeState, MailKind, Nudge, NudgeKind, Order, ReviewMail, UrgentRelease
from reviews.remediation.releasing import list_half_released
from reviews.remediation.urgency import RELEASERS, list_hurried
from reviews.states import OrderState

PAUSE = timedelta(minutes=10)
# Told so long ago, a row is of no use to anybody: replies are shown while their review is open.
KEPT = timedelta(days=90)


def plan_news(*, now: datetime) -> None:
    """Write the rows of the mails that are due; doing it twice adds nothing."""
    with transaction.atomic(durable=True):
        _announce(now)
        _tell_by_invitations(now)
        _tell_by_mails(now)
        Nudge.objects.filter(told_at__lte=now - KEPT).delete()


def _announce(now: datetime) -> None:
    """Take what waits for a second person, and of which nobody was told, as one round."""
    in_round = uuid4()
    orders = _mark(Order.objects.filter(state=OrderState.AWAITING_SECOND), in_round)
    brakes = _mark(Brake.objects.filter(state=BrakeState.HELD, first_by__isnull=False), in_round)
    urgent = _mark(UrgentRelease.objects.filter(second_by=None), in_round)
    if not (orders or brakes or urgent):
        return
    Nudge.objects.bulk_create(
        Nudge(person=person, kind=kind, about=in_round, made_at=now)
        for person in _releasers()
        for kind in _kinds_for(actor_in_full(person), in_round, now, orders=orders, urgent=brakes or urgent)
    )


def _mark(rows: QuerySet[Any], in_round: UUID) -> bool:
    """Mark what nobody was told of; what somebody is just deciding on is left for the next time."""
    free = rows.filter(told_in=None).select_for_update(of=("self",), skip_locked=True).order_by("pk")
    taken = list(free.values_list("pk", flat=True))
    return bool(taken) and rows.model.objects.filter(pk__in=among(taken)).update(told_in=in_round) > 0


def _releasers() -> QuerySet[User]:
    holds = models.Exists(User.objects.filter(pk=models.OuterRef("pk"), role_assignments__role__in=RELEASERS))
    return User.objects.filter(holds, is_active=True, left_at=None).order_by("pk")


def _kinds_for(actor: Actor, in_round: UUID, now: datetime, *, orders: bool, urgent: bool) -> Iterator[NudgeKind]:
    """What of the round this person may release: asked of the same functions that the pages ask."""
    if orders and list_awaiting(actor=actor).filter(told_in=in_round).exists():
        yield NudgeKind.RELEASE
    if urgent and _has_urgent(actor, in_round, now):
        yield NudgeKind.URGENT


def _has_urgent(actor: Actor, in_round: UUID, now: datetime) -> bool:
    if list_half_released(actor=actor).filter(told_in=in_round).exists():
        return True
    return any(order.urgency.told_in == in_round for order in list_hurried(actor=actor, now=now))


def _tell_by_invitations(now: datetime) -> None:
    """Whoever has not got the invitation to a review learns by it what was passed on to them there."""
    passed_on = Nudge.objects.filter(mail=None, kind=NudgeKind.HANDED_ON)
    places = set(passed_on.order_by().values_list("person_id", "item__campaign_id").distinct())
    if not places:
        return
    unsent = ReviewMail.objects.filter(
        kind=MailKind.INVITATION,
        person__in={person for person, _ in places},
        campaign__in={campaign for _, campaign in places},
        sent_at=None,
        claimed_at=None,
        is_dropped=False,
    )
    for mail in unsent.select_for_update(skip_locked=True):
        passed_on.filter(person=mail.person_id, item__campaign=mail.campaign_id).update(mail=mail, told_at=now)


def _tell_by_mails(now: datetime) -> None:
    untold: dict[UUID, list[Nudge]] = defaultdict(list)
    for nudge in Nudge.objects.filter(mail=None).select_for_update(skip_locked=True).order_by("pk"):
        untold[nudge.person_id].append(nudge)
    told_lately = set(
        Nudge.objects.filter(person__in=untold, told_at__gt=now - PAUSE, mail__is_dropped=False).values_list(
            "person_id", flat=True
        )
    )
    for person, nudges in untold.items():
        if person in told_lately and not any(nudge.kind == NudgeKind.URGENT for nudge in nudges):
            continue
        mail = ReviewMail.objects.create(person_id=person, kind=MailKind.NEWS, occasion=str(uuid4()))
        Nudge.objects.filter(pk__in=[nudge.pk for nudge in nudges]).update(mail=mail, told_at=now)
