"""The inventory as a list: filter, sort, page through, download."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
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
from governance.web.filtered import FilteredPage
from governance.web.htmx import render_page
from governance.web.ndjson import stream_ndjson
from governance.web.pagination import KeysetPage, SortKey, chunks
from governance.web.tables import Column, Table
from identities.models import Identity, SavedViewPage
from identities.selectors.filters import InventoryFilter
from identities.selectors.inventory import list_identities
from identities.selectors.posture_picture import with_scores
from identities.selectors.use import with_last_use
from identities.services.exports import record_export
from identities.services.identities import EDITORS
from identities.views.identity_rows import IdentityRow, facts_of, row_of
from identities.views.lists import POSTURE, Listing, asked, found_page, list_context, push_address, unknown_apart
from identities.views.requests import PageRequest
from identities.views.saved_views import views_row

PANEL_ROWS = 20
BY_NAME = (SortKey("name"), SortKey("pk"))
LISTING = Listing(
    what="identities",
    words="identity,identities",
    table=Table(
        [
            Column("name", "Identity", sort="name", essential=True),
            Column("source", "Source"),
            Column("environment", "Environment"),
            Column("owner", "Owner"),
            Column("privileged", "Privileged", sort="privileged_count", numeric=True, is_crossed=True),
            Column("grants", "Grants", sort="grant_count", numeric=True, is_crossed=True, shown=False),
            Column("assurance", "Assurance"),
            Column("exposure", "Exposure"),
            Column("credentials", "Credentials", sort="credential_count", numeric=True, is_crossed=True, shown=False),
            Column("last_use", "Last used", sort="last_seen_at", nullable=True, is_crossed=True),
            Column("status", "Status"),
        ],
        default_sort="name",
    ),
    bar=("source", "kind", "environment", "owner", "privileged"),
    more=(
        *(
            "access",
            "segment",
            "path",
            "standing",
            "unused_days",
            "unknown_use_days",
            "new_days",
            "new_since",
            "tag",
            *POSTURE,
            "status",
        ),
        *("finding", "finding_severity", "retired"),
    ),
)


@require_safe
@page()
def identity_list(request: PageRequest) -> HttpResponse:
    """The inventory list; a filter that nobody could mean is answered with the reason and no rows."""
    now = timezone.now()
    wanted = asked(request, LISTING)
    found, summary = FilteredPage(), ""
    if wanted.problem is None:
        identities = with_scores(with_last_use(_identities(request.actor, now, wanted.filters)))
        found, summary = found_page(identities, wanted, LISTING, request)
    rows = found.page
    context = list_context(request, wanted, LISTING, list_url=reverse("identities:identity_list")) | {
        "page": KeysetPage([row_of(row, now) for row in rows.rows], rows.next_cursor, rows.previous_cursor),
        "summary": summary,
        "is_unsorted": found.is_unsorted,
        "unknown_apart": unknown_apart(partial(_identities, request.actor, now), wanted, LISTING),
        "may_import": request.actor.has_role(*EDITORS),
        "may_edit_many": request.actor.has_role(*EDITORS),
        **views_row(
            request,
            SavedViewPage.IDENTITIES,
            filter_text=wanted.filters.to_text(),
            can_save=wanted.problem is None,
        ),
        "csv_url": reverse("identities:identity_csv"),
        "ndjson_url": reverse("identities:identity_ndjson"),
    }
    status = wanted.problem.status if wanted.problem else 200
    response = render_page(
        request, "identities/identity_list.html", context, fragment="identities/_identity_table.html", status=status
    )
    push_address(response, request, wanted, LISTING)
    return response


def _identities(actor: Actor, now: datetime, filters: InventoryFilter) -> QuerySet[Identity]:
    return list_identities(actor=actor, filters=filters, now=now)


@require_safe
@page()  # type: ignore[arg-type] # a stream is a response too
def identity_csv(request: PageRequest) -> HttpResponseBase:
    """The whole filtered list as a file, streamed."""
    facts = _exported(request, "csv")
    header = tuple(facts_of(None, timezone.now()))
    return stream_csv(f"identities-{timezone.now():%Y-%m-%d}.csv", header, (tuple(row.values()) for row in facts))


@require_safe
@page()  # type: ignore[arg-type] # a stream is a response too
def identity_ndjson(request: PageRequest) -> HttpResponseBase:
    """The whole filtered list, one JSON object per line."""
    return stream_ndjson(f"identities-{timezone.now():%Y-%m-%d}.ndjson", _exported(request, "ndjson"))


@require_safe
@page()
def person_panel(request: PageRequest, user_id: UUID) -> HttpResponse:
    """The identities that one person answers for: a panel on their page."""
    person = access_person(request.actor, user_id)
    now = timezone.now()
    listed = list_identities(actor=request.actor, filters=InventoryFilter(), now=now).filter(owner=person)
    owned = with_scores(with_last_use(listed)).order_by("name", "pk")
    rows: list[IdentityRow] = [row_of(identity, now) for identity in owned[: PANEL_ROWS + 1]]
    context = {
        "rows": rows[:PANEL_ROWS],
        "person": person,
        "all_url": f"{reverse('identities:identity_list')}?{urlencode({'owner': person.email})}",
        "has_more": len(rows) > PANEL_ROWS,
    }
    return render_page(request, "identities/person_panel.html", context, fragment="identities/_person_panel.html")


def _exported(request: PageRequest, form: str) -> Iterator[dict[str, Any]]:
    """The rows of a download, whose record is written before the first of them leaves. Raises `InvalidFilter`."""
    now = timezone.now()
    filters = InventoryFilter.parse({name: str(value) for name, value in request.GET.items()})
    record_export(what="identities", form=form, filters=filters, actor=request.actor, now=now)
    identities = with_scores(with_last_use(list_identities(actor=request.actor, filters=filters, now=now)))
    return (facts_of(identity, now) for some in chunks(identities, BY_NAME) for identity in some)
