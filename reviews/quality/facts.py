"""What people answered in one review, as values: two queries, and no text that anybody wrote."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import Case, CharField, Exists, F, Func, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import MD5, Length, Lower, Trim

from reviews.agreement import AS_GOOD
from reviews.models import KEEPING, PASSING_ON, Answer, Campaign, Decision, ItemKind, Viewing

USES = ("used", "unused", "not_observable")
# What an answer recommends when something should go.
REDUCING = (Answer.SCOPE_DOWN, Answer.REVOKE, Answer.DEACTIVATE, Answer.ROTATE)


@dataclass(frozen=True, slots=True)
class Given:
    """One answer of one person.

    at: when the answer was made up: where it was drafted first, when the draft was last changed. sent_at: when it was
    given. shown_at: when its question was last opened before. text: a digest of the reason without case and
    punctuation, empty where none was written.
    """

    item: UUID
    person: UUID
    at: datetime
    sent_at: datetime
    answer: str
    is_bulk: bool = False
    is_drafted: bool = False
    is_taken_back: bool = False
    is_privileged: bool = False
    is_ownership: bool = False
    use: str = "not_observable"
    recommendation: str = ""
    is_as_targeted: bool = False
    shown_at: datetime | None = None
    text: str = ""
    length: int = 0

    @property
    def passes_on(self) -> bool:
        """Whether it asks somebody else, and says nothing about the access."""
        return self.answer in PASSING_ON

    @property
    def approves(self) -> bool:
        return self.answer in KEEPING

    @property
    def follows(self) -> bool | None:
        """Whether it does what was recommended; None where nothing was."""
        if not self.recommendation or self.passes_on:
            return None
        if self.recommendation == Answer.SCOPE_DOWN:
            return self.answer == Answer.SCOPE_DOWN and self.is_as_targeted
        return self.answer in AS_GOOD.get(self.recommendation, (self.recommendation,))


_FIELDS = (
    *("item_id", "decided_by_id", "decided_at", "answer", "is_bulk", "taken_back", "item__is_privileged"),
    *("item__kind", "item__use_state", "item__recommendation", "as_targeted", "words", "length"),
)


def given_in(campaign: Campaign, *, until: datetime, people: Collection[UUID] | None = None) -> list[Given]:
    """Every answer that a person gave before `until`, also what was taken back since, person by person in order.

    people: only theirs. What policies, strategies and carried decisions answered is nobody's work.
    """
    looks = _looks_at(campaign, until)
    found = []
    for row in _answers(campaign, until, people).values_list(*_FIELDS).iterator(chunk_size=5000):
        item, person, sent_at, answer, is_bulk, taken_back, privileged, kind, use, advice, as_targeted, text, size = row
        shown_at, drafted_at = looks.get((item, person), (None, None)) if not is_bulk else (None, None)
        # Whoever opened the question again after drafting made the answer up then.
        is_drafted = drafted_at is not None and drafted_at <= sent_at and not (shown_at and shown_at > drafted_at)
        at = drafted_at if is_drafted and drafted_at else sent_at
        found.append(
            Given(
                item=item,
                person=person,
                at=at,
                sent_at=sent_at,
                answer=answer,
                is_bulk=is_bulk,
                is_drafted=is_drafted,
                is_taken_back=taken_back,
                is_privileged=privileged,
                is_ownership=kind == ItemKind.OWNERSHIP,
                use=use if use in USES else "not_observable",
                recommendation=advice,
                is_as_targeted=as_targeted,
                shown_at=shown_at if shown_at is not None and shown_at <= at else None,
                text=text,
                length=size,
            )
        )
    found.sort(key=lambda each: (each.person.bytes, each.at, each.sent_at, each.item.bytes))
    return found


def is_opening_known(campaign: Campaign) -> bool:
    """Whether it was noted, all through this review, which questions people opened."""
    if not settings.REVIEW_NOTE_VIEWINGS or campaign.opened_at is None:
        return False
    first = Viewing.objects.filter(shown_at__isnull=False).order_by("pk").values_list("shown_at", flat=True).first()
    return first is not None and (
        first <= campaign.opened_at or Viewing.objects.filter(item__campaign=campaign, shown_at__isnull=False).exists()
    )


def _answers(campaign: Campaign, until: datetime, people: Collection[UUID] | None) -> QuerySet[Decision]:
    said = Decision.objects.filter(
        item__campaign=campaign, decided_by__isnull=False, recalls=None, decided_at__lt=until
    )
    if people is not None:
        said = said.filter(decided_by__in=people)
    taken_back = Decision.objects.filter(recalls=OuterRef("pk"), decided_at__lt=until)
    plain = Func(Lower("reason"), Value(r"\W+"), Value(" "), Value("g"), function="regexp_replace")
    words = Trim(plain, output_field=CharField())
    return said.annotate(
        taken_back=Exists(taken_back),
        as_targeted=Case(When(Q(target=F("item__recommended_target")), then=True), default=False),
        words=Case(When(reason="", then=Value("")), default=MD5(words)),
        length=Length(Trim("reason")),
    ).order_by()


def _looks_at(campaign: Campaign, until: datetime) -> dict[tuple[UUID, UUID], tuple[datetime | None, datetime | None]]:
    rows = Viewing.objects.filter(item__campaign=campaign).values_list("item_id", "person_id", "shown_at", "drafted_at")
    return {
        (item, person): (_before(shown_at, until), _before(drafted_at, until))
        for item, person, shown_at, drafted_at in rows.iterator(chunk_size=5000)
    }


def _before(moment: datetime | None, until: datetime) -> datetime | None:
    return moment if moment is not None and moment < until else None
