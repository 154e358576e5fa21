"""Why a question is asked between two dates, or was not asked again, ready to print."""

from typing import Any

from django.urls import reverse
from django.utils.dateparse import parse_datetime

from reviews.models import Campaign, Decision, ReviewItem, Trigger

DIRECTIONS = {
    "wider": ("wider than approved", "danger"),
    "narrower": ("narrower than approved", "success"),
    "other": ("different from what was approved", "danger"),
    "same": ("the same, in other words", "info"),
    "not_provable": ("not comparable", "warn"),
}


def trigger_of(item: ReviewItem) -> dict[str, Any] | None:
    """What `_item_trigger.html` prints, or None where the calendar asks. See `reviews.campaigns.reasons`."""
    reason = item.seen.get("trigger")
    if not isinstance(reason, dict) or reason.get("kind") not in Trigger.values:
        return None
    difference, tools = reason.get("difference") or {}, reason.get("tools") or {}
    words, tone = DIRECTIONS.get(difference.get("direction", ""), ("", ""))
    approved = reason.get("approved") or {}
    lines = [("removed", each) for each in difference.get("removed", [])]
    lines += [("added", each) for each in difference.get("added", [])]
    lines += [("removed", f"tool {each}") for each in tools.get("removed", [])]
    lines += [("added", f"tool {each}") for each in tools.get("added", [])]
    return {
        "title": Trigger(reason["kind"]).label,
        "sentence": _sentence(reason["kind"], reason.get("facts") or {}),
        "noticed_at": parse_datetime(reason["at"]),
        "words": "" if difference.get("direction") == "same" and tools else words,
        "tone": tone,
        "proof": difference.get("proof", ""),
        "lines": lines,
        "examples": difference.get("examples", []),
        "changed_tools": tools.get("changed", []),
        "told": (tools["told_before"], tools["told_now"]) if "told_now" in tools else None,
        "approved_at": parse_datetime(approved["at"]) if approved else None,
        "approved_url": reverse("reviews:item_detail", args=[approved["item"]]) if approved else "",
        "order_url": _order_url(reason.get("facts") or {}),
        "finding_url": _finding_url(reason.get("facts") or {}),
    }


def protest_of(item: ReviewItem) -> dict[str, Any] | None:
    """Whose protest against a lock-out this question follows, or was taken into it; None for all others."""
    order = item.protested_orders.select_related("protested_by").order_by("-protested_at").first()
    if order is None:
        return None
    return {
        "by": order.protested_by,
        "at": order.protested_at,
        "why": order.protest_reason,
        "url": reverse("reviews:order_detail", args=[order.pk]),
    }


def carried_of(answer: Decision | None) -> dict[str, Any] | None:
    """Whose answer this one repeats, where it was carried over; None where somebody or another policy decided here."""
    if answer is None or answer.carries_id is None:
        return None
    original = Decision.objects.select_related("decided_by").get(pk=answer.carries_id)
    return {
        "by": original.decided_by,
        "at": original.decided_at,
        "reason": original.reason,
        "url": reverse("reviews:item_detail", args=[original.item_id]),
        "generation": answer.generation,
    }


def opened_by(campaign: Campaign) -> dict[str, Any] | None:
    """Which rule between dates opened this review, and what it held back; None where a schedule or a person did."""
    found = campaign.frozen.get("watch")
    if not found or found.get("trigger") not in Trigger.values:
        return None
    return found | {"label": Trigger(found["trigger"]).label}


def _order_url(facts: dict[str, Any]) -> str:
    return reverse("reviews:order_detail", args=[facts["order"]]) if facts.get("order") else ""


def _finding_url(facts: dict[str, Any]) -> str:
    return reverse("identities:finding_detail", args=[facts["finding"]]) if facts.get("finding") else ""


def _sentence(kind: str, facts: dict[str, Any]) -> str:
    match kind:
        case Trigger.PRIVILEGED:
            return (
                "It is privileged, and it was not there before."
                if not facts.get("was_held")
                else ("It is privileged now; before, it was not, or it was gone for a while.")
            )
        case Trigger.REAPPEARED:
            return "An order took it away and a reading confirmed that. A later reading shows it again."
        case Trigger.FINDING:
            severity, since = facts.get("severity", "unknown"), _day(facts.get("opened_at"))
            return f"The rule {facts.get('rule', '')} fails since {since}, with severity {severity}."
        case Trigger.OWNER_LEFT:
            return _of_owner(facts)
        case Trigger.WOKE_UP:
            return (
                f"No use was seen on {facts.get('quiet_days')} observable days, from {_day(facts.get('quiet_from'))}"
                f" to {_day(facts.get('quiet_until'))}. It was used again on {_day(facts.get('used_at'))}."
            )
    return "It is no longer what was approved, so the approval lapsed. The question is about the difference."


def _of_owner(facts: dict[str, Any]) -> str:
    if facts.get("said_by") == "source":
        return "The source no longer names the person who is the owner here."
    return f"The owner left on {_day(facts.get('left_at'))}, and nobody else answers for this identity."


def _day(text: Any) -> str:
    moment = parse_datetime(str(text)) if text else None
    return f"{moment:%-d %B %Y}" if moment else "an unknown day"
