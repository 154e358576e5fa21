"""Planning a recurring review."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from reviews.forms.asked import AskedForm
from reviews.forms.carrying import CarryingSection
from reviews.forms.deadline import DeadlineSection
from reviews.forms.escalation import EscalationSection
from reviews.forms.freshness import FreshnessSection
from reviews.forms.recurring import OWN_RULE, RecurringForm
from reviews.forms.remedies import RemediesSection
from reviews.forms.reminders import RemindersSection
from reviews.forms.reviewers import ReviewersSection
from reviews.forms.rounds import RoundsSection
from reviews.forms.sections import PolicySection
from reviews.forms.signing import SigningSection
from reviews.forms.stages import StagesSection
from reviews.models import DeadlinePolicy, ItemKind, ReviewerRule, ReviewSchedule
from reviews.policies import TOPICS
from reviews.policies.calendar import zone_of

PRESETS = [
    ("FREQ=YEARLY", "Every year"),
    ("FREQ=MONTHLY;INTERVAL=6", "Every half-year"),
    ("FREQ=MONTHLY;INTERVAL=3", "Every quarter"),
    ("FREQ=MONTHLY", "Every month"),
    ("FREQ=WEEKLY", "Every week"),
    OWN_RULE,
]


SECTIONS: tuple[type[PolicySection], ...] = (
    ReviewersSection,
    FreshnessSection,
    CarryingSection,
    StagesSection,
    DeadlineSection,
    EscalationSection,
    RemindersSection,
    RoundsSection,
    RemediesSection,
    SigningSection,
)
"""In the order in which they stand on the page."""


def sections_of(data: Any, policy: Mapping[str, Any]) -> list[PolicySection]:
    """One section per topic, filled with what was typed, else with what is kept, else with the defaults."""
    return [_section(section, data, policy.get(section.topic, {})) for section in SECTIONS]


def _section(section: type[PolicySection], data: Any, kept: Mapping[str, Any]) -> PolicySection:
    topic = TOPICS[section.topic]
    complete = topic.from_json(kept).to_json()
    made = section(data, prefix=section.topic, initial=section.initial_of(complete))
    made.is_touched = complete != topic.from_json({}).to_json()
    return made


class ScheduleForm(RecurringForm, AskedForm):
    """When, over what, by whom and why access is reviewed."""

    name = forms.CharField(max_length=120, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    scope = forms.CharField(
        required=False,
        max_length=1000,
        help_text="The filter of the identity list, e.g. source=ledger&amp;privileged=yes. Empty means everything.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}),
    )
    item_kinds = forms.MultipleChoiceField(
        label="What is asked about", choices=ItemKind.choices, widget=forms.CheckboxSelectMultiple
    )
    preset = forms.ChoiceField(label="How often", choices=PRESETS)
    starts_at = forms.DateTimeField(
        label="First date",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="On the clock of the time zone below.",
    )
    time_zone = forms.CharField(
        max_length=64,
        initial="UTC",
        help_text="Such as Europe/Berlin.",
        widget=forms.TextInput(attrs={"spellcheck": "false"}),
    )
    duration_days = forms.IntegerField(label="Days to answer", initial=14, min_value=1, max_value=366)
    deadline_policy = forms.ChoiceField(label="Undecided at the deadline", choices=DeadlinePolicy.choices)
    interval_reason = forms.CharField(
        label="Why this interval is short enough",
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Auditors ask for the reasoning (PCI DSS 4.0.1, 7.2.5.1).",
    )
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections_of(self.data if self.is_bound else None, self.initial.get("policy", {}))

    def is_valid(self) -> bool:
        """Whether the form and each of its sections can be used."""
        # Every section is asked, so that all mistakes show at once.
        return all([super().is_valid(), *(section.is_valid() for section in self.sections)])

    def draft(self) -> dict[str, Any]:
        """The valid form as the fields of a schedule. Raises InvalidRule for a time zone that does not exist."""
        data = dict(self.cleaned_data)
        data.pop("preset")
        data.pop("version")
        return data | {
            "policy": {section.topic: section.to_policy() for section in self.sections},
            "starts_at": on_the_clock(data["starts_at"], data["time_zone"]),
        }


def on_the_clock(moment: datetime, time_zone: str) -> datetime:
    """What was typed means the time on the clock of that zone. Raises InvalidRule."""
    return moment.replace(tzinfo=zone_of(time_zone))


def schedule_initial(schedule: ReviewSchedule | None) -> dict[str, Any]:
    """What the form shows before anybody typed."""
    if schedule is None:
        start = timezone.now().replace(hour=9, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return {
            "preset": "FREQ=MONTHLY;INTERVAL=3",
            "starts_at": start,
            "item_kinds": [ItemKind.GRANT],
            "reviewer_rules": [ReviewerRule.OWNER, ReviewerRule.BACKUP],
        }
    names = (
        *("name", "scope", "item_kinds", "rrule", "starts_at", "time_zone", "duration_days", "reviewer_rules"),
        *("fallback_reviewer", "independent_reviewer", "deadline_policy", "policy", "interval_reason", "version"),
    )
    known = {value for value, _ in PRESETS}
    initial = {name: getattr(schedule, name) for name in names}
    return initial | {
        "preset": schedule.rrule if schedule.rrule in known else OWN_RULE[0],
        "starts_at": schedule.starts_at.astimezone(zone_of(schedule.time_zone)).replace(tzinfo=None),
    }
