"""How far decisions follow the recommendations: a panel on the page of a review."""

from uuid import UUID

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from governance.web.access import page
from governance.web.htmx import render_page
from reviews.agreement import agreement_of
from reviews.selectors import access_campaign
from reviews.views.requests import PageRequest
from reviews.views.tabs import READERS


@require_safe
@page(roles=READERS)
def campaign_agreement(request: PageRequest, campaign_id: UUID) -> HttpResponse:
    """The share of people's decisions that follow the recommendation, by recommendation."""
    campaign = access_campaign(actor=request.actor, campaign_id=campaign_id)
    context = {"campaign": campaign, "agreement": agreement_of(campaign)}
    return render_page(request, "reviews/agreement.html", context, fragment="reviews/_agreement.html")
