"""When silent questions go to the next person."""

from typing import Any

from django import forms

from reviews.forms.sections import PolicySection
from reviews.policies.escalation import LONGEST_DAYS


def _number(label: str, most: int, help_text: str = "") -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=0, max_value=most, help_text=help_text)


class EscalationSection(PolicySection):
    """By risk: after a share of the time, or after some days."""

    topic = "escalation"
    heading = "Escalation while it is open"
    template = "reviews/_policy_escalation.html"

    privileged_percent = _number("Privileged: after % of the time", 99)
    privileged_days = _number("Privileged: after days", LONGEST_DAYS)
    standard_percent = _number("Others: after % of the time", 99)
    standard_days = _number("Others: after days", LONGEST_DAYS)

    def to_policy(self) -> dict[str, Any]:
        """What was filled in; a field that was emptied means never, a form without this section the defaults."""
        sent = [name for name in self.fields if self.add_prefix(name) in self.data]
        return {name: self.cleaned_data[name] or 0 for name in sent}
