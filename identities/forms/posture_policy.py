"""The posture policy as a form: one field per number, in groups that read like the policy itself.

What the fields say together is judged by `parse_policy`, whose refusals come back beside the fields they name.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms

from governance.kernel.errors import DomainError

MAX_REASON = 1_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One number of the policy: where it stands, how it is called, what it means, and in which unit."""

    pointer: str
    label: str
    help: str = ""
    is_whole: bool = False
    is_list: bool = False

    @property
    def name(self) -> str:
        """The name of its field."""
        return self.pointer.replace("/", "-")

    @property
    def path(self) -> Sequence[str]:
        return self.pointer.split("/")


@dataclass(frozen=True, slots=True)
class Group:
    """Entries under one heading. is_closed: behind a disclosure, because few people touch them."""

    id: str
    title: str
    note: str
    entries: Sequence[Entry]
    is_closed: bool = False


def _days(name: str, label: str, help_text: str = "") -> Entry:
    return Entry(f"thresholds/{name}", label, help_text or "Days.", is_whole=True)


def _values(factor: str, words: Mapping[str, str]) -> list[Entry]:
    return [Entry(f"values/{factor}/{word}", label, "0 to 1.") for word, label in words.items()]


GROUPS: Sequence[Group] = (
    Group(
        "weights",
        "Weights of exposure",
        "What each factor can add, of 100 in all. They must add up to 100.",
        [
            Entry("weights/privilege", "Highest privilege"),
            Entry("weights/breadth", "Breadth"),
            Entry("weights/escalation", "Ways to more privilege"),
            Entry("weights/environment", "Environment and data"),
            Entry("weights/unused", "Unused share"),
            Entry("weights/conditions", "Conditions"),
            Entry("weights/duration", "Duration"),
        ],
    ),
    Group(
        "bands",
        "Bands, floors and the picture",
        "Where the bands of exposure begin, what a score never falls below, and where the picture is divided.",
        [
            Entry("bands/limited", "Limited from"),
            Entry("bands/broad", "Broad band from"),
            Entry("bands/critical", "Critical from"),
            Entry("floors/direct_escalation", "Least with a direct way to more privilege"),
            Entry("floors/admin_in_production", "Least for an administrator in production"),
            Entry("picture/strong_from", "Proven from assurance", "1 to 4.", is_whole=True),
            Entry("picture/broad_from", "Broad from exposure"),
            Entry("picture/most_unknown", "Unmeasured above", "Weight of factors that nobody could find out."),
        ],
    ),
    Group(
        "required",
        "Assurance that each band asks for",
        "0 to 4. Less than this is a finding (NHI4-C).",
        [
            Entry("required_assurance/contained", "Contained", is_whole=True),
            Entry("required_assurance/limited", "Limited", is_whole=True),
            Entry("required_assurance/broad", "Broad", is_whole=True),
            Entry("required_assurance/critical", "Critical", is_whole=True),
            Entry("required_assurance/critical_just_in_time", "Critical, given just in time", is_whole=True),
        ],
    ),
    Group(
        "use",
        "Use and dormancy",
        "When silence means something, and how much of it is too much.",
        [
            _days("dormant_days", "Dormant after"),
            _days("dormant_privileged_days", "Dormant after, privileged"),
            _days("dormant_vendor_days", "Dormant after, third parties"),
            _days("log_lag_days", "Logs arrive late by"),
            _days("unused_watched_days", "Unused rights count after"),
            Entry(
                "thresholds/unused_percent", "Too much is", "Percent of privileged and writing rights.", is_whole=True
            ),
            _days("callers_watched_days", "Callers are counted over"),
            _days("interactive_days", "Sessions of people are looked for over"),
            Entry("thresholds/human_hours_percent", "Office hours suspicious from", "Percent of use.", is_whole=True),
        ],
    ),
    Group(
        "credentials",
        "Credentials",
        "How old, how long and how leaked a credential may be.",
        [
            _days("secret_rotation_days", "Rotate secrets within"),
            _days("secret_overdue_days", "Rotation overdue after", "Days; the finding is high then."),
            _days("secret_life_days", "Longest life of a new secret"),
            _days("certificate_life_days", "Longest life of a certificate"),
            Entry("thresholds/attested_certificate_life_hours", "The same, attested", "Hours.", is_whole=True),
            Entry("thresholds/session_minutes", "Longest session", "Minutes.", is_whole=True),
            _days("rotation_overlap_days", "Two live credentials for at most"),
            Entry("thresholds/leak_public_hours", "Change after a public leak", "Hours.", is_whole=True),
            Entry("thresholds/leak_internal_hours", "Change after an internal leak", "Hours.", is_whole=True),
            _days("scan_days", "A scan for secrets counts for"),
            Entry("thresholds/rsa_bits", "Shortest RSA key", "Bits.", is_whole=True),
        ],
    ),
    Group(
        "exceptions",
        "Exceptions, vendors and orders",
        "How long a word of a person counts.",
        [
            _days("vendor_assessment_days", "An assessment of a vendor counts for"),
            _days("exception_days", "Longest exception"),
            _days("exception_critical_days", "Longest exception, critical"),
            Entry("thresholds/just_in_time_hours", "Just in time is at most", "Hours.", is_whole=True),
            Entry("thresholds/revoked_skew_minutes", "Clocks may differ by", "Minutes.", is_whole=True),
            _days("vanished_days", "Missing identities are searched for"),
        ],
    ),
    Group(
        "values",
        "How much of its weight each value adds",
        "From 0 to 1. Worse words never add less than better ones.",
        [
            *_values(
                "privilege",
                {
                    "none": "No privilege",
                    "read": "Reads",
                    "write": "Writes",
                    "bulk_read": "Reads in bulk",
                    "external_send": "Sends outside",
                    "destructive": "Destroys",
                    "secret_read": "Reads secrets",
                    "admin": "Administers",
                },
            ),
            *_values(
                "breadth",
                {
                    "one": "One resource",
                    "set": "A named set",
                    "service": "A whole service",
                    "account": "An account or namespace",
                    "organisation": "An organisation or cluster",
                },
            ),
            *_values(
                "escalation",
                {"none": "No way to more", "conditional": "A conditional way", "direct": "A direct way"},
            ),
            *_values(
                "environment",
                {
                    "development": "Development",
                    "test": "Test",
                    "staging": "Staging",
                    "production": "Production",
                    "restricted_production": "Production with restricted data",
                },
            ),
            *_values(
                "conditions",
                {
                    "per_request": "Decided at each request",
                    "attribute": "By resource, time or attribute",
                    "network": "By network only",
                    "none": "No condition",
                },
            ),
            *_values(
                "duration",
                {
                    "hour": "An hour",
                    "week": "A week",
                    "quarter": "90 days",
                    "longer": "Longer",
                    "endless": "Without an end",
                },
            ),
        ],
        is_closed=True,
    ),
    Group(
        "lists",
        "Words that stand for good and bad",
        "One per line.",
        [
            Entry(
                "lists/sanctioned_stores",
                "Sanctioned stores",
                "How a source's word about storage begins.",
                is_list=True,
            ),
            Entry("lists/unsanctioned_stores", "Unsanctioned stores", is_list=True),
            Entry(
                "lists/public_issuers",
                "Public issuers",
                "Anybody with an account there can be vouched for.",
                is_list=True,
            ),
            Entry("lists/deprecated_methods", "Deprecated ways to sign in", is_list=True),
            Entry(
                "lists/bulk_read_breadths",
                "Reading is in bulk from",
                "Breadths: service, account, organisation.",
                is_list=True,
            ),
        ],
        is_closed=True,
    ),
)
ENTRIES: Mapping[str, Entry] = {entry.pointer: entry for group in GROUPS for entry in group.entries}


