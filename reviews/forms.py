"""Forms of the reviewers' pages: shapes only. Which answers count, and from whom, is decided by the use cases."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from governance.kernel.errors import DomainError
from governance.kernel.limits import limits_of
from governance.kernel.permissions import Condition, InvalidPermission, Permission
from governance.people.models import User
from reviews.campaigns.calendar import zone_of
from reviews.decisions import answers_for, reason_is_required
from reviews.decisions.answers import DATED, LONGEST_REASON, PASSING_ON
from reviews.evidence import Edit, Piece, edited, place_key
from reviews.models import Answer, DeadlinePolicy, ItemKind, ReviewerRule, ReviewItem, ReviewSchedule

LARGEST_TARGET = 200_000
MOST_CONDITIONS = 3
LONGEST_PATTERN = 2_048
PRESETS = [
    ("FREQ=YEARLY", "Every year"),
    ("FREQ=MONTHLY;INTERVAL=6", "Every half-year"),
    ("FREQ=MONTHLY;INTERVAL=3", "Every quarter"),
    ("FREQ=MONTHLY", "Every month"),
    ("FREQ=WEEKLY", "Every week"),
    ("custom", "By a rule of my own"),
]


def show_refusal(form: forms.Form, error: DomainError) -> None:
    """Put a refusal beside the fields that it names (`fields`: name to sentence or word), else above the form."""
    given = error.details.get("fields")
    named: dict[str, Any] = given if isinstance(given, dict) else {}
    fields = [name for name in named if name in form.fields]
    for name in fields:
        sentence = str(named[name])
        form.add_error(name, sentence if sentence.endswith((".", "?")) else error.message)
    if not fields:
        form.add_error(None, error.message)


class MomentField(forms.CharField):
    """A day (until its end, UTC) or an exact time in ISO 8601."""

    widget = forms.DateInput

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {"type": "date"}

    def to_python(self, value: Any) -> datetime | None:  # type: ignore[override]
        text = (super().to_python(value) or "").strip()
        if not text:
            return None
        try:
            moment = None if len(text) <= len("2026-01-01") else parse_datetime(text)
            day = parse_date(text) if moment is None else None
        except ValueError:
            moment = day = None
        if moment is not None:
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if day is None:
            raise forms.ValidationError("This is not a date such as 2027-03-31.")
        return datetime.combine(day, time(23, 59, 59), tzinfo=UTC)


class PersonField(forms.EmailField):
    """Somebody, by e-mail address."""

    def clean(self, value: Any) -> User | None:
        address = super().clean(value).lower()
        if not address:
            return None
        person = User.objects.filter(email=address).first()
        if person is None:
            raise forms.ValidationError("There is nobody with this address.")
        return person


class TargetForm(forms.Form):
    """What shall remain: pieces that stay, places made smaller, conditions, an end; or all of it written by hand.

    Once valid, `target` is the permission, or None where none was asked for. `style` names the suggestion from which
    the pieces come.
    """

    style = forms.CharField(required=False, max_length=20)
    keep = forms.MultipleChoiceField(
        required=False,
        error_messages={
            "invalid_choice": "What is known about its use has changed meanwhile. Look at the boxes again."
        },
    )
    ends_at = MomentField(label="Ends on", required=False)
    advanced = forms.BooleanField(required=False)
    target_json = forms.CharField(label="What remains, as JSON", required=False, max_length=LARGEST_TARGET)

    def __init__(self, data: Any, *, held: Permission | None, pieces: Sequence[Piece]) -> None:
        super().__init__(data)
        self.held, self.pieces = held, pieces
        self.target: Permission | None = None
        self.fields["keep"].choices = [(piece.key, piece.key) for piece in pieces]  # type: ignore[attr-defined]
        self.places = {f"only_{place_key(piece.resource)}": piece.resource for piece in pieces}
        for name in self.places:
            if data.get(name):
                self.fields[name] = forms.CharField(required=False, max_length=LONGEST_PATTERN)
        for number in range(MOST_CONDITIONS):
            for part in ("key", "operator", "values"):
                self.fields[f"condition_{part}_{number}"] = forms.CharField(required=False, max_length=LONGEST_PATTERN)

    @property
    def wants_target(self) -> bool:
        return self.held is not None

    def clean_target_json(self) -> Permission | None:
        text = self.cleaned_data["target_json"].strip()
        if not self.wants_target or not self.data.get("advanced"):
            return None
        if not text:
            raise forms.ValidationError("Write what shall remain, or go back to choosing.")
        try:
            return Permission.from_json(json.loads(text))
        except (json.JSONDecodeError, RecursionError) as problem:
            raise forms.ValidationError(f"This is not JSON: {problem}.") from None
        except InvalidPermission as problem:
            raise forms.ValidationError(problem.message) from None

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if self.held is None or not self.wants_target:
            for name in ("style", "keep", "ends_at", "target_json", *self.places, *self._condition_names()):
                self.errors.pop(name, None)
        elif data.get("advanced"):
            self.target = data.get("target_json")
        else:
            self.target = self._edited(self.held, data)
        return data

    def _edited(self, held: Permission, data: dict[str, Any]) -> Permission | None:
        places = {
            name.removeprefix("only_"): self._pattern(held, name, data[name]) for name in self.places if data.get(name)
        }
        conditions = [each for number in range(MOST_CONDITIONS) if (each := self._condition(held, number, data))]
        if self.errors:
            return None
        try:
            target = edited(held, self.pieces, Edit(data.get("keep") or (), places, conditions, data.get("ends_at")))
            return Permission.from_json(target.to_json())
        except DomainError as problem:
            self.add_error("ends_at" if data.get("ends_at") and not conditions else "keep", problem.message)
        return None

    def _pattern(self, held: Permission, name: str, text: str) -> str:
        """The narrower resource, refused beside its field where the source could not read it."""
        action = next(piece.action for piece in self.pieces if piece.resource == self.places[name])
        statement = {"actions": [action], "resources": [text]}
        try:
            Permission.from_json({"dialect": held.dialect, "statements": [statement]})
        except InvalidPermission as problem:
            self.add_error(name, f"This is no resource here: {problem.reason}.")
        return text

    def _condition(self, held: Permission, number: int, data: dict[str, Any]) -> Condition | None:
        key, operator, values = (data.get(name, "") for name in self._condition_names(number))
        if not key and not values:
            return None
        listed = tuple(each.strip() for each in values.replace("\n", ",").split(",") if each.strip())
        if not key or not listed or operator not in dict(limits_of(held.dialect).operators):
            self.add_error(f"condition_key_{number}", "A condition needs what is looked at, how, and a value.")
            return None
        return Condition(operator, key, listed)

    def _condition_names(self, number: int | None = None) -> list[str]:
        numbers = range(MOST_CONDITIONS) if number is None else [number]
        return [f"condition_{part}_{each}" for each in numbers for part in ("key", "operator", "values")]


def target_faults(form: TargetForm) -> list[str]:
    """Why there is no target, in sentences."""
    names = [name for name in form.errors if name.startswith(("target_json", "keep", "ends_at", "only_", "condition_"))]
    return [str(fault) for name in names for fault in form.errors[name]]


class AnswerForm(TargetForm):
    """One answer. Fields that belong to another answer are ignored, so that switching answers loses nothing."""

    answer = forms.ChoiceField(choices=Answer.choices, error_messages={"required": "Choose an answer."})
    version = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    until = MomentField(label="Until", required=False)
    named_person = PersonField(label="Who would know?", required=False, max_length=254)
    reason = forms.CharField(label="Reason", required=False, max_length=LONGEST_REASON)

    def __init__(self, data: Any, *, item: ReviewItem, held: Permission | None, pieces: Sequence[Piece]) -> None:
        super().__init__(data, held=held, pieces=pieces)
        self.item = item
        self.fields["answer"].choices = [(answer.value, answer.label) for answer in answers_for(item)]  # type: ignore[attr-defined]

    @property
    def wants_target(self) -> bool:
        return self.data.get("answer") == Answer.SCOPE_DOWN

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        answer = data.get("answer")
        if answer in DATED and not data.get("until") and "until" not in self.errors:
            self.add_error("until", "Choose the day.")
        if answer not in DATED:
            self._ignore("until", None)
        if answer not in PASSING_ON:
            self._ignore("named_person", None)
        if answer and reason_is_required(self.item, answer) and not data.get("reason", "").strip():
            self.add_error("reason", "Say why in a few words: this answer is kept with its reason.")
        return data

    def _ignore(self, name: str, value: Any) -> None:
        self.cleaned_data[name] = value
        self.errors.pop(name, None)


class TrialForm(TargetForm):
    """A narrowing that is only tried, and perhaps proposed with a reason."""

    reason = forms.CharField(label="Why", required=False, max_length=LONGEST_REASON)


class BulkForm(forms.Form):
    """One answer for several rows. `seen` carries "id:version" of what the person looked at."""

    answer = forms.ChoiceField(choices=[("approve", "Approve"), ("revoke", "Revoke")])
    reason = forms.CharField(
        label="Reason", required=False, max_length=LONGEST_REASON, widget=forms.Textarea(attrs={"rows": 2})
    )


class ReassignForm(forms.Form):
    """Hand the question on to somebody else."""

    to = PersonField(label="Who shall answer?", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    why = forms.CharField(label="Why", max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))


class CancelForm(forms.Form):
    """Why a review is called off."""

    reason = forms.CharField(label="Why is it called off?", max_length=2000, widget=forms.Textarea(attrs={"rows": 2}))


class ScheduleForm(forms.Form):
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
    rrule = forms.CharField(
        label="Rule",
        required=False,
        max_length=300,
        help_text="RFC 5545, e.g. FREQ=MONTHLY;INTERVAL=2;BYDAY=1MO. Used with “a rule of my own”.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}),
    )
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
    reviewer_rules = forms.MultipleChoiceField(
        label="Who is asked, in this order",
        choices=ReviewerRule.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text="The first one who is there and may answer. The fallback reviewer ends the list.",
    )
    fallback_reviewer = forms.ModelChoiceField(queryset=User.objects.none(), empty_label="Choose a person")
    independent_reviewer = forms.ModelChoiceField(
        queryset=User.objects.none(),
        required=False,
        empty_label="Whoever is free to decide",
        help_text="Decides on privileged access after the owner attested.",
    )
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
        people = User.objects.filter(is_active=True, left_at=None).order_by("name", "email")
        for name in ("fallback_reviewer", "independent_reviewer"):
            self.fields[name].queryset = people  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("preset") == "custom" and not data.get("rrule"):
            self.add_error("rrule", "Write the rule.")
        return data

    def draft(self) -> dict[str, Any]:
        """The valid form as the fields of a schedule. Raises InvalidRule for a time zone that does not exist."""
        data = dict(self.cleaned_data)
        preset = data.pop("preset")
        data.pop("version")
        return data | {
            "rrule": data["rrule"] if preset == "custom" else preset,
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
        *("fallback_reviewer", "independent_reviewer", "deadline_policy", "interval_reason", "version"),
    )
    known = {value for value, _ in PRESETS}
    initial = {name: getattr(schedule, name) for name in names}
    return initial | {
        "preset": schedule.rrule if schedule.rrule in known else "custom",
        "starts_at": schedule.starts_at.astimezone(zone_of(schedule.time_zone)).replace(tzinfo=None),
    }
