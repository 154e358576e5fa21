"""When an unchanged question need not be asked again."""

from typing import Any

from django import forms

from reviews.forms.sections import PolicySection
from reviews.policies.carrying import LIMITS


def _number(name: str, label: str, help_text: str = "") -> forms.IntegerField:
    least, most, _ = LIMITS[name]
    return forms.IntegerField(label=label, min_value=least, max_value=most, required=False, help_text=help_text)


class CarryingSection(PolicySection):
    """Off unless somebody switches it on; what is left empty stands at its default."""

    topic = "carrying"
    heading = "Unchanged since the last review"

    is_on = forms.BooleanField(
        label="Carry earlier approvals over",
        required=False,
        help_text="Only where content, kind of use, owner, risk and environment are as they were. Marked as carried.",
    )
    max_age_days = _number("max_age_days", "At most so many days old", "Counted from when a person decided.")
    generations = _number("generations", "At most so many times in a row")
    sample_percent = _number(
        "sample_percent", "Asked anyway, percent", "A random share of what could be carried; the seed is kept."
    )
    privileged = forms.BooleanField(
        label="Privileged access too", required=False, help_text="Better not: it is then not looked at each time."
    )

    def to_policy(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if value is not None}
