"""Tickets of an order: the panel that the order's page loads."""

from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.htmx import render_page
from reviews.forms.webhooks import TicketForm, show_refusal
from reviews.notices.tickets import note_ticket
from reviews.selectors import access_order
from reviews.states import OrderState
from reviews.views.requests import PageRequest

NOTERS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER)


@page()
def order_tickets(request: PageRequest, order_id: UUID) -> HttpResponse:
    """The tickets that other systems keep; POST notes one by hand."""
    order = access_order(actor=request.actor, order_id=order_id)
    form = TicketForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            note_ticket(order=order, **form.cleaned_data, actor=request.actor, now=timezone.now())
        except DomainError as refusal:
            show_refusal(form, refusal)
        else:
            form = TicketForm()
    may_note = request.actor.has_role(*NOTERS) and order.state == OrderState.TASK
    context = {
        "order": order,
        "tickets": list(order.tickets.select_related("endpoint").order_by("noted_at", "pk")),
        "form": form if may_note else None,
    }
    status = 422 if form.errors else 200
    return render_page(
        request, "reviews/order_tickets.html", context, fragment="reviews/_order_tickets.html", status=status
    )
