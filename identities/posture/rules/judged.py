"""What a rule looks at: the facts of one identity and, for the rule that compares the axes, both scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from identities.posture.facts import IdentityFacts, Missing, SourceFacts


class AssuranceBounds(Protocol):
    """How well it proves itself, A0 to A4: at least `lower`, at most `upper`."""

    @property
    def lower(self) -> int: ...
    @property
    def upper(self) -> int: ...
    @property
    def to_raise(self) -> tuple[str, ...]: ...


class ExposureRange(Protocol):
    """What it could do, 0 to 100, where that can be said."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def is_assessable(self) -> bool: ...


class WordLists(Protocol):
    """Which words stand for good and bad places and methods."""

    @property
    def deprecated_methods(self) -> frozenset[str]: ...
    def is_sanctioned(self, storage: str) -> bool: ...
    def is_unsanctioned(self, storage: str) -> bool: ...


class Policy(Protocol):
    """What rules ask of the policy in force (`identities.posture.policy.Policy` is one), without its database."""

    @property
    def thresholds(self) -> Mapping[str, int]: ...
    @property
    def required_assurance(self) -> Mapping[str, int]: ...
    @property
    def lists(self) -> WordLists: ...
    def band_of(self, exposure: float) -> str: ...


@dataclass(frozen=True, slots=True)
class Judged:
    """One identity as rules see it. The scores are None where nobody worked them out, which is no score of zero."""

    facts: IdentityFacts
    assurance: AssuranceBounds | None = None
    exposure: ExposureRange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceJudged:
    """One source as the population rules see it at `now`.

    unknown_callers: names in its logs that the inventory lacks. parts_unread: what its last reading could not take in,
    in words. grants, unparsed: how many it has, and how many of them nobody could understand. duplicates: names that
    several live identities of one kind share. vanished: identities that a reading no longer showed although nobody had
    removed or disabled them, within the time that the policy looks back.
    """

    source: SourceFacts
    now: datetime
    is_enabled: bool
    unknown_callers: tuple[str, ...] | Missing
    parts_unread: tuple[str, ...] | Missing
    grants: int
    unparsed: int | Missing
    duplicates: tuple[str, ...] | Missing
    vanished: tuple[str, ...] | Missing
