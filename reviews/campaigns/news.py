"""The mail that says what a person is to learn of: what waits for their release, and what was said or passed to them.

It is written when it is sent, and says only what is still so: what was released, answered, replied to or looked at
meanwhile, or is no longer this person's to see or to decide, is left out, and without anything left there is no mail.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse

from governance.kernel.actors import Actor
from governance.people.access import actor_in_full
from governance.people.mail_links import make_link
from reviews.campaigns.letters import Letter, Link, counted
from reviews.decisions import list_awaiting
from reviews.decisions.items import UNDECIDED
from reviews.models import Nudge, NudgeKind, Order, Remark, ReviewItem, ReviewMail
from reviews.remediation.releasing import count_held, list_half_released
from reviews.remediation.urgency import list_hurried
from reviews.selectors import is_asked, visible_items
from reviews.states import CampaignState

MOST_LISTED = 10


@dataclass(frozen=True, slots=True)
class News:
    """One thing: in a few words, what it asks for, and where it is."""

    words: str
    more: str
    path: str


def news_letter(mail: ReviewMail, now: datetime) -> Letter | None:
    """What to write, or None when by now there is nothing to say or nobody to say it to."""
    person = mail.person
    if not person.is_active:
        return None
    actor = actor_in_full(person)
    nudges = list(mail.nudges.order_by("pk"))
    releases = [*_urgent(nudges, actor, now), *_orders(nudges, actor)]
    said = [*_questions(nudges, actor, now), *_passed_on(nudges, actor, now), *_replies(nudges, actor)]
    news = [*releases, *said]
    if not news:
        return None
    # Releasing asks for a sign-in of its own; a question is answered by a link, also by people without a password.
    start = make_link(person, now=now) if said else ""
    links = [Link(each.words, _url(start if each in said else "", each.path)) for each in news]
    if len(news) == 1:
        [one], [link] = news, links
        return Letter(one.words, (f"{one.words}.", one.more), "Look at it", link.url, is_personal=bool(said))
    left = len(links[MOST_LISTED:])
    more = (f"There {'is' if left == 1 else 'are'} {left} more; everything stands in your inbox.",) if left else ()
    return Letter(
        subject=f"{news[0].words}, and {len(news) - 1} more",
        paragraphs=("Since the last mail this came to you, or waits for you:", *more),
        button="Open my inbox",
        url=_url("" if releases else start, reverse("reviews:inbox")),
        links=tuple(links[:MOST_LISTED]),
        is_personal=bool(said),
    )


def _url(start: str, path: str) -> str:
    return settings.PUBLIC_URL + (f"{start}?to={quote(path)}" if start else path)


def _orders(nudges: Sequence[Nudge], actor: Actor) -> list[News]:
    rounds = [nudge.about for nudge in nudges if nudge.kind == NudgeKind.RELEASE]
    waiting = list_awaiting(actor=actor).filter(told_in__in=rounds) if rounds else Order.objects.none()
    total = waiting.count() if rounds else 0
    if not total:
        return []
    if total > 1:
        more = "Nothing is changed before a second person looks. Release each of them, or refuse it, with a reason."
        return [News(f"{total} orders wait for your release", more, f"{reverse('reviews:order_list')}?view=second")]
    order = waiting[0]
    more = "Nothing is changed before a second person looks. Release it, or refuse it, with a reason."
    words = f"1 order waits for your release: {order.get_action_display().lower()}, {_clean(order.identity.name)}"
    return [News(words, more, reverse("reviews:order_detail", args=[order.pk]))]


def _urgent(nudges: Sequence[Nudge], actor: Actor, now: datetime) -> list[News]:
    rounds = [nudge.about for nudge in nudges if nudge.kind == NudgeKind.URGENT]
    if not rounds:
        return []
    why = "One person has said that it may go on, and why. A second, different one has to agree."
    brakes = [
        News(f"{_held(count_held(brake))} for a second person", why, reverse("reviews:brake_detail", args=[brake.pk]))
        for brake in list_half_released(actor=actor).filter(told_in__in=rounds)
    ]
    orders = [
        News(
            f"An order that cannot wait for its window waits for a second person: {_clean(order.identity.name)}",
            why,
            reverse("reviews:order_detail", args=[order.pk]),
        )
        for order in list_hurried(actor=actor, now=now)
        if order.urgency.told_in in rounds
    ]
    return [*brakes, *orders]


def _questions(nudges: Sequence[Nudge], actor: Actor, now: datetime) -> list[News]:
    more = "Your reply stands with the question. Who decides stays the same."
    waiting = _remarks(nudges, NudgeKind.QUESTION, actor).filter(reply=None, item__campaign__deadline_at__gt=now)
    return [_news_of(each, "asks you", more) for each in waiting]


def _replies(nudges: Sequence[Nudge], actor: Actor) -> list[News]:
    more = "The reply stands with the question."
    replies = _remarks([nudge for nudge in nudges if nudge.seen_at is None], NudgeKind.REPLY, actor)
    return [_news_of(each, "replied to you", more) for each in replies]


def _news_of(remark: Remark, did: str, more: str) -> News:
    path = f"{reverse('reviews:item_detail', args=[remark.item_id])}#talk-title"
    return News(f"{_clean(remark.author)} {did} about {_about(remark.item)}", more, path)


def _remarks(nudges: Sequence[Nudge], kind: NudgeKind, actor: Actor) -> QuerySet[Remark]:
    """Remarks of reviews that are open, on items that the person may look at."""
    about = [nudge.about for nudge in nudges if nudge.kind == kind]
    if not about:
        return Remark.objects.none()
    found = Remark.objects.filter(pk__in=about, item__campaign__state=CampaignState.OPEN)
    seeable = visible_items(actor).filter(pk__in=[nudge.item_id for nudge in nudges]).values("pk")
    return found.filter(item__in=seeable).select_related("author", "item__identity").order_by("made_at", "pk")


def _passed_on(nudges: Sequence[Nudge], actor: Actor, now: datetime) -> list[News]:
    """Questions that somebody passed on to the person, and that they have neither opened nor answered."""
    about = [n.about for n in nudges if n.kind == NudgeKind.HANDED_ON and n.seen_at is None]
    if not about or actor.person_id is None:
        return []
    waiting = ReviewItem.objects.filter(
        is_asked(actor.person_id),
        pk__in=about,
        state__in=UNDECIDED,
        campaign__state=CampaignState.OPEN,
        campaign__deadline_at__gt=now,
    )
    total = waiting.count()
    if not total:
        return []
    more = "If it is not yours, say so and it goes to somebody else."
    if total > 1:
        return [News(f"{counted(total)} were passed on to you", more, reverse("reviews:inbox"))]
    item = waiting.select_related("identity")[0]
    words = f"A question about {_about(item)} was passed on to you"
    return [News(words, more, reverse("reviews:item_detail", args=[item.pk]))]


def _held(changes: int) -> str:
    return "1 change that the brake holds waits" if changes == 1 else f"{changes} changes that the brake holds wait"


def _about(item: ReviewItem) -> str:
    return _clean(item.identity.name)


def _clean(name: object) -> str:
    """On one line: it may stand in a subject, where a break would be another header."""
    return " ".join(str(name).split())[:120]
