"""What a permission consists of: sets of patterns, conditions, statements."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Effect = Literal["allow", "deny"]


@dataclass(frozen=True, slots=True)
class PatternSet:
    """Everything that an `include` pattern matches and no `exclude` pattern does (NotAction: all but)."""

    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """One test on the context of a request; `values` are alternatives. Operator names are AWS's own.

    An operator that the kernel does not know makes answers *unknown* and inclusions *not provable*.
    """

    operator: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """Actions on resources, under all of the conditions, until (and not including) a moment."""

    actions: PatternSet
    resources: PatternSet
    effect: Effect = "allow"
    conditions: tuple[Condition, ...] = ()
    until: datetime | None = None
