"""Everything that one person has not answered in a review goes to another."""

from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone

from governance.kernel.errors import DomainError, Forbidden
from governance.web.access import page
from governance.web.htmx import render_page
from reviews.decisions.reassigning import Outcome, reassign_all_of
from reviews.forms.fields import show_refusal
from reviews.forms.moving import MoveForm
from reviews.models import Campaign, ReviewItem
from reviews.selectors import access_campaign
from reviews.views.people import offer_people
from reviews.views.requests import PageRequest
from reviews.views.tabs import MANAGERS
from reviews.views.workbench import question_of

MOST_SHOWN = 100


@page(roles=MANAGERS)
def campaign_move(request: PageRequest, campaign_id: UUID) -> HttpResponse:
    """The form; POST moves and says per question what became of it."""
    campaign = access_campaign(actor=request.actor, campaign_id=campaign_id)
    initial = {"person": request.GET.get("person", "")[:36]}
    form = offer_people(MoveForm(request.POST or None, campaign=campaign, initial=initial), request)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                data = form.cleaned_data
                outcome = reassign_all_of(campaign=campaign, actor=request.actor, now=timezone.now(), **data)
            except Forbidden:
                raise
            except DomainError as refusal:
                status = refusal.status
                show_refusal(form, refusal)
            else:
                return _moved(request, campaign, form, outcome)
    context = {"campaign": campaign, "form": form}
    return render_page(
        request, "reviews/campaign_move.html", context, fragment="reviews/_move_form.html", status=status
    )


def _moved(request: PageRequest, campaign: Campaign, form: MoveForm, outcome: Outcome) -> HttpResponse:
    refused = [row for row in outcome.rows if not row.ok]
    shown = [row.item_id for row in refused[:MOST_SHOWN]]
    items = ReviewItem.objects.select_related("identity", "grant", "grant_version", "credential").in_bulk(shown)
    context = {
        "campaign": campaign,
        "outcome": outcome,
        "refused": [(items[row.item_id], question_of(items[row.item_id]), row.problem) for row in refused[:MOST_SHOWN]],
        "refused_count": len(refused),
        "more": max(0, len(refused) - MOST_SHOWN),
        "to": form.cleaned_data["to"],
        "person": form.cleaned_data["person"],
    }
    return render_page(request, "reviews/campaign_moved.html", context)
