"""Asking silent people again."""

from typing import Any

from django import forms

from reviews.forms.sections import PolicySection
from reviews.policies.rounds import LONGEST_DAYS, MOST_ROUNDS


class RoundsSection(PolicySection):
    """How many further rounds follow by themselves."""

    topic = "rounds"
    heading = "Asking again"

    automatic = forms.IntegerField(
        label="Further rounds by themselves",
        required=False,
        min_value=0,
        max_value=MOST_ROUNDS,
        help_text="Each asks only what stayed unanswered. 0: only when somebody asks for it.",
    )
    days = forms.IntegerField(label="Days to answer in each", required=False, min_value=1, max_value=LONGEST_DAYS)

    def to_policy(self) -> dict[str, Any]:
        """What was filled in; the rest stands at its defaults."""
        return {name: value for name, value in self.cleaned_data.items() if value is not None}
