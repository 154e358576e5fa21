"""The result of a review in other hands: who acknowledged it, and its evidence as files."""

from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.downloads import file_download
from governance.web.htmx import render_page
from reviews import packs
from reviews.campaigns.acknowledging import (
    acknowledge,
    fingerprint,
    has_reviewed,
    is_current,
    latest_acknowledgement,
    numbers_of,
    usual_statement,
)
from reviews.campaigns.closing import require_campaign_manager
from reviews.forms.fields import show_refusal
from reviews.forms.signing import AcknowledgeForm
from reviews.models import Campaign, EvidencePack, PackState
from reviews.policies.signing import Signing
from reviews.selectors import access_campaign
from reviews.states import ENDED_CAMPAIGNS, OVER_CAMPAIGNS
from reviews.views.requests import PageRequest, passes
from reviews.views.tabs import MANAGERS, READERS, review_tabs

MOST_SHOWN = 20
UNDER_WAY = (PackState.WAITING, PackState.BUILDING)


@require_http_methods(["GET", "HEAD", "POST"])
@page(roles=READERS)
def campaign_evidence(request: PageRequest, campaign_id: UUID) -> HttpResponse:
    """The acknowledgement and the packs of a review; sending it asks for another pack."""
    campaign = packs.access_review(actor=request.actor, campaign_id=campaign_id)
    if request.method != "POST":
        return _show(request, campaign)
    try:
        packs.request_pack(campaign=campaign, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, campaign, refusal=refusal)
    messages.success(request, "Asked for. The pack is written in the background, as of a signed checkpoint.")
    return redirect("reviews:campaign_evidence", campaign_id=campaign.pk)


@require_POST
@page(roles=MANAGERS)
def campaign_acknowledge(request: PageRequest, campaign_id: UUID) -> HttpResponse:
    """Sign how the review ended."""
    campaign = access_campaign(actor=request.actor, campaign_id=campaign_id)
    form = AcknowledgeForm(request.POST)
    if not form.is_valid():
        return _show(request, campaign, form=form, status=422)
    said = form.cleaned_data
    try:
        acknowledge(
            campaign=campaign,
            statement=said["statement"],
            seen=said["seen"] or None,
            actor=request.actor,
            now=timezone.now(),
        )
    except DomainError as refusal:
        show_refusal(form, refusal)
        return _show(request, campaign, form=form, refusal=refusal)
    messages.success(request, "Acknowledged. Your name, the statement and the state it is about are kept.")
    return redirect("reviews:campaign_evidence", campaign_id=campaign.pk)


@require_safe
@page(roles=READERS)
def pack_download(request: PageRequest, pack_id: UUID) -> HttpResponse:
    """The file of a pack; taking it out is recorded."""
    pack = packs.access_pack(actor=request.actor, pack_id=pack_id)
    path = packs.take_out(pack=pack, actor=request.actor, now=timezone.now())
    file = file_download(path, packs.file_name(pack), content_type="application/zip")
    return cast(HttpResponse, file)


def _show(
    request: PageRequest,
    campaign: Campaign,
    *,
    form: AcknowledgeForm | None = None,
    refusal: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    found = list(packs.list_packs(campaign=campaign, actor=request.actor)[:MOST_SHOWN])
    context: dict[str, Any] = {
        "campaign": campaign,
        "packs": [(pack, _progress(pack)) for pack in found],
        "is_moving": any(pack.state in UNDER_WAY for pack in found),
        "may_pack": campaign.state in OVER_CAMPAIGNS,
        "refusal": refusal,
        "tabs": review_tabs(request.actor, ""),
        **_acknowledgement(request, campaign, form),
    }
    return render_page(
        request,
        "reviews/campaign_evidence.html",
        context,
        fragment="reviews/_campaign_evidence.html",
        status=refusal.status if refusal else status,
    )


def _progress(pack: EvidencePack) -> dict[str, int] | None:
    if pack.state not in UNDER_WAY:
        return None
    return {"done": pack.progress.get("done", 0), "of": pack.progress.get("of", 0)}


def _acknowledgement(request: PageRequest, campaign: Campaign, form: AcknowledgeForm | None) -> dict[str, Any]:
    """What was signed, whether it is still so, and whether this person may sign."""
    if campaign.state not in ENDED_CAMPAIGNS:
        return {"signed": None, "may_sign": False, "is_over": False}
    numbers, signed = numbers_of(campaign), latest_acknowledgement(campaign)
    initial = {"statement": usual_statement(campaign, numbers), "seen": fingerprint(numbers)}
    return {
        "is_over": True,
        "signed": signed,
        "is_current": signed is not None and is_current(signed, numbers),
        "may_sign": passes(require_campaign_manager, campaign, request.actor),
        "has_reviewed": _is_ruled_out(request, campaign),
        "acknowledge_form": form or AcknowledgeForm(initial=initial),
    }


def _is_ruled_out(request: PageRequest, campaign: Campaign) -> bool:
    person = request.actor.person_id
    if person is None or Signing.from_json(campaign.policy.get("signing", {})).reviewers_may_sign:
        return False
    return has_reviewed(campaign, person)
