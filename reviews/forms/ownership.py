"""Answering who answers for an identity."""

from typing import Any

from django import forms

from reviews.decisions.answers import LONGEST_REASON
from reviews.forms.fields import PersonField
from reviews.models import PASSING_ON, Answer

CHOICES = [(answer.value, answer.label) for answer in (Answer.MINE, Answer.NOT_MINE, Answer.RETIRE, Answer.DONT_KNOW)]


class OwnershipForm(forms.Form):
    """One answer; a person named counts only where the question is passed on. `suggested` is one of those shown."""

    answer = forms.ChoiceField(choices=CHOICES, error_messages={"required": "Choose an answer."})
    version = forms.IntegerField(min_value=1, max_value=2**31 - 1, widget=forms.HiddenInput)
    suggested = PersonField(required=False, max_length=254)
    named_person = PersonField(label="Somebody else", required=False, max_length=254)
    reason = forms.CharField(required=False, max_length=LONGEST_REASON)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        answer = data.get("answer")
        if answer not in PASSING_ON:
            for name in ("suggested", "named_person"):
                data[name] = None
                self.errors.pop(name, None)
        if answer == Answer.RETIRE and not data.get("reason", "").strip():
            self.add_error("reason", "Say why nobody needs it any more.")
        return data

    @property
    def named(self) -> Any:
        """Whoever was typed, else whoever was chosen."""
        return self.cleaned_data.get("named_person") or self.cleaned_data.get("suggested")
