"""Findings as a list: filter, sort, page through, download; and those of one identity as a panel."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.web.access import page
from governance.web.csv import stream_csv
from governance.web.filtered import FilteredPage
from governance.web.htmx import render_page
from governance.web.ndjson import stream_ndjson
from governance.web.pagination import KeysetPage, SortKey, chunks
from governance.web.tables import Column, Table
from identities.models import SavedViewPage
from identities.models.finding import TO_DO
from identities.selectors.filters import InventoryFilter
from identities.selectors.findings import list_findings, list_open_findings
from identities.selectors.inventory import access_identity
from identities.services.exports import record_export
from identities.views.finding_rows import FACTS, finding_facts, finding_rows
from identities.views.lists import Listing, asked, found_page, list_context, push_address
from identities.views.requests import PageRequest
from identities.views.saved_views import views_row

PANEL_ROWS = 10
BY_URGENCY = (SortKey("severity", descending=True), SortKey("opened_at"), SortKey("pk"))
LISTING = Listing(
    what="findings",
    words="finding,findings",
    table=Table(
        [
            Column("finding", "Finding", sort="rule", then=("-severity", "opened_at"), essential=True),
            Column("severity", "Severity", sort="severity", then=("-opened_at",), is_crossed=True),
            Column("object", "Of", essential=True),
            Column("source", "Source"),
            Column("environment", "Environment"),
            Column("state", "State"),
            Column("assignee", "Assigned to"),
            Column("opened", "Open since"),
        ],
        default_sort="-severity",
    ),
    bar=("finding", "finding_severity", "finding_state", "source", "environment"),
    more=("owner", "finding_assignee", "kind", "privileged", "segment", "new_days", "new_since", "tag"),
)
STATES = (
    ("", "To be done"),
    ("accepted", "Accepted"),
    ("fixed", "Fixed"),
    ("accepted,assigned,fixed,open", "All"),
)


@require_safe
@page()
def finding_list(request: PageRequest) -> HttpResponse:
    """What is wrong, the worst first; a filter that nobody could mean is answered with the reason and no rows."""
    wanted = asked(request, LISTING)
    found, summary = FilteredPage(), ""
    if wanted.problem is None:
        findings = list_findings(actor=request.actor, filters=wanted.filters, now=timezone.now())
        shown = findings.defer("evidence", "arithmetic", "unjudged_why")
        found, summary = found_page(shown, wanted, LISTING, request)
    rows = found.page
    context = list_context(request, wanted, LISTING, list_url=reverse("identities:finding_list")) | {
        "page": KeysetPage(list(finding_rows(rows.rows)), rows.next_cursor, rows.previous_cursor),
        "summary": summary,
        "is_unsorted": found.is_unsorted,
        "states": _states(wanted.filters),
        "may_act": request.actor.auth_method != "mail_link",
        "csv_url": reverse("identities:finding_csv"),
        "ndjson_url": reverse("identities:finding_ndjson"),
        **views_row(
            request, SavedViewPage.FINDINGS, filter_text=wanted.filters.to_text(), can_save=wanted.problem is None
        ),
    }
    response = render_page(
        request,
        "identities/finding_list.html",
        context,
        fragment="identities/_finding_table.html",
        status=wanted.problem.status if wanted.problem else 200,
    )
    push_address(response, request, wanted, LISTING)
    return response


@require_safe
@page()  # type: ignore[arg-type] # a stream is a response too
def finding_csv(request: PageRequest) -> HttpResponseBase:
    """The whole filtered list as a file, streamed."""
    rows = (tuple(facts.values()) for facts in _exported(request, "csv"))
    return stream_csv(f"findings-{timezone.now():%Y-%m-%d}.csv", FACTS, rows)


@require_safe
@page()  # type: ignore[arg-type] # a stream is a response too
def finding_ndjson(request: PageRequest) -> HttpResponseBase:
    """The whole filtered list, one JSON object per line."""
    return stream_ndjson(f"findings-{timezone.now():%Y-%m-%d}.ndjson", _exported(request, "ndjson"))


@require_safe
@page()
def findings_of_identity(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """What is wrong with one identity: a panel on its page."""
    identity = access_identity(actor=request.actor, identity_id=identity_id)
    found = list(list_open_findings(identity).select_related("identity")[: PANEL_ROWS + 1])
    rows = finding_rows(found[:PANEL_ROWS])
    context: dict[str, Any] = {
        "identity": identity,
        "todo": [row for row in rows if row.state in TO_DO],
        "accepted": [row for row in rows if row.state not in TO_DO],
        "has_more": len(found) > PANEL_ROWS,
        "all_url": _list_of(identity),
    }
    return render_page(
        request, "identities/findings_of_identity.html", context, fragment="identities/_findings_of_identity.html"
    )


def _states(filters: InventoryFilter) -> list[dict[str, Any]]:
    """The same list by how far its findings have come."""
    return [
        {
            "label": label,
            "url": f"{reverse('identities:finding_list')}?{replace(filters, finding_state=states).to_text()}",
            "is_current": filters.finding_state == states,
        }
        for states, label in STATES
    ]


def _list_of(identity: Any) -> str:
    text = InventoryFilter(
        q=identity.external_id[:200], source=identity.source.slug, finding_state="accepted,assigned,open"
    ).to_text()
    return f"{reverse('identities:finding_list')}?{text}"


def _exported(request: PageRequest, form: str) -> Iterator[dict[str, Any]]:
    """The rows of a download, whose record is written before the first of them leaves. Raises `InvalidFilter`."""
    now = timezone.now()
    filters = InventoryFilter.parse({name: str(value) for name, value in request.GET.items()})
    record_export(what="findings", form=form, filters=filters, actor=request.actor, now=now)
    findings = list_findings(actor=request.actor, filters=filters, now=now).defer("evidence", "unjudged_why")
    return (facts for some in chunks(findings, BY_URGENCY) for facts in finding_facts(some))