class PolicyForm(forms.Form):
    """Every number, and why it changes. `number` is the version that the person saw."""

    def __init__(self, document: Mapping[str, Any], data: Any = None, *, number: int = 0) -> None:
        super().__init__(data, initial=dict(_initial(document)) | {"number": number})
        self._document = document
        for entry in ENTRIES.values():
            self.fields[entry.name] = _field(entry)
        self.fields["reason"] = forms.CharField(
            label="Why it changes",
            max_length=MAX_REASON,
            widget=forms.Textarea(attrs={"rows": 3}),
            help_text="It stands in the trail and beside the version.",
            error_messages={"required": "Say why: it stands beside the version for as long as scores name it."},
        )
        self.fields["number"] = forms.IntegerField(widget=forms.HiddenInput, min_value=0)

    @property
    def groups(self) -> Iterator[tuple[Group, list[Any]]]:
        """(group, bound fields), as the page prints them."""
        for group in GROUPS:
            yield group, [self[entry.name] for entry in group.entries]

    def document(self) -> dict[str, Any]:
        """The valid form as a policy document; what has no field stays as it was."""
        written: dict[str, Any] = {
            name: dict(section) if isinstance(section, Mapping) else section for name, section in self._document.items()
        }
        for entry in ENTRIES.values():
            *sections, last = entry.path
            place = written
            for section in sections:
                place[section] = dict(place.get(section, {}))
                place = place[section]
            place[last] = self.cleaned_data[entry.name]
        return written

    def show(self, refusal: DomainError) -> None:
        """Put a refusal of the whole beside the fields that it names."""
        errors = refusal.details.get("errors") or []
        for error in errors:
            pointer = str(error.get("pointer", "")).strip("/")
            entry = ENTRIES.get(pointer)
            if entry is not None:
                self.add_error(entry.name, f"{error['reason']}.".capitalize())
            else:
                self.add_error(None, f"{_heading(pointer)} {error['reason']}.")
        if not errors:
            self.add_error(None, refusal.message)


def flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """`{"weights/privilege": 30, …}`: a policy document as pairs, for comparing two versions."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            found |= {f"{name}/{inner}": each for inner, each in flat(value).items()}
        else:
            found[name] = value
    return found


def label_of(pointer: str) -> str:
    """What a number of the policy is called; its place where it has no field."""
    entry = ENTRIES.get(pointer)
    return entry.label if entry else pointer.replace("/", " › ").replace("_", " ")


def _initial(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    values = flat(document)
    for entry in ENTRIES.values():
        value = values.get(entry.pointer)
        yield entry.name, "\n".join(map(str, value or [])) if entry.is_list else _short(value)


def _short(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _field(entry: Entry) -> forms.Field:
    if entry.is_list:
        widget = forms.Textarea(attrs={"rows": 5, "spellcheck": "false"})
        return _Lines(label=entry.label, help_text=entry.help, widget=widget)
    if entry.is_whole:
        return forms.IntegerField(label=entry.label, help_text=entry.help, min_value=0)
    return _Number(label=entry.label, help_text=entry.help, min_value=0, max_value=100)


class _Number(forms.FloatField):
    """A number as people wrote it: 30 stays a whole number, so that versions compare equal."""

    def clean(self, value: Any) -> Any:
        return _short(super().clean(value))


class _Lines(forms.CharField):
    """Words, one per line."""

    def clean(self, value: Any) -> Any:
        return [line.strip() for line in super().clean(value).splitlines() if line.strip()]


def _heading(pointer: str) -> str:
    first = pointer.split("/", maxsplit=1)[0]
    for group in GROUPS:
        if first == group.id or any(entry.path[0] == first for entry in group.entries):
            return f"{group.title}:"
    return pointer.replace("/", " › ") or "The policy"
