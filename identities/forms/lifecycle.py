"""Forms of what people do in an identity's life."""

from typing import Any

from django import forms

from governance.people.models import User
from governance.web.forms import PanelForm
from identities.forms.inventory import address_field, person_at
from identities.services.identities import MAX_PURPOSE
from identities.services.lifecycle import LONGEST_CADENCE


class RegisterForm(PanelForm):
    """Who answers for it, and what it is for."""

    owner = address_field("Owner", "The one person who answers for it.")
    purpose = forms.CharField(
        max_length=MAX_PURPOSE,
        label="Purpose",
        help_text="What it is for, in a sentence that a reviewer understands.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner"].required = True

    def clean_owner(self) -> User | None:
        return person_at(self.cleaned_data["owner"])


class CadenceForm(PanelForm):
    """How rarely it is used, and why."""

    days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=LONGEST_CADENCE,
        label="Used at least every (days)",
        help_text="For instance 370 for a yearly job. Empty means: as often as any other.",
    )
    reason = forms.CharField(max_length=500, label="Why", help_text="The next reviewer reads this.")
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
