"""Forms of trust boundaries and of how applications decide: shapes only, the rules stand in the use cases."""

from collections.abc import Mapping
from typing import Any

from django import forms

from governance.kernel.breadth import ORDER
from governance.kernel.privileges import PrivilegeClass
from governance.people.models import User
from governance.web.forms import PanelForm
from identities.forms.inventory import address_field, person_at
from identities.models import AuthorizationModel, Source
from identities.services.authorization import LONGEST_NOTE
from identities.services.boundaries import LONGEST_PATTERN, LONGEST_PURPOSE

CLASS_LABELS = {
    PrivilegeClass.ADMIN: "administer",
    PrivilegeClass.DESTRUCTIVE: "destroy or delete",
    PrivilegeClass.SECRET_READ: "read secrets",
    PrivilegeClass.EXTERNAL_SEND: "send to the outside",
    PrivilegeClass.WRITE: "write",
    PrivilegeClass.READ: "read",
}
BREADTH_LABELS = {
    "one": "one thing",
    "set": "a set of things",
    "service": "a whole service or database",
    "account": "a whole account, server or namespace",
    "organisation": "a whole organisation or cluster",
}


class LinesField(forms.CharField):
    """Several texts, one a line."""

    def __init__(self, **options: Any) -> None:
        widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "mono"})
        super().__init__(widget=widget, max_length=20_000, **options)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):
            return value
        return [line.strip() for line in (super().to_python(value) or "").splitlines() if line.strip()]

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def validate(self, value: Any) -> None:
        if self.required and not value:
            raise forms.ValidationError(self.error_messages["required"], code="required")

    def run_validators(self, value: Any) -> None:
        """Lengths are a rule of the domain."""


class BoundaryForm(forms.Form):
    """What a record of a trust boundary says."""

    subjects = LinesField(
        label="Subjects", help_text="Whom it may speak of, one pattern a line; <code>*</code> stands for any text."
    )
    audiences = LinesField(
        label="Audiences", required=False, help_text="Whom its tokens must be made for. Empty: it does not matter."
    )
    attributes_trusted = LinesField(
        label="Attributes that are trusted",
        required=False,
        help_text="Claims that the source acts on besides the subject: groups, roles, environment.",
    )
    purpose = forms.CharField(
        label="What it is for", max_length=LONGEST_PURPOSE, widget=forms.Textarea(attrs={"rows": 3})
    )
    owner = address_field("Owner", "Who answers for this trust.")
    review_due = forms.DateField(label="Next review", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["owner"].required = True

    def clean_owner(self) -> User | None:
        return person_at(self.cleaned_data["owner"])

    def wish(self) -> Mapping[str, Any]:
        """The valid form as the fields of the use case."""
        return {name: value for name, value in self.cleaned_data.items() if name not in ("version", "source", "issuer")}


class NewBoundaryForm(BoundaryForm):
    """A new record: which source, whose word."""

    source = forms.ModelChoiceField(Source.objects.order_by("name"), to_field_name="slug", label="Who authorises")
    issuer = forms.CharField(
        label="Who authenticates", max_length=LONGEST_PATTERN, help_text="The issuer, as the trust names it."
    )
    field_order = ("source", "issuer")


class ReviewForm(PanelForm):
    """Somebody looked, and it is still wanted."""

    review_due = forms.DateField(label="Next review", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    reason = forms.CharField(label="What was looked at", max_length=2_000, widget=forms.Textarea(attrs={"rows": 2}))
    version = forms.IntegerField(widget=forms.HiddenInput)


class WithdrawForm(PanelForm):
    """Why it holds no longer."""

    reason = forms.CharField(label="Why it is withdrawn", max_length=2_000, widget=forms.Textarea(attrs={"rows": 2}))
    version = forms.IntegerField(widget=forms.HiddenInput)


class AuthorizationForm(forms.Form):
    """How the application decides, and what it can do where signing in is all that it asks."""

    model = forms.ChoiceField(
        label="How the application decides",
        required=False,
        choices=[("", "Nobody has said"), *AuthorizationModel.choices],
    )
    classes = forms.MultipleChoiceField(
        label="What the application itself can do",
        required=False,
        choices=[(name.value, words) for name, words in CLASS_LABELS.items()],
        widget=forms.CheckboxSelectMultiple,
        help_text="Asked where whoever is signed in may do everything: then this is what everybody can do.",
    )
    breadth = forms.ChoiceField(
        label="How far that reaches",
        required=False,
        choices=[("", "Not said"), *((each, BREADTH_LABELS[each]) for each in ORDER)],
    )
    note = forms.CharField(
        label="Note", required=False, max_length=LONGEST_NOTE, widget=forms.Textarea(attrs={"rows": 2})
    )
    version = forms.IntegerField(widget=forms.HiddenInput)
