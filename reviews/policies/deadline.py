"""What silence means at the deadline: a table by risk, use and environment. Pure Python.

Four things can happen to access that nobody answered for, and none of them approves it. It is kept and somebody is
told; it ends after some days; the identity is locked out where the source can, so that whoever needs it speaks up; or
it is taken away. What could not be observed has a column of its own and is never read as unused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from governance.kernel.observing import UseState
from reviews.policies.contract import InvalidPolicy

LONGEST_DAYS = 366
DEFAULT_DAYS = 30


class Risk(StrEnum):
    """Whether the access is privileged (docs/permissions.md)."""

    PRIVILEGED = "privileged"
    STANDARD = "standard"


class Surroundings(StrEnum):
    """Where the identity works, as it stood when the review opened."""

    PRODUCTION = "production"
    OTHER = "other"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, environment: str) -> "Surroundings":
        """environment: a value of the inventory, or empty."""
        if environment == "production":
            return cls.PRODUCTION
        return cls.OTHER if environment and environment != "unknown" else cls.UNKNOWN


class Act(StrEnum):
    KEEP = "keep"
    EXPIRE = "expire"
    QUARANTINE = "quarantine"
    REVOKE = "revoke"


USES = (UseState.USED, UseState.UNUSED, UseState.NOT_OBSERVABLE)
Cell = tuple[Risk, UseState, Surroundings]


@dataclass(frozen=True, slots=True)
class Consequence:
    """days: after how many the access ends, for EXPIRE; else 0."""

    act: Act = Act.KEEP
    days: int = 0

    @property
    def words(self) -> str:
        """As people read it."""
        if self.act is Act.EXPIRE:
            return f"end in {self.days} {'day' if self.days == 1 else 'days'}"
        return {"keep": "keep, escalate", "quarantine": "quarantine", "revoke": "revoke"}[self.act]

    def to_json(self) -> dict[str, Any]:
        """`{"act": …}`, with `days` where something ends."""
        return {"act": str(self.act)} | ({"days": self.days} if self.act is Act.EXPIRE else {})


KEPT = Consequence()
REVOKED = Consequence(Act.REVOKE)
QUARANTINED = Consequence(Act.QUARANTINE)


def all_cells() -> Iterator[Cell]:
    """Every cell, in the order in which the table is printed."""
    for risk in Risk:
        for surroundings in Surroundings:
            for use in USES:
                yield risk, use, surroundings


def _graded() -> Mapping[Cell, Consequence]:
    """The recommended table: only what was watched and never used ends, later where it could hurt more."""
    unused, p, s = UseState.UNUSED, Risk.PRIVILEGED, Risk.STANDARD
    chosen = {
        (p, unused, Surroundings.PRODUCTION): QUARANTINED,
        (p, unused, Surroundings.OTHER): Consequence(Act.EXPIRE, 14),
        (s, unused, Surroundings.PRODUCTION): Consequence(Act.EXPIRE, 30),
        (s, unused, Surroundings.OTHER): REVOKED,
        (s, unused, Surroundings.UNKNOWN): Consequence(Act.EXPIRE, 30),
    }
    return {cell: chosen.get(cell, KEPT) for cell in all_cells()}


@dataclass(frozen=True, slots=True)
class DeadlineTable:
    """`cells` is complete. It speaks where a review's deadline policy is `table`; the other policies are presets."""

    cells: Mapping[Cell, Consequence] = field(default_factory=_graded)

    def consequence(self, *, is_privileged: bool, use: str, environment: str) -> Consequence:
        """What silence means. use: a state of use; whatever is not known counts as not observable."""
        risk = Risk.PRIVILEGED if is_privileged else Risk.STANDARD
        state = UseState(use) if use in set(USES) else UseState.NOT_OBSERVABLE
        return self.cells[risk, state, Surroundings.of(environment)]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "DeadlineTable":
        """`{"table": {risk: {use: {environment: {"act", "days"}}}}}`. No table: the recommended one; no cell: keep."""
        given = value.get("table", {})
        problems = _unknown(value, given)
        cells: dict[Cell, Consequence] = {}
        for risk, use, surroundings in all_cells():
            found = _at(given, risk, use, surroundings)
            problem = _problem(found)
            if problem:
                problems[f"table.{risk}.{use}.{surroundings}"] = problem
            elif found is not None:
                cells[risk, use, surroundings] = _consequence(found)
        if problems:
            raise InvalidPolicy(problems)
        if "table" not in value:
            return cls()
        return cls({cell: cells.get(cell, KEPT) for cell in all_cells()})

    def to_json(self) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for (risk, use, surroundings), consequence in self.cells.items():
            row = table.setdefault(str(risk), {}).setdefault(str(use), {})
            row[str(surroundings)] = consequence.to_json()
        return {"table": table}


