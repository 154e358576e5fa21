"""In how many stages a question is answered: who is asked in each, about which questions, and what their answers make.

The first stage gets every question. A later one gets what its rule says of the last stage that was answered; where its
rule does not apply, or nobody can be asked in it, it is passed over. Behind the last stage stands one that cannot be
switched off: privileged access on which only its owning side has spoken is decided by somebody independent of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from reviews.policies.contract import InvalidPolicy
from reviews.policies.outcomes import Kind, Outcome, Strategy

MOST_STAGES = 5
MOST_PEOPLE = 5
LONGEST_NAME = 60


class Asked(StrEnum):
    """Who can be asked in a stage, tried in this order. A stage that names nobody asks as the review itself does."""

    OWNER = "owner"
    BACKUP = "backup"
    TEAM = "team"
    SOURCE_OWNER = "source_owner"
    MANAGER = "manager"
    INDEPENDENT = "independent"
    REVIEWERS = "reviewers"


class Entry(StrEnum):
    """Which questions a later stage gets."""

    ALL = "all"
    PRIVILEGED = "privileged"
    ANSWERED = "answered"
    DISAGREED = "disagreed"


class Sees(StrEnum):
    """What the people of a stage see of earlier answers before they give their own."""

    ANSWERS = "answers"
    NOTHING = "nothing"


class Nobody(StrEnum):
    """What happens where nobody of a stage can be asked."""

    FALLBACK = "fallback"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. answered: for `Entry.ANSWERED`, the outcomes of the stage before that lead here."""

    name: str = ""
    asks: tuple[Asked, ...] = ()
    people: int = 1
    items: Entry = Entry.ALL
    answered: tuple[Kind, ...] = ()
    strategy: Strategy = Strategy.ONE_ACCEPT_ACCEPTS
    sees: Sees = Sees.ANSWERS
    when_nobody: Nobody = Nobody.FALLBACK

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, defaults included."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values |= {name: [str(one) for one in values[name]] for name in ("asks", "answered")}
        return {name: str(value) if isinstance(value, StrEnum) else value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Passed:
    """What the last answered stage made of a question. only_owners: nobody independent of the owning side spoke."""

    outcome: Outcome
    disagreed: bool
    is_privileged: bool
    only_owners: bool


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages that a review's owner chose, one to five."""

    stages: tuple[Stage, ...] = (Stage(),)

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> "Stages":
        """The stages among all topics of a schedule or campaign."""
        return cls.from_json(policy.get("stages", {}))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Stages":
        """Read `{"stages": [...]}`. Raises InvalidPolicy with fields named `stages` or `stages.<number>.<member>`."""
        problems = {name: f"Stages have no “{name}”." for name in sorted(set(value) - {"stages"})}
        rows = value.get("stages", [{}])
        if not isinstance(rows, list | tuple) or not 1 <= len(rows) <= MOST_STAGES:
            raise InvalidPolicy(problems | {"stages": f"A review has one to {MOST_STAGES} stages, as a list."})
        found = []
        for number, row in enumerate(rows, 1):
            wrong = problems_of(row, number)
            problems |= {f"stages.{number}.{name}": sentence for name, sentence in wrong.items()}
            if not wrong:
                found.append(_stage(row))
        if problems:
            raise InvalidPolicy(problems)
        return cls(tuple(found))

    def to_json(self) -> dict[str, Any]:
        return {"stages": [stage.to_json() for stage in self.stages]}

    @property
    def independence(self) -> int:
        """The number of the stage that cannot be switched off."""
        return len(self.stages) + 1

    def at(self, number: int) -> Stage:
        """The stage with this number, counted from 1; behind the last one, the stage of independence."""
        return self.stages[number - 1] if number <= len(self.stages) else INDEPENDENCE

    def ends_with(self, number: int, *, is_privileged: bool) -> bool:
        """Whether no later stage can get a question behind this one, whatever is answered."""
        return number >= (self.independence if is_privileged else len(self.stages))

    def following(self, number: int, passed: Passed) -> int | None:
        """The number of the next stage that gets the question behind this one, or None where its answer is final."""
        for candidate in range(number + 1, len(self.stages) + 1):
            if _gets(self.at(candidate), passed):
                return candidate
        needs_independence = passed.is_privileged and passed.only_owners
        return self.independence if needs_independence and number < self.independence else None


INDEPENDENCE = Stage(name="Independent decision", asks=(Asked.INDEPENDENT,), items=Entry.PRIVILEGED)


def _gets(stage: Stage, passed: Passed) -> bool:
    match stage.items:
        case Entry.PRIVILEGED:
            return passed.is_privileged
        case Entry.ANSWERED:
            return passed.outcome in stage.answered
        case Entry.DISAGREED:
            return passed.disagreed
    return True


def problems_of(row: Any, number: int) -> dict[str, str]:
    """What is wrong with one stage as plain JSON, by member."""
    if not isinstance(row, Mapping):
        return {"stage": f"Stage {number} is an object."}
    known = {each.name for each in fields(Stage)}
    found = {str(name): f"Stage {number} has no “{name}”." for name in sorted(set(row) - known, key=str)}
    name, people = row.get("name", ""), row.get("people", 1)
    checks = [
        ("name", isinstance(name, str) and len(name) <= LONGEST_NAME and "\x00" not in name, _LENGTH),
        ("people", type(people) is int and 1 <= people <= MOST_PEOPLE, f"ask 1 to {MOST_PEOPLE} people"),
        *((each, _are_some(row.get(each, []), known), sentence) for each, known, sentence in _SETS),
        *((each, each not in row or _is_one(row[each], known), sentence) for each, known, sentence in _WORDS),
    ]
    found |= {name: f"Stage {number}: {sentence}." for name, is_fine, sentence in checks if not is_fine}
    return found or _contradictions(_stage(row), number)


def _contradictions(stage: Stage, number: int) -> dict[str, str]:
    found = {}
    if number == 1 and stage.items is not Entry.ALL:
        found["items"] = "The first stage gets every question."
    if number == 1 and stage.when_nobody is not Nobody.FALLBACK:
        found["when_nobody"] = "The first stage is never passed over."
    if (stage.items is Entry.ANSWERED) != bool(stage.answered):
        found["answered"] = f"Stage {number}: choose the answers that lead here, and only where they decide that."
    return found


_LENGTH = f"give it a name of up to {LONGEST_NAME} characters"
_SETS: tuple[tuple[str, type[StrEnum], str], ...] = (
    ("asks", Asked, "name the people by known rules, each once"),
    ("answered", Kind, "choose answers among accept, reduce and deny"),
)
_WORDS: tuple[tuple[str, type[StrEnum], str], ...] = (
    ("items", Entry, "choose which questions it gets"),
    ("strategy", Strategy, "choose how answers become one"),
    ("sees", Sees, "choose what is seen of earlier answers"),
    ("when_nobody", Nobody, "choose what happens where nobody can be asked"),
)


def _is_one(value: Any, known: type[StrEnum]) -> bool:
    return isinstance(value, str) and value in list(known)


def _are_some(values: Any, known: type[StrEnum]) -> bool:
    if not isinstance(values, list | tuple) or not all(_is_one(value, known) for value in values):
        return False
    return len(set(values)) == len(values)


def _stage(row: Mapping[str, Any]) -> Stage:
    return Stage(
        name=row.get("name", "").strip(),
        asks=tuple(Asked(each) for each in row.get("asks", [])),
        people=row.get("people", 1),
        items=Entry(row.get("items", Entry.ALL)),
        answered=tuple(Kind(each) for each in row.get("answered", [])),
        strategy=Strategy(row.get("strategy", Strategy.ONE_ACCEPT_ACCEPTS)),
        sees=Sees(row.get("sees", Sees.ANSWERS)),
        when_nobody=Nobody(row.get("when_nobody", Nobody.FALLBACK)),
    )
