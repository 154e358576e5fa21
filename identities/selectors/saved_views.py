"""Saved views as people may see them: their own and those that others share."""

from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q, QuerySet

from governance.kernel.errors import NotFound
from identities.models import SavedView
from identities.selectors.filters import InvalidFilter, InventoryFilter


@dataclass(frozen=True, slots=True)
class OpenedView:
    """A saved view as a list opens it. problem: why it opens no longer, empty when it does.

    query: filter, order and columns as the address of the list carries them.
    """

    view: SavedView
    query: str
    problem: str = ""


def list_saved_views(*, person_id: UUID | None, page: str = "") -> QuerySet[SavedView]:
    """One's own views and the shared ones, by name. Without a person: the shared ones."""
    views = SavedView.objects.filter(Q(owner=person_id) | Q(is_shared=True)).select_related("owner")
    return (views.filter(page=page) if page else views).order_by("name", "pk")


def access_saved_view(*, person_id: UUID | None, view_id: UUID) -> SavedView:
    """One view, or NotFound when it is absent or somebody else's own."""
    view = list_saved_views(person_id=person_id).filter(pk=view_id).first()
    if view is None:
        raise NotFound("There is no such view, or it is not yours to see.")
    return view


def opened(view: SavedView) -> OpenedView:
    """The view's address, or the reason why its filter means nothing any more (a field that is gone, say)."""
    try:
        text = InventoryFilter.parse(view.filter).to_text()
    except InvalidFilter as refusal:
        return OpenedView(view, "", refusal.message)
    shown = {"sort": view.sort, "cols": view.columns}
    rest = urlencode({name: value for name, value in shown.items() if value})
    return OpenedView(view, "&".join(part for part in (text, rest) if part))
