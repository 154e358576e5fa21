"""What a permission consists of: sets of patterns, conditions, statements."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Effect = Literal["allow", "deny"]


@dataclass(frozen=True, slots=True)
class PatternSet:
    """Everything that an `include` pattern matches and no `exclude` pattern does (NotAction: all but)."""

    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    def __hash__(self) -> int:
        """Remembered: sets of thousands of patterns are looked up again and again."""
        if not self._hash:
            object.__setattr__(self, "_hash", hash((self.include, self.exclude)) or 1)
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        """Without the hash, which differs from process to process."""
        return (PatternSet, (self.include, self.exclude))


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
