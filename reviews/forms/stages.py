"""The stages of a review as a part of the form of a schedule."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms

from reviews.forms.sections import PolicySection
from reviews.policies.outcomes import Kind, Strategy, early_table, truth_table
from reviews.policies.stages import (
    INDEPENDENCE,
    LONGEST_NAME,
    MOST_PEOPLE,
    MOST_STAGES,
    Asked,
    Entry,
    Nobody,
    Sees,
    Stage,
    Stages,
    problems_of,
)

ASKED = {
    Asked.OWNER: "Owner of the identity",
    Asked.BACKUP: "Backup owner",
    Asked.TEAM: "Member of the owning team",
    Asked.SOURCE_OWNER: "Owner of the source",
    Asked.MANAGER: "Manager of the owner",
    Asked.INDEPENDENT: "Independent reviewer",
    Asked.REVIEWERS: "Any reviewer",
}
ENTRIES = {
    Entry.ALL: "Everything",
    Entry.PRIVILEGED: "Privileged access only",
    Entry.ANSWERED: "What was answered with …",
    Entry.DISAGREED: "Where people disagreed",
}
KINDS = {Kind.ACCEPT: "Accept", Kind.REDUCE: "Reduce", Kind.DENY: "Deny"}
SEES = {Sees.ANSWERS: "All of them", Sees.NOTHING: "Nothing"}
NOBODY = {Nobody.FALLBACK: "Ask the fallback reviewer", Nobody.SKIP: "Pass the stage over"}
STRATEGIES = [(strategy.value, strategy.label) for strategy in Strategy]


@dataclass(frozen=True, slots=True)
class StageFields:
    """One stage of the form: its bound fields in the order in which they stand."""

    number: int
    is_used: bool
    has_errors: bool
    pairs: list[forms.BoundField]
    lists: list[forms.BoundField]


@dataclass(frozen=True, slots=True)
class StageLine:
    """One stage to be read: who is asked, about what, and how answers become one."""

    name: str
    asked: str
    gets: str
    ends: str
    notes: str


class StagesSection(PolicySection):
    """How many stages, and each of them; stages beyond the number chosen are ignored."""

    topic = "stages"
    heading = "Stages"
    template = "reviews/_policy_stages.html"

    count = forms.TypedChoiceField(
        label="How many",
        choices=[(number, str(number)) for number in range(1, MOST_STAGES + 1)],
        coerce=int,
        empty_value=None,
        required=False,
        help_text="Behind them, somebody independent decides on privileged access that only its owners have judged.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for number in range(1, MOST_STAGES + 1):
            self.fields |= {f"{name}_{number}": field for name, field in _fields(number).items()}

    @classmethod
    def initial_of(cls, policy: Mapping[str, Any]) -> dict[str, Any]:
        chosen = Stages.from_json(policy).stages
        found: dict[str, Any] = {"count": len(chosen)}
        for number in range(1, MOST_STAGES + 1):
            stage = chosen[number - 1] if number <= len(chosen) else Stage()
            found |= {f"{name}_{number}": value for name, value in stage.to_json().items()}
        return found

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for number, row in enumerate(self._rows(), 1):
            for name, sentence in problems_of(row, number).items():
                field = f"{name}_{number}"
                if field not in self.errors:
                    self.add_error(field if field in self.fields else None, sentence)
        return data

    def to_policy(self) -> dict[str, Any]:
        """The stages as the topic keeps them."""
        return {"stages": self._rows()}

    def _rows(self) -> list[dict[str, Any]]:
        count = self.cleaned_data.get("count") or 1
        return [self._row(number) for number in range(1, count + 1)]

    def _row(self, number: int) -> dict[str, Any]:
        given = {name: self.cleaned_data.get(f"{name}_{number}") for name in _fields(number)}
        if given.get("items") != Entry.ANSWERED:
            # Ticks that belong to another choice are ignored, so that switching loses nothing.
            given.pop("answered", None)
        return {name: value for name, value in given.items() if value}

    @property
    def tables(self) -> dict[str, Any]:
        """What the strategies make of several answers."""
        return strategy_tables()

    def stages(self) -> Iterator[StageFields]:
        """The fields stage by stage."""
        count = int(self["count"].value() or 1)
        for number in range(1, MOST_STAGES + 1):
            bound = {name: self[f"{name}_{number}"] for name in _fields(number)}
            yield StageFields(
                number=number,
                is_used=number <= count,
                has_errors=any(field.errors for field in bound.values()),
                pairs=[field for name, field in bound.items() if name not in {"asks", "answered"}],
                lists=[field for name, field in bound.items() if name in {"asks", "answered"}],
            )


def _fields(number: int) -> dict[str, forms.Field]:
    later = {
        "items": _choice("Which questions", ENTRIES),
        "answered": _ticks("Answered with", KINDS, "Only where that decides which questions get here."),
        "sees": _choice("Sees of earlier answers", SEES),
        "when_nobody": _choice("Where nobody can be asked", NOBODY),
    }
    return {
        "name": forms.CharField(
            label="Name", required=False, max_length=LONGEST_NAME, widget=forms.TextInput(attrs={"autocomplete": "off"})
        ),
        "people": forms.IntegerField(label="People at once", required=False, min_value=1, max_value=MOST_PEOPLE),
        "strategy": forms.ChoiceField(label="Several answers", required=False, choices=STRATEGIES),
        "asks": _ticks("Who is asked", ASKED, "In this order. None: as under “Who”."),
        **(later if number > 1 else {}),
    }


def _choice(label: str, choices: Mapping[Any, str]) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, required=False, choices=_pairs(choices))


def _ticks(label: str, choices: Mapping[Any, str], help_text: str) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label=label,
        required=False,
        choices=_pairs(choices),
        widget=forms.CheckboxSelectMultiple,
        help_text=help_text,
    )


def _pairs(choices: Mapping[Any, str]) -> list[tuple[str, str]]:
    return [(value.value, label) for value, label in choices.items()]


def stage_lines(stages: Stages) -> list[StageLine]:
    """The stages of a review to be read, with the one that cannot be switched off."""
    return [*(_line(stage, number) for number, stage in enumerate(stages.stages, 1)), _independence()]


def _line(stage: Stage, number: int) -> StageLine:
    asked = ", then ".join(ASKED[each] for each in stage.asks) or "As the review asks"
    notes = ["Answers unseen by earlier ones"] if stage.sees is Sees.NOTHING else []
    notes += ["passed over where nobody can be asked"] if stage.when_nobody is Nobody.SKIP else []
    answered = " or ".join(KINDS[each].lower() for each in stage.answered)
    return StageLine(
        name=stage.name or f"Stage {number}",
        asked=asked if stage.people == 1 else f"{asked}: up to {stage.people} at once",
        gets=f"Answered with {answered}" if stage.items is Entry.ANSWERED else ENTRIES[stage.items],
        ends="First answer" if stage.people == 1 else stage.strategy.label,
        notes="; ".join(notes),
    )


def _independence() -> StageLine:
    return StageLine(
        name=INDEPENDENCE.name,
        asked=ASKED[Asked.INDEPENDENT],
        gets="Privileged access that its owners alone would have settled",
        ends="First answer",
        notes="Cannot be switched off",
    )


def strategy_tables() -> dict[str, Any]:
    """The truth tables to be printed, from the code that decides."""
    return {
        "strategies": [(strategy.label, strategy.sentence) for strategy in Strategy],
        "heads": [strategy.label for strategy in Strategy],
        "truth": [(given, silent, list(row)) for given, silent, *row in truth_table()],
        "early": [(given, list(row)) for given, *row in early_table()],
    }
