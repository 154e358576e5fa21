"""What was selected in a list, as it travels through the pages of a bulk act: ticked rows, or all that match."""

from typing import Any
from uuid import UUID

from django.urls import reverse

from governance.kernel.errors import DomainError
from identities.forms.inventory import label_of_filter
from identities.selectors.filters import InventoryFilter
from identities.selectors.selection import Selection
from identities.views.requests import PageRequest

MOST_TICKED = 1_000


def read_selection(request: PageRequest) -> Selection:
    """The rows that were ticked, or all that match the filter. Raises InvalidFilter."""
    if request.POST.get("all"):
        return Selection.matching(request.POST.get("filter", ""))
    found = []
    for text in request.POST.getlist("id")[:MOST_TICKED]:
        try:
            found.append(UUID(text))
        except ValueError:
            continue  # a row of no list of ours
    return Selection.named(found)


def selection_context(request: PageRequest, selection: Selection, *, list_name: str) -> dict[str, Any]:
    """What the pages say of the selection, and the hidden fields by which it travels on."""
    filters = selection.filters
    named = {name: value for name in filters.__slots__ if (value := getattr(filters, name))} if filters else {}
    hidden = [("filter", request.POST.get("filter", ""))]
    hidden += [("id", str(pk)) for pk in selection.ids] if filters is None else [("all", "1")]
    return {
        "hidden": hidden,
        "is_filter": filters is not None,
        "selected_count": len(selection.ids),
        "filter_labels": [label_of_filter(name, value) for name, value in named.items()],
        "list_url": list_as_left(request, list_name),
    }


def list_as_left(request: PageRequest, list_name: str) -> str:
    """The list as it was left, without what only a forger would put into the filter."""
    try:
        text = InventoryFilter.parse(request.POST.get("filter", "")).to_text()
    except DomainError:
        text = ""
    return reverse(list_name) + (f"?{text}" if text else "")
