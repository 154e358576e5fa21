"""Forms of sources: what every source has, and the settings that its kind of connector declares."""

from typing import Any

from django import forms
from django.forms.utils import ErrorDict

from governance.kernel.errors import DomainError
from identities.connectors.contract import Setting
from identities.connectors.registry import formats, settings_of
from identities.connectors.settings import by_name
from identities.forms.inventory import address_field, person_at
from identities.forms.references import ReferenceInput
from identities.forms.short_names import ShortNameField
from identities.models import Environment, Source
from identities.services.sources import PUSH
from identities.sync.importing import AUTO, RECORDS

# Settings are chosen by connectors, and must not meet the names of the fields that every source has.
PREFIX = "setting_"
LARGEST_UPLOAD = 100 * 1024 * 1024
# Lengths of time that people choose among, in seconds; programs may set any other, which is then offered beside them.
_USUAL_LENGTHS = {
    "read_every_seconds": (60, 300, 900, 1_800, 3_600, 6 * 3_600, 12 * 3_600, 86_400, 7 * 86_400),
    "freshness_limit_seconds": (60, 300, 900, 3_600, 6 * 3_600, 12 * 3_600, 86_400, 2 * 86_400, 7 * 86_400),
}
_QUIET = {"autocomplete": "off", "spellcheck": "false"}


class SourceForm(forms.Form):
    """A source of one kind: `SourceForm(kind="postgresql", data=…)`."""

    slug = ShortNameField(
        label="Short name", max_length=60, help_text="Stands in addresses and in API calls; it never changes."
    )
    name = forms.CharField(max_length=120)
    environment = forms.ChoiceField(choices=Environment.choices)
    owner = address_field("Owner", "Who answers for the system itself.")
    read_every_seconds = forms.TypedChoiceField(label="Read every", coerce=int, initial=300)
    freshness_limit_seconds = forms.TypedChoiceField(
        label="Stale after",
        coerce=int,
        initial=86_400,
        help_text="An older picture is marked as stale everywhere.",
    )
    max_retire_percent = forms.IntegerField(
        label="Hold a reading that would remove more than (percent)",
        initial=20,
        min_value=0,
        max_value=100,
        help_text="Such a reading waits for a person, because a broken export looks like mass removal.",
    )
    is_enabled = forms.BooleanField(required=False, initial=True, label="In use")
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, data: Any = None, *, kind: str, source: Source | None = None) -> None:
        super().__init__(data, initial=_initial(source) if source else None)
        self._declared = settings_of(kind)
        for name, usual in _USUAL_LENGTHS.items():
            lengths = sorted({*usual, getattr(source, name)} if source else usual)
            self.fields[name].choices = [(each, spoken_seconds(each)) for each in lengths]  # type: ignore[attr-defined]
        for setting in self._declared:
            self.fields[PREFIX + setting.name] = field_of(setting)
        if kind == PUSH:
            del self.fields["read_every_seconds"]
        for name in ("slug",) if source else ("is_enabled", "version"):
            del self.fields[name]

    def clean_owner(self) -> Any:
        return person_at(self.cleaned_data["owner"])

    @property
    def groups(self) -> list[tuple[str, list[forms.BoundField], bool]]:
        """(title, fields, whether it may stay folded) as the page shows them."""
        needed = {each.name for each in self._declared if each.required or each.kind == "reference"}
        settings = [(each.name in needed, self[PREFIX + each.name]) for each in self._declared]
        about, reading = ("name", "slug", "environment", "owner"), (
            "read_every_seconds", "freshness_limit_seconds", "max_retire_percent", "is_enabled",
        )  # fmt: skip
        groups = [
            ("About it", self._named(about), False),
            ("Connection", [field for is_needed, field in settings if is_needed], False),
            ("More settings", [field for is_needed, field in settings if not is_needed], True),
            ("How it is read", self._named(reading), False),
        ]
        return [
            (title, fields, is_folded and not any(field.errors for field in fields))
            for title, fields, is_folded in groups
            if fields
        ]

    def settings(self) -> dict[str, Any]:
        """The connector's settings; what is empty is left to the connector."""
        given = {each.name: self.cleaned_data[PREFIX + each.name] for each in self._declared}
        return {name: value for name, value in given.items() if value not in ("", None, [])}

    def changes(self) -> dict[str, Any]:
        """What both use cases, register and change, take."""
        names = {"name", "environment", "owner", "read_every_seconds", "freshness_limit_seconds", "max_retire_percent"}
        data = {name: value for name, value in self.cleaned_data.items() if name in names}
        return data | {"settings": self.settings()}

    def only_settings(self) -> bool:
        """Look at the settings alone, as for a connection that is tried; whether they are complete."""
        self._errors: Any = ErrorDict({name: each for name, each in self.errors.items() if name.startswith(PREFIX)})
        return not self._errors

    def refuse(self, error: DomainError) -> None:
        """Put a refusal of the domain beside the field that it names, or above the form."""
        setting = PREFIX + str(error.details.get("setting", ""))
        name = setting if setting in self.fields else error.details.get("field")
        self.add_error(name if name in self.fields else None, error.message)

    def _named(self, names: tuple[str, ...]) -> list[forms.BoundField]:
        return [self[name] for name in names if name in self.fields]


