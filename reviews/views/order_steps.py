"""The life of an order as steps: what is behind it, where it stands, what is still to come."""

from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from identities.sync.issuing import SLUG
from reviews.models import Order, OrderAction
from reviews.remediation.windows import Hold
from reviews.states import OrderState
from reviews.views.order_board import LOOK
from reviews.views.outcomes import steps_done

Step = dict[str, Any]


def ends_in_remit(order: Order) -> bool:
    """Whether it takes away what Remit itself gave, so that its decision point proves it and no reading does."""
    return order.action == OrderAction.REVOKE and order.source.slug == SLUG


def steps_of(order: Order, holding: Hold | None = None) -> list[Step]:
    """For the stepper component. holding: the window or freeze that keeps it from being sent now."""
    planned: Step = {"label": "Planned", "state": "done", "at": order.created_at}
    if order.state == OrderState.RECALLED:
        ended = "Refused" if order.second_by_id else "Recalled"
        return [planned, {"label": ended, "state": "skipped", "at": order.second_at}]
    if order.state == OrderState.AWAITING_SECOND:
        waits = {"label": "Released", "state": "now", "note": "waits for a second person"}
        return [planned, waits, _todo("Carried out"), _todo(_proof_name(order))]
    released: list[Step] = [{"label": "Released", "state": "done", "at": order.second_at}] if order.second_at else []
    return [planned, *released, *_watched(order), *_change(order, holding), *_end(order)]


def _todo(label: str) -> Step:
    return {"label": label, "state": "todo"}


def _watched(order: Order) -> list[Step]:
    """Locked out, and watched for some days; nothing for orders that do not do that."""
    if order.lock_plan is None or order.action == OrderAction.RESTORE:
        return []
    locked_at = parse_datetime(order.evidence.get("watch", {}).get("locked_at", ""))
    if locked_at is None:
        return [{"label": "Locked out", "state": "now"}]
    watched: Step = {"label": "Watched", "state": "done"}
    if order.state == OrderState.WATCHING:
        watched |= {"state": "now", "note": "until", "at": order.execute_after}
    return [{"label": "Locked out", "state": "done", "at": locked_at}, watched]


def _change(order: Order, holding: Hold | None) -> list[Step]:
    """The change and its proof."""
    if order.state == OrderState.WATCHING:
        return [_todo("Removed"), _todo(_proof_name(order))]
    done_by_hand = bool(not order.plan and order.instructions)
    changed_at = order.task_reported_at if done_by_hand else order.applied_at
    if order.state == OrderState.RESTORED and not changed_at:
        return [{"label": "Removed", "state": "skipped"}]
    steps = [_carried_out(order, changed_at, holding, done_by_hand=done_by_hand), _proof(order, changed_at)]
    if order.action == OrderAction.ROTATE and not order.plan and not order.verified_at:
        waits = not (order.evidence.get("successor") or changed_at)
        steps[0] |= {"label": "New one in use", "state": "now" if waits else "done"}
        steps.insert(1, {"label": "Old one ended", "state": "todo" if waits else "now"})
    return steps


def _carried_out(order: Order, changed_at: Any, holding: Hold | None, *, done_by_hand: bool) -> Step:
    label = "Done by a person" if done_by_hand else "Carried out"
    if order.action == OrderAction.ROTATE and order.plan:
        label = "Old one ended"
    if order.state == OrderState.PARTIAL and order.plan:
        return {"label": f"Step {steps_done(order)} of {len(order.plan['steps'])}", "state": "failed", "at": changed_at}
    if order.state in LOOK and not changed_at:
        return _failed(order)
    if order.is_braked:
        return {"label": label, "state": "todo", "note": "held by a brake"}
    if holding is not None:
        return {"label": label, "state": "todo", "note": "held until" if holding.until else "held", "at": holding.until}
    if order.state == OrderState.PLANNED and not changed_at and order.execute_after > timezone.now():
        return {"label": label, "state": "todo", "note": "will be sent", "at": order.execute_after}
    return {"label": label, "state": "done" if changed_at else "now", "at": changed_at}


def _proof(order: Order, changed_at: Any) -> Step:
    label = _proof_name(order)
    if order.verified_at:
        return {"label": label, "state": "done", "at": order.verified_at}
    if not changed_at or order.state == OrderState.PARTIAL:
        return _todo(label)
    if order.state in LOOK:
        return _failed(order)
    waits = "asked again every few seconds" if ends_in_remit(order) else "waits for the next reading"
    return {"label": label, "state": "now", "note": waits}


def _proof_name(order: Order) -> str:
    return "Refused by the decision point" if ends_in_remit(order) else "Verified at the source"


def _end(order: Order) -> list[Step]:
    if order.state == OrderState.RESTORED:
        return [{"label": "Restored", "state": "done"}]
    if order.state == OrderState.REAPPEARED:
        return [{"label": "Came back", "state": "failed"}]
    return []


def _failed(order: Order) -> Step:
    return {"label": str(OrderState(order.state)).replace("_", " ").capitalize(), "state": "failed"}
