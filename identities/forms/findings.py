"""Forms about findings: shapes only, the rules stand with the wishes."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms

from governance.people.models import User
from identities.forms.inventory import address_field, person_at
from identities.models.finding import LONGEST_ACCEPTANCE
from identities.posture.findings.wishes import (
    LONGEST_FOR_CRITICAL,
    LONGEST_TEXT,
    Approve,
    Assign,
    Refuse,
    Request,
    Wish,
    Withdraw,
)


def _text(label: str, help_text: str) -> forms.CharField:
    widget = forms.Textarea(attrs={"rows": 3})
    return forms.CharField(label=label, help_text=help_text, max_length=LONGEST_TEXT, widget=widget)


class _FindingForm(forms.Form):
    """`version` is the one that was seen; bulk acts have the preview's digest instead."""

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)


class AssignForm(_FindingForm):
    assignee = address_field("Assigned to", "Who shall see to it. Empty means nobody in particular.")

    def clean_assignee(self) -> User | None:
        return person_at(self.cleaned_data["assignee"])

    def wish(self) -> Wish:
        return Assign(self.cleaned_data["assignee"])


class RequestForm(_FindingForm):
    reason = _text("Why it may stay", "What would have to happen for it to be fixed, and why it does not happen now.")
    compensating_control = _text(
        "What holds the risk meanwhile",
        "A network that only one host reaches, an alarm on each use, a second approval …",
    )
    until = forms.DateField(
        label="Until",
        help_text=f"At most {LONGEST_ACCEPTANCE.days} days from now, {LONGEST_FOR_CRITICAL.days} where it is critical. "
        "It ends as that day begins, UTC.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )

    def __init__(self, *args: Any, now: datetime, is_critical: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        longest = LONGEST_FOR_CRITICAL if is_critical else LONGEST_ACCEPTANCE
        limits = {"min": f"{now + timedelta(days=1):%Y-%m-%d}", "max": f"{now + longest:%Y-%m-%d}"}
        self.fields["until"].widget.attrs |= limits

    def clean_until(self) -> date:
        day: date = self.cleaned_data["until"]
        if day.year < 1970:
            raise forms.ValidationError("A day such as 2026-01-31.")
        return day

    def wish(self) -> Wish:
        data = self.cleaned_data
        until = datetime.combine(data["until"], time(), UTC)
        return Request(data["reason"], data["compensating_control"], until)


class ApproveForm(_FindingForm):
    def wish(self) -> Wish:
        return Approve()


class RefuseForm(_FindingForm):
    reason = _text("Why not", "What has to be done instead.")

    def wish(self) -> Wish:
        return Refuse(self.cleaned_data["reason"])


class WithdrawForm(_FindingForm):
    def wish(self) -> Wish:
        return Withdraw()


FORMS: dict[str, type[Any]] = {
    "assign": AssignForm,
    "request": RequestForm,
    "approve": ApproveForm,
    "refuse": RefuseForm,
    "withdraw": WithdrawForm,
}
# What many findings can be given at once, in the words of the bar above the list.
BULK_ACTIONS = {
    "assign": "Assign",
    "request": "Ask for an exception",
    "approve": "Approve the exception",
    "withdraw": "End the exception",
}


def form_for(action: str, data: Any, *, now: datetime, is_critical: bool = False, **initial: Any) -> Any:
    """The form of one act, filled with `data` where something was posted. Several of them may stand on one page."""
    form, options = FORMS[action], {"auto_id": f"id_{action}_%s", "initial": initial}
    return form(data, now=now, is_critical=is_critical, **options) if form is RequestForm else form(data, **options)