class LinesField(forms.CharField):
    """A list of texts, one per line."""

    widget = forms.Textarea(attrs={"rows": 2, **_QUIET})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> Any:
        return [line.strip() for line in super().clean(value).splitlines() if line.strip()]


def field_of(setting: Setting) -> forms.Field:
    """The form field of one declared setting."""
    common: dict[str, Any] = {"label": setting.label, "help_text": setting.help, "required": setting.required}
    match setting.kind:
        case "integer":
            # What the connector takes when nothing is set stands there to be seen.
            return forms.IntegerField(**common, min_value=0, initial=setting.default)
        case "flag":
            return forms.BooleanField(**common | {"required": False, "initial": bool(setting.default)})
        case "choice":
            return forms.ChoiceField(
                **common | {"required": False, "initial": setting.default},
                choices=[(choice, choice) for choice in setting.choices],
            )
        case "list":
            help_text = f"{setting.help} One per line.".strip()
            initial = list(setting.default or [])
            return LinesField(**common | {"help_text": help_text}, max_length=10_000, initial=initial)
        case "reference":
            help_text = f"{setting.help} A reference: <code>env:NAME</code> or <code>file:/path</code>.".strip()
            reference = ReferenceInput(attrs={**_QUIET, "placeholder": "env:NAME"})
            return forms.CharField(**common | {"help_text": help_text}, max_length=500, widget=reference)
        case _:
            widget = forms.TextInput(attrs=_QUIET)
            return forms.CharField(**common, max_length=1_000, widget=widget, initial=setting.default)


def spoken_seconds(seconds: int) -> str:
    """A length of time in its largest whole unit: "5 minutes"."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            number = seconds // size
            return f"{number} {unit}{'s' if number != 1 else ''}"
    return f"{seconds} seconds"


def _initial(source: Source) -> dict[str, Any]:
    settings = by_name(settings_of(source.kind), source.settings)
    lists = {each.name for each in settings_of(source.kind) if each.kind == "list"}
    return {
        **{
            PREFIX + name: [value] if name in lists and isinstance(value, str) else value
            for name, value in settings.items()
        },
        "name": source.name,
        "environment": source.environment,
        "owner": source.owner.email if source.owner else "",
        "read_every_seconds": source.read_every_seconds,
        "freshness_limit_seconds": source.freshness_limit_seconds,
        "max_retire_percent": source.max_retire_percent,
        "is_enabled": source.is_enabled,
        "version": source.version,
    }


class ImportForm(forms.Form):
    """A file to take in. What it is, its first bytes say, unless somebody knows better."""

    file = forms.FileField(
        max_length=200, help_text="An export or a log of the system, a CSV list, or records. May be packed with gzip."
    )
    format = forms.ChoiceField(label="What it is")
    is_part = forms.BooleanField(
        required=False,
        label="It is only part of what the system holds",
        help_text="Then nothing is gone because it is missing in the file.",
    )

    def __init__(self, data: Any = None, files: Any = None) -> None:
        super().__init__(data, files)
        known: Any = self.fields["format"]
        known.choices = [
            (AUTO, "Find out by its content"),
            (RECORDS, "Records of Remit (NDJSON)"),
            *((each.name, each.title) for each in formats()),
        ]

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > LARGEST_UPLOAD:
            most = LARGEST_UPLOAD // 1024**2
            raise forms.ValidationError(f"The file is larger than {most} MB. Use the API or manage.py import.")
        return file
