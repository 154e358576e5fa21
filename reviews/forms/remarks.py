"""Asking somebody about a question, and replying."""

from collections.abc import Sequence
from typing import Any

from django import forms

from governance.people.models import User
from reviews.decisions.remarks import LONGEST
from reviews.models import ReviewItem

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

    def __init__(self, data: Any = None, *, item: ReviewItem, people: Sequence[User]) -> None:
        super().__init__(data, prefix="ask")
        self.people = {str(person.pk): person for person in people}
        choices = [(pk, f"{person}{_part_of(person, item)}") for pk, person in self.people.items()]
        self.fields["asked"].choices = choices  # type: ignore[attr-defined]

    def clean_asked(self) -> User:
        return self.people[self.cleaned_data["asked"]]


def _part_of(person: User, item: ReviewItem) -> str:
    """Why this person might know: ", owner" and the like; empty for whoever only had a word in it."""
    identity, campaign = item.identity, item.campaign
    parts = (
        (identity.owner_id, "owner"),
        (identity.backup_owner_id, "backup owner"),
        (identity.sponsor_id, "sponsor"),
        (identity.source.owner_id, "owner of the source"),
        (item.assignee_id, "asked to answer"),
        (campaign.manager_id, "runs the review"),
    )
    # Whoever is several of these is named by the first.
    return next((f", {part}" for pk, part in parts if pk == person.pk), "")


class ReplyForm(forms.Form):
    """The reply of whoever was asked."""

    text = forms.CharField(
        label="Your reply",
        max_length=LONGEST,
        widget=forms.Textarea(attrs=_ROWS),
        error_messages={"required": "Write what you want to say."},
    )
