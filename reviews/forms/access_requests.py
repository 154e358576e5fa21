"""Forms of access on request."""

from datetime import datetime, timedelta

from django import forms

from governance.kernel import dialects
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from governance.web.forms import PanelForm

HOURS = (
    (1, "1 hour"),
    (4, "4 hours"),
    (8, "8 hours"),
    (24, "1 day"),
    (72, "3 days"),
    (168, "1 week"),
    (720, "30 days"),
)


class AskForm(forms.Form):
    """What an identity shall be able to do, how long, and why. One action and one resource per line."""

    dialect = forms.ChoiceField(label="In the words of")
    actions = forms.CharField(
        label="Actions", max_length=20_000, widget=forms.Textarea(attrs={"rows": 3}), help_text="One per line."
    )
    resources = forms.CharField(
        label="Resources", max_length=20_000, widget=forms.Textarea(attrs={"rows": 3}), help_text="One per line."
    )
    hours = forms.TypedChoiceField(label="For", coerce=int, choices=HOURS, initial=4)
    reason = forms.CharField(label="What for?", max_length=4000, widget=forms.Textarea(attrs={"rows": 2}))
    is_emergency = forms.BooleanField(
        label="Emergency: it has to hold now",
        required=False,
        help_text="It holds at once, for one hour at most. Its owner and the administrators are told, and somebody"
        " independent looks at it afterwards.",
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["dialect"].choices = [(name, each.title) for name, each in dialects.DIALECTS.items()]  # type: ignore[attr-defined]

    def permission(self) -> Permission:
        """Raises InvalidPermission."""
        lines = {
            name: [line.strip() for line in self.cleaned_data[name].splitlines() if line.strip()]
            for name in ("actions", "resources")
        }
        return Permission.from_json({"dialect": self.cleaned_data["dialect"], "statements": [lines]})

    def until(self, now: datetime, longest_in_emergency: timedelta) -> datetime:
        asked = timedelta(hours=self.cleaned_data["hours"])
        return now + (min(asked, longest_in_emergency) if self.cleaned_data["is_emergency"] else asked)

    def show(self, refusal: DomainError) -> None:
        """Put what was refused beside its field where there is one."""
        given = refusal.details.get("fields")
        named = {"until": "hours"}
        for name, sentence in (given if isinstance(given, dict) else {}).items():
            field = named.get(name, name)
            self.add_error(field if field in self.fields else None, str(sentence))
        if not self.errors:
            self.add_error(None, refusal.message)


class AnswerForm(PanelForm):
    """Yes, for as long as asked or shorter, or no."""

    version = forms.IntegerField(widget=forms.HiddenInput, required=False)
    hours = forms.TypedChoiceField(
        label="For", coerce=int, required=False, empty_value=None, choices=(("", "as long as asked"), *HOURS)
    )
    reason = forms.CharField(
        label="Why?", required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Needed when you refuse.",
    )  # fmt: skip


class EndForm(PanelForm):
    """End it before its date."""

    reason = forms.CharField(label="Why now?", max_length=4000, widget=forms.Textarea(attrs={"rows": 2}))


class LookForm(PanelForm):
    """After an emergency."""

    was_justified = forms.TypedChoiceField(
        label="Was it an emergency?",
        coerce=lambda text: text == "yes",
        choices=(("yes", "Yes, it was needed"), ("no", "No, it was not")),
        widget=forms.RadioSelect,
    )
    note = forms.CharField(label="What did you find?", max_length=4000, widget=forms.Textarea(attrs={"rows": 2}))
