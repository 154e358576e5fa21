"""Frameworks as pages and as a spreadsheet."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.console.frameworks.evidence import CSV_HEADER, csv_rows, section_lines, take_evidence
from governance.frameworks.loading import get_framework, load_frameworks
from governance.kernel.actors import Role
from governance.web.access import page
from governance.web.csv import stream_csv
from governance.web.htmx import render_page

# The figures are over the whole estate and the whole programme.
READERS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.AUDITOR)


@require_safe
@page(roles=READERS)
def framework_list(request: HttpRequest) -> HttpResponse:
    """The first framework; the others are a tab away."""
    return _framework_page(request, load_frameworks()[0].id)


@require_safe
@page(roles=READERS)
def framework_detail(request: HttpRequest, framework_id: str) -> HttpResponse:
    """One framework, control by control, with figures as they are now."""
    return _framework_page(request, framework_id)


@require_safe
@page(roles=READERS)  # type: ignore[arg-type] # a stream is a response too
def framework_csv(request: HttpRequest, framework_id: str) -> HttpResponseBase:
    """The same as a spreadsheet: one line per figure."""
    now = timezone.now()
    framework = get_framework(framework_id)
    evidence = take_evidence(now=now)
    return stream_csv(f"{framework.id}-{now:%Y-%m-%d}.csv", CSV_HEADER, csv_rows(framework, evidence))


def _framework_page(request: HttpRequest, framework_id: str) -> HttpResponse:
    now = timezone.now()
    framework = get_framework(framework_id)
    evidence = take_evidence(now=now)
    context = {
        "framework": framework,
        "sections": section_lines(framework, evidence),
        "taken_at": now,
        "tabs": [
            {
                "label": each.short,
                "url": reverse("console:framework_detail", args=[each.id]),
                "current": each.id == framework.id,
            }
            for each in load_frameworks()
        ],
    }
    return render_page(request, "console/framework.html", context)
