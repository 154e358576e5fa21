"""The table of the deadline as an editable grid."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms

from governance.kernel.observing import UseState
from reviews.forms.sections import PolicySection
from reviews.policies.deadline import (
    DEFAULT_DAYS,
    LONGEST_DAYS,
    PRESETS,
    USES,
    Act,
    Cell,
    DeadlineTable,
    Risk,
    Surroundings,
    all_cells,
)

ACTS = [
    (Act.KEEP, "Keep, escalate"),
    (Act.EXPIRE, "End in … days"),
    (Act.QUARANTINE, "Quarantine"),
    (Act.REVOKE, "Revoke"),
]
RISKS = {Risk.PRIVILEGED: "Privileged", Risk.STANDARD: "Not privileged"}
USE_NAMES = {
    UseState.USED: "Used",
    UseState.UNUSED: "Watched and never used",
    UseState.NOT_OBSERVABLE: "Not observable",
}
PLACES = {
    Surroundings.PRODUCTION: "production",
    Surroundings.OTHER: "another environment",
    Surroundings.UNKNOWN: "environment unknown",
}


@dataclass(frozen=True, slots=True)
class GridCell:
    """One cell of the editable grid: `act` and `days` are bound fields."""

    label: str
    act: forms.BoundField
    days: forms.BoundField


class DeadlineSection(PolicySection):
    """What silence means, cell by cell; it speaks where “By a table of my own” is chosen."""

    topic = "deadline"
    heading = "At the deadline"
    template = "reviews/_policy_deadline.html"
    is_always_open = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for cell in all_cells():
            name, label = _name(cell), _label(cell)
            self.fields[name] = forms.ChoiceField(
                label=label, choices=ACTS, required=False, widget=forms.Select(attrs={"aria-label": label})
            )
            self.fields[f"{name}_days"] = forms.IntegerField(
                label=f"{label}: days",
                required=False,
                widget=forms.NumberInput(
                    attrs={"aria-label": f"{label}: days", "min": 1, "max": LONGEST_DAYS, "inputmode": "numeric"}
                ),
            )

    @classmethod
    def initial_of(cls, policy: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for cell, consequence in DeadlineTable.from_json(policy).cells.items():
            found |= {_name(cell): consequence.act, f"{_name(cell)}_days": consequence.days or DEFAULT_DAYS}
        return found

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for cell in all_cells():
            days = data.get(f"{_name(cell)}_days")
            if data.get(_name(cell)) == Act.EXPIRE and not (days and 1 <= days <= LONGEST_DAYS):
                self.add_error(f"{_name(cell)}_days", f"{_label(cell)}: say after how many days, 1 to {LONGEST_DAYS}.")
        return data

    def to_policy(self) -> dict[str, Any]:
        """The grid as the topic keeps it; a form that was sent without the grid means the recommended table."""
        table: dict[str, Any] = {}
        for cell in all_cells():
            act = self.cleaned_data.get(_name(cell))
            if act:
                days = {"days": self.cleaned_data[f"{_name(cell)}_days"]} if act == Act.EXPIRE else {}
                risk, use, place = (str(part) for part in cell)
                table.setdefault(risk, {}).setdefault(use, {})[place] = {"act": act} | days
        return {"table": table} if table else {}

    @property
    def columns(self) -> list[str]:
        """The three states of use, as the head of the grid."""
        return [USE_NAMES[use] for use in USES]

    def rows(self) -> Iterator[tuple[str, list[GridCell]]]:
        """The grid, row by row: what it is about, and its cells."""
        for risk in Risk:
            for place in Surroundings:
                cells = [(risk, use, place) for use in USES]
                yield f"{RISKS[risk]}, {PLACES[place]}", [self._cell(cell) for cell in cells]

    @property
    def problems(self) -> list[str]:
        """Every mistake in the grid, as sentences that name their cell."""
        return [str(problem) for problems in self.errors.values() for problem in problems]

    @property
    def graded(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """The recommended table, to be read."""
        return table_rows(PRESETS["graded"])

    def _cell(self, cell: Cell) -> GridCell:
        name = _name(cell)
        return GridCell(USE_NAMES[cell[1]], self[name], self[f"{name}_days"])


def table_rows(table: DeadlineTable) -> list[tuple[str, list[tuple[str, str]]]]:
    """A table to be printed: per row what it is about, and (use, consequence) for each column."""
    return [
        (
            f"{RISKS[risk]}, {PLACES[place]}",
            [(USE_NAMES[use], table.cells[risk, use, place].words.capitalize()) for use in USES],
        )
        for risk in Risk
        for place in Surroundings
    ]


def _name(cell: Cell) -> str:
    return "_".join(str(part) for part in cell)


def _label(cell: Cell) -> str:
    risk, use, place = cell
    return f"{RISKS[risk]}, {PLACES[place]}, {USE_NAMES[use].lower()}"
