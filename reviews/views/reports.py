"""What came of a review and how the programme stands, as pages to read and to print, and as numbers to take away."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.web.access import page
from governance.web.csv import stream_csv
from governance.web.htmx import render_page
from reviews.models import Campaign
from reviews.policies.calendar import InvalidRule
from reviews.quality import quality_of_people
from reviews.reports.campaign import campaign_report
from reviews.reports.clock import zone_for
from reviews.reports.flat import flat
from reviews.reports.period import CHOICES, NoSuchPeriod, Period, period_of
from reviews.reports.programme import programme
from reviews.selectors import access_campaign
from reviews.states import CampaignState
from reviews.views.programme_words import programme_context
from reviews.views.report_words import campaign_context, person_rows
from reviews.views.requests import PageRequest
from reviews.views.tabs import READERS

NOT_YET = (CampaignState.DRAFT, CampaignState.OPENING)


@require_safe
@page(roles=READERS)
def campaign_report_page(request: PageRequest, campaign_id: UUID) -> HttpResponse:
    """The report of one review. `zone` chooses the clock on which its days begin."""
    campaign = access_campaign(actor=request.actor, campaign_id=campaign_id)
    context: dict[str, Any] = {"campaign": campaign, "query": request.GET.urlencode()}
    if campaign.state in NOT_YET:
        return render_page(request, "reviews/campaign_report.html", context | {"not_yet": True})
    report, problem = _report_of(request, campaign)
    context |= campaign_context(report) | {"problem": problem}
    return _on_its_clock(request, "reviews/campaign_report.html", context, report["time_zone"])


@require_safe
@page(roles=READERS)
def campaign_report_json(request: PageRequest, campaign_id: UUID) -> HttpResponse:
    """The numbers of the report, as the API gives them."""
    campaign = access_campaign(actor=request.actor, campaign_id=campaign_id)
    response = JsonResponse(dict(_numbers_of(request, campaign)))
    response["Content-Disposition"] = f'attachment; filename="review-report-{campaign.pk}.json"'
    return response


@require_safe
@page(roles=READERS)  # type: ignore[arg-type] # a stream is a response too
def campaign_report_csv(request: PageRequest, campaign_id: UUID) -> HttpResponseBase:
    """The same as a spreadsheet: one figure per row."""
    campaign = access_campaign(actor=request.actor, campaign_id=campaign_id)
    rows = flat(_numbers_of(request, campaign))
    return stream_csv(f"review-report-{campaign.pk}.csv", ("figure", "value"), rows)


@require_safe
@page(roles=READERS)
def campaign_people(request: PageRequest, campaign_id: UUID) -> HttpResponse:
    """How everybody answered, person by person. Reading it leaves a record."""
    campaign = access_campaign(actor=request.actor, campaign_id=campaign_id)
    lines = quality_of_people(campaign=campaign, actor=request.actor, now=timezone.now())
    context = {"campaign": campaign, "rows": person_rows(lines)}
    return render_page(request, "reviews/campaign_people.html", context)


@require_safe
@page(roles=READERS)
def programme_page(request: PageRequest) -> HttpResponse:
    """The programme over a period, beside the one before. `from` and `to`, or `days` until today; `zone`."""
    now, problem = timezone.now(), ""
    try:
        period = _period(request)
    except (InvalidRule, NoSuchPeriod) as refusal:
        problem = refusal.message
        zone = zone_for("")
        period = period_of(first="", last="", days="", today=now.astimezone(zone).date(), zone=zone)
    report = programme(period, actor=request.actor, now=now)
    context = programme_context(report) | {
        "problem": problem,
        "query": request.GET.urlencode() if not problem else "",
        "choices": CHOICES,
        "chosen_days": None if request.GET.get("from") or request.GET.get("to") else period.days,
        "zone": request.GET.get("zone", ""),
    }
    return _on_its_clock(request, "reviews/programme.html", context, period.zone.key)


@require_safe
@page(roles=READERS)
def programme_json(request: PageRequest) -> HttpResponse:
    """The numbers of the programme's report."""
    report = programme(_period(request), actor=request.actor, now=timezone.now())
    response = JsonResponse(report)
    response["Content-Disposition"] = f'attachment; filename="programme-{report["period"]["last"]}.json"'
    return response


@require_safe
@page(roles=READERS)  # type: ignore[arg-type] # a stream is a response too
def programme_csv(request: PageRequest) -> HttpResponseBase:
    """The same as a spreadsheet: one figure per row."""
    report = programme(_period(request), actor=request.actor, now=timezone.now())
    return stream_csv(f"programme-{report['period']['last']}.csv", ("figure", "value"), flat(report))


def _on_its_clock(request: PageRequest, template: str, context: Mapping[str, Any], zone: str) -> HttpResponse:
    """The page with its times on the clock that it names; templates would print them in UTC."""
    with timezone.override(ZoneInfo(zone)):
        return render_page(request, template, dict(context), status=422 if context["problem"] else 200)


def _period(request: PageRequest) -> Period:
    asked = request.GET
    zone = zone_for(asked.get("zone", ""))
    return period_of(
        first=asked.get("from", ""),
        last=asked.get("to", ""),
        days=asked.get("days", ""),
        today=timezone.now().astimezone(zone).date(),
        zone=zone,
    )


def _report_of(request: PageRequest, campaign: Campaign) -> tuple[Mapping[str, Any], str]:
    """The report on the clock that was asked for; on the usual one, with the reason, where there is no such clock."""
    problem = ""
    try:
        zone = zone_for(request.GET.get("zone", ""), campaign)
    except InvalidRule as refusal:
        problem, zone = refusal.message, zone_for("", campaign)
    return campaign_report(campaign, now=timezone.now(), zone=zone), problem


def _numbers_of(request: PageRequest, campaign: Campaign) -> Mapping[str, Any]:
    return campaign_report(campaign, now=timezone.now(), zone=zone_for(request.GET.get("zone", ""), campaign))
