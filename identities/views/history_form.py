"""The filter bar of pages of the past: shapes only, `PastFilter` reads what it sends."""

from collections.abc import Mapping

from django import forms

from identities.forms.inventory import PRIVILEGED, SEGMENT_LABELS, offer
from identities.models import Environment, IdentityKind, IdentityStatus

_OWNERS = {"none": "Nobody accountable", "me": "Mine"}


class PastFilterForm(forms.Form):
    """Which identities, as they were then."""

    source = forms.ChoiceField(required=False, label="Source")
    kind = forms.ChoiceField(required=False, label="Kind")
    environment = forms.ChoiceField(required=False, label="Environment")
    owner = forms.ChoiceField(required=False, label="Owner")
    status = forms.ChoiceField(required=False, label="Status")
    privileged = forms.ChoiceField(required=False, label="Access")
    segment = forms.ChoiceField(required=False, label="Reached")

    def __init__(self, data: Mapping[str, str], *, sources: list[tuple[str, str]]) -> None:
        super().__init__(data)
        choices: dict[str, list[tuple[str, str]]] = {
            "source": sources,
            "kind": list(IdentityKind.choices),
            "environment": list(Environment.choices),
            "owner": list(_OWNERS.items()),
            "status": list(IdentityStatus.choices),
            "privileged": list(PRIVILEGED.items()),
            "segment": list(SEGMENT_LABELS.items()),
        }
        offer(self, choices, empty={"segment": "Reached anything"})
