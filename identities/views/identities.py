"""The inventory as a list: filter, sort, page through, download."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.kernel.actors import Actor
from governance.people.selectors import access_person
from governance.web.access import page
from governance.web.csv import stream_csv
from governance.web.htmx import is_fragment, render_page
from governance.web.pagination import KeysetPage, paginate
from governance.web.tables import Column, Table
from governance.web.templatetags.remit import number, plural
from identities.forms import FilterForm, label_of_filter
from identities.models import Identity
from identities.selectors.filters import InvalidFilter, InventoryFilter
from identities.selectors.inventory import filtered, list_identities, list_sources, sees_everything, visible_identities
from identities.selectors.use import with_last_use
from identities.services.exports import record_export
from identities.services.identities import EDITORS
from identities.views.identity_rows import IdentityRow, last_use_of, row_of
from identities.views.requests import PageRequest

COUNTED_UP_TO = 1_000
PAGE_SIZE = 50
PANEL_ROWS = 20
TABLE = Table(
    [
        Column("name", "Identity", sort="name", essential=True),
        Column("source", "Source", sort="source__name"),
        Column("environment", "Environment"),
        Column("owner", "Owner"),
        Column("privileged", "Privileged", sort="privileged_count", numeric=True),
        Column("grants", "Grants", sort="grant_count", numeric=True),
        Column("credentials", "Credentials", numeric=True),
        Column("last_use", "Last used", sort="last_seen_at", nullable=True),
        Column("status", "Status"),
    ],
    default_sort="name",
)
FILTER_FIELDS = ("source", "kind", "environment", "owner", "privileged")
MORE_FIELDS = ("segment", "unused_days", "status", "retired")
CSV_HEADER = (
    *("source", "id", "name", "kind", "status", "environment", "environment_from", "owner", "source_owner", "purpose"),
    *("privileged_grants", "grants", "credentials", "use", "last_used_or_watched_since", "retired_at"),
)


@require_safe
@page()
def identity_list(request: PageRequest) -> HttpResponse:
    """The inventory list; a filter that nobody could mean is answered with the reason and no rows."""
    now = timezone.now()
    table = TABLE.bind(request.GET)
    given = _given(request)
    try:
        filters, problem = InventoryFilter.parse(given), None
    except InvalidFilter as refusal:
        filters, problem = InventoryFilter(), refusal
    found, summary = KeysetPage(), ""
    if problem is None:
        identities = with_last_use(list_identities(actor=request.actor, filters=filters, now=now))
        found = paginate(identities, table.sort_keys, cursor=request.GET.get("cursor", ""), size=PAGE_SIZE)
        summary = _size(request.actor, filters, now)
    context = {
        "table": table,
        "page": KeysetPage([row_of(row, now) for row in found.rows], found.next_cursor, found.previous_cursor),
        "summary": summary,
        "problem": problem,
        "form": FilterForm(given, sources=_sources(request.actor)),
        "filter_fields": FILTER_FIELDS,
        "more_fields": MORE_FIELDS,
        "is_more_open": any(given.get(name) for name in MORE_FIELDS),
        "chips": _chips(filters, table.sort if table.sort != TABLE.default_sort else ""),
        "is_filtered": not filters.is_empty,
        "sees_all": sees_everything(request.actor),
        "may_import": request.actor.has_role(*EDITORS),
        "list_url": reverse("identities:identity_list"),
        "csv_url": f"{reverse('identities:identity_csv')}?{filters.to_text()}",
    }
    status = problem.status if problem else 200
    response = render_page(
        request, "identities/identity_list.html", context, fragment="identities/_identity_table.html", status=status
    )
    if is_fragment(request) and problem is None:
        # The form sends its empty fields too; the address bar gets the short form that people share.
        sort = {"sort": table.sort} if table.sort != TABLE.default_sort else {}
        address = "&".join(part for part in (filters.to_text(), urlencode(sort)) if part)
        response["HX-Push-Url"] = f"{request.path}?{address}" if address else request.path
    return response


@require_safe
@page()  # type: ignore[arg-type] # a stream is a response too
def identity_csv(request: PageRequest) -> HttpResponseBase:
    """The whole filtered list as a file, streamed."""
    now = timezone.now()
    filters = InventoryFilter.parse(_given(request))
    record_export(filters=filters, actor=request.actor, now=now)
    identities = with_last_use(list_identities(actor=request.actor, filters=filters, now=now)).order_by("name", "pk")
    return stream_csv(f"identities-{now:%Y-%m-%d}.csv", CSV_HEADER, _csv_rows(identities, now))


@require_safe
@page()
def person_panel(request: PageRequest, user_id: UUID) -> HttpResponse:
    """The identities that one person answers for: a panel on their page."""
    person = access_person(request.actor, user_id)
    now = timezone.now()
    owned = with_last_use(
        list_identities(actor=request.actor, filters=InventoryFilter(), now=now).filter(owner=person)
    ).order_by("name", "pk")
    rows: list[IdentityRow] = [row_of(identity, now) for identity in owned[: PANEL_ROWS + 1]]
    context = {
        "rows": rows[:PANEL_ROWS],
        "person": person,
        "all_url": f"{reverse('identities:identity_list')}?{urlencode({'owner': person.email})}",
        "has_more": len(rows) > PANEL_ROWS,
    }
    return render_page(request, "identities/person_panel.html", context, fragment="identities/_person_panel.html")


def _given(request: PageRequest) -> dict[str, str]:
    """What the address asks for."""
    return {name: str(value) for name, value in request.GET.items()}


def _size(actor: Actor, filters: InventoryFilter, now: datetime) -> str:
    """How many there are, counted no further than a thousand, so that a million costs no more."""
    counted = filtered(visible_identities(actor), filters, actor=actor, now=now)
    total = counted.values("pk")[: COUNTED_UP_TO + 1].count()
    if total > COUNTED_UP_TO:
        return f"{number(COUNTED_UP_TO)}+ identities"
    return plural(total, "identity,identities")


def _sources(actor: Actor) -> list[tuple[str, str]]:
    return list(list_sources(actor=actor).order_by("name").values_list("slug", "name"))


def _chips(filters: InventoryFilter, sort: str) -> list[dict[str, str]]:
    """Active filters, each with the address of the list without it."""
    active = {name: value for name in filters.__slots__ if (value := getattr(filters, name))}
    chips = []
    for name, value in active.items():
        rest = {other: kept for other, kept in active.items() if other != name} | ({"sort": sort} if sort else {})
        chips.append({"label": label_of_filter(name, value), "url": f"?{urlencode(rest)}"})
    return chips


def _csv_rows(identities: QuerySet[Identity], now: datetime) -> Iterator[tuple[Any, ...]]:
    for identity in identities.iterator(chunk_size=1_000):
        facts: Any = identity
        use = last_use_of(identity, now)
        yield (
            identity.source.slug,
            identity.external_id,
            identity.name,
            identity.kind,
            identity.status,
            facts.effective_environment,
            "a person" if identity.environment_edited else "the source",
            identity.owner.email if identity.owner else "",
            identity.source_owner,
            facts.effective_purpose,
            facts.privileged_count,
            facts.grant_count,
            facts.credential_count,
            use.state,
            use.at.isoformat() if use.at else "",
            identity.retired_at.isoformat() if identity.retired_at else "",
        )
