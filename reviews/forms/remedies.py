"""How the orders of a review are carried out, as a part of the form of a schedule."""

from typing import Any

from django import forms

from reviews.forms.sections import PolicySection
from reviews.policies.remedies import ACTIONS, LONGEST_WATCH

RISK_CHOICES = [("privileged", "Only privileged access"), ("any", "All access")]
ENVIRONMENT_CHOICES = [("production", "Only production"), ("any", "Every environment")]
ACTION_LABELS = {
    "revoke": "Revoke access",
    "narrow": "Scope access down",
    "deactivate": "Deactivate a credential",
    "quarantine": "Lock an identity out",
}


class RemediesSection(PolicySection):
    """Second person, and locking out before removing."""

    topic = "remedies"
    heading = "How orders are carried out"

    second_actions = forms.MultipleChoiceField(
        label="A second person releases",
        required=False,
        choices=[(action, ACTION_LABELS[action]) for action in ACTIONS],
        widget=forms.CheckboxSelectMultiple,
        help_text="Neither the person who decided nor anybody on the identity’s side. None ticked: nobody is asked.",
    )
    second_risk = forms.ChoiceField(label="For which access", choices=RISK_CHOICES, required=False)
    second_environment = forms.ChoiceField(label="In which environment", choices=ENVIRONMENT_CHOICES, required=False)
    watch_days = forms.IntegerField(
        label="Lock out and watch, in days, before removing",
        required=False,
        min_value=0,
        max_value=LONGEST_WATCH,
        help_text="0 removes at once. Only where the source can lock out and the identity keeps nothing else.",
    )
    watch_risk = forms.ChoiceField(label="Watch for which access", choices=RISK_CHOICES, required=False)
    watch_environment = forms.ChoiceField(
        label="Watch in which environment", choices=ENVIRONMENT_CHOICES, required=False
    )

    def to_policy(self) -> dict[str, Any]:
        """A list always sends a choice, so a form without any was sent without this part: its defaults stand."""
        if not self.cleaned_data["second_risk"]:
            return {}
        return {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}
