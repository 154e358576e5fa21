"""What the lists of identities and of grants share: the filter as it was asked for, its chips, its size in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpResponse

from governance.kernel.actors import Actor
from governance.web.filtered import COUNTED_UP_TO, FilteredPage, bounded_count, paginate_filtered
from governance.web.htmx import is_fragment
from governance.web.pagination import KeysetPage, paginate
from governance.web.tables import BoundTable, Table
from governance.web.templatetags.remit import number, plural
from identities.forms.inventory import FilterForm, label_of_filter
from identities.selectors.access import known_total, source_names
from identities.selectors.filters import IGNORED, InvalidFilter, InventoryFilter
from identities.selectors.inventory import sees_everything
from identities.selectors.unused import left_out_as_unknown
from identities.views.requests import PageRequest

PAGE_SIZE = 50
# The fields of posture in "More filters" of both lists.
POSTURE = ("box", "assurance", "exposure", "excess")


@dataclass(frozen=True, slots=True)
class Listing:
    """One kind of list. `what` is how the sources' totals call it, `words` are its singular and plural.

    bar, more: the fields of the filter bar, and those behind "More filters". walked: filters that the order's own index
    fits, so that nothing needs to be collected.
    """

    what: str
    words: str
    table: Table
    bar: Sequence[str]
    more: Sequence[str]
    walked: frozenset[InventoryFilter] = frozenset()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request wants to see. `problem` says why nothing can be listed."""

    given: dict[str, str]
    filters: InventoryFilter
    problem: InvalidFilter | None
    table: BoundTable


def asked(request: PageRequest, listing: Listing) -> Asked:
    """Read the address. A filter that nobody could mean becomes a problem to be shown."""
    given = {name: str(value) for name, value in request.GET.items()}
    try:
        filters, problem = InventoryFilter.parse(given), None
    except InvalidFilter as refusal:
        filters, problem = InventoryFilter(), refusal
    return Asked(given, filters, problem, listing.table.bind(request.GET))


def found_page(rows: QuerySet[Any], wanted: Asked, listing: Listing, request: PageRequest) -> tuple[FilteredPage, str]:
    """The page that the address names, and how many there are in words. Raises `BadCursor`."""
    cursor, keys = request.GET.get("cursor", ""), wanted.table.sort_keys
    is_whole = sees_everything(request.actor)
    if is_whole and (wanted.filters.is_empty or wanted.filters in listing.walked):
        found = FilteredPage(paginate(rows, keys, cursor=cursor, size=PAGE_SIZE))
    else:
        found = paginate_filtered(rows, keys, cursor=cursor, size=PAGE_SIZE)
    return found, _size(rows, found.page, wanted, listing, request.actor)


def unknown_apart(
    rows_of: Callable[[InventoryFilter], QuerySet[Any]], wanted: Asked, listing: Listing
) -> dict[str, str] | None:
    """What a list of the unused leaves out because nobody can tell, in words with its address; None where nothing."""
    apart = left_out_as_unknown(wanted.filters)
    if apart is None or wanted.problem is not None:
        return None
    total = bounded_count(rows_of(apart), COUNTED_UP_TO)
    if total == 0:
        return None
    return {"size": _in_words(total, listing), "days": wanted.filters.unused_days, "url": f"?{apart.to_text()}"}


def list_context(request: PageRequest, wanted: Asked, listing: Listing, *, list_url: str) -> dict[str, Any]:
    """What both templates print around the rows."""
    fields = {*listing.bar, *listing.more, "q", "access"}
    sort = wanted.table.sort if wanted.table.sort != listing.table.default_sort else ""
    return {
        "table": wanted.table,
        "problem": wanted.problem,
        "form": FilterForm(wanted.given, sources=source_names(request.actor)),
        "filter_fields": listing.bar,
        "more_fields": listing.more,
        "is_more_open": any(wanted.given.get(name) for name in listing.more),
        "kept": [
            (name, value)
            for name, values in request.GET.lists()
            for value in values
            if value and _is_kept(name, fields)
        ],
        "chips": _chips(wanted.filters, sort),
        "is_filtered": not wanted.filters.is_empty,
        "filter_text": wanted.filters.to_text(),
        "sees_all": sees_everything(request.actor),
        "list_url": list_url,
    }


def push_address(response: HttpResponse, request: PageRequest, wanted: Asked, listing: Listing) -> None:
    """The form sends its empty fields too; the address bar gets the short form that people share."""
    if not is_fragment(request) or wanted.problem is not None:
        return
    sort = {"sort": wanted.table.sort} if wanted.table.sort != listing.table.default_sort else {}
    address = "&".join(part for part in (wanted.filters.to_text(), urlencode(sort)) if part)
    response["HX-Push-Url"] = f"{request.path}?{address}" if address else request.path


def _is_kept(name: str, fields: set[str]) -> bool:
    """Whether the address carries something that the form has no field for and must not lose."""
    return name in {"sort", "cols"} or name not in fields | IGNORED


def _size(rows: QuerySet[Any], page: KeysetPage, wanted: Asked, listing: Listing, actor: Actor) -> str:
    """How many: known from the readings, all on this page, or counted no further than a thousand."""
    if wanted.filters.is_empty and (total := known_total(actor, listing.what)) is not None:
        return plural(total, listing.words)
    if not page.next_cursor and not page.previous_cursor:
        return plural(len(page.rows), listing.words)
    return _in_words(bounded_count(rows, COUNTED_UP_TO), listing)


def _in_words(total: int | None, listing: Listing) -> str:
    """total: counted no further than a thousand; None where even that took too long."""
    many = listing.words.partition(",")[2]
    if total is None:
        return f"many {many}"
    return f"{number(COUNTED_UP_TO)}+ {many}" if total > COUNTED_UP_TO else plural(total, listing.words)


def _chips(filters: InventoryFilter, sort: str) -> list[dict[str, str]]:
    """Active filters, each with the address of the list without it."""
    active = {name: value for name in filters.__slots__ if (value := getattr(filters, name))}
    chips = []
    for name, value in active.items():
        rest = {other: kept for other, kept in active.items() if other != name} | ({"sort": sort} if sort else {})
        chips.append({"label": label_of_filter(name, value), "url": f"?{urlencode(rest)}"})
    return chips
