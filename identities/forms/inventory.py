"""Forms of the inventory pages: shapes only, the rules stand in the use cases."""

from collections.abc import Callable, Mapping
from typing import Any

from django import forms

from governance.kernel.errors import DomainError
from governance.people.models import Team, User
from identities.models import Environment, FindingState, IdentityKind, IdentityStatus, PostureBox
from identities.models.identity import MAX_TAG
from identities.posture.rules import BY_ID
from identities.selectors.filters import LISTS, MAX_TEXT, SEGMENTS, SHORTEST_SEARCH
from identities.selectors.findings import rule_order
from identities.services.identities import MAX_PURPOSE, MAX_TAGS, clean_tags
from identities.services.saved_views import LONGEST_NAME

SEGMENT_LABELS = {
    "apis": "APIs",
    "queues": "Queues",
    "databases": "Databases",
    "storage": "Storage",
    "secrets": "Secrets",
    "admin": "Admin actions",
    "ai_tools": "AI tools",
}
LARGEST_FILE = 5 * 1024 * 1024


def show_refusal(form: forms.Form, error: DomainError) -> None:
    """Put a refusal of the domain beside the field that it names, or above the form."""
    name = error.details.get("setting") or error.details.get("field")
    form.add_error(name if name in form.fields else None, error.message)


def label_of_filter(name: str, value: str) -> str:
    """One active filter as a chip says it."""
    spoken = _SPOKEN.get(name, f"{name} {{}}")
    if name not in LISTS:
        return str(spoken.get(value, value) if isinstance(spoken, Mapping) else spoken.format(value))
    parts = value.split(",")
    words = [_spoken_part(spoken, part.removeprefix("-")) for part in parts]
    return f"Not {' or '.join(words)}" if parts[0].startswith("-") else " or ".join(words)


def _spoken_part(spoken: Any, part: str) -> str:
    if spoken is EXPOSURE_LABELS and part not in EXPOSURE_LABELS:
        return f"Exposure {part.replace('-', ' to ')}"
    return str(spoken.get(part, part) if isinstance(spoken, Mapping) else spoken.format(part))


PATH_LABELS = {
    "direct": "Granted directly",
    "role": "Through a role",
    "group": "Through a group",
    "public": "Held by everybody",
    "ownership": "By ownership",
    "attribute": "By an attribute",
    "default_privileges": "For things to come",
    "resource_policy": "By a policy on the resource",
    "trust": "By trust",
}
PRIVILEGED = {"yes": "Privileged", "no": "Not privileged"}
_STANDING = {"yes": "Without an end", "no": "With an end"}
_OWNERS = {"none": "Nobody accountable", "-none": "Somebody accountable", "me": "Mine"}
_HELD = PATH_LABELS | {"-direct": "Inherited, not direct"}
_UNUSED = {"30": "Not for 30 days", "90": "Not for 90 days", "365": "Not for a year"}
_UNKNOWN_USE = {"30": "In 30 days", "90": "In 90 days", "365": "In a year"}
_NEW = {"1": "Today", "7": "In 7 days", "30": "In 30 days"}
_RULES = {rule: f"{rule} {BY_ID[rule].title}" for rule in sorted(BY_ID, key=rule_order)}
_SEVERITIES = {"critical": "Critical", "high": "High or worse", "medium": "Medium or worse", "low": "Low or worse"}
_NOT_FIXED = ("accepted,assigned,open", "Not fixed")
ASSURANCE_LABELS = {
    "A0": "A0 Unproven",
    "A1": "A1 Single static secret",
    "A2": "A2 Managed secret or key",
    "A3": "A3 Federated, short-lived",
    "A4": "A4 Attested and bound",
}
EXPOSURE_LABELS = {
    "0-24": "Exposure 0 to 24",
    "25-49": "Exposure 25 to 49",
    "50-74": "Exposure 50 to 74",
    "75-100": "Exposure 75 to 100",
    "unmeasured": "Exposure not measured",
}
EXCESS_LABELS = {
    "yes": "Powerful rights unused",
    "no": "No powerful right unused",
    "unknown": "Use of powerful rights unknown",
}
_SPOKEN: dict[str, Any] = {
    "q": "“{}”",
    "access": "Access “{}”",
    "source": "Source {}",
    "kind": dict(IdentityKind.choices),
    "environment": {"unknown": "Environment unknown"} | dict(Environment.choices),
    "owner": _OWNERS,
    "status": dict(IdentityStatus.choices),
    "privileged": PRIVILEGED,
    "standing": _STANDING,
    "unused_days": "Not used for {} days",
    "unknown_use_days": "Use in {} days unknown",
    "new_days": "First seen within {} days",
    "new_since": "First seen since {}",
    "segment": SEGMENT_LABELS,
    "team": {"none": "No team"},
    "tag": "Tag {}",
    "path": PATH_LABELS,
    "finding": _RULES,
    "finding_severity": _SEVERITIES,
    "finding_state": dict(FindingState.choices),
    "finding_assignee": {"none": "Nobody assigned", "me": "Assigned to me"},
    "box": dict(PostureBox.choices),
    "assurance": ASSURANCE_LABELS,
    "exposure": EXPOSURE_LABELS,
    "excess": EXCESS_LABELS,
    "retired": {"yes": "Retired"},
}


