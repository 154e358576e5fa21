"""What people do with one order, and when orders may run."""

from datetime import datetime
from typing import Any

from django import forms

from governance.web.forms import PanelForm
from identities.models import Source
from reviews.forms.recurring import OWN_RULE, RecurringForm
from reviews.policies.calendar import InvalidRule, zone_of
from reviews.remediation.watching import LONGEST_REASON
from reviews.remediation.windows import LONGEST_WINDOW


def _reason(label: str, **more: Any) -> forms.CharField:
    widget = forms.Textarea(attrs={"rows": 2})
    return forms.CharField(label=label, max_length=LONGEST_REASON, widget=widget, **more)


class RestoreForm(PanelForm):
    """Why the access is needed again, and for how long."""

    reason = _reason("Why is it needed again?")
    days = forms.IntegerField(
        label="For how many days", initial=30, min_value=1, max_value=90, help_text="Afterwards it is taken away again."
    )


class SettleForm(PanelForm):
    """Why an order may rest that the source does not confirm."""

    reason = _reason("Why may it rest?")


class TaskForm(PanelForm):
    """What was done at the source, by hand."""

    note = _reason("What did you do?", help_text="Name the proof: a ticket, a change number, the command you ran.")


class ReleaseForm(PanelForm):
    """Why an order may be sent, or must not be."""

    reason = _reason("Why?")


class ProtestForm(PanelForm):
    """What a lock-out broke."""

    reason = _reason("What broke?")


class _OnTheClock(forms.Form):
    """Times are typed on the clock of `time_zone`."""

    source = forms.ModelChoiceField(
        queryset=Source.objects.order_by("name"), required=False, empty_label="Every source", to_field_name="slug"
    )
    time_zone = forms.CharField(
        max_length=64,
        initial="UTC",
        help_text="Such as Europe/Berlin.",
        widget=forms.TextInput(attrs={"spellcheck": "false"}),
    )

    clocks: tuple[str, ...] = ()

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        try:
            zone = zone_of(data.get("time_zone", ""))
        except InvalidRule as problem:
            self.add_error("time_zone", problem.message)
            return data
        for name in self.clocks:
            if isinstance(data.get(name), datetime):
                data[name] = data[name].replace(tzinfo=zone)
        return data


def _moment(label: str) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(label=label, widget=widget)


OPENS = [
    ("FREQ=DAILY", "Every day"),
    ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "On weekdays"),
    ("FREQ=WEEKLY;BYDAY=SA,SU", "On Saturdays and Sundays"),
    ("FREQ=WEEKLY;BYDAY=SA", "On Saturdays"),
    ("FREQ=WEEKLY;BYDAY=SU", "On Sundays"),
    OWN_RULE,
]


class WindowForm(RecurringForm, _OnTheClock):
    """Hours that come round in which orders may run."""

    name = forms.CharField(max_length=120, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    preset = forms.ChoiceField(label="Opens", choices=OPENS, initial="FREQ=WEEKLY;BYDAY=SU")
    starts_at = _moment("For the first time")
    duration_minutes = forms.IntegerField(
        label="For how many minutes", initial=120, min_value=1, max_value=LONGEST_WINDOW
    )
    clocks = ("starts_at",)
    field_order = ("name", "source", "preset", "rrule", "starts_at", "time_zone", "duration_minutes")


class FreezeForm(_OnTheClock):
    """From when until when no order runs, and why."""

    reason = forms.CharField(max_length=300, help_text="Shown on every order that it holds.")
    starts_at = _moment("From")
    ends_at = _moment("Until")
    clocks = ("starts_at", "ends_at")
    field_order = ("reason", "source", "starts_at", "ends_at", "time_zone")


class UrgentForm(PanelForm):
    """Why an order does not wait for its window, or the end of a freeze."""

    reason = _reason("Why can it not wait?")
