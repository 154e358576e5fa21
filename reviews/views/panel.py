"""What reviews know about one identity: the panel that the identity's page loads."""

from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.web.access import page
from governance.web.htmx import render_page
from identities.selectors.inventory import access_identity
from reviews.campaigns.next_review import next_review_of
from reviews.models import Decision
from reviews.selectors import UNDECIDED, hidden_answers, list_orders, visible_items
from reviews.states import CampaignState
from reviews.views.requests import PageRequest
from reviews.views.workbench import question_of

MOST_SHOWN = 10


@require_safe
@page()
def of_identity(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """Open questions, past answers and orders of an identity, as far as the person may see them."""
    identity = access_identity(actor=request.actor, identity_id=identity_id)
    items = visible_items(request.actor).filter(identity=identity)
    waiting = items.filter(state__in=UNDECIDED, campaign__state=CampaignState.OPEN).select_related(
        "campaign", "assignee", "identity", "grant", "grant_version", "credential"
    )
    decisions = Decision.objects.filter(item__in=items.values("pk"), recalls=None, recalled_by=None).select_related(
        "decided_by", "item__grant", "item__credential", "item__campaign"
    )
    decisions = decisions.exclude(hidden_answers(items, request.actor))
    context = {
        "identity": identity,
        # A page that has a place for the date asks for it.
        "tells_next": "next" in request.GET and identity.retired_at is None,
        "next": next_review_of(identity_id=identity.pk, now=timezone.now()) if identity.retired_at is None else None,
        "questions": [
            (item, question_of(item))
            for item in waiting.order_by("-is_privileged", "campaign__deadline_at", "pk")[:MOST_SHOWN]
        ],
        "decisions": list(decisions.order_by("-decided_at", "-pk")[:MOST_SHOWN]),
        "orders": list(list_orders(actor=request.actor).filter(identity=identity)[:MOST_SHOWN]),
    }
    return render_page(request, "reviews/of_identity.html", context, fragment="reviews/_of_identity.html")