def _search(label: str) -> forms.CharField:
    widget = forms.TextInput(attrs={"type": "search", "minlength": SHORTEST_SEARCH, "autocomplete": "off"})
    return forms.CharField(required=False, label=label, max_length=MAX_TEXT, widget=widget)


def offer(
    form: forms.Form,
    choices: Mapping[str, list[tuple[str, str]]],
    *,
    empty: Mapping[str, str] | None = None,
    spoken: Callable[[str, str], str] = lambda name, value: value,
) -> None:
    """Give the fields of a filter bar their choices, each behind one that asks for nothing."""
    for name, known in choices.items():
        # A value from a link (an address, two kinds, 45 days) stays chosen instead of silently falling away.
        given = form.data.get(name, "")
        linked = [(given, spoken(name, given))] if given and given not in dict(known) else []
        field: Any = form.fields[name]
        field.choices = [("", (empty or {}).get(name, f"Any {field.label.lower()}")), *known, *linked]


class FilterForm(forms.Form):
    """The filter bar. What it sends is read by `InventoryFilter`, which has the last word on every value."""

    q = _search("Identity")
    access = _search("Access")
    tag = forms.CharField(required=False, label="Tag", max_length=MAX_TEXT)
    source = forms.ChoiceField(required=False, label="Source")
    kind = forms.ChoiceField(required=False, label="Kind")
    environment = forms.ChoiceField(required=False, label="Environment")
    owner = forms.ChoiceField(required=False, label="Owner")
    privileged = forms.ChoiceField(required=False, label="Access")
    segment = forms.ChoiceField(required=False, label="Reaches")
    path = forms.ChoiceField(required=False, label="How it is held")
    standing = forms.ChoiceField(required=False, label="End")
    new_days = forms.ChoiceField(required=False, label="First seen")
    new_since = forms.CharField(required=False, label="New since", widget=forms.DateInput(attrs={"type": "date"}))
    unused_days = forms.ChoiceField(required=False, label="Last used")
    unknown_use_days = forms.ChoiceField(required=False, label="Use unknown")
    box = forms.ChoiceField(required=False, label="Posture")
    assurance = forms.ChoiceField(required=False, label="Assurance")
    exposure = forms.ChoiceField(required=False, label="Exposure")
    excess = forms.ChoiceField(required=False, label="Excess")
    status = forms.ChoiceField(required=False, label="Status")
    finding = forms.ChoiceField(required=False, label="Finding")
    finding_severity = forms.ChoiceField(required=False, label="Severity")
    finding_state = forms.ChoiceField(required=False, label="Finding's state")
    finding_assignee = forms.ChoiceField(required=False, label="Assigned to")
    retired = forms.ChoiceField(required=False, label="Retired")

    def __init__(self, data: Mapping[str, str], *, sources: list[tuple[str, str]]) -> None:
        super().__init__(data)
        choices: dict[str, list[tuple[str, str]]] = {
            "source": sources,
            "kind": list(IdentityKind.choices),
            "environment": list(Environment.choices),
            "owner": list(_OWNERS.items()),
            "privileged": list(PRIVILEGED.items()),
            "segment": [(name, SEGMENT_LABELS[name]) for name in SEGMENTS],
            "path": list(_HELD.items()),
            "standing": list(_STANDING.items()),
            "new_days": list(_NEW.items()),
            "unused_days": list(_UNUSED.items()),
            "unknown_use_days": list(_UNKNOWN_USE.items()),
            "box": list(PostureBox.choices),
            "assurance": list(ASSURANCE_LABELS.items()),
            "exposure": list(EXPOSURE_LABELS.items()),
            "excess": list(EXCESS_LABELS.items()),
            "status": list(IdentityStatus.choices),
            "finding": list(_RULES.items()),
            "finding_severity": list(_SEVERITIES.items()),
            "finding_state": [*FindingState.choices, _NOT_FIXED],
            "finding_assignee": [("me", "Assigned to me"), ("none", "Nobody")],
            "retired": [("yes", "Retired ones")],
        }
        empty = {
            "retired": "Present ones",
            "finding": "Any finding",
            "finding_severity": "Any severity",
            "finding_state": "To be done",
            "finding_assignee": "Anybody",
            "segment": "Reaches anything",
            "path": "In any way",
            "standing": "With or without",
            "unused_days": "Any time",
            "unknown_use_days": "Known or not",
            "new_days": "Any time",
            "privileged": "Privileged or not",
            "excess": "Powerful rights used or not",
        }
        offer(self, choices, empty=empty, spoken=label_of_filter)


def address_field(label: str, help_text: str = "") -> forms.EmailField:
    """The address of a person; browsers offer those of everybody."""
    widget = forms.EmailInput(attrs={"autocomplete": "off", "list": "people"})
    return forms.EmailField(label=label, required=False, max_length=254, help_text=help_text, widget=widget)


