"""What the mails of reviews say: ready to print, plain words. Nothing here sends."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, Q
from django.urls import reverse

from governance.people.mail_links import make_link
from reviews.decisions.items import UNDECIDED
from reviews.models import (
    AccessRequest,
    Brake,
    BrakeState,
    Campaign,
    ItemKind,
    MailKind,
    OrderHold,
    ReviewItem,
    ReviewMail,
)
from reviews.remediation.brake import brake_words
from reviews.selectors import is_asked
from reviews.states import AccessRequestState, CampaignState, ItemState, OrderState

ASKED_ONE = (
    "It asks whether a program or a service account still needs the access it has. It takes a moment: keep it, "
    "narrow it, or take it away. If it is not yours, say so and it goes to somebody else."
)
ASKED = (
    "They ask whether programs and service accounts still need the access they have. Each takes a moment: keep it, "
    "narrow it, or take it away. If one is not yours, say so and it goes to somebody else."
)
WHOSE_ONE = (
    "It asks who answers for a program or a service account. It takes a moment: say that it is yours, that it is not, "
    "or that it can be retired."
)
WHOSE = (
    "They ask who answers for programs and service accounts. Each takes a moment: say that it is yours, that it is "
    "not, or that it can be retired."
)
# What is counted of questions that wait; see Waiting.
COUNTS = {
    "total": Count("pk"),
    "privileged": Count("pk", filter=Q(is_privileged=True)),
    "ownership": Count("pk", filter=Q(kind=ItemKind.OWNERSHIP)),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One review in a digest."""

    name: str
    waiting: str
    until: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many questions wait, and how many of them are about privileged access, or about who answers for something."""

    total: int
    privileged: int
    ownership: int

    @property
    def words(self) -> str:
        about = "who answers for what" if self.ownership == self.total else "access"
        return f"{counted(self.total)} about {about}"

    @property
    def paragraphs(self) -> list[str]:
        """What is special about them, and what they ask."""
        asked = [*([self._asks_about_access()] if self.ownership < self.total else []), *self._asks_whose()]
        return [*self._of_privileged(), *asked]

    def _asks_about_access(self) -> str:
        return ASKED_ONE if self.total == 1 else ASKED

    def _asks_whose(self) -> list[str]:
        if not self.ownership:
            return []
        if self.ownership < self.total:
            return [f"{self.ownership} of them {'asks' if self.ownership == 1 else 'ask'} who answers for something."]
        return [WHOSE_ONE if self.total == 1 else WHOSE]

    def _of_privileged(self) -> list[str]:
        if not self.privileged:
            return []
        if self.privileged == self.total:
            return [f"{'It concerns' if self.total == 1 else 'All of them concern'} privileged access."]
        comes = "concerns privileged access and comes" if self.privileged == 1 else "concern privileged access and come"
        return [f"{self.privileged} of them {comes} first."]


@dataclass(frozen=True, slots=True)
class Link:
    """One of several things in a mail, and where it is."""

    words: str
    url: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail. is_personal: whether its links sign one person in, for answering alone."""

    subject: str
    paragraphs: tuple[str, ...]
    button: str
    url: str
    lines: tuple[Line, ...] = ()
    links: tuple[Link, ...] = ()
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
    waiting = _waiting_in(campaign, mail)
    if not waiting.total or campaign.state != CampaignState.OPEN or now >= campaign.deadline_at:
        return None
    deadline = f"{campaign.deadline_at:%-d %B %Y}"
    subject = f"{waiting.words}, until {deadline}"
    are = "is" if waiting.total == 1 else "are"
    paragraphs = (
        f"{counted(waiting.total)} {are} waiting for you in the review “{campaign.name}”.",
        *waiting.paragraphs,
        f"Please answer by {deadline}.",
    )
    if mail.kind == MailKind.REMINDER:
        subject = f"Reminder: {subject}"
    return Letter(subject, paragraphs, "Open my questions", _personal_link(mail, now))


def _waiting_in(campaign: Campaign, mail: ReviewMail) -> Waiting:
    waiting = ReviewItem.objects.filter(is_asked(mail.person_id), campaign=campaign, state__in=UNDECIDED)
    return Waiting(**waiting.aggregate(**COUNTS))


def _digest(mail: ReviewMail, now: datetime) -> Letter | None:
    """Everything that waits for one person, the nearest deadline first."""
    rows = _waiting_by_review(mail, now)
    if not rows:
        return None
    waiting = Waiting(*(sum(row[count] for row in rows) for count in COUNTS))
    reviews = "1 review" if len(rows) == 1 else f"{len(rows)} reviews"
    first = f"{rows[0]['campaign__deadline_at']:%-d %B %Y}"
    are = "is" if waiting.total == 1 else "are"
    return Letter(
        subject=f"Reminder: {waiting.words}, {'until' if waiting.total == 1 else 'the first until'} {first}",
        paragraphs=(f"{counted(waiting.total)} in {reviews} {are} still waiting for you.", *waiting.paragraphs),
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
    rows = waiting.values("campaign_id", "campaign__name", "campaign__deadline_at").annotate(**COUNTS)
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
        button="Look at what is left",
        url=f"{settings.PUBLIC_URL}{reverse('reviews:campaign_detail', args=[campaign.pk])}?state={ItemState.EXPIRED}",
        is_personal=False,
    )


def _personal_link(mail: ReviewMail, now: datetime) -> str:
    """Made last, in the transaction that knows that the mail is sent, so that no unused one is left behind."""
    return settings.PUBLIC_URL + make_link(mail.person, now=now)


def counted(questions: int) -> str:
    """So many questions."""
    return "1 question" if questions == 1 else f"{questions} questions"
