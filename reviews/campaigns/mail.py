"""Mail of reviews: one per person when questions wait, one before the deadline, one to the manager about what is left.

The row is written first, the mail is sent outside every transaction, and the row is marked after. So a mail is sent
once; only a worker that dies between sending and marking can send it again. Nobody gets a mail without a question.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from smtplib import SMTPException

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.template.loader import render_to_string

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from governance.people.mail_links import make_link
from reviews.decisions.items import UNDECIDED
from reviews.models import Campaign, MailKind, ReviewItem, ReviewMail
from reviews.states import CampaignState, ItemState

logger = structlog.get_logger(__name__)
MAILER = system_actor("mailer")
REMIND_BEFORE = timedelta(days=3)
# A worker that has not come back by then is taken for dead.
CLAIM_LASTS = timedelta(minutes=10)
MOST_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Letter:
    """What a mail says: ready to print, plain words."""

    subject: str
    paragraphs: tuple[str, ...]
    button: str
    url: str


def send_due_mail(*, now: datetime) -> int:
    """Write down which mails are due, then send every one that has not gone out. Returns how many were sent."""
    plan_mail(now=now)
    sent = 0
    while (mail := _claim(now)) is not None:
        sent += _deliver(mail, now)
    return sent


def plan_mail(*, now: datetime) -> None:
    """Add the rows of invitations and reminders that are missing; doing it twice adds nothing."""
    waiting = ReviewItem.objects.filter(
        state__in=UNDECIDED, campaign__state=CampaignState.OPEN, assignee__is_active=True
    )
    near = Q(campaign__deadline_at__lte=now + REMIND_BEFORE, campaign__deadline_at__gt=now)
    was_long = Q(campaign__opened_at__lt=F("campaign__deadline_at") - REMIND_BEFORE)
    with transaction.atomic(durable=True):
        _add_missing(waiting, MailKind.INVITATION)
        _add_missing(waiting.filter(near & was_long), MailKind.REMINDER)


def _add_missing(waiting: QuerySet[ReviewItem], kind: MailKind) -> None:
    written = ReviewMail.objects.filter(campaign=OuterRef("campaign"), person=OuterRef("assignee"), kind=kind)
    pairs = waiting.filter(~Exists(written)).order_by().values_list("campaign_id", "assignee_id").distinct()
    ReviewMail.objects.bulk_create(
        [ReviewMail(campaign_id=campaign, person_id=person, kind=kind) for campaign, person in pairs],
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
        letter = _letter(mail, now)
        if letter is None:
            ReviewMail.objects.filter(pk=mail.pk).update(is_dropped=True)
            return False
    try:
        _message(letter, mail.person.email).send()
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
            context={"kind": str(mail.kind), "campaign": str(mail.campaign_id)},
        )


def _letter(mail: ReviewMail, now: datetime) -> Letter | None:
    """What to write, or None when by now there is nothing to say or nobody to say it to."""
    if not mail.person.is_active:
        return None
    if mail.kind == MailKind.ESCALATION:
        return _escalation(mail.campaign)
    counts = _waiting_counts(mail)
    if not counts["total"] or mail.campaign.state != CampaignState.OPEN or now >= mail.campaign.deadline_at:
        return None
    # The link is made last, in the same transaction, so that no unused one is left behind.
    url = settings.PUBLIC_URL + make_link(mail.person, now=now)
    return _questions(mail, counts, url)


def _waiting_counts(mail: ReviewMail) -> dict[str, int]:
    waiting = ReviewItem.objects.filter(campaign=mail.campaign_id, assignee=mail.person_id, state__in=UNDECIDED)
    found: dict[str, int] = waiting.aggregate(total=Count("pk"), privileged=Count("pk", filter=Q(is_privileged=True)))
    return found


def _questions(mail: ReviewMail, counts: dict[str, int], url: str) -> Letter:
    total = counts["total"]
    questions, verb = ("1 question", "is") if total == 1 else (f"{total} questions", "are")
    deadline = f"{mail.campaign.deadline_at:%-d %B %Y}"
    subject = f"{questions} about access, until {deadline}"
    paragraphs = [
        f"{questions} {verb} waiting for you in the review “{mail.campaign.name}”.",
        "They ask whether programs and service accounts still need the access they have. Each takes a moment: keep it, "
        "narrow it, or take it away. If one is not yours, say so and it goes to somebody else.",
        f"Please answer by {deadline}.",
    ]
    if counts["privileged"]:
        paragraphs.insert(1, f"{counts['privileged']} of them concern privileged access and come first.")
    if mail.kind == MailKind.REMINDER:
        subject = f"Reminder: {subject}"
    return Letter(subject, tuple(paragraphs), "Open my questions", url)


def _escalation(campaign: Campaign) -> Letter | None:
    left = ReviewItem.objects.filter(campaign=campaign, state=ItemState.EXPIRED).count()
    if not left:
        return None
    questions = "1 question" if left == 1 else f"{left} questions"
    return Letter(
        subject=f"{questions} stayed unanswered",
        paragraphs=(
            f"The review “{campaign.name}” has closed. {questions} got no answer by the deadline.",
            "The access was kept, not approved. Please look at what is left and decide how to go on.",
        ),
        button="Open Remit",
        url=settings.PUBLIC_URL + "/",
    )


def _message(letter: Letter, address: str) -> EmailMultiAlternatives:
    context = {"letter": letter}
    message = EmailMultiAlternatives(
        subject=letter.subject,
        body=render_to_string("reviews/mail/letter.txt", context),
        to=[address],
        headers={"Auto-Submitted": "auto-generated"},
    )
    message.attach_alternative(render_to_string("reviews/mail/letter.html", context), "text/html")
    return message
