"""Why a question outside of the calendar is asked: kept with the question as `seen["trigger"]`.

`{"kind": a Trigger, "at": "…", "facts": {…}}`, with `"difference"` where the access differs from what was approved and
`"tools"` where an agent's tools do (see `differences`). Ids and times only; pages look names up.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from governance.kernel.permissions import Permission
from identities.models import Grant
from reviews.campaigns.approved import Approval, approvals_of
from reviews.campaigns.differences import difference_of, difference_of_ends, difference_of_tools
from reviews.models import Campaign, ReviewItem, Trigger, WatchHit


def tell_why(campaign: Campaign, items: Sequence[ReviewItem], now: datetime) -> None:
    """Add the reason to unsaved items of a review that a watch opened; others stay as they are."""
    if "watch" not in campaign.frozen:
        return
    grants = [item.grant_id for item in items if item.grant_id]
    hits = {hit.grant_id: hit for hit in WatchHit.objects.filter(campaign=campaign, grant__in=grants)}
    trigger = campaign.frozen["watch"]["trigger"]
    approvals = approvals_of(grants, now) if trigger == Trigger.CHANGED else {}
    with_tools = [hit.grant_id for hit in hits.values() if "tools_before" in hit.facts]
    tools_now = dict(Grant.objects.filter(pk__in=with_tools).values_list("pk", "native_ref"))
    for item in items:
        hit = hits.get(item.grant_id) if item.grant_id else None
        if hit is not None:
            item.seen = item.seen | {"trigger": _reason(trigger, hit, item, approvals, tools_now)}


def _reason(
    trigger: str,
    hit: WatchHit,
    item: ReviewItem,
    approvals: Mapping[UUID, Approval],
    tools_now: Mapping[UUID, Mapping[str, Any]],
) -> dict[str, Any]:
    facts = {name: value for name, value in hit.facts.items() if name != "tools_before"}
    reason: dict[str, Any] = {"kind": trigger, "at": hit.noticed_at.isoformat(), "facts": facts}
    approval = approvals.get(hit.grant_id)
    if approval is None or item.grant_version is None:
        return reason
    reason["approved"] = {
        "decision": str(approval.decision.pk),
        "item": str(approval.decision.item_id),
        "answer": str(approval.decision.answer),
        "at": approval.decision.decided_at.isoformat(),
    }
    now_held = item.grant_version
    difference = dict(difference_of(approval.permission, Permission.from_json(now_held.permission)))
    if approval.version is not None:
        moved = difference_of_ends(approval.version.valid_until, now_held.valid_until)
        side = "added" if _lasts_longer(approval.version.valid_until, now_held.valid_until) else "removed"
        difference[side] = [*difference[side], *moved]
    tools = difference_of_tools(hit.facts.get("tools_before") or {}, tools_now.get(hit.grant_id, {}))
    return reason | {"difference": difference} | ({"tools": tools} if tools else {})


def _lasts_longer(before: datetime | None, after: datetime | None) -> bool:
    return before is not None and (after is None or after > before)
