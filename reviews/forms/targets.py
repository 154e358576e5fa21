"""What shall remain of access: chosen piece by piece, or written by hand."""

import json
from collections.abc import Sequence
from typing import Any

from django import forms

from governance.kernel.errors import DomainError
from governance.kernel.limits import limits_of
from governance.kernel.permissions import Condition, InvalidPermission, Permission
from reviews.decisions.answers import LONGEST_REASON
from reviews.evidence import Edit, Piece, edited, place_key
from reviews.forms.fields import MomentField

LARGEST_TARGET = 200_000
MOST_CONDITIONS = 3
LONGEST_PATTERN = 2_048


class TargetForm(forms.Form):
    """What shall remain: pieces that stay, places made smaller, conditions, an end; or all of it written by hand.

    Once valid, `target` is the permission, or None where none was asked for. `style` names the suggestion from which
    the pieces come.
    """

    style = forms.CharField(required=False, max_length=20)
    keep = forms.MultipleChoiceField(
        required=False,
        error_messages={
            "invalid_choice": "What is known about its use has changed meanwhile. Look at the boxes again."
        },
    )
    ends_at = MomentField(label="Ends on", required=False)
    advanced = forms.BooleanField(required=False)
    target_json = forms.CharField(label="What remains, as JSON", required=False, max_length=LARGEST_TARGET)

    def __init__(self, data: Any, *, held: Permission | None, pieces: Sequence[Piece]) -> None:
        super().__init__(data)
        self.held, self.pieces = held, pieces
        self.target: Permission | None = None
        self.fields["keep"].choices = [(piece.key, piece.key) for piece in pieces]  # type: ignore[attr-defined]
        self.places = {f"only_{place_key(piece.resource)}": piece.resource for piece in pieces}
        for name in self.places:
            if data.get(name):
                self.fields[name] = forms.CharField(required=False, max_length=LONGEST_PATTERN)
        for number in range(MOST_CONDITIONS):
            for part in ("key", "operator", "values"):
                self.fields[f"condition_{part}_{number}"] = forms.CharField(required=False, max_length=LONGEST_PATTERN)

    @property
    def wants_target(self) -> bool:
        return self.held is not None

    def clean_target_json(self) -> Permission | None:
        text = self.cleaned_data["target_json"].strip()
        if not self.wants_target or not self.data.get("advanced"):
            return None
        if not text:
            raise forms.ValidationError("Write what shall remain, or go back to choosing.")
        try:
            return Permission.from_json(json.loads(text))
        except (json.JSONDecodeError, RecursionError) as problem:
            raise forms.ValidationError(f"This is not JSON: {problem}.") from None
        except InvalidPermission as problem:
            raise forms.ValidationError(problem.message) from None

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if self.held is None or not self.wants_target:
            for name in ("style", "keep", "ends_at", "target_json", *self.places, *self._condition_names()):
                self.errors.pop(name, None)
        elif data.get("advanced"):
            self.target = data.get("target_json")
        else:
            self.target = self._edited(self.held, data)
        return data

    def _edited(self, held: Permission, data: dict[str, Any]) -> Permission | None:
        places = {
            name.removeprefix("only_"): self._pattern(held, name, data[name]) for name in self.places if data.get(name)
        }
        conditions = [each for number in range(MOST_CONDITIONS) if (each := self._condition(held, number, data))]
        if self.errors:
            return None
        try:
            target = edited(held, self.pieces, Edit(data.get("keep") or (), places, conditions, data.get("ends_at")))
            return Permission.from_json(target.to_json())
        except DomainError as problem:
            self.add_error("ends_at" if data.get("ends_at") and not conditions else "keep", problem.message)
        return None

    def _pattern(self, held: Permission, name: str, text: str) -> str:
        """The narrower resource, refused beside its field where the source could not read it."""
        action = next(piece.action for piece in self.pieces if piece.resource == self.places[name])
        statement = {"actions": [action], "resources": [text]}
        try:
            Permission.from_json({"dialect": held.dialect, "statements": [statement]})
        except InvalidPermission as problem:
            self.add_error(name, f"This is no resource here: {problem.reason}.")
        return text

    def _condition(self, held: Permission, number: int, data: dict[str, Any]) -> Condition | None:
        key, operator, values = (data.get(name, "") for name in self._condition_names(number))
        if not key and not values:
            return None
        listed = tuple(each.strip() for each in values.replace("\n", ",").split(",") if each.strip())
        if not key or not listed or operator not in dict(limits_of(held.dialect).operators):
            self.add_error(f"condition_key_{number}", "A condition needs what is looked at, how, and a value.")
            return None
        return Condition(operator, key, listed)

    def _condition_names(self, number: int | None = None) -> list[str]:
        numbers = range(MOST_CONDITIONS) if number is None else [number]
        return [f"condition_{part}_{each}" for each in numbers for part in ("key", "operator", "values")]


def target_faults(form: TargetForm) -> list[str]:
    """Why there is no target, in sentences."""
    names = [name for name in form.errors if name.startswith(("target_json", "keep", "ends_at", "only_", "condition_"))]
    return [str(fault) for name in names for fault in form.errors[name]]


class TrialForm(TargetForm):
    """A narrowing that is only tried, and perhaps proposed with a reason."""

    reason = forms.CharField(label="Why", required=False, max_length=LONGEST_REASON)
