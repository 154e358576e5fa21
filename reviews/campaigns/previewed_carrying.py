"""How many of the questions that a review would ask repeat what a person approved, told before it opens.

Compared by the same function as at the opening. Which of them chance has asked anyway is drawn only then, by a seed
that nobody knows before, so that nobody can start a review whose sample suits them; beforehand there is its share.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from identities.models import Grant
from reviews.campaigns.previewed_use import Question
from reviews.campaigns.unchanged import Case, Weighed, Why, look_back
from reviews.decisions.loading import among
from reviews.models import ItemKind
from reviews.policies.carrying import Carrying
from reviews.recommend import Use

WORDS = {
    Why.KIND: "Only approvals of access are carried over.",
    Why.PRIVILEGED: "Privileged access is always asked about.",
    Why.NEVER_DECIDED: "No review decided on it before.",
    Why.NOT_APPROVED: "The last decision was no plain approval.",
    Why.CONTENT: "The access is another one than was approved.",
    Why.APPROVAL_GONE: "Its approval lapsed or was taken back.",
    Why.USE_UNKNOWN: "Its use was not looked at here, so it is counted as asked.",
    Why.USE: "It is used in another way than when it was approved.",
    Why.OWNER: "Somebody else answers for the identity now.",
    Why.RISK: "It was privileged then or is now.",
    Why.ENVIRONMENT: "The identity works in another environment now.",
    Why.STATUS: "The identity has another status now.",
    Why.BY_POLICY: "No person decided on it last.",
    Why.TOO_OLD: "The decision is too old.",
    Why.TOO_OFTEN: "It was carried as often as the rules allow.",
    Why.NOBODY_ACCOUNTABLE: "Nobody who can sign in answers for the identity.",
    Why.NOT_INDEPENDENT: "Whoever decided may not decide on it any more.",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """So many questions are asked for this reason."""

    why: Why
    items: int

    @property
    def words(self) -> str:
        return WORDS[self.why]


@dataclass(frozen=True, slots=True)
class CarriedOver:
    """unchanged: questions that repeat an approval; of these `sample_percent` are asked anyway. asked: the others by
    reason, the most first."""

    unchanged: int
    sample_percent: int
    asked: Sequence[Asked]

    @property
    def sampled(self) -> int:
        """How many of them to expect in the sample; exact where it is none or all of them."""
        return round(self.unchanged * self.sample_percent / 100)

    @property
    def carried(self) -> int:
        """How many of them to expect to be carried over."""
        return self.unchanged - self.sampled

    @property
    def is_drawn(self) -> bool:
        """Whether chance has a say in it."""
        return 0 < self.sample_percent < 100 and self.unchanged > 0


@dataclass(slots=True)
class CarryingTally:
    """Counts chunk by chunk; asks the database nothing where nothing is carried."""

    rules: Carrying
    now: datetime
    unchanged: int = 0
    asked: Counter[Why] = field(default_factory=Counter)

    def take(self, questions: Sequence[Question], uses: Sequence[Use | None]) -> list[bool]:
        """Which of these are unchanged."""
        if not self.rules.is_on:
            return [False] * len(questions)
        if questions[0].kind != ItemKind.GRANT:
            self.asked[Why.KIND] += len(questions)
            return [False] * len(questions)
        found = look_back(self.rules, _cases(questions, uses), self.now)
        self.asked.update(each for each in found if isinstance(each, Why))
        are_unchanged = [not isinstance(each, Why) for each in found]
        self.unchanged += sum(are_unchanged)
        return are_unchanged

    def told(self) -> CarriedOver | None:
        """None where the review carries nothing over."""
        if not self.rules.is_on:
            return None
        order = list(Why)
        ranked = sorted(self.asked.items(), key=lambda each: (-each[1], order.index(each[0])))
        return CarriedOver(self.unchanged, self.rules.sample_percent, [Asked(why, items) for why, items in ranked])


def _cases(questions: Sequence[Question], uses: Sequence[Use | None]) -> list[Case]:
    grants = Grant.objects.filter(pk__in=among([question.thing for question in questions]))
    rows = grants.values_list("pk", "reviewed_digest", "identity__owner_id", "identity__status")
    known = {pk: (reviewed, owner, status) for pk, reviewed, owner, status in rows}
    return [_case(question, use, *known[question.thing]) for question, use in zip(questions, uses, strict=True)]


def _case(
    question: Question, use: Use | None, reviewed: bytes | memoryview | None, owner: UUID | None, status: str
) -> Case:
    assert question.version is not None  # noqa: S101 - it is about access
    around = None
    if use is not None:
        whose = str(owner) if owner else None
        around = Weighed(str(use.state), whose, question.is_privileged, question.environment, status)
    return Case(
        identity=question.identity,
        grant=question.thing,
        version=question.version,
        is_privileged=question.is_privileged,
        digest=question.digest,
        reviewed=bytes(reviewed) if reviewed is not None else None,
        weighed=around,
    )
