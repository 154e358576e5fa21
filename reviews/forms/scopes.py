"""The scope of a review as fields and as text: two forms of one filter, of which the one that was edited counts.

The page keeps beside the text how it read when the page was made (`scope_was`). A text that reads otherwise was edited
by hand and fills the fields; else the fields write the text.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from identities.forms.inventory import FilterForm, label_of_filter
from identities.selectors.filters import InvalidFilter, InventoryFilter

BASICS = ("source", "privileged", "kind", "environment")
POSTURE = ("box", "assurance", "exposure", "excess")
MORE = (
    *("path", "standing", "unused_days", "unknown_use_days", "new_days", "new_since", "segment", "owner", "tag"),
    *(*POSTURE, "status", "q", "access", "finding", "finding_severity", "finding_state"),
)
# What has no field on the page and must not be lost.
KEPT = ("team", "finding_assignee")
LABELS = {"privileged": "Privilege", "q": "Name of the identity", "access": "Name of the access"}
NAMES = (*BASICS, *MORE, *KEPT)


class ScopeForm(FilterForm):
    """The filter as fields. A review is about what is there, so nothing retired can be chosen."""

    def __init__(self, scope: str, *, sources: list[tuple[str, str]]) -> None:
        """scope: the text; where it cannot be understood the fields are empty and the text alone is shown."""
        self.text, self.problem = scope, ""
        try:
            filters = InventoryFilter.parse(scope)
        except InvalidFilter as problem:
            filters, self.problem = InventoryFilter(), problem.message
        super().__init__({name: getattr(filters, name) for name in NAMES}, sources=sources)
        for name in ("retired", *KEPT[1:]):
            del self.fields[name]
        for name, label in LABELS.items():
            self.fields[name].label = label
        for name in ("q", "access", "tag"):
            self.fields[name].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}
        self.kept = [(name, value) for name in KEPT if (value := getattr(filters, name))]

    @property
    def basics(self) -> list[Any]:
        """The fields that are always shown."""
        return [self[name] for name in BASICS]

    @property
    def more(self) -> list[Any]:
        """The fields behind "More"."""
        return [self[name] for name in MORE]

    @property
    def is_more_open(self) -> bool:
        return any(self.data.get(name) for name in MORE)


def scope_of(data: Mapping[str, Any]) -> str:
    """The scope that a posted page means, as text. What nobody could mean comes back as it was typed."""
    text = str(data.get("scope", "")).strip()
    was = data.get("scope_was")
    if was is None or text != str(was).strip():
        return _canonical(text)
    given = {name: value for name in NAMES if (value := str(data.get(name, "")).strip())}
    return _canonical(urlencode(given))


def with_scope(data: QueryDict) -> QueryDict:
    """The posted page with its `scope` settled."""
    settled = data.copy()
    settled["scope"] = scope_of(data)
    return settled


def posted(data: QueryDict) -> QueryDict | None:
    """The same, None where nothing was posted: a form that is shown for the first time is not bound."""
    return with_scope(data) if data else None


def spoken_scope(text: str) -> str:
    """A scope in words: "Privileged, Source ledger". What cannot be read comes back as it stands."""
    try:
        filters = InventoryFilter.parse(text)
    except InvalidFilter:
        return text
    return ", ".join(label_of_filter(name, value) for name in NAMES if (value := getattr(filters, name))) or text


def _canonical(text: str) -> str:
    try:
        return InventoryFilter.parse(text).to_text()
    except InvalidFilter:
        return text
