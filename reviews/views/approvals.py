"""Who approved this permission: the panel that the grant's page loads, as a timeline in plain words."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from governance.web.access import page
from governance.web.htmx import render_page
from reviews.evidence.approvals import (
    WHYS,
    Approval,
    Independence,
    Lapse,
    Standing,
    access_reviewed_grant,
    approvals_of,
    sentence_of,
)
from reviews.models import Answer, Order
from reviews.states import OrderState
from reviews.views.requests import PageRequest

PANEL_ROWS = 5
TONES = {
    Standing.APPROVED: ("success", "circle-check", "Approved as it is now"),
    Standing.CHANGED: ("warn", "git-compare", "Changed since it was approved"),
    Standing.LAPSED: ("warn", "clock-off", "No longer approved"),
    Standing.UNAPPROVED: ("unknown", "help-hexagon", "Never approved as it is now"),
    Standing.GONE: ("neutral", "archive", "Gone at the source"),
}
INDEPENDENCE = {
    Independence.INDEPENDENT: "independent of the owner",
    Independence.OWNER: "the owner of that time",
    Independence.POLICY: "",
    Independence.UNKNOWN: "independence not assessable: what was known then is not kept",
}
ICONS = {Answer.REVOKE: "circle-minus", Answer.SCOPE_DOWN: "arrows-minimize", Answer.QUARANTINE: "lock"}
BAD = frozenset({OrderState.FAILED, OrderState.BLOCKED, OrderState.PARTIAL, OrderState.DRIFTED})


@dataclass(frozen=True, slots=True)
class OrderLine:
    """What came of an answer at the source."""

    url: str
    title: str
    state: str
    proof: str
    run_url: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the timeline."""

    at: datetime
    title: str
    icon: str
    tone: str
    who: str
    url: str
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    version: str = ""
    digest: str = ""
    seen: list[tuple[str, str]] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    seen_digest: str = ""
    seen_lost: bool = False
    orders: list[OrderLine] = field(default_factory=list)


@require_safe
@page()
def grant_approvals(request: PageRequest, grant_id: UUID) -> HttpResponse:
    """Every answer on the grant, latest first, and in one sentence whether it is approved as it is now."""
    grant = access_reviewed_grant(actor=request.actor, grant_id=grant_id)
    found = approvals_of(grant, actor=request.actor)
    is_panel = bool(getattr(request, "htmx", False))
    entries = sorted(
        [*map(_answer, found.answers), *map(_lapse, found.lapses)], key=lambda entry: entry.at, reverse=True
    )
    tone, icon, title = TONES[found.standing]
    context = {
        "grant": grant,
        "tone": tone,
        "icon": icon,
        "title": title,
        "sentence": sentence_of(found),
        "entries": entries[:PANEL_ROWS] if is_panel else entries,
        "left_over": max(0, len(entries) - PANEL_ROWS) if is_panel else 0,
        "has_more": found.has_more,
        "is_everything": found.is_everything,
        "is_panel": is_panel,
    }
    return render_page(request, "reviews/grant_approvals.html", context, fragment="reviews/_grant_approvals.html")


def _answer(approval: Approval) -> Entry:
    decision, item = approval.decision, approval.decision.item
    seen = item.seen if approval.has_seen else {}
    answer = decision.get_answer_display()
    until = f" {decision.until:%-d %B %Y}" if decision.until else ""
    title = f"Took “{answer}” back" if decision.recalls_id else f"{answer}{until}"
    is_void = bool(decision.recalls_id) or not approval.is_standing
    return Entry(
        at=decision.decided_at,
        title=title,
        icon="arrow-back-up" if decision.recalls_id else ICONS.get(Answer(decision.answer), "circle-check"),
        tone="neutral" if is_void else "danger" if decision.answer == Answer.REVOKE else "success",
        who=_who(approval),
        url=reverse("reviews:item_detail", args=[item.pk]),
        reason=decision.reason,
        notes=_notes(approval),
        version=f"version {approval.version}" if approval.version else "",
        digest=approval.digest,
        seen=_seen_facts(seen),
        sentences=[str(each) for each in seen.get("plain", [])],
        seen_digest=approval.seen_digest,
        seen_lost=not approval.has_seen,
        orders=[_order(order) for order in approval.orders],
    )


def _who(approval: Approval) -> str:
    decision = approval.decision
    if decision.decided_by is None:
        return (
            "carried forward by the review’s rules" if decision.carries_id else f"policy {decision.decided_by_policy}"
        )
    words = INDEPENDENCE[approval.independence]
    return f"{decision.decided_by}, {words}" if words else str(decision.decided_by)


def _notes(approval: Approval) -> list[str]:
    decision = approval.decision
    notes = [f"In the review “{decision.item.campaign.name}”"]
    if decision.is_attestation:
        notes.append("testimony: a later answer decides")
    if hasattr(decision, "recalled_by"):
        notes.append(f"taken back on {decision.recalled_by.decided_at:%-d %B %Y}")
    if decision.carries is not None:
        first = decision.carries
        notes.append(f"repeats what {first.decided_by or 'a policy'} decided on {first.decided_at:%-d %B %Y}")
    if decision.is_bulk:
        notes.append("given together with others")
    if decision.auth_method:
        notes.append(f"session proved by {decision.auth_method.replace('+', ' and ')}")
    return notes


def _seen_facts(seen: dict[str, object]) -> list[tuple[str, str]]:
    identity, use, source = (seen.get(name) or {} for name in ("identity", "use", "source"))
    facts = {
        "Access": seen.get("label"),
        "Identity": identity.get("name") if isinstance(identity, dict) else None,
        "Source": source.get("name") if isinstance(source, dict) else None,
        "Environment": seen.get("environment_label"),
        "Use": str(use.get("state", "")).replace("_", " ") if isinstance(use, dict) else None,
        "Last used": use.get("last_seen_at") if isinstance(use, dict) else None,
        "Taken on": seen.get("taken_at"),
    }
    return [(label, _moment(str(value))) for label, value in facts.items() if value]


def _moment(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text):%-d %B %Y, %H:%M} UTC" if len(text) >= 19 and text[4] == "-" else text
    except ValueError:
        return text


def _order(order: Order) -> OrderLine:
    proof, run_url = "", ""
    if order.verified_at:
        proof = f"a reading of {order.verified_at:%-d %B %Y, %H:%M} UTC shows it"
        if order.verified_by_run_id:
            run_url = reverse("identities:sync_run_detail", args=[order.verified_by_run_id])
    elif order.applied_at:
        proof = "changed at the source, not proved yet"
    elif order.state in BAD:
        proof = "not done"
    return OrderLine(
        url=reverse("reviews:order_detail", args=[order.pk]),
        title=order.get_action_display(),
        state=order.state,
        proof=proof,
        run_url=run_url,
    )


def _lapse(lapse: Lapse) -> Entry:
    return Entry(
        at=lapse.at,
        title="The approval ended",
        icon="clock-off",
        tone="warn",
        who=f"by itself: {WHYS.get(lapse.why, lapse.why)}",
        url=reverse("console:audit_event", args=[lapse.event_id]),
    )
