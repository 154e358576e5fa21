"""Kill switches and agents' tokens, as buttons: on the gateway's pages and on the page of an agent."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from governance.kernel.actors import Role
from governance.kernel.errors import NotFound
from governance.web.access import page
from identities.forms.gateway import CutOffForm, RestoreForm
from identities.models import CutKind, GatewayServer, Identity
from identities.selectors.gateway import get_gateway_server, list_cut_offs
from identities.selectors.inventory import access_identity
from identities.services.agent_tokens import NoAgentToken, link_agent_token
from identities.services.cut_offs import NoTarget, ReasonMissing, Target, cut_off, restore_access
from identities.views.requests import PageRequest


@require_POST
@page()
def cut_off_create(request: PageRequest) -> HttpResponse:
    """Cut an agent, a server or a tool off, with effect on the next call."""
    form = CutOffForm(request.POST)
    if not form.is_valid():
        if "reason" in form.errors:
            raise ReasonMissing("Say why it is cut off; whoever gives it back has to read it.")
        raise NoTarget("Name an agent, or a server, or a tool of a server.")
    data = form.cleaned_data
    target = _target(request, data)
    cut_off(target=target, reason=data["reason"], actor=request.actor, now=timezone.now())
    messages.success(request, "It is cut off from the next call on. A review looks at what stood behind it.")
    return _back(target)


@require_POST
@page(roles=(Role.ADMINISTRATOR,))
def cut_off_restore(request: PageRequest, cut_off_id: UUID) -> HttpResponse:
    """Let it be used again."""
    form = RestoreForm(request.POST)
    if not form.is_valid():
        raise ReasonMissing("Say why it is given back.")
    row = list_cut_offs(actor=request.actor).filter(pk=cut_off_id).first()
    if row is None:
        raise NotFound("There is no such kill switch.")
    restore_access(cut_off_id=cut_off_id, reason=form.cleaned_data["reason"], actor=request.actor, now=timezone.now())
    messages.success(request, "It can be used again, as far as its grants allow.")
    return _back(Target(identity=row.identity, server=row.server, tool=row.tool))


@require_POST
@page(roles=(Role.ADMINISTRATOR,))
def agent_token_link(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """Let a token speak for the agent at the gateway."""
    identity = access_identity(actor=request.actor, identity_id=identity_id)
    try:
        token_id = UUID(request.POST.get("token", ""))
    except ValueError:
        raise NoAgentToken("Choose a token with the scope mcp:call and no other.", field="token") from None
    link_agent_token(identity=identity, token_id=token_id, actor=request.actor, now=timezone.now())
    messages.success(request, "The token speaks for this agent at the gateway.")
    return redirect("identities:identity_detail", identity.pk)


def _target(request: PageRequest, data: dict[str, Any]) -> Target:
    identity: Identity | None = None
    server: GatewayServer | None = None
    if data["kind"] == CutKind.AGENT and data["identity"]:
        identity = access_identity(actor=request.actor, identity_id=data["identity"])
    elif data["kind"] in (CutKind.SERVER, CutKind.TOOL) and data["server"]:
        server = get_gateway_server(data["server"])
    return Target(identity=identity, server=server, tool=data["tool"] if data["kind"] == CutKind.TOOL else "")


def _back(target: Target) -> HttpResponse:
    if target.identity is not None:
        return redirect("identities:identity_detail", target.identity.pk)
    return redirect("identities:gateway_server", target.server.name if target.server else "")
