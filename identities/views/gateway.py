"""The gateway as pages: servers and their tools, who is connected, what waits for a person, and what is cut off."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.actors import Actor, Role
from governance.kernel.dialects import get
from governance.kernel.errors import DomainError, NotFound
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.pagination import paginate
from identities.forms.gateway import GatewayServerForm, command_line
from identities.models import CutOff, GatewayServer, GatewayTool
from identities.selectors.gateway import (
    SIGN_OF_LIFE_LIMIT,
    gateway_seen_at,
    get_gateway_server,
    list_calls,
    list_cut_offs,
    list_gateway_servers,
    list_open_sessions,
    list_tools,
    list_waiting_tools,
)
from identities.selectors.inventory import SEES_EVERYTHING
from identities.services.cut_offs import why_not_restore
from identities.services.gateway_servers import accept_tools, change_server, register_server
from identities.views.gateway_calls import NEWEST_CALLS, call_rows
from identities.views.grant_lines import CLASS_WORDS
from identities.views.native_lines import lines_between
from identities.views.requests import PageRequest

MOST_SHOWN = 50
CALLS_SHOWN = 8
ADMINISTRATORS = (Role.ADMINISTRATOR,)


@dataclass(frozen=True, slots=True)
class ServerRow:
    """One server as the list prints it."""

    name: str
    url: str
    reached: str
    is_enabled: bool
    is_cut: bool
    problem: str
    tools: int
    waiting: int
    sessions: int
    listed_at: datetime | None


@dataclass(frozen=True, slots=True)
class CutRow:
    """One kill switch that was thrown. why_not: why this person may not give it back; empty where they may."""

    id: Any
    what: str
    kind: str
    url: str
    reason: str
    by: str
    cut_at: datetime
    review_url: str
    has_no_review: bool
    restored_at: datetime | None
    restored_by: str
    may_restore: bool
    why_not: str


@dataclass(frozen=True, slots=True)
class ToolRow:
    """One tool of a server. state: accepted, new, changed or gone. difference: lines as `_diff.html` takes them."""

    name: str
    state: str
    hash: str
    classes: list[str]
    description: str
    schema: str
    accepted_at: datetime | None
    accepted_by: str
    seen_at: datetime
    is_cut: bool
    difference: list[tuple[str, str]] = field(default_factory=list)


@require_safe
@page()
def gateway(request: PageRequest) -> HttpResponse:
    """Everything about the gateway that concerns the person: owners see their own agents' part of it."""
    now, actor = timezone.now(), request.actor
    servers = list(list_gateway_servers(actor=actor).order_by("name"))
    sessions = list(list_open_sessions(actor=actor, now=now)[: MOST_SHOWN + 1])
    cuts = list(list_cut_offs(actor=actor, standing=True).order_by("-cut_at", "pk")[:MOST_SHOWN])
    ended = list(list_cut_offs(actor=actor, standing=False).order_by("-restored_at", "pk")[:10])
    sees_all = actor.has_role(*SEES_EVERYTHING)
    tools = list(list_tools(server.pk for server in servers)) if servers else []
    context = {
        "rows": _server_rows(servers, tools, [session.server_id for session in sessions], cuts),
        "sees_all": sees_all,
        "sessions": sessions[:MOST_SHOWN],
        "has_more_sessions": len(sessions) > MOST_SHOWN,
        "calls": call_rows(paginate(list_calls(actor=actor), NEWEST_CALLS, size=CALLS_SHOWN).rows),
        "cuts": [cut_row(row, actor) for row in cuts],
        "ended": [cut_row(row, actor) for row in ended],
        "waiting": list(list_waiting_tools()[:MOST_SHOWN]) if sees_all else [],
        "life": _life(servers, now),
        "may_change": actor.has_role(Role.ADMINISTRATOR),
    }
    return render_page(request, "identities/gateway.html", context)


@page(roles=ADMINISTRATORS)
def gateway_server_create(request: PageRequest) -> HttpResponse:
    """Put a server behind the gateway."""
    form = GatewayServerForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            server = register_server(actor=request.actor, now=timezone.now(), **form.values())
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, f"{server.name} stands behind the gateway. Its tools appear at the first call.")
            return redirect("identities:gateway_server", server.name)
    return render_page(
        request, "identities/gateway_server_form.html", {"form": form}, status=422 if form.errors else 200
    )


@require_safe
@page(roles=SEES_EVERYTHING)
def gateway_server(request: PageRequest, server_name: str) -> HttpResponse:
    """One server: how it is reached, and each of its tools as accepted and as it is now."""
    return show_server(request, get_gateway_server(server_name))


@require_POST
@page(roles=ADMINISTRATORS)
def gateway_server_switch(request: PageRequest, server_name: str) -> HttpResponse:
    """Take a server out of use, or in again."""
    server = get_gateway_server(server_name)
    try:
        changed = change_server(
            server=server,
            version=_version(request),
            changes={"is_enabled": request.POST.get("is_enabled") == "yes"},
            actor=request.actor,
            now=timezone.now(),
        )
    except DomainError as refusal:
        return show_server(request, server, refusal=refusal)
    messages.success(request, f"{changed.name} is {'in use' if changed.is_enabled else 'switched off'}.")
    return redirect("identities:gateway_server", changed.name)


