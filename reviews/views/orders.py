"""Orders as pages: what is to change at the sources, what happened, and what a person can still do about it."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission, describe
from governance.web.access import page
from governance.web.htmx import is_fragment, render_page
from governance.web.pagination import SortKey, paginate
from identities.connectors.contract import Plan
from reviews import remediation
from reviews.evidence import difference
from reviews.models import Order, OrderAction
from reviews.remediation.executing import RETRYABLE
from reviews.remediation.releasing import RELEASERS, call_off_order, may_be_called_off
from reviews.remediation.restoring import RESTORABLE
from reviews.selectors import access_order, count_open_brakes, list_orders
from reviews.states import ORDER_MOVES, SETTLED_ORDERS, OrderState
from reviews.views.native import native_change
from reviews.views.outcomes import outcome_of, step_lines, steps_done
from reviews.views.tabs import READERS

STOPPED = (
    OrderState.DRIFTED,
    OrderState.PARTIAL,
    OrderState.STILL_EFFECTIVE,
    OrderState.SESSIONS_REMAIN,
    OrderState.BLOCKED,
    OrderState.FAILED,
    OrderState.REAPPEARED,
)
VIEWS = {
    "open": ("Under way", None),
    "look": ("Need a look", STOPPED),
    "tasks": ("Tasks for people", (OrderState.TASK,)),
    "settled": ("Settled", tuple(SETTLED_ORDERS)),
    "all": ("All", ()),
}
DOERS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER)


class RestoreForm(forms.Form):
    """Why the access is needed again, and for how long."""

    reason = forms.CharField(label="Why is it needed again?", max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))
    days = forms.IntegerField(
        label="For how many days", initial=30, min_value=1, max_value=90, help_text="Afterwards it is taken away again."
    )


class SettleForm(forms.Form):
    """Why an order may rest that the source does not confirm."""

    reason = forms.CharField(label="Why may it rest?", max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))


class TaskForm(forms.Form):
    """What was done at the source, by hand."""

    note = forms.CharField(label="What did you do?", max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))


@require_safe
@page()
def order_list(request: HttpRequest) -> HttpResponse:
    """Orders by what they need, newest first."""
    chosen = request.GET.get("view", "open")
    if chosen not in VIEWS:
        chosen = "open"
    orders = list_orders(actor=request.actor)  # type: ignore[attr-defined]
    states = VIEWS[chosen][1]
    if states is None:
        orders = orders.exclude(state__in=SETTLED_ORDERS)
    elif states:
        orders = orders.filter(state__in=states)
    keys = (SortKey("created_at", descending=True), SortKey("pk", descending=True))
    context = {
        "tabs": [
            {"label": label, "url": f"?view={name}", "current": name == chosen} for name, (label, _) in VIEWS.items()
        ],
        "view": chosen,
        "brakes": count_open_brakes(actor=request.actor),  # type: ignore[attr-defined]
        "may_see_brakes": request.actor.has_role(*READERS),  # type: ignore[attr-defined]
        "page": paginate(orders, keys, cursor=request.GET.get("cursor", "")),
    }
    return render_page(request, "reviews/order_list.html", context, fragment="reviews/_order_table.html")


@require_safe
@page()
def order_detail(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """One order: plan, life, outcome, and what can still be done."""
    order = access_order(actor=request.actor, order_id=order_id)  # type: ignore[attr-defined]
    return _show(request, order)


@require_POST
@page(roles=DOERS)
def order_restore(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Bring back what the order took away, for some days."""
    order = access_order(actor=request.actor, order_id=order_id)  # type: ignore[attr-defined]
    form = RestoreForm(request.POST)
    if not form.is_valid():
        return _show(request, order, restore_form=form, status=422)
    try:
        restoration = remediation.restore_order(
            order=order,
            reason=form.cleaned_data["reason"],
            days=form.cleaned_data["days"],
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
        )
    except DomainError as refusal:
        return _show(request, order, restore_form=form, refusal=refusal)
    messages.success(request, "Restoring. The access ends again on the date you chose.")
    return redirect("reviews:order_detail", order_id=restoration.pk)


