"""When people are reminded."""

from collections.abc import Mapping
from typing import Any

from django import forms

from reviews.forms.sections import PolicySection
from reviews.policies import InvalidPolicy
from reviews.policies.reminders import Reminders

HOURS = [(hour, f"{hour:02}:00") for hour in range(24)]


class RemindersSection(PolicySection):
    """Days before the deadline, and the hours in which no mail goes out."""

    topic = "reminders"
    heading = "Reminders"

    days_before = forms.CharField(
        label="Days before the deadline",
        required=False,
        max_length=60,
        help_text="Such as 7, 3, 0; 0 is the day itself. Each person gets one mail about all reviews, and none when "
        "nothing waits. Empty: never.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "numeric"}),
    )
    quiet_from = forms.TypedChoiceField(
        label="No mail from", choices=HOURS, coerce=int, required=False, help_text="On the clock of the schedule."
    )
    quiet_until = forms.TypedChoiceField(label="until", choices=HOURS, coerce=int, required=False)

    @classmethod
    def initial_of(cls, policy: Mapping[str, Any]) -> dict[str, Any]:
        return dict(policy) | {"days_before": ", ".join(str(day) for day in policy["days_before"])}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        try:
            Reminders.from_json(self._as_json(data))
        except InvalidPolicy as problem:
            for name, sentence in problem.details["fields"].items():
                self.add_error(name if name in self.fields else None, sentence)
        except ValueError:
            self.add_error("days_before", "Write numbers of days with commas between them, such as 7, 3, 0.")
        return data

    def to_policy(self) -> dict[str, Any]:
        return self._as_json(self.cleaned_data)

    def _as_json(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What was sent; a form without this section means the defaults. Raises ValueError for what is no number."""
        found: dict[str, Any] = {
            name: data[name] for name in ("quiet_from", "quiet_until") if data.get(name) not in {"", None}
        }
        if self.add_prefix("days_before") in self.data:
            days = [part.strip() for part in data.get("days_before", "").split(",")]
            found["days_before"] = [int(day) for day in days if day]
        return found
