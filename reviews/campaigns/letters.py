"""What the mails of reviews say: ready to print, plain words. Nothing here sends."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, Q
from django.urls import reverse

from governance.people.mail_links import make_link
from reviews.decisions.items import UNDECIDED
from reviews.models import AccessRequest, Brake, BrakeState, Campaign, MailKind, OrderHold, ReviewItem, ReviewMail
from reviews.remediation.brake import brake_words
from reviews.selectors import is_asked
from reviews.states import AccessRequestState, CampaignState, ItemState, OrderState

ASKED = (
    "They ask whether programs and service accounts still need the access they have. Each takes a moment: keep it, "
    "narrow it, or take it away. If one is not yours, say so and it goes to somebody else."
)


@dataclass(frozen=True, slots=True)
class Line:
    """One review in a digest."""

    name: str
    waiting: str
    until: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail. is_personal: whether the link signs one person in, for answering alone."""

    subject: str
    paragraphs: tuple[str, ...]
    button: str
    url: str
    lines: tuple[Line, ...] = ()
    is_personal: bool = True


def letter_for(mail: ReviewMail, now: datetime) -> Letter | None:
    """What to write, or None when by now there is nothing to say or nobody to say it to."""
    if not mail.person.is_active:
        return None
    if mail.kind == MailKind.DIGEST:
        return _digest(mail, now)
    if mail.kind in _ABOUT_NO_REVIEW:
        return _ABOUT_NO_REVIEW[MailKind(mail.kind)](mail)
    if mail.campaign is None:
        return None
    if mail.kind == MailKind.ESCALATION:
        return _escalation(mail.campaign)
    return _questions(mail, mail.campaign, now)


def _questions(mail: ReviewMail, campaign: Campaign, now: datetime) -> Letter | None:
    counts = _waiting_in(campaign, mail)
    if not counts["total"] or campaign.state != CampaignState.OPEN or now >= campaign.deadline_at:
        return None
    questions = counted(counts["total"])
    deadline = f"{campaign.deadline_at:%-d %B %Y}"
    subject = f"{questions} about access, until {deadline}"
    paragraphs = [
        f"{questions} {'is' if counts['total'] == 1 else 'are'} waiting for you in the review “{campaign.name}”.",
        ASKED,
        f"Please answer by {deadline}.",
    ]
    if counts["privileged"]:
        paragraphs.insert(1, f"{counts['privileged']} of them concern privileged access and come first.")
    if mail.kind == MailKind.REMINDER:
        subject = f"Reminder: {subject}"
    return Letter(subject, tuple(paragraphs), "Open my questions", _personal_link(mail, now))


def _waiting_in(campaign: Campaign, mail: ReviewMail) -> dict[str, int]:
    waiting = ReviewItem.objects.filter(is_asked(mail.person_id), campaign=campaign, state__in=UNDECIDED)
    found: dict[str, int] = waiting.aggregate(total=Count("pk"), privileged=Count("pk", filter=Q(is_privileged=True)))
    return found


def _digest(mail: ReviewMail, now: datetime) -> Letter | None:
    """Everything that waits for one person, the nearest deadline first."""
    rows = _waiting_by_review(mail, now)
    if not rows:
        return None
    total = sum(row["total"] for row in rows)
    privileged = sum(row["privileged"] for row in rows)
    reviews = "1 review" if len(rows) == 1 else f"{len(rows)} reviews"
    first = f"{rows[0]['campaign__deadline_at']:%-d %B %Y}"
    paragraphs = [f"{counted(total)} in {reviews} {'is' if total == 1 else 'are'} still waiting for you."]
    if privileged:
        paragraphs.append(f"{privileged} of them concern privileged access and come first.")
    return Letter(
        subject=f"Reminder: {counted(total)} about access, the first until {first}",
        paragraphs=(*paragraphs, ASKED),
        button="Open my questions",
        url=_personal_link(mail, now),
        lines=tuple(_line(row) for row in rows),
    )


