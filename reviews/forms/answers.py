"""Answering, in bulk too, and handing a question on."""

from collections.abc import Sequence
from typing import Any

from django import forms

from governance.kernel.permissions import Permission
from reviews.decisions import answers_for, reason_is_required
from reviews.decisions.answers import DATED, LONGEST_REASON
from reviews.evidence import Piece
from reviews.forms.fields import MomentField, PersonField
from reviews.forms.targets import TargetForm
from reviews.models import PASSING_ON, Answer, ReviewItem


class AnswerForm(TargetForm):
    """One answer. Fields that belong to another answer are ignored, so that switching answers loses nothing."""

    answer = forms.ChoiceField(choices=Answer.choices, error_messages={"required": "Choose an answer."})
    version = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    until = MomentField(label="Until", required=False)
    named_person = PersonField(label="Who would know?", required=False, max_length=254)
    reason = forms.CharField(label="Reason", required=False, max_length=LONGEST_REASON)

    def __init__(self, data: Any, *, item: ReviewItem, held: Permission | None, pieces: Sequence[Piece]) -> None:
        super().__init__(data, held=held, pieces=pieces)
        self.item = item
        self.fields["answer"].choices = [(answer.value, answer.label) for answer in answers_for(item)]  # type: ignore[attr-defined]

    @property
    def wants_target(self) -> bool:
        return self.data.get("answer") == Answer.SCOPE_DOWN

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        answer = data.get("answer")
        if answer in DATED and not data.get("until") and "until" not in self.errors:
            self.add_error("until", "Choose the day.")
        if answer not in DATED:
            self._ignore("until", None)
        if answer not in PASSING_ON:
            self._ignore("named_person", None)
        if answer and reason_is_required(self.item, answer) and not data.get("reason", "").strip():
            self.add_error("reason", "Say why in a few words: this answer is kept with its reason.")
        return data

    def _ignore(self, name: str, value: Any) -> None:
        self.cleaned_data[name] = value
        self.errors.pop(name, None)


class BulkForm(forms.Form):
    """One answer for several rows. `seen` carries "id:version" of what the person looked at."""

    answer = forms.ChoiceField(choices=[("approve", "Approve"), ("revoke", "Revoke")])
    reason = forms.CharField(
        label="Reason", required=False, max_length=LONGEST_REASON, widget=forms.Textarea(attrs={"rows": 2})
    )


class ReassignForm(forms.Form):
    """Hand the question on to somebody else."""

    to = PersonField(label="Who shall answer?", max_length=254)
    why = forms.CharField(label="Why", max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))