def person_at(address: str) -> User | None:
    """The person with this address, None for no address."""
    if not address:
        return None
    found = User.objects.filter(email__iexact=address.strip(), left_at=None).first()
    if found is None:
        raise forms.ValidationError("Nobody here has this address, or the person has left.")
    return found


class TagsField(forms.CharField):
    """Tags in one line, separated by commas."""

    widget = forms.TextInput

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"max_length": (MAX_TAG + 2) * MAX_TAGS} | options))

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return super().widget_attrs(widget) | {"autocomplete": "off", "spellcheck": "false"}

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return self.clean(data) != (initial or [])
        except forms.ValidationError:
            return True

    def clean(self, value: Any) -> list[str]:
        text = super().clean(value)
        try:
            return clean_tags(tag for tag in text.split(",") if tag.strip())
        except DomainError as refusal:
            raise forms.ValidationError(refusal.message) from None


class IdentityForm(forms.Form):
    """What people say about an identity. What the source says stands beside it and is never overwritten."""

    owner = address_field("Owner", "The one person who answers for it. Empty means nobody.")
    backup_owner = address_field("Backup owner")
    sponsor = address_field("Sponsor", "For AI agents: who wanted it and answers for what it does.")
    team = forms.ModelChoiceField(Team.objects.order_by("name"), required=False, empty_label="No team")
    purpose = forms.CharField(
        required=False,
        max_length=MAX_PURPOSE,
        label="Purpose",
        help_text="What it is for, in a sentence. Empty means: what the source says.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    environment = forms.ChoiceField(
        required=False, choices=[("", "What the source says"), *Environment.choices], label="Environment"
    )
    tags = TagsField(required=False, help_text="Separated by commas. The source's own tags stay beside them.")
    reason = forms.CharField(required=False, max_length=500, label="Note for the audit trail")
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1)

    def clean_owner(self) -> User | None:
        return self._named("owner")

    def clean_backup_owner(self) -> User | None:
        return self._named("backup_owner")

    def clean_sponsor(self) -> User | None:
        return self._named("sponsor")

    def _named(self, field: str) -> User | None:
        # Whoever left may still stand there while somebody edits another field.
        return person_at(self.cleaned_data[field]) if field in self.changed_data else None


BULK_ACTIONS = {
    "owner": "Set the owner",
    "backup_owner": "Set the backup owner",
    "team": "Set the team",
    "add_tags": "Add tags",
    "remove_tags": "Remove tags",
}


class BulkEditForm(forms.Form):
    """What to say about many identities at once: the fields of one of `BULK_ACTIONS`, and a note."""

    owner = address_field("Owner", "Who shall answer for them.")
    backup_owner = address_field("Backup owner", "Who stands in for the owner.")
    nobody = forms.BooleanField(required=False, label="Nobody: take away whoever is named")
    team = forms.ModelChoiceField(Team.objects.order_by("name"), required=False, empty_label="No team")
    add_tags = TagsField(label="Tags to add", help_text="Separated by commas. Other tags stay.")
    remove_tags = TagsField(label="Tags to remove", help_text="Separated by commas. Other tags stay.")
    reason = forms.CharField(required=False, max_length=500, label="Note for the audit trail")

    def __init__(self, data: Any = None, *, action: str) -> None:
        super().__init__(data)
        self.action = action
        wanted = {action, "reason"} | ({"nobody"} if action in _PEOPLE else set())
        self.fields = {name: field for name, field in self.fields.items() if name in wanted}
        if action in _PEOPLE:
            self.fields[action].required = not (data and data.get("nobody"))
            self.fields[action].error_messages["required"] = "Name a person, or choose nobody."

    def clean_owner(self) -> User | None:
        return person_at(self.cleaned_data["owner"])

    def clean_backup_owner(self) -> User | None:
        return person_at(self.cleaned_data["backup_owner"])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("nobody") and data.get(self.action):
            self.add_error(self.action, "Either a person or nobody.")
        return data

    def wish(self) -> dict[str, Any]:
        """The valid form as the changes of the use case."""
        return {self.action: self.cleaned_data[self.action]}


_PEOPLE = frozenset({"owner", "backup_owner"})


class SavedViewForm(forms.Form):
    """A view of a list under a name. What it shows travels in hidden fields."""

    name = forms.CharField(max_length=LONGEST_NAME, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    is_shared = forms.BooleanField(
        required=False,
        label="Shared: everybody who may open the list finds it",
        help_text="Each person still sees only what they may see.",
    )
    page = forms.CharField(required=False, max_length=20, widget=forms.HiddenInput)
    filter = forms.CharField(required=False, max_length=4000, widget=forms.HiddenInput)
    sort = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)
    columns = forms.CharField(required=False, max_length=300, widget=forms.HiddenInput)
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)


class OwnersFileForm(forms.Form):
    """A list of owners: source, identity, owner."""

    file = forms.FileField(
        label="CSV file", widget=forms.ClearableFileInput(attrs={"accept": ".csv,text/csv,.txt"}), max_length=200
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > LARGEST_FILE:
            raise forms.ValidationError(f"The file is larger than {LARGEST_FILE // 1024**2} MB. Split it.")
        return file
