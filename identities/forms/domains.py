"""The form of a decision domain: lists are written line by line, as people read them."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from django import forms

from governance.kernel.errors import DomainError
from identities.forms.inventory import show_refusal
from identities.forms.short_names import ShortNameField
from identities.models import DecisionDomain, Source

_LINES = forms.Textarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"})


class DomainForm(forms.Form):
    """A new decision domain, or one that is changed (then without its short name)."""

    slug = ShortNameField(label="Short name", max_length=40, help_text="Stands in its addresses; it never changes.")
    name = forms.CharField(max_length=120, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    sources = forms.ModelMultipleChoiceField(
        Source.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        help_text="The systems that answer here. Names of identities and resources mean something among these alone.",
    )
    subject_types = forms.CharField(
        label="What callers may call subjects",
        widget=_LINES,
        initial="identity",
        help_text="One word a line. After a colon the kinds of identities that are meant: “agent: ai_agent, bot”.",
    )
    registered_types = forms.CharField(
        label="Types of which only registered resources exist",
        widget=_LINES,
        required=False,
        help_text="One a line. Any other id of such a type is denied.",
    )
    request_properties = forms.CharField(
        label="Attributes that a request may supply",
        widget=_LINES,
        required=False,
        help_text="One a line: resource.ownerID, or subject.* for all. Only where the inventory says nothing.",
    )
    is_apart = forms.BooleanField(
        required=False,
        initial=True,
        label="Keep these sources out of the default domain",
        help_text="Where the same names mean somebody else.",
    )
    is_enabled = forms.BooleanField(required=False, initial=True, label="In use")
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, data: Any = None, *, domain: DecisionDomain | None = None) -> None:
        super().__init__(data, initial=_initial(domain) if domain else None)
        cast(forms.ModelMultipleChoiceField, self.fields["sources"]).queryset = Source.objects.order_by("name", "pk")
        for name in ("slug",) if domain else ("is_enabled", "version"):
            del self.fields[name]

    def values(self) -> dict[str, Any]:
        """What the use case takes, without the short name."""
        data = self.cleaned_data
        found = {
            "name": data["name"],
            "sources": list(data["sources"]),
            "subject_types": _types(_listed(data["subject_types"])),
            "registered_types": _listed(data["registered_types"]),
            "request_properties": _listed(data["request_properties"]),
            "is_apart": data["is_apart"],
        }
        return found | ({"is_enabled": data["is_enabled"]} if "is_enabled" in self.fields else {})

    def refuse(self, refusal: DomainError) -> None:
        show_refusal(self, refusal)


def _initial(domain: DecisionDomain) -> dict[str, Any]:
    return {
        "name": domain.name,
        "sources": [source.pk for source in domain.sources.all()],
        "subject_types": "\n".join(type_lines(domain.subject_types)),
        "registered_types": "\n".join(domain.registered_types),
        "request_properties": "\n".join(domain.request_properties),
        "is_apart": domain.is_apart,
        "is_enabled": domain.is_enabled,
        "version": domain.version,
    }


def type_lines(types: Mapping[str, Iterable[str]]) -> list[str]:
    """Types of subjects as they are written in the form."""
    return [f"{name}: {', '.join(kinds)}" if (kinds := list(types[name])) else name for name in sorted(types)]


def _types(lines: Iterable[str]) -> dict[str, list[str]]:
    found = {}
    for line in lines:
        # The kinds stand behind the last colon; a type may hold one of its own (urn:example:user).
        name, colon, kinds = line.rpartition(": ")
        if not colon:
            name, kinds = line.removesuffix(":"), ""
        found[name.strip()] = [kind.strip() for kind in kinds.split(",") if kind.strip()]
    return found


def _listed(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
