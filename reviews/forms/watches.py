"""Rules for reviews between their dates."""

from typing import Any

from django import forms

from reviews.continuous.rules import LIMITS
from reviews.forms.asked import AskedForm
from reviews.models import DeadlinePolicy, ReviewerRule, ReviewWatch, Trigger


def _number(name: str, label: str, help_text: str = "", **more: Any) -> forms.IntegerField:
    least, most, _ = LIMITS[name]
    return forms.IntegerField(label=label, min_value=least, max_value=most, help_text=help_text, **more)


class WatchForm(AskedForm):
    """What opens a review, over what, and who is asked. The trigger of a rule that exists is fixed."""

    trigger = forms.ChoiceField(label="What opens a review", choices=Trigger.choices)
    quiet_days = _number(
        "quiet_days", "Dormant after days", "For a dormant identity: days in which a log would have shown use."
    )
    scope = forms.CharField(required=False, max_length=1000)
    is_enabled = forms.BooleanField(label="Switched on", required=False)
    days_to_answer = _number("days_to_answer", "Days to answer")
    deadline_policy = forms.ChoiceField(label="Undecided at the deadline", choices=DeadlinePolicy.choices)
    settle_minutes = _number(
        "settle_minutes", "Minutes to settle", "What happens at a source within that time goes into one review."
    )
    most_questions = _number(
        "most_questions", "Most open questions per source", "What does not fit waits until some are answered."
    )
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, watch: ReviewWatch | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if watch is not None:
            self.fields.pop("trigger")
            if watch.trigger != Trigger.WOKE_UP:
                self.fields.pop("quiet_days")

    def draft(self) -> dict[str, Any]:
        """The valid form as fields of a `WatchDraft`."""
        return {name: value for name, value in self.cleaned_data.items() if name != "version"}


def watch_initial(watch: ReviewWatch | None) -> dict[str, Any]:
    """What the form shows before anybody typed."""
    names = (
        *("scope", "is_enabled", "reviewer_rules", "fallback_reviewer", "independent_reviewer", "deadline_policy"),
        *LIMITS,
    )
    if watch is None:
        defaults = {name: getattr(ReviewWatch(), name) for name in LIMITS}
        return defaults | {
            "is_enabled": True,
            "reviewer_rules": [ReviewerRule.OWNER, ReviewerRule.BACKUP],
            "deadline_policy": DeadlinePolicy.KEEP_AND_ESCALATE,
        }
    return {name: getattr(watch, name) for name in (*names, "version")}