@require_POST
@page(roles=ADMINISTRATORS)
def gateway_tools_accept(request: PageRequest, server_name: str) -> HttpResponse:
    """Accept definitions that the person looked at: `tool` is `<hash> <name>`, as often as tools were chosen."""
    server = get_gateway_server(server_name)
    chosen = [text.partition(" ") for text in request.POST.getlist("tool")]
    try:
        tools = accept_tools(
            server=server,
            hashes={name: hash for hash, _, name in chosen},
            actor=request.actor,
            now=timezone.now(),
        )
    except DomainError as refusal:
        return show_server(request, server, refusal=refusal)
    messages.success(request, f"Accepted: {', '.join(tool.name for tool in tools)[:200]}.")
    return redirect("identities:gateway_server", server.name)


def show_server(request: PageRequest, server: GatewayServer, *, refusal: DomainError | None = None) -> HttpResponse:
    """The server's page, after an action with what came of it."""
    actor = request.actor
    if not actor.has_role(*SEES_EVERYTHING):
        raise NotFound("There is no such server behind the gateway.")
    cuts = list(list_cut_offs(actor=actor, standing=True).filter(server=server).order_by("-cut_at", "pk"))
    cut_tools = {row.tool for row in cuts if row.tool}
    rows = [_tool_row(tool, tool.name in cut_tools) for tool in list_tools([server.pk])]
    rows.sort(key=lambda row: (row.state == "accepted", row.state == "gone", row.name))
    context = {
        "server": server,
        "address": f"{settings.MCP_GATEWAY_URL}/mcp/{server.name}",
        "command": command_line(server),
        "variables": sorted(server.environment.items()),
        "tools": rows,
        "waiting": [row for row in rows if row.state in ("new", "changed")],
        "cuts": [cut_row(row, actor) for row in cuts],
        "is_cut": any(not row.tool for row in cuts),
        "may_change": actor.has_role(Role.ADMINISTRATOR),
        "refusal": refusal,
    }
    status = refusal.status if refusal else 200
    return render_page(request, "identities/gateway_server.html", context, status=status)


def cut_row(row: CutOff, actor: Actor) -> CutRow:
    """A kill switch as it is printed. The row comes with identity, server and people loaded."""
    server = row.server.name if row.server else ""
    if row.identity is not None:
        what, url = row.identity.name, reverse("identities:identity_detail", args=[row.identity.pk])
    else:
        what = f"{row.tool} on {server}" if row.tool else server
        url = reverse("identities:gateway_server", args=[server])
    may = actor.has_role(Role.ADMINISTRATOR) and row.restored_at is None
    why_not = why_not_restore(row, actor) if may else "An administrator gives it back."
    return CutRow(
        id=row.pk,
        what=what,
        kind=row.get_kind_display(),
        url=url,
        reason=row.reason,
        by=row.cut_by.name if row.cut_by else row.cut_by_label,
        cut_at=row.cut_at,
        review_url=reverse("reviews:campaign_detail", args=[row.review]) if row.review else "",
        has_no_review=row.review is None and row.review_looked_at is not None,
        restored_at=row.restored_at,
        restored_by=row.restored_by.name if row.restored_by else "",
        may_restore=may and not why_not,
        why_not=why_not,
    )


def _server_rows(
    servers: Sequence[GatewayServer], tools: Sequence[GatewayTool], sessions: Sequence[Any], cuts: Sequence[CutOff]
) -> list[ServerRow]:
    held = Counter(tool.server_id for tool in tools if tool.gone_at is None)
    waiting = Counter(tool.server_id for tool in tools if tool.gone_at is None and not tool.is_accepted)
    connected = Counter(sessions)
    cut = {row.server_id for row in cuts if row.server_id and not row.tool}
    return [
        ServerRow(
            name=server.name,
            url=reverse("identities:gateway_server", args=[server.name]),
            reached=server.url or command_line(server),
            is_enabled=server.is_enabled,
            is_cut=server.pk in cut,
            problem=server.last_error,
            tools=held[server.pk],
            waiting=waiting[server.pk],
            sessions=connected[server.pk],
            listed_at=server.listed_at,
        )
        for server in servers
    ]


def _life(servers: Sequence[GatewayServer], now: datetime) -> dict[str, Any]:
    """Whether the gateway's process is there; silence matters only where something stands behind it."""
    seen = gateway_seen_at()
    is_alive = seen is not None and now - seen <= SIGN_OF_LIFE_LIMIT
    return {"seen_at": seen, "is_alive": is_alive, "is_needed": any(server.is_enabled for server in servers)}


def _tool_row(tool: GatewayTool, is_cut: bool) -> ToolRow:
    state = "gone" if tool.gone_at else "accepted" if tool.is_accepted else "changed" if tool.accepted_hash else "new"
    words = get("tools").classes(tool.name, f"server:{tool.server_id}")
    return ToolRow(
        name=tool.name,
        state=state,
        hash=tool.seen_hash,
        classes=[text for name, text in CLASS_WORDS.items() if name in words],
        description=str(tool.seen.get("description", "")),
        schema=str(tool.seen.get("input_schema", "")),
        accepted_at=tool.accepted_at,
        accepted_by=tool.accepted_by.name if tool.accepted_by else "",
        seen_at=tool.seen_at,
        is_cut=is_cut,
        difference=_difference(tool) if state == "changed" else [],
    )


def _difference(tool: GatewayTool) -> list[tuple[str, str]]:
    """What changed in the definition."""
    before, after = (
        [*str(told.get("description", "")).splitlines(), *str(told.get("input_schema", "")).splitlines()]
        for told in (tool.accepted, tool.seen)
    )
    return lines_between(before, after)[:200]


def _version(request: PageRequest) -> int:
    text = request.POST.get("version", "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0
