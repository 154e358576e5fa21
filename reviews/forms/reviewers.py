"""The person and the team that a schedule names itself."""

from collections.abc import Mapping
from typing import Any

from django import forms

from governance.people.models import Team, User
from reviews.forms.fields import PersonField
from reviews.forms.sections import PolicySection
from reviews.policies.reviewers import HIGHEST, Reviewers


class ReviewersSection(PolicySection):
    """Used where the rules above ask a named person, a named team or managers."""

    topic = "reviewers"
    heading = "Named reviewers"

    person = PersonField(
        label="Named person",
        required=False,
        max_length=254,
        help_text="Their e-mail address.",
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    team = forms.ModelChoiceField(
        label="Named team", required=False, queryset=Team.objects.none(), empty_label="No team"
    )
    levels = forms.IntegerField(
        label="Managers tried",
        required=False,
        min_value=1,
        max_value=HIGHEST,
        help_text="One above the other, until one is there and may answer.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["team"].queryset = Team.objects.order_by("name")  # type: ignore[attr-defined]

    @classmethod
    def initial_of(cls, policy: Mapping[str, Any]) -> dict[str, Any]:
        person = User.objects.filter(pk=policy["person"]).first() if policy["person"] else None
        return {"person": person.email if person else "", "team": policy["team"], "levels": policy["levels"]}

    def to_policy(self) -> dict[str, Any]:
        data = self.cleaned_data
        return {
            "person": str(data["person"].pk) if data["person"] else None,
            "team": str(data["team"].pk) if data["team"] else None,
            "levels": data["levels"] or Reviewers().levels,
        }
