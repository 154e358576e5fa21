"""Asking somebody about a question, and replying."""

from collections.abc import Sequence
from typing import Any

from django import forms

from governance.people.models import User
from reviews.decisions.remarks import LONGEST

_ROWS = {"rows": 2}


class AskForm(forms.Form):
    """Whom to ask, among those who know or may see the access, and what."""

    asked = forms.ChoiceField(label="Whom", error_messages={"required": "Choose whom to ask."})
    text = forms.CharField(
        label="Your question",
        max_length=LONGEST,
        widget=forms.Textarea(attrs=_ROWS),
        error_messages={"required": "Write what you want to know."},
    )

    def __init__(self, data: Any = None, *, people: Sequence[User]) -> None:
        super().__init__(data, prefix="ask")
        self.people = {str(person.pk): person for person in people}
        self.fields["asked"].choices = [(pk, str(person)) for pk, person in self.people.items()]  # type: ignore[attr-defined]

    def clean_asked(self) -> User:
        return self.people[self.cleaned_data["asked"]]


class ReplyForm(forms.Form):
    """The reply of whoever was asked."""

    text = forms.CharField(
        label="Your reply",
        max_length=LONGEST,
        widget=forms.Textarea(attrs=_ROWS),
        error_messages={"required": "Write what you want to say."},
    )
