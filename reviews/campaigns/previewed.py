"""What a preview tells, as values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from governance.people.models import User
from reviews.campaigns.previewed_carrying import CarriedOver
from reviews.models import DeadlinePolicy


@dataclass(frozen=True, slots=True)
class Load:
    """How much one person would be asked. decides: privileged questions that come to them after an owner attested."""

    person: User
    items: int
    privileged: int
    attests: int
    decides: int


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Somebody whom a rule names and who is not asked, why, and about how many questions."""

    person: User
    why: str
    items: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one deadline policy would do if nobody answered.

    Of what it takes away: `privileged`, used in the last seven days (`used_lately`), and of which nobody can know
    whether it is used (`unobservable`).
    """

    policy: DeadlinePolicy
    is_chosen: bool
    takes_away: int
    privileged: int
    used_lately: int
    unobservable: int


@dataclass(frozen=True, slots=True)
class Example:
    """One access or credential, named."""

    kind: str
    id: UUID
    name: str
    identity_id: UUID
    identity: str
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """looked_at: of how many of the `total` questions the rest is told. judged: of how many use was compared.

    left_out: short names of sources that the review would open without; is_held: it would wait for its sources first;
    unknown_use: what a scope of the unused leaves out because nobody can tell. load, passed_over: the first ones by
    weight; `people` and `passed_over_people` count all. lately: what the chosen policy would take away and was used
    last, the latest first. carrying: of the questions looked at, None where nothing is carried over; people and
    outcomes are told without the unchanged ones.
    """

    taken_at: datetime
    counts: dict[str, int]
    privileged: dict[str, int]
    looked_at: int
    judged: int
    people: int
    load: Sequence[Load]
    nobody: int
    nobody_examples: Sequence[Example]
    passed_over_people: int
    passed_over: Sequence[PassedOver]
    sources: Sequence[dict[str, Any]]
    left_out: Sequence[str]
    is_held: bool
    unknown_use: int = 0
    outcomes: Sequence[Outcome]
    lately: Sequence[Example]
    carrying: CarriedOver | None

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def is_partial(self) -> bool:
        """Whether something is told of a part only."""
        return self.looked_at < self.total or self.judged < self.looked_at

    @property
    def chosen(self) -> Outcome:
        return next(outcome for outcome in self.outcomes if outcome.is_chosen)