@require_POST
@page(roles=DOERS)
def order_retry(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Plan a stopped order anew and send it."""
    order = access_order(actor=request.actor, order_id=order_id)  # type: ignore[attr-defined]
    try:
        remediation.retry_order(order=order, actor=request.actor, now=timezone.now())  # type: ignore[attr-defined]
    except DomainError as refusal:
        return _show(request, order, refusal=refusal)
    messages.success(request, "Planned again, against the source as it is now.")
    return redirect("reviews:order_detail", order_id=order.pk)


@require_POST
@page(roles=DOERS)
def order_settle(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Let an order rest that cannot be verified, with a reason."""
    order = access_order(actor=request.actor, order_id=order_id)  # type: ignore[attr-defined]
    form = SettleForm(request.POST)
    if not form.is_valid():
        return _show(request, order, settle_form=form, status=422)
    try:
        remediation.settle_order(
            order=order,
            reason=form.cleaned_data["reason"],
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
        )
    except DomainError as refusal:
        return _show(request, order, settle_form=form, refusal=refusal)
    messages.success(request, "Settled. The trail says who let it rest, and why.")
    return redirect("reviews:order_detail", order_id=order.pk)


@require_POST
@page(roles=RELEASERS)
def order_call_off(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Keep after all what a deadline would take away."""
    order = access_order(actor=request.actor, order_id=order_id)  # type: ignore[attr-defined]
    reason = request.POST.get("reason", "")
    try:
        call_off_order(order=order, reason=reason, actor=request.actor, now=timezone.now())  # type: ignore[attr-defined]
    except DomainError as refusal:
        return _show(request, order, refusal=refusal)
    messages.success(request, "Called off. The access stays for now, and the question counts as escalated.")
    return redirect("reviews:order_detail", order_id=order.pk)


@require_POST
@page()
def order_task_done(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Somebody reports that the task is done; the source has the last word."""
    order = access_order(actor=request.actor, order_id=order_id)  # type: ignore[attr-defined]
    form = TaskForm(request.POST)
    if not form.is_valid():
        return _show(request, order, task_form=form, status=422)
    try:
        remediation.report_task_done(
            order=order,
            note=form.cleaned_data["note"],
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
        )
    except DomainError as refusal:
        return _show(request, order, task_form=form, refusal=refusal)
    messages.success(request, "Thank you. The order closes when a later reading of the source shows it.")
    return redirect("reviews:order_detail", order_id=order.pk)


def _show(
    request: HttpRequest,
    order: Order,
    *,
    restore_form: RestoreForm | None = None,
    task_form: TaskForm | None = None,
    settle_form: SettleForm | None = None,
    refusal: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    may_act = request.actor.has_role(*DOERS)  # type: ignore[attr-defined]
    is_restorable = (
        order.state in RESTORABLE
        and order.plan is not None
        and not order.plan["irreversible"]
        and order.action != OrderAction.RESTORE
    )
    context: dict[str, Any] = {
        "order": order,
        "refusal": refusal,
        "steps": steps_of(order),
        "outcome": outcome_of(order),
        "step_lines": step_lines(order),
        "native": native_change(Plan.from_json(order.plan)) if order.plan else None,
        "side_effects": order.plan["side_effects"] if order.plan else [],
        "lines": _difference(order),
        "still_effective": order.evidence.get("still_effective", []),
        "restore_form": (restore_form or RestoreForm()) if may_act and is_restorable else None,
        "task_form": (task_form or TaskForm())
        if order.state == OrderState.TASK and order.task_reported_at is None
        else None,
        "settle_form": (settle_form or SettleForm())
        if may_act and OrderState.SETTLED in ORDER_MOVES[OrderState(order.state)]
        else None,
        "may_call_off": may_be_called_off(order, request.actor),  # type: ignore[attr-defined]
        "may_retry": may_act and order.state in RETRYABLE,
        "restorations": list(order.restorations.order_by("created_at")),
        "is_moving": order.state in {OrderState.PLANNED, OrderState.EXECUTING, OrderState.APPLIED},
    }
    response = render_page(
        request,
        "reviews/order_detail.html",
        context,
        fragment="reviews/_order_life.html",
        status=refusal.status if refusal else status,
    )
    if is_fragment(request) and not context["is_moving"]:
        # It has come to rest: the page around the fragment now offers other things.
        response["HX-Refresh"] = "true"
    return response


def steps_of(order: Order) -> list[dict[str, Any]]:
    """The life of the order for the stepper component."""
    if order.state == OrderState.RECALLED:
        return [
            {"label": "Planned", "state": "done", "at": order.created_at},
            {"label": "Recalled", "state": "skipped"},
        ]
    planned: dict[str, Any] = {"label": "Planned", "state": "done", "at": order.created_at}
    done_by_hand = not order.plan and order.instructions
    middle = "Done by a person" if done_by_hand else "Carried out"
    if order.action == OrderAction.ROTATE and order.plan:
        middle = "Old one ended"
    changed_at = order.task_reported_at if done_by_hand else order.applied_at
    stopped = order.state in STOPPED
    steps: list[dict[str, Any]] = [
        planned,
        {"label": middle, "state": "done" if changed_at else "now", "at": changed_at},
    ]
    if stopped and not changed_at:
        steps[1] = {"label": str(OrderState(order.state)).replace("_", " ").capitalize(), "state": "failed"}
    if order.state == OrderState.PARTIAL and order.plan:
        steps[1] |= {"label": f"Step {steps_done(order)} of {len(order.plan['steps'])}", "state": "failed"}
    verified: dict[str, Any] = {"label": "Verified at the source", "state": "todo", "at": None}
    if order.verified_at:
        verified |= {"state": "done", "at": order.verified_at}
    elif stopped and changed_at and order.state != OrderState.PARTIAL:
        verified = {"label": str(OrderState(order.state)).replace("_", " ").capitalize(), "state": "failed"}
    elif changed_at and order.state != OrderState.PARTIAL:
        verified |= {"state": "now", "note": "waits for the next reading"}
    elif order.state == OrderState.PLANNED and order.execute_after > timezone.now():
        steps[1] |= {"state": "todo", "note": "will be sent", "at": order.execute_after}
    steps.append(verified)
    if order.action == OrderAction.ROTATE and not order.plan and not order.verified_at:
        waits = not (order.evidence.get("successor") or changed_at)
        steps[1] |= {"label": "New one in use", "state": "now" if waits else "done"}
        steps.insert(2, {"label": "Old one ended", "state": "todo" if waits else "now"})
    if order.state == OrderState.RESTORED:
        steps.append({"label": "Restored", "state": "done"})
    if order.state == OrderState.REAPPEARED:
        steps.append({"label": "Came back", "state": "failed"})
    return steps


def _difference(order: Order) -> list[tuple[str, str]]:
    """What stays and what goes, in plain words."""
    target = Permission.from_json(order.target) if order.target else None
    held = Permission.from_json(order.held) if order.held else None
    if order.action == OrderAction.RESTORE:
        return [("added", sentence) for sentence in describe(target)] if target else []
    if held and target:
        return difference(held, target)
    return [("removed", sentence) for sentence in describe(held)] if held else []