def _everywhere(consequence: Consequence) -> DeadlineTable:
    return DeadlineTable(dict.fromkeys(all_cells(), consequence))


def _revoke_unused() -> DeadlineTable:
    unused = {(Risk.STANDARD, UseState.UNUSED, surroundings) for surroundings in Surroundings}
    return DeadlineTable({cell: REVOKED if cell in unused else KEPT for cell in all_cells()})


PRESETS: Mapping[str, DeadlineTable] = {
    "keep_and_escalate": _everywhere(KEPT),
    "revoke_unused": _revoke_unused(),
    "revoke": _everywhere(REVOKED),
    "graded": DeadlineTable(),
}
"""By the name of a deadline policy."""


def table_of(deadline_policy: str, policy: Mapping[str, Any]) -> DeadlineTable:
    """The table that a schedule or a campaign goes by. policy: its rules by topic."""
    return PRESETS.get(deadline_policy) or DeadlineTable.from_json(policy.get("deadline", {}))


def _unknown(value: Mapping[str, Any], given: Any) -> dict[str, str]:
    """Names that mean nothing: a misspelt row would silently keep what somebody wanted gone."""
    wrong = {name: f"“{name}” is not a member of these rules." for name in sorted(set(value) - {"table"})}
    if not isinstance(given, Mapping):
        return wrong | {"table": "The table is an object: risk, then use, then environment."}
    levels = (tuple(Risk), USES, tuple(Surroundings))
    return wrong | _unknown_below("table", given, levels)


def _unknown_below(path: str, given: Mapping[str, Any], levels: tuple[tuple[str, ...], ...]) -> dict[str, str]:
    problems: dict[str, str] = {}
    for name, below in given.items():
        here = f"{path}.{name}"
        if name not in set(levels[0]):
            problems[here] = f"“{name}” is none of {', '.join(levels[0])}."
        elif not isinstance(below, Mapping):
            problems[here] = "An object is expected here."
        elif len(levels) > 1:
            problems |= _unknown_below(here, below, levels[1:])
    return problems


def _at(given: Any, risk: Risk, use: UseState, surroundings: Surroundings) -> Any:
    for name in (risk, use, surroundings):
        if not isinstance(given, Mapping):
            return None
        given = given.get(str(name))
    return given


def _problem(found: Any) -> str:
    if found is None or not isinstance(found, Mapping):
        return ""
    act, days = found.get("act"), found.get("days")
    if set(found) - {"act", "days"} or not isinstance(act, str) or act not in set(Act):
        return f"Choose one of {', '.join(Act)} as “act”."
    if act != Act.EXPIRE:
        return "" if days is None else "Only “expire” takes days."
    if type(days) is not int or not 1 <= days <= LONGEST_DAYS:
        return f"Say after how many days it ends: 1 to {LONGEST_DAYS}."
    return ""


def _consequence(found: Any) -> Consequence:
    act = Act(found["act"]) if isinstance(found, Mapping) else Act.KEEP
    return Consequence(act, found["days"]) if act is Act.EXPIRE else Consequence(act)
