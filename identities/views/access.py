"""All access as one list: who may do what, anywhere."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.kernel.actors import Actor
from governance.web.access import page
from governance.web.csv import stream_csv
from governance.web.filtered import FilteredPage
from governance.web.htmx import render_page
from governance.web.ndjson import stream_ndjson
from governance.web.pagination import KeysetPage, SortKey, chunks
from governance.web.tables import Column, Table
from identities.models import Grant, SavedViewPage
from identities.selectors.access import list_grants
from identities.selectors.filters import InventoryFilter
from identities.services.exports import record_export
from identities.views.access_rows import FACTS, access_facts, access_rows
from identities.views.lists import POSTURE, Listing, asked, found_page, list_context, push_address, unknown_apart
from identities.views.requests import PageRequest
from identities.views.saved_views import views_row

BY_LABEL = (SortKey("label"), SortKey("pk"))
LISTING = Listing(
    what="grants",
    words="grant,grants",
    table=Table(
        [
            Column("access", "Access", sort="label", essential=True),
            Column("identity", "Held by", essential=True),
            Column("source", "Source"),
            Column("segment", "Reaches"),
            Column("path", "How it is held"),
            Column("environment", "Environment"),
            Column("ends", "Ends", shown=False),
            Column("first_seen", "First seen", sort="first_seen_at", is_crossed=True),
        ],
        default_sort="access",
    ),
    bar=("source", "segment", "privileged", "environment", "kind"),
    more=(
        *(
            "q",
            "path",
            "standing",
            "new_days",
            "new_since",
            "owner",
            "unused_days",
            "unknown_use_days",
            "tag",
            *POSTURE,
            "status",
        ),
        *("finding", "finding_severity", "retired"),
    ),
    # These stand together in an index of their own.
    walked=frozenset({InventoryFilter(privileged="yes")}),
)


@require_safe
@page()
def access_list(request: PageRequest) -> HttpResponse:
    """Every grant; a filter that nobody could mean is answered with the reason and no rows."""
    wanted = asked(request, LISTING)
    found, summary = FilteredPage(), ""
    rows_of = partial(_grants, request.actor, timezone.now())
    if wanted.problem is None:
        found, summary = found_page(rows_of(wanted.filters), wanted, LISTING, request)
    rows = found.page
    context = list_context(request, wanted, LISTING, list_url=reverse("identities:access_list")) | {
        "page": KeysetPage(list(access_rows(rows.rows)), rows.next_cursor, rows.previous_cursor),
        "summary": summary,
        "is_unsorted": found.is_unsorted,
        "unknown_apart": unknown_apart(rows_of, wanted, LISTING),
        "csv_url": reverse("identities:access_csv"),
        "ndjson_url": reverse("identities:access_ndjson"),
        **views_row(
            request, SavedViewPage.ACCESS, filter_text=wanted.filters.to_text(), can_save=wanted.problem is None
        ),
    }
    status = wanted.problem.status if wanted.problem else 200
    response = render_page(
        request, "identities/access_list.html", context, fragment="identities/_access_table.html", status=status
    )
    push_address(response, request, wanted, LISTING)
    return response


@require_safe
@page()  # type: ignore[arg-type] # a stream is a response too
def access_csv(request: PageRequest) -> HttpResponseBase:
    """The whole filtered list as a file, streamed."""
    rows = (tuple(facts.values()) for facts in _exported(request, "csv"))
    return stream_csv(f"access-{timezone.now():%Y-%m-%d}.csv", FACTS, rows)


@require_safe
@page()  # type: ignore[arg-type] # a stream is a response too
def access_ndjson(request: PageRequest) -> HttpResponseBase:
    """The whole filtered list, one JSON object per line."""
    return stream_ndjson(f"access-{timezone.now():%Y-%m-%d}.ndjson", _exported(request, "ndjson"))


def _grants(actor: Actor, now: datetime, filters: InventoryFilter) -> QuerySet[Grant]:
    return list_grants(actor=actor, filters=filters, now=now)


def _exported(request: PageRequest, form: str) -> Iterator[dict[str, Any]]:
    """The rows of a download, whose record is written before the first of them leaves. Raises `InvalidFilter`."""
    now = timezone.now()
    filters = InventoryFilter.parse({name: str(value) for name, value in request.GET.items()})
    record_export(what="grants", form=form, filters=filters, actor=request.actor, now=now)
    grants = list_grants(actor=request.actor, filters=filters, now=now)
    return (facts for some in chunks(grants, BY_LABEL) for facts in access_facts(some))
