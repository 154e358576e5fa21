"""What agents asked the gateway lately: when, which tool, what was answered and why, and the way to ask it again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.pagination import SortKey, paginate
from identities.models import GatewayCall, Identity
from identities.pdp.reasons import SENTENCES, Reason
from identities.selectors.gateway import list_calls, list_gateway_servers
from identities.selectors.inventory import sees_everything, visible_identities
from identities.services.gateway_calls import ABANDONED, BUSY, KEPT, NOT_COMPARABLE, SERVER_UNREACHABLE
from identities.views.requests import PageRequest

NEWEST_CALLS = (SortKey("last_at", descending=True), SortKey("pk", descending=True))
SHOWN = {"": "All", "let-through": "Let through", "refused": "Not let through"}
PER_PAGE = 50
LONGEST_TEXT = 200

# Nobody said no to these: they could not be decided, or were not made.
_UNDECIDED: dict[str, str] = {
    str(Reason.UNAVAILABLE): SENTENCES[Reason.UNAVAILABLE],
    SERVER_UNREACHABLE: "The server could not be reached, so nothing was asked of it.",
    BUSY: "Too much was under way at once.",
    ABANDONED: "The agent took the call back before it was decided.",
}
_WORDS = {str(reason): sentence for reason, sentence in SENTENCES.items()} | {
    NOT_COMPARABLE: "The arguments could not be compared with what is allowed.",
    **_UNDECIDED,
}


@dataclass(frozen=True, slots=True)
class CallRow:
    """One kind of call as the list prints it. look: words and tone. tool: empty where the server knows no such tool."""

    identity: Identity
    server: str
    tool: str
    look: tuple[str, str]
    reason: str
    count: int
    first_at: datetime
    last_at: datetime
    playground_url: str


@require_safe
@page()
def gateway_calls(request: PageRequest) -> HttpResponse:
    """All that is kept, newest first; owners see what their own agents asked."""
    actor = request.actor
    asked = {name: request.GET.get(name, "")[:LONGEST_TEXT] for name in ("q", "agent", "server")}
    shown = request.GET.get("shown", "")
    shown = shown if shown in SHOWN else ""
    rows, agent = list_calls(actor=actor), None
    if asked["agent"]:
        agent = _agent(request, asked["agent"])
        rows = rows.filter(identity=agent) if agent else rows.none()
    if asked["q"]:
        rows = rows.filter(identity__name__icontains=asked["q"])
    if asked["server"]:
        rows = rows.filter(server__name=asked["server"])
    if shown:
        granted = {"reason": str(Reason.GRANTED)}
        rows = rows.filter(**granted) if shown == "let-through" else rows.exclude(**granted)
    found = paginate(rows, NEWEST_CALLS, cursor=request.GET.get("cursor", ""), size=PER_PAGE)
    context = {
        "rows": call_rows(found.rows),
        "page": found,
        "asked": asked,
        "agent": agent,
        "state": shown,
        "shown": [(value, label, value == shown) for value, label in SHOWN.items()],
        "servers": list(list_gateway_servers(actor=actor).order_by("name").values_list("name", flat=True)),
        "is_filtered": bool(shown or any(asked.values())),
        "sees_all": sees_everything(actor),
        "days": KEPT.days,
    }
    return render_page(request, "identities/gateway_calls.html", context)


def call_rows(calls: Iterable[GatewayCall]) -> list[CallRow]:
    """Calls as they are printed; they come with identity and server loaded."""
    return [
        CallRow(
            identity=call.identity,
            server=call.server.name,
            tool=call.tool,
            look=_look(call.reason),
            reason="" if call.reason == Reason.GRANTED else _WORDS.get(call.reason, call.reason),
            count=call.count,
            first_at=call.first_at,
            last_at=call.last_at,
            playground_url=_playground_url(call),
        )
        for call in calls
    ]


def _agent(request: PageRequest, text: str) -> Identity | None:
    try:
        return visible_identities(request.actor).filter(pk=UUID(text)).first()
    except ValueError:
        return None


def _look(reason: str) -> tuple[str, str]:
    if reason == Reason.GRANTED:
        return "Let through", "success"
    if reason == Reason.KILLED:
        return "Cut off", "danger"
    return ("Not decided", "unknown") if reason in _UNDECIDED else ("Denied", "danger")


def _playground_url(call: GatewayCall) -> str:
    """The same question to the playground; of an agent that is gone, or a tool that nobody knows, there is none."""
    if not call.tool or call.identity.retired_at is not None:
        return ""
    question = {"identity": call.identity_id, "action": call.tool, "resource": f"server:{call.server.name}"}
    return f"{reverse('identities:playground')}?{urlencode(question | {'dialect': 'tools'})}"
