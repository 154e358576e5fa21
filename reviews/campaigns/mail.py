"""Mail of reviews: one per person when questions wait, one digest of all reviews before deadlines, news for managers,
and one about what else a person is to learn of (`nudging`).

The row is written first, the mail is sent outside every transaction, and the row is marked after. So a mail is sent
once; only a worker that dies between sending and marking can send it again, under the same Message-ID. Nobody gets a
mail without a question: what was answered meanwhile is dropped when the mail would be written.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from smtplib import SMTPException
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.template.loader import render_to_string

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from reviews.campaigns.letters import Letter, letter_for
from reviews.campaigns.news import news_letter
from reviews.campaigns.nudging import plan_news
from reviews.decisions.items import UNDECIDED
from reviews.models import Ask, Campaign, MailKind, ReviewItem, ReviewMail
from reviews.policies.reminders import Reminders
from reviews.states import CampaignState

logger = structlog.get_logger(__name__)
MAILER = system_actor("mailer")
# A worker that has not come back by then is taken for dead.
CLAIM_LASTS = timedelta(minutes=10)
MOST_ATTEMPTS = 10


def send_due_mail(*, now: datetime) -> int:
    """Write down which mails are due, then send every one that has not gone out. Returns how many were sent."""
    plan_mail(now=now)
    plan_news(now=now)
    sent = 0
    while (mail := _claim(now)) is not None:
        sent += _deliver(mail, now)
    return sent


def plan_mail(*, now: datetime) -> None:
    """Add the rows of invitations and digests that are missing; doing it twice adds nothing."""
    waiting = ReviewItem.objects.filter(
        state__in=UNDECIDED, campaign__state=CampaignState.OPEN, assignee__is_active=True
    )
    beside = Ask.objects.filter(
        is_released=False, item__state__in=UNDECIDED, item__campaign__state=CampaignState.OPEN, person__is_active=True
    )
    with transaction.atomic(durable=True):
        _add_missing(waiting, beside, MailKind.INVITATION)
        _add_digests(waiting, beside, now)


def _add_digests(waiting: QuerySet[ReviewItem], beside: QuerySet[Ask], now: datetime) -> None:
    """One per person and day, whichever of the reviews is the reason; the mail then names all of them."""
    by_day: dict[str, list[UUID]] = defaultdict(list)
    running = Campaign.objects.filter(state=CampaignState.OPEN, deadline_at__gt=now, opened_at__isnull=False)
    for campaign in running.select_related("schedule").only(
        "policy", "opened_at", "deadline_at", "schedule__time_zone"
    ):
        zone = _zone_of(campaign)
        rules = Reminders.from_json(campaign.policy.get("reminders", {}))
        opened_at = campaign.opened_at or now
        if rules.is_due(opened_at=opened_at, deadline_at=campaign.deadline_at, now=now, zone=zone):
            by_day[now.astimezone(zone).date().isoformat()].append(campaign.pk)
    for day, campaigns in by_day.items():
        told = ReviewMail.objects.filter(kind=MailKind.DIGEST, occasion=day).values("person_id")
        alone = waiting.filter(campaign__in=campaigns).exclude(assignee__in=told).order_by()
        others = beside.filter(item__campaign__in=campaigns).exclude(person__in=told).order_by()
        people = {
            *alone.values_list("assignee_id", flat=True).distinct(),
            *others.values_list("person_id", flat=True).distinct(),
        }
        ReviewMail.objects.bulk_create(
            [ReviewMail(person_id=person, kind=MailKind.DIGEST, occasion=day) for person in sorted(people)],
            ignore_conflicts=True,
        )


def _zone_of(campaign: Campaign) -> ZoneInfo:
    """The clock by which people are reminded: the schedule's, for nobody says where each person lives."""
    try:
        return ZoneInfo(campaign.schedule.time_zone if campaign.schedule else "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        # A time zone can vanish with an update of the system.
        return ZoneInfo("UTC")


def _add_missing(waiting: QuerySet[ReviewItem], beside: QuerySet[Ask], kind: MailKind) -> None:
    written = ReviewMail.objects.filter(campaign=OuterRef("campaign"), person=OuterRef("assignee"), kind=kind)
    written_beside = ReviewMail.objects.filter(
        campaign=OuterRef("item__campaign"), person=OuterRef("person"), kind=kind
    )
    pairs = {
        *waiting.filter(~Exists(written)).order_by().values_list("campaign_id", "assignee_id").distinct(),
        *beside.filter(~Exists(written_beside)).order_by().values_list("item__campaign_id", "person_id").distinct(),
    }
    ReviewMail.objects.bulk_create(
        [ReviewMail(campaign_id=campaign, person_id=person, kind=kind) for campaign, person in sorted(pairs)],
        ignore_conflicts=True,
    )


def _claim(now: datetime) -> ReviewMail | None:
    free = Q(claimed_at=None) | Q(claimed_at__lte=now - CLAIM_LASTS)
    with transaction.atomic(durable=True):
        mail = (
            ReviewMail.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("campaign", "person")
            .filter(free, sent_at=None, is_dropped=False, attempts__lt=MOST_ATTEMPTS)
            .order_by("created_at", "pk")
            .first()
        )
        if mail is not None:
            mail.claimed_at = now
            mail.attempts += 1
            mail.save(update_fields=["claimed_at", "attempts"])
    return mail


def _deliver(mail: ReviewMail, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        letter = news_letter(mail, now) if mail.kind == MailKind.NEWS else letter_for(mail, now)
        if letter is None:
            ReviewMail.objects.filter(pk=mail.pk).update(is_dropped=True)
            return False
    try:
        _message(letter, mail).send()
    except (SMTPException, OSError) as problem:
        logger.warning("mail.not_sent", mail=mail.pk, kind=mail.kind, attempt=mail.attempts, problem=str(problem))
        return False
    _mark_sent(mail, now)
    return True


def _mark_sent(mail: ReviewMail, now: datetime) -> None:
    with transaction.atomic(durable=True):
        ReviewMail.objects.filter(pk=mail.pk).update(sent_at=now)
        log.record(
            verb=Verb.MAIL_SENT,
            actor=MAILER,
            subject=log.Subject("person", str(mail.person_id), "person"),
            now=now,
            context={"kind": str(mail.kind), "campaign": str(mail.campaign_id) if mail.campaign_id else None},
        )


def _message(letter: Letter, mail: ReviewMail) -> EmailMultiAlternatives:
    context = {"letter": letter}
    message = EmailMultiAlternatives(
        subject=letter.subject,
        body=render_to_string("reviews/mail/letter.txt", context),
        to=[mail.person.email],
        # A name of its own, so that a mail that went out twice can be recognised as one.
        headers={"Auto-Submitted": "auto-generated", "Message-ID": f"<review-mail-{mail.pk}@{_host()}>"},
    )
    message.attach_alternative(render_to_string("reviews/mail/letter.html", context), "text/html")
    return message


def _host() -> str:
    return urlsplit(settings.PUBLIC_URL).hostname or "remit.invalid"