def _waiting_by_review(mail: ReviewMail, now: datetime) -> list[dict[str, Any]]:
    waiting = ReviewItem.objects.filter(
        is_asked(mail.person_id),
        state__in=UNDECIDED,
        campaign__state=CampaignState.OPEN,
        campaign__deadline_at__gt=now,
    )
    rows = waiting.values("campaign_id", "campaign__name", "campaign__deadline_at").annotate(
        total=Count("pk"), privileged=Count("pk", filter=Q(is_privileged=True))
    )
    return [{**row} for row in rows.order_by("campaign__deadline_at", "campaign_id")]


def _line(row: dict[str, Any]) -> Line:
    more = f", {row['privileged']} privileged" if row["privileged"] else ""
    until = f"{row['campaign__deadline_at']:%-d %B %Y, %H:%M} UTC"
    return Line(row["campaign__name"], counted(row["total"]) + more, until)


def _brake(mail: ReviewMail) -> Letter | None:
    brake = Brake.objects.select_related("source").filter(pk=mail.occasion, state=BrakeState.HELD).first()
    if brake is None:
        return None
    held = OrderHold.objects.filter(brake=brake, released_at=None, order__state=OrderState.PLANNED).count()
    orders = "1 change is" if held == 1 else f"{held} changes are"
    words = brake_words(brake)
    return Letter(
        subject=f"{orders} held and {'waits' if held == 1 else 'wait'} for two people",
        paragraphs=(
            f"{words[0].upper()}{words[1:]} What is more is held; nothing is lost, and nothing of it is sent.",
            "Please look at it. Two different people release it, with a reason each; or one calls it off.",
        ),
        button="Look at what is held",
        url=settings.PUBLIC_URL + reverse("reviews:brake_detail", args=[brake.pk]),
        is_personal=False,
    )


def _access(mail: ReviewMail) -> Letter | None:
    """To whoever asked: what became of it. To the others: what waits for them, or what already holds."""
    request = AccessRequest.objects.select_related("identity").filter(pk=mail.occasion).first()
    if request is None:
        return None
    name, until = request.identity.name, f"{request.granted_until or request.until:%-d %B %Y, %H:%M} UTC"
    state = AccessRequestState(request.state)
    if mail.person_id == request.asked_by_id:
        said = {
            AccessRequestState.GRANTED: ("Granted", f"It holds until {until}, and ends by itself."),
            AccessRequestState.DENIED: ("Refused", f"The reason: {request.answer_reason}"),
        }.get(state)
        if said is None:
            return None
        subject, sentence = f"{said[0]}: access for {name}", said[1]
    elif request.is_emergency:
        subject = f"Emergency access for {name}"
        sentence = f"It was granted at once, until {until}. Please look at it; you can end it at any time."
    elif state is AccessRequestState.PENDING:
        subject = f"Access for {name} is asked for"
        sentence = f"It would hold until {until}. Without an answer by {request.answer_by:%-d %B, %H:%M} UTC it lapses."
    else:
        return None
    return Letter(
        subject=subject,
        paragraphs=(sentence,),
        button="Look at the request",
        url=settings.PUBLIC_URL + reverse("reviews:access_request_detail", args=[request.pk]),
        is_personal=False,
    )


_ABOUT_NO_REVIEW = {MailKind.BRAKE: _brake, MailKind.ACCESS: _access}


def _escalation(campaign: Campaign) -> Letter | None:
    left = ReviewItem.objects.filter(campaign=campaign, state=ItemState.EXPIRED).count()
    if not left:
        return None
    return Letter(
        subject=f"{counted(left)} stayed unanswered",
        paragraphs=(
            f"The review “{campaign.name}” has closed. {counted(left)} got no answer by the deadline.",
            "The access was kept, not approved. Please look at what is left and decide how to go on.",
        ),
        button="Open Remit",
        url=settings.PUBLIC_URL + "/",
        is_personal=False,
    )


def _personal_link(mail: ReviewMail, now: datetime) -> str:
    """Made last, in the transaction that knows that the mail is sent, so that no unused one is left behind."""
    return settings.PUBLIC_URL + make_link(mail.person, now=now)


def counted(questions: int) -> str:
    """So many questions."""
    return "1 question" if questions == 1 else f"{questions} questions"
