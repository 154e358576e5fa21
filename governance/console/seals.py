"""What holds the trail together: the places outside that keep its checkpoints, the decision log's seals, the guards."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from governance.audit.checks import find_drift
from governance.audit.drift import open_doors
from governance.audit.lineage import current_epoch
from governance.audit.places import list_places
from governance.audit.stream import lag
from governance.console.trail import READERS
from governance.web.access import page
from governance.web.htmx import render_page


@require_safe
@page(roles=READERS)
def audit_seals(request: HttpRequest) -> HttpResponse:
    """Whether what proves the trail is where it should be, and what is not."""
    places = list_places()
    context = {
        "epoch": current_epoch(),
        "places": places,
        "failing": [place for place in places if place.failure],
        "lag": lag(),
        "drift": find_drift(),
        "doors": open_doors(),
    }
    return render_page(request, "console/audit_seals.html", context)
