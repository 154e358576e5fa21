"""The filter bar of pages of the past: shapes only, `PastFilter` reads what it sends."""

from collections.abc import Mapping
from typing import Any

from django import forms

from identities.models import Environment, IdentityKind, IdentityStatus

_OWNERS = {"none": "Nobody accountable", "me": "Mine"}
_PRIVILEGED = {"yes": "Privileged", "no": "Not privileged"}


class PastFilterForm(forms.Form):
    """Which identities, as they were then."""

    source = forms.ChoiceField(required=False, label="Source")
    kind = forms.ChoiceField(required=False, label="Kind")
    environment = forms.ChoiceField(required=False, label="Environment")
    owner = forms.ChoiceField(required=False, label="Owner")
    status = forms.ChoiceField(required=False, label="Status")
    privileged = forms.ChoiceField(required=False, label="Access")

    def __init__(self, data: Mapping[str, str], *, sources: list[tuple[str, str]]) -> None:
        super().__init__(data)
        choices: dict[str, list[tuple[str, str]]] = {
            "source": sources,
            "kind": list(IdentityKind.choices),
            "environment": list(Environment.choices),
            "owner": list(_OWNERS.items()),
            "status": list(IdentityStatus.choices),
            "privileged": list(_PRIVILEGED.items()),
        }
        for name, known in choices.items():
            # A value from a link (an address, two kinds) stays chosen instead of silently falling away.
            given = data.get(name, "")
            linked = [(given, given)] if given and given not in dict(known) else []
            field: Any = self.fields[name]
            field.choices = [("", f"Any {field.label.lower()}"), *known, *linked]
