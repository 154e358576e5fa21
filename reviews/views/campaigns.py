"""Reviews as pages: which run, how far they are, what they are about, and ending them."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Count, Exists, Q
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.charts import Segment
from governance.web.htmx import render_page
from governance.web.pagination import SortKey, paginate
from reviews.campaigns.closing import (
    cancel_campaign,
    close_campaign,
    release_campaign,
    require_campaign_manager,
)
from reviews.campaigns.rounds import ask_again, list_rounds
from reviews.campaigns.silent import silent_items
from reviews.forms.campaigns import CancelForm, ReleaseForm
from reviews.forms.fields import show_refusal
from reviews.forms.stages import stage_lines, strategy_tables
from reviews.models import Campaign, ReviewerRule, ReviewItem
from reviews.policies.rounds import MOST_ROUNDS
from reviews.policies.stages import Stages
from reviews.selectors import (
    UNDECIDED,
    access_campaign,
    answered_by_deadline,
    campaign_progress,
    count_by_deadline,
    count_questions,
    list_campaigns,
    list_items,
    list_schedules,
    opening_progress,
    order_progress,
    rows_of,
    standing_answers,
)
from reviews.states import CAMPAIGN_MOVES, ENDED_CAMPAIGNS, CampaignState, ItemState
from reviews.views.deadlines import deadline_rows
from reviews.views.requests import PageRequest, passes
from reviews.views.tabs import MANAGERS, READERS, review_tabs
from reviews.views.trigger import opened_by
from reviews.views.workbench import plain_of

RUNNING = (CampaignState.DRAFT, CampaignState.OPENING, CampaignState.OPEN, CampaignState.CLOSING)
ITEM_ORDER = (SortKey("is_privileged", descending=True), SortKey("identity__name"), SortKey("pk"))
NEWEST = (SortKey("created_at", descending=True), SortKey("pk", descending=True))
MOST_COMING = 6
TONES = {
    ItemState.OPEN: "warn",
    ItemState.ATTESTED: "info",
    ItemState.DECIDED: "success",
    ItemState.EXPIRED: "danger",
    ItemState.CANCELLED: "unknown",
}
LABELS = {
    ItemState.OPEN: "open",
    ItemState.ATTESTED: "attested",
    ItemState.DECIDED: "decided",
    ItemState.EXPIRED: "expired",
    ItemState.CANCELLED: "cancelled",
}


@require_safe
@page()
def campaign_list(request: PageRequest) -> HttpResponse:
    """Running reviews, what comes next, and what is over. Who neither runs nor audits reviews goes to the inbox."""
    if not request.actor.has_role(*READERS):
        return redirect("reviews:inbox")
    campaigns = list_campaigns(actor=request.actor)
    past = paginate(campaigns.exclude(state__in=RUNNING), NEWEST, cursor=request.GET.get("cursor", ""), size=25)
    running = list(campaigns.filter(state__in=RUNNING).order_by("deadline_at", "pk")[:100])
    counts = count_questions([*running, *past.rows])
    coming = list_schedules(actor=request.actor).filter(is_enabled=True, next_due_at__isnull=False)
    context = {
        "running": [(campaign, *counts[campaign.pk]) for campaign in running],
        "coming": list(coming.order_by("next_due_at", "pk")[:MOST_COMING]),
        "page": past,
        "past": [(campaign, counts[campaign.pk][0]) for campaign in past.rows],
        "may_plan": request.actor.has_role(*MANAGERS),
        "tabs": review_tabs(request.actor, "reviews"),
    }
    return render_page(request, "reviews/campaign_list.html", context, fragment="reviews/_campaign_table.html")


@require_safe
@page(roles=READERS)
def campaign_detail(request: PageRequest, campaign_id: UUID) -> HttpResponse:
    """One review: progress, who has how much to answer, its questions, its sources and its orders."""
    campaign = access_campaign(actor=request.actor, campaign_id=campaign_id)
    if request.headers.get("HX-Target") == "campaign-progress":
        context = {"campaign": campaign, **_progress(campaign)}
        response = render_page(
            request, "reviews/campaign_detail.html", context, fragment="reviews/_campaign_progress.html"
        )
        if not context["is_moving"]:
            # Only a page that shows an earlier state asks: all of it is out of date now.
            response["HX-Refresh"] = "true"
        return response
    return _show(request, campaign)


@require_POST
@page(roles=MANAGERS)
def campaign_close(request: PageRequest, campaign_id: UUID) -> HttpResponse:
    """Stop taking answers before the deadline."""
    campaign = access_campaign(actor=request.actor, campaign_id=campaign_id)
    try:
        close_campaign(campaign=campaign, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, campaign, refusal=refusal)
    messages.success(request, "Closing. The deadline policy now speaks for what nobody answered.")
    return redirect("reviews:campaign_detail", campaign_id=campaign.pk)


@require_POST
@page(roles=MANAGERS)
def campaign_ask_again(request: PageRequest, campaign_id: UUID) -> HttpResponse:
    """A further round over what nobody answered."""
    campaign = access_campaign(actor=request.actor, campaign_id=campaign_id)
    try:
        following = ask_again(campaign=campaign, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, campaign, refusal=refusal)
    messages.success(request, "Asking again. The round holds only what stayed unanswered.")
    return redirect("reviews:campaign_detail", campaign_id=following.pk)


@require_POST
@page(roles=MANAGERS)
def campaign_cancel(request: PageRequest, campaign_id: UUID) -> HttpResponse:
    """Call a review off, with a reason."""
    campaign = access_campaign(actor=request.actor, campaign_id=campaign_id)
    form = CancelForm(request.POST)
    if not form.is_valid():
        return _show(request, campaign, cancel_form=form, status=422)
    try:
        cancel_campaign(campaign=campaign, reason=form.cleaned_data["reason"], actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        show_refusal(form, refusal)
        return _show(request, campaign, cancel_form=form, refusal=refusal)
    messages.success(request, "Called off. Answers that were given stand; open questions ended.")
    return redirect("reviews:campaign_detail", campaign_id=campaign.pk)


@require_POST
@page(roles=MANAGERS)
def campaign_release(request: PageRequest, campaign_id: UUID) -> HttpResponse:
    """Let a review open that waits for its sources, with a reason."""
    campaign = access_campaign(actor=request.actor, campaign_id=campaign_id)
    form = ReleaseForm(request.POST)
    if not form.is_valid():
        return _show(request, campaign, release_form=form, status=422)
    try:
        release_campaign(campaign=campaign, reason=form.cleaned_data["reason"], actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        show_refusal(form, refusal)
        return _show(request, campaign, release_form=form, refusal=refusal)
    messages.success(request, "Released. It opens now, with a warning about its sources.")
    return redirect("reviews:campaign_detail", campaign_id=campaign.pk)


def _show(
    request: PageRequest,
    campaign: Campaign,
    *,
    cancel_form: CancelForm | None = None,
    release_form: ReleaseForm | None = None,
    refusal: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    chosen = _chosen(request)
    places = list_items(campaign, **chosen).values(*(key.name for key in ITEM_ORDER))
    found = paginate(places, ITEM_ORDER, cursor=request.GET.get("cursor", ""), size=50)
    rows = rows_of([place["pk"] for place in found.rows])
    answers = {each.item_id: each for each in standing_answers(rows)}
    moves = CAMPAIGN_MOVES[CampaignState(campaign.state)]
    manages = passes(require_campaign_manager, campaign, request.actor)
    context: dict[str, Any] = {
        "campaign": campaign,
        "page": found,
        "rows": [(item, plain_of(item)[:1], answers.get(item.pk)) for item in rows],
        "load": _load(campaign),
        "chosen": chosen,
        "item_states": [(state.value, LABELS[state].capitalize()) for state in ItemState],
        "deadline_rows": deadline_rows(campaign),
        "reviewer_rules": [ReviewerRule(rule).label for rule in campaign.reviewer_rules],
        "stages": stage_lines(Stages.of(campaign.policy)),
        "tables": strategy_tables(),
        "orders": _order_counts(campaign),
        "may_close": manages and CampaignState.CLOSING in moves and campaign.state == CampaignState.OPEN,
        "may_cancel": manages and CampaignState.CANCELLED in moves,
        **_rounds(campaign, manages),
        "cancel_form": cancel_form or CancelForm(),
        "held": _held(campaign),
        "may_release": manages and _held(campaign) is not None,
        "release_form": release_form or ReleaseForm(),
        "refusal": refusal,
        "opened_by": opened_by(campaign),
        "tabs": review_tabs(request.actor, ""),
        "sources": [
            source | {"read": parse_datetime(source["read_at"]) if source.get("read_at") else None}
            for source in campaign.frozen.get("sources", [])
        ],
        **_progress(campaign),
    }
    status = refusal.status if refusal else status
    return render_page(
        request, "reviews/campaign_detail.html", context, fragment="reviews/_campaign_items.html", status=status
    )


def _held(campaign: Campaign) -> dict[str, Any] | None:
    """What a draft waits for, or None where it does not wait."""
    if campaign.state != CampaignState.DRAFT or "released" in campaign.frozen:
        return None
    held: dict[str, Any] | None = campaign.frozen.get("held")
    return held and held | {"since": parse_datetime(held["since"])}


def _progress(campaign: Campaign) -> dict[str, Any]:
    if campaign.state in {CampaignState.DRAFT, CampaignState.OPENING}:
        return {"opening": opening_progress(campaign), "is_moving": True}
    counts, by_deadline = campaign_progress(campaign), count_by_deadline(campaign)
    segments = [Segment(counts[state], LABELS[state], TONES[state]) for state in ItemState if counts[state]]
    if by_deadline:
        # What a person answered and what silence came to are two different things.
        segments = [each for each in segments if each.label != LABELS[ItemState.DECIDED]]
        segments.insert(0, Segment(by_deadline, "by the deadline policy", "warn"))
        segments.insert(0, Segment(counts[ItemState.DECIDED] - by_deadline, "decided", TONES[ItemState.DECIDED]))
    return {
        "counts": counts,
        "asked": counts["total"] - counts[ItemState.CANCELLED],
        "answered": counts[ItemState.DECIDED] - by_deadline,
        "segments": segments,
        "is_moving": campaign.state == CampaignState.CLOSING,
    }


def _order_counts(campaign: Campaign) -> list[tuple[str, int]]:
    """By state, where there are any; what a brake holds is not called planned."""
    counts = order_progress(campaign)
    counts["planned"] -= counts["held"]
    return [(state, count) for state, count in counts.items() if count and state != "total"]


def _rounds(campaign: Campaign, manages: bool) -> dict[str, Any]:
    """The rounds of this review, and whether it can be asked again from here."""
    if campaign.state not in ENDED_CAMPAIGNS and campaign.first_round_id is None:
        return {"rounds": [], "silent": 0, "may_ask_again": False}
    rounds = list_rounds(campaign)
    silent = silent_items(campaign).count() if campaign.state in ENDED_CAMPAIGNS else 0
    is_last = rounds[-1].pk == campaign.pk
    return {
        "rounds": rounds if len(rounds) > 1 else [],
        "silent": silent,
        "may_ask_again": manages and bool(silent) and is_last and campaign.round <= MOST_ROUNDS,
    }


def _load(campaign: Campaign) -> list[dict[str, Any]]:
    """Who is asked how much, the most waiting first."""
    counted = (
        ReviewItem.objects.filter(campaign=campaign)
        .values("assignee_id", "assignee__name", "assignee__email")
        .annotate(
            total=Count("pk", filter=~Q(state=ItemState.CANCELLED)),
            undecided=Count("pk", filter=Q(state__in=UNDECIDED)),
            answered=Count("pk", filter=Q(~Exists(answered_by_deadline()), state=ItemState.DECIDED)),
        )
        .order_by("-undecided", "assignee__name", "assignee_id")
    )
    return [dict(row) for row in counted[:50]]


def _chosen(request: PageRequest) -> dict[str, Any]:
    state, assignee = request.GET.get("state", ""), request.GET.get("assignee", "")
    try:
        person = UUID(assignee) if assignee else None
    except ValueError:
        person = None
    return {
        "state": state if state in list(ItemState) else "",
        "assignee": person,
        "only_escalated": request.GET.get("escalated") == "yes",
    }
