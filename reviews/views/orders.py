"""Orders as pages: what is to change at the sources, what happened, and what a person can still do about it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission, describe
from governance.web.access import page
from governance.web.htmx import is_fragment, render_page
from governance.web.pagination import SortKey, paginate
from governance.web.statuses import look_of
from identities.connectors.contract import Plan
from identities.selectors.inventory import list_sources
from reviews import remediation
from reviews.decisions import list_awaiting, refuse, release
from reviews.decisions.releasing import why_not
from reviews.evidence import difference
from reviews.forms.orders import ProtestForm, ReleaseForm, RestoreForm, SettleForm, TaskForm, UrgentForm
from reviews.models import Order, OrderAction, OrderStage
from reviews.remediation.releasing import RELEASERS, call_off_order, may_be_called_off
from reviews.remediation.restoring import RESTORABLE
from reviews.remediation.retrying import RETRYABLE
from reviews.remediation.urgency import hold_of, may_release_urgently, release_urgently, urgency_of
from reviews.remediation.watching import may_protest, uses_since_locked
from reviews.remediation.windows import Calendar, Hold
from reviews.selectors import access_order, count_open_brakes, list_orders
from reviews.states import ORDER_MOVES, SETTLED_ORDERS, OrderState
from reviews.views.native import native_change
from reviews.views.order_board import LOOK, board_of, why_of
from reviews.views.order_steps import ends_in_remit, steps_of
from reviews.views.outcomes import outcome_of, step_lines
from reviews.views.requests import PageRequest
from reviews.views.tabs import READERS

MOST_SOURCES = 300
VIEWS: dict[str, tuple[str, tuple[OrderState, ...] | None]] = {
    "open": ("Under way", None),
    "second": ("Waiting for you", ()),
    "look": ("Need a look", LOOK),
    "tasks": ("Tasks for people", (OrderState.TASK,)),
    "settled": ("Settled", tuple(SETTLED_ORDERS)),
    "all": ("All", ()),
}
DOERS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER)
# A page that shows how an order moves looks often; one that waits for people or for a date, at a calm pace.
SOON = timedelta(minutes=5)
MOVING_PACE, CALM_PACE = "3s", "20s"


@require_safe
@page()
def order_list(request: PageRequest) -> HttpResponse:
    """Orders by what they need, newest first; above them what is stuck and why."""
    chosen = _chosen(request)
    visible, calendar = list_orders(actor=request.actor), Calendar(timezone.now())
    waiting = list_awaiting(actor=request.actor)
    orders = waiting if chosen["view"] == "second" else _in_view(visible, chosen["view"])
    for name, field in {"state": "state", "action": "action", "source": "source__slug"}.items():
        if chosen[name]:
            orders = orders.filter(**{field: chosen[name]})
    keys = (SortKey("created_at", descending=True), SortKey("pk", descending=True))
    found = paginate(orders, keys, cursor=request.GET.get("cursor", ""))
    context = {
        "tabs": _tabs(request, chosen["view"], waiting.count()),
        "chosen": chosen,
        "view": chosen["view"],
        "brakes": count_open_brakes(actor=request.actor),
        "restored": len(calendar.restored),
        "is_filtered": any(chosen[name] for name in ("state", "action", "source")),
        "states": [(state.value, look_of(state).label) for state in OrderState],
        "actions": OrderAction.choices,
        "sources": list_sources(actor=request.actor).order_by("name").values_list("slug", "name")[:MOST_SOURCES],
        "board": board_of(visible, calendar) if chosen["view"] == "open" else None,
        "page": found,
        "rows": [_row(order, calendar) for order in found.rows],
        "may_see_windows": request.actor.has_role(*READERS),
    }
    return render_page(request, "reviews/order_list.html", context, fragment="reviews/_order_table.html")


def _row(order: Order, calendar: Calendar) -> tuple[Order, str, Hold | None]:
    hold = hold_of(order, calendar)
    return order, why_of(order, hold), _holding(order, hold, calendar.now)


def _holding(order: Order, hold: Hold | None, now: datetime) -> Hold | None:
    """The hold, where nothing else keeps the order from being sent: one that is planned for later says when itself."""
    return hold if hold is not None and order.execute_after - now < SOON else None


def _chosen(request: PageRequest) -> dict[str, str]:
    """The filters of the address; what nothing can match is left out."""
    view, state, action = (request.GET.get(name, "") for name in ("view", "state", "action"))
    return {
        "view": view if view in VIEWS else "open",
        "state": state if state in set(OrderState) else "",
        "action": action if action in OrderAction.values else "",
        "source": request.GET.get("source", "")[:200].replace("\x00", ""),
    }


def _in_view(orders: QuerySet[Order], view: str) -> QuerySet[Order]:
    states = VIEWS[view][1]
    if states is None:
        return orders.exclude(state__in=SETTLED_ORDERS)
    return orders.filter(state__in=states) if states else orders


def _tabs(request: PageRequest, view: str, waiting: int) -> list[dict[str, Any]]:
    shown = {name: label for name, (label, _) in VIEWS.items() if name != "second" or request.actor.has_role(*DOERS)}
    return [
        {
            "label": label,
            "url": f"?view={name}",
            "current": name == view,
            "count": waiting if name == "second" else None,
        }
        for name, label in shown.items()
    ]


@require_safe
@page()
def order_detail(request: PageRequest, order_id: UUID) -> HttpResponse:
    """One order: plan, life, outcome, and what can still be done."""
    order = access_order(actor=request.actor, order_id=order_id)
    return _show(request, order)


@require_POST
@page(roles=DOERS)
def order_restore(request: PageRequest, order_id: UUID) -> HttpResponse:
    """Bring back what the order took away, for some days."""
    order = access_order(actor=request.actor, order_id=order_id)
    form = RestoreForm(request.POST)
    if not form.is_valid():
        return _show(request, order, restore_form=form, status=422)
    try:
        restoration = remediation.restore_order(
            order=order,
            reason=form.cleaned_data["reason"],
            days=form.cleaned_data["days"],
            actor=request.actor,
            now=timezone.now(),
        )
    except DomainError as refusal:
        return _show(request, order, restore_form=form, refusal=refusal)
    messages.success(request, "Restoring. The access ends again on the date you chose.")
    return redirect("reviews:order_detail", order_id=restoration.pk)


@require_POST
@page(roles=DOERS)
def order_retry(request: PageRequest, order_id: UUID) -> HttpResponse:
    """Plan a stopped order anew and send it."""
    order = access_order(actor=request.actor, order_id=order_id)
    try:
        remediation.retry_order(order=order, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, order, refusal=refusal)
    messages.success(request, "Planned again, against the source as it is now.")
    return redirect("reviews:order_detail", order_id=order.pk)


@require_POST
@page(roles=DOERS)
def order_settle(request: PageRequest, order_id: UUID) -> HttpResponse:
    """Let an order rest that cannot be verified, with a reason."""
    order = access_order(actor=request.actor, order_id=order_id)
    form = SettleForm(request.POST)
    if not form.is_valid():
        return _show(request, order, settle_form=form, status=422)
    try:
        remediation.settle_order(
            order=order,
            reason=form.cleaned_data["reason"],
            actor=request.actor,
            now=timezone.now(),
        )
    except DomainError as refusal:
        return _show(request, order, settle_form=form, refusal=refusal)
    messages.success(request, "Settled. The trail says who let it rest, and why.")
    return redirect("reviews:order_detail", order_id=order.pk)


@require_POST
@page(roles=RELEASERS)
def order_call_off(request: PageRequest, order_id: UUID) -> HttpResponse:
    """Keep after all what a deadline would take away."""
    order = access_order(actor=request.actor, order_id=order_id)
    reason = request.POST.get("reason", "")
    try:
        call_off_order(order=order, reason=reason, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, order, refusal=refusal)
    messages.success(request, "Called off. The access stays for now, and the question counts as escalated.")
    return redirect("reviews:order_detail", order_id=order.pk)


@require_POST
@page(roles=DOERS)
def order_release(request: PageRequest, order_id: UUID) -> HttpResponse:
    """A second person lets the order be sent."""
    return _answer_as_second(request, order_id, release, "Released. It is sent as soon as its time has come.")


@require_POST
@page(roles=DOERS)
def order_refuse(request: PageRequest, order_id: UUID) -> HttpResponse:
    """A second person does not let the order be sent."""
    return _answer_as_second(request, order_id, refuse, "Refused. Nothing is changed at the source.")


def _answer_as_second(request: PageRequest, order_id: UUID, use_case: Any, done: str) -> HttpResponse:
    order = access_order(actor=request.actor, order_id=order_id)
    form = ReleaseForm(request.POST)
    if not form.is_valid():
        return _show(request, order, release_form=form, status=422)
    try:
        use_case(order=order, reason=form.cleaned_data["reason"], actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, order, release_form=form, refusal=refusal)
    messages.success(request, done)
    return redirect("reviews:order_detail", order_id=order.pk)


@require_POST
@page(roles=DOERS)
def order_release_urgently(request: PageRequest, order_id: UUID) -> HttpResponse:
    """One of two people says that the order does not wait for its window."""
    order = access_order(actor=request.actor, order_id=order_id)
    form = UrgentForm(request.POST, auto_id="id_urgent_%s")
    if not form.is_valid():
        return _show(request, order, urgent_form=form, status=422)
    try:
        urgency = release_urgently(
            order=order, reason=form.cleaned_data["reason"], actor=request.actor, now=timezone.now()
        )
    except DomainError as refusal:
        return _show(request, order, urgent_form=form, refusal=refusal)
    agreed = "Agreed. It is sent now, outside its window."
    messages.success(request, agreed if urgency.second_at else "Noted. A second person has to agree before it is sent.")
    return redirect("reviews:order_detail", order_id=order.pk)


@require_POST
@page()
def order_protest(request: PageRequest, order_id: UUID) -> HttpResponse:
    """Somebody says that a lock-out broke something."""
    order = access_order(actor=request.actor, order_id=order_id)
    form = ProtestForm(request.POST)
    if not form.is_valid():
        return _show(request, order, protest_form=form, status=422)
    try:
        remediation.protest(order=order, reason=form.cleaned_data["reason"], actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, order, protest_form=form, refusal=refusal)
    messages.success(request, "The lock is being taken off.")
    return redirect("reviews:order_detail", order_id=order.pk)


@require_POST
@page()
def order_task_done(request: PageRequest, order_id: UUID) -> HttpResponse:
    """Somebody reports that the task is done; the source has the last word."""
    order = access_order(actor=request.actor, order_id=order_id)
    form = TaskForm(request.POST)
    if not form.is_valid():
        return _show(request, order, task_form=form, status=422)
    try:
        remediation.report_task_done(
            order=order,
            note=form.cleaned_data["note"],
            actor=request.actor,
            now=timezone.now(),
        )
    except DomainError as refusal:
        return _show(request, order, task_form=form, refusal=refusal)
    messages.success(request, "Thank you. The order closes when a later reading of the source shows it.")
    return redirect("reviews:order_detail", order_id=order.pk)


def _show(
    request: PageRequest,
    order: Order,
    *,
    restore_form: RestoreForm | None = None,
    task_form: TaskForm | None = None,
    settle_form: SettleForm | None = None,
    release_form: ReleaseForm | None = None,
    protest_form: ProtestForm | None = None,
    urgent_form: UrgentForm | None = None,
    refusal: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    may_act = request.actor.has_role(*DOERS)
    waits = order.state == OrderState.AWAITING_SECOND
    refused_because = why_not(order, request.actor) if waits else ""
    hold = hold_of(order, Calendar(timezone.now())) if order.state == OrderState.PLANNED else None
    holding = _holding(order, hold, timezone.now())
    context: dict[str, Any] = {
        "order": order,
        "refusal": refusal,
        "steps": steps_of(order, holding),
        "outcome": outcome_of(order, hold),
        "release_form": (release_form or ReleaseForm()) if waits and not refused_because else None,
        "release_refused": refused_because,
        "protest_form": (protest_form or ProtestForm(auto_id="id_protest_%s"))
        if may_protest(order, request.actor)
        else None,
        "lock": native_change(Plan.from_json(order.lock_plan)) if order.lock_plan else None,
        "lock_steps": order.lock_plan["steps"] if order.lock_plan else [],
        # Of what was used only the last time is kept, so once the lock is off nobody can tell.
        "uses": uses_since_locked(order) if order.state == OrderState.WATCHING else None,
        "watch": order.evidence.get("watch", {}),
        "next_attempt": order.execute_after if order.state == OrderState.PLANNED and order.attempts else None,
        "hold": hold,
        "holding": holding,
        "urgency": urgency_of(order),
        "urgent_form": (urgent_form or UrgentForm(auto_id="id_urgent_%s"))
        if hold is not None and may_release_urgently(order, request.actor, timezone.now())
        else None,
        "step_lines": step_lines(order),
        "ends_in_remit": ends_in_remit(order),
        "native": native_change(Plan.from_json(order.plan)) if order.plan else None,
        "side_effects": order.plan["side_effects"] if order.plan else [],
        "lines": _difference(order),
        "still_effective": order.evidence.get("still_effective", []),
        "restore_form": (restore_form or RestoreForm()) if may_act and _is_restorable(order) else None,
        "task_form": (task_form or TaskForm())
        if order.state == OrderState.TASK and order.task_reported_at is None
        else None,
        "settle_form": (settle_form or SettleForm())
        if may_act and OrderState.SETTLED in ORDER_MOVES[OrderState(order.state)]
        else None,
        "may_call_off": may_be_called_off(order, request.actor),
        "may_retry": may_act and order.state in RETRYABLE,
        "restorations": list(order.restorations.order_by("created_at")),
        "pace": _pace(order, hold, timezone.now()),
    }
    has_moved_on = _has_moved_on(request, order)
    context |= _news_of(request, order, context, has_moved_on=has_moved_on)
    response = render_page(
        request,
        "reviews/order_detail.html",
        context,
        fragment="reviews/_order_life.html",
        status=refusal.status if refusal else status,
    )
    if has_moved_on and not context["moved_on"] and context["pace"] != MOVING_PACE:
        # The page around the fragment now offers other things. Where somebody may be writing, they are told instead.
        response["HX-Refresh"] = "true"
    return response


def _pace(order: Order, hold: Hold | None, now: datetime) -> str:
    """How often the page looks at the order again; empty where it has ended."""
    if order.state in SETTLED_ORDERS:
        return ""
    is_held = hold is not None or order.is_braked
    is_due_soon = order.state == OrderState.PLANNED and not is_held and order.execute_after - now < SOON
    is_moving = is_due_soon or order.state in {OrderState.EXECUTING, OrderState.APPLIED}
    return MOVING_PACE if is_moving else CALM_PACE


def _news_of(request: PageRequest, order: Order, context: dict[str, Any], *, has_moved_on: bool) -> dict[str, Any]:
    """How the page asks for news: `seen` names what it shows; `is_typed_in` that somebody may be writing on it."""
    writes = request.GET.get("typed") == "yes" if is_fragment(request) else _has_forms(context)
    told = has_moved_on and writes
    return {
        "is_typed_in": writes,
        "moved_on": told,
        # Whoever was told that it moved on is told so again, until they look.
        "seen": request.GET.get("seen", "") if told else f"{order.state}.{order.version}",
    }


def _has_forms(context: dict[str, Any]) -> bool:
    names = ("release_form", "urgent_form", "protest_form", "task_form", "settle_form", "restore_form", "may_call_off")
    return context["pace"] == CALM_PACE and any(context[name] for name in names)


def _has_moved_on(request: PageRequest, order: Order) -> bool:
    """Whether the order is another than the one that the page, which asks for news of it, was made for."""
    return is_fragment(request) and request.GET.get("seen", "") != f"{order.state}.{order.version}"


def _is_restorable(order: Order) -> bool:
    plan = order.lock_plan if order.stage == OrderStage.LOCK else order.plan
    is_reversible = plan is not None and not plan["irreversible"]
    return order.state in RESTORABLE and is_reversible and order.action != OrderAction.RESTORE


def _difference(order: Order) -> list[tuple[str, str]]:
    """What stays and what goes, in plain words."""
    target = Permission.from_json(order.target) if order.target else None
    held = Permission.from_json(order.held) if order.held else None
    if order.action == OrderAction.RESTORE:
        return [("added", sentence) for sentence in describe(target)] if target else []
    if held and target:
        return difference(held, target)
    return [("removed", sentence) for sentence in describe(held)] if held else []
