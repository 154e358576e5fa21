"""Forms of the settings pages: shapes only, the rules stand in the use cases."""

import secrets
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError, Forbidden
from governance.people.access import ROLE_DESCRIPTIONS, SCOPE_DESCRIPTIONS
from governance.people.models import User
from governance.people.people_csv import LARGEST_FILE
from governance.web.forms import PanelForm

ROLE_CHOICES = [
    (role.value, f"{role.value.replace('_', ' ').capitalize()} – {text}") for role, text in ROLE_DESCRIPTIONS.items()
]
SCOPE_CHOICES = [(scope, f"{scope} – {text}") for scope, text in SCOPE_DESCRIPTIONS.items()]
LIFETIMES = [("30", "30 days"), ("90", "90 days"), ("180", "180 days"), ("365", "1 year")]


def new_copy() -> str:
    """What tells one form that was shown from another."""
    return secrets.token_urlsafe(12)


def show_refusal(form: forms.Form, error: DomainError) -> None:
    """Put a refusal of the domain beside the field that it names, or above the form.

    Raises `Forbidden` again: whoever may not do this is not helped by a form with an error.
    """
    if isinstance(error, Forbidden):
        raise error
    name = error.details.get("field")
    form.add_error(name if name in form.fields else None, error.message)


class PersonForm(forms.Form):
    """Details of a person."""

    name = forms.CharField(max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    email = forms.EmailField(
        label="E-mail address", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)


class PersonDetailsForm(PersonForm):
    """Details that only somebody who is already there can have."""

    manager = forms.EmailField(
        label="Manager", required=False, help_text="The manager's e-mail address; their work falls to them."
    )
    may_sign_in = forms.BooleanField(required=False, help_text="Taking this away ends their sessions at once.")

    def clean_manager(self) -> User | None:
        address = self.cleaned_data["manager"].strip().lower()
        if not address:
            return None
        manager = User.objects.filter(email=address).first()
        if manager is None:
            raise forms.ValidationError("There is nobody with this address.")
        return manager


class NewPersonForm(PersonForm):
    """A new person, perhaps with roles."""

    roles = forms.MultipleChoiceField(choices=ROLE_CHOICES, required=False, widget=forms.CheckboxSelectMultiple)

    def clean_roles(self) -> list[Role]:
        return [Role(role) for role in self.cleaned_data["roles"]]


class RolesForm(PanelForm):
    """All roles of one person."""

    roles = forms.MultipleChoiceField(
        choices=ROLE_CHOICES, required=False, widget=forms.CheckboxSelectMultiple, label="Roles"
    )
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def clean_roles(self) -> list[Role]:
        return [Role(role) for role in self.cleaned_data["roles"]]


class LeaveForm(PanelForm):
    """The day somebody left."""

    left_on = forms.DateField(label="Left on", widget=forms.DateInput(attrs={"type": "date"}))
    reason = forms.CharField(required=False, max_length=500, label="Note for the audit trail")

    def left_at(self) -> datetime:
        """The start of that day, UTC."""
        return datetime.combine(self.cleaned_data["left_on"], time.min, UTC)


class TeamForm(forms.Form):
    """A team; members by address, one per line, so that it works for thousands of people without a picker."""

    name = forms.CharField(max_length=120)
    members = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
        help_text="One e-mail address per line.",
    )
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def clean_members(self) -> list[Any]:
        addresses = set(self.cleaned_data["members"].replace(",", "\n").lower().split())
        found = dict(User.objects.filter(email__in=addresses).values_list("email", "pk"))
        if unknown := sorted(addresses - found.keys()):
            raise forms.ValidationError(f"There is nobody with the address {unknown[0]}.")
        return list(found.values())


class TokenForm(forms.Form):
    """A new API token."""

    name = forms.CharField(
        max_length=120, help_text="Which program uses it, for example “nightly AWS sync”.", label="Name"
    )
    days = forms.ChoiceField(choices=LIFETIMES, initial="90", label="Valid for")
    scopes = forms.MultipleChoiceField(choices=SCOPE_CHOICES, widget=forms.CheckboxSelectMultiple, label="Scopes")
    # Another for each form that is shown, so that a reload, which sends the same one again, is known.
    copy = forms.CharField(widget=forms.HiddenInput, required=False, max_length=40, initial=new_copy)

    def lifetime(self) -> timedelta:
        return timedelta(days=int(self.cleaned_data["days"]))


class ImportForm(forms.Form):
    """A list of people."""

    file = forms.FileField(
        label="CSV file", widget=forms.ClearableFileInput(attrs={"accept": ".csv,text/csv,.txt"}), max_length=200
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > LARGEST_FILE:
            raise forms.ValidationError(f"The file is larger than {LARGEST_FILE // 1024**2} MB. Split it.")
        return file
