"""What people and the decision point ask about the gateway: servers, tools that wait, sessions, and what is cut off."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core.cache import cache
from django.db.models import F, Q, QuerySet

from governance.kernel.actors import Actor
from governance.kernel.errors import NotFound
from identities.models import (
    AgentToken,
    CutKind,
    CutOff,
    GatewayCall,
    GatewayServer,
    GatewaySession,
    GatewayTool,
    Identity,
    IdentityKind,
)
from identities.selectors.inventory import sees_everything, visible_identities

LIFE_KEY = "heartbeat.gateway"
SIGN_OF_LIFE_LIMIT = timedelta(seconds=30)
# A session that a killed process left behind is over for people, though nobody could write that down.
SESSION_SILENCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Cuts:
    """Everything that is cut off now, to be asked about many calls."""

    agents: frozenset[UUID]
    servers: frozenset[str]
    tools: frozenset[tuple[str, str]]

    def hits(self, identity_id: UUID, server: str, tool: str = "") -> bool:
        """Whether a call by this agent to this tool of this server is cut off by any switch."""
        return identity_id in self.agents or server in self.servers or (server, tool) in self.tools


def standing_cuts() -> Cuts:
    """Read anew on every call: a kill switch holds from the next one on. One query over the few that stand."""
    rows = list(CutOff.objects.filter(restored_at=None).values_list("kind", "identity_id", "server__name", "tool"))
    return Cuts(
        frozenset(identity for kind, identity, _, _ in rows if kind == CutKind.AGENT),
        frozenset(server for kind, _, server, _ in rows if kind == CutKind.SERVER),
        frozenset((server, tool) for kind, _, server, tool in rows if kind == CutKind.TOOL),
    )


def get_gateway_server(name: str) -> GatewayServer:
    """The server of this name, enabled or not. Raises NotFound."""
    server = GatewayServer.objects.filter(name=name).first()
    if server is None:
        raise NotFound("There is no such server behind the gateway.")
    return server


def get_agent(identity_id: UUID) -> Identity:
    """The agent with this id. Raises NotFound for anything else."""
    identity = Identity.objects.filter(pk=identity_id, kind=IdentityKind.AI_AGENT).first()
    if identity is None:
        raise NotFound("There is no such agent.")
    return identity


def list_gateway_servers(*, actor: Actor) -> QuerySet[GatewayServer]:
    """All servers for whoever sees the whole inventory, none for others."""
    servers = GatewayServer.objects.select_related("created_by")
    return servers if sees_everything(actor) else servers.none()


def list_tools(server_ids: Iterable[UUID]) -> QuerySet[GatewayTool]:
    """The tools of these servers, by name."""
    return GatewayTool.objects.filter(server__in=list(server_ids)).select_related("accepted_by").order_by("name")


def list_waiting_tools() -> QuerySet[GatewayTool]:
    """Tools that a server offers now and that nobody accepted as they are: new ones and changed ones."""
    waiting = GatewayTool.objects.filter(~Q(seen_hash=F("accepted_hash")), gone_at=None, server__is_enabled=True)
    return waiting.select_related("server").order_by("server__name", "name")


def list_open_sessions(*, actor: Actor, now: datetime) -> QuerySet[GatewaySession]:
    """Sessions that were seen lately, of agents that the actor may see; newest first."""
    seen = GatewaySession.objects.filter(ended_at=None, last_seen_at__gt=now - SESSION_SILENCE)
    if not sees_everything(actor):
        seen = seen.filter(identity__in=visible_identities(actor).values("pk"))
    return seen.select_related("identity", "server").order_by("-last_seen_at", "pk")


def list_calls(*, actor: Actor) -> QuerySet[GatewayCall]:
    """What was asked lately by agents that the actor may see, unordered."""
    calls = GatewayCall.objects.select_related("identity", "server")
    return calls if sees_everything(actor) else calls.filter(identity__in=visible_identities(actor).values("pk"))


def list_cut_offs(*, actor: Actor, standing: bool | None = None) -> QuerySet[CutOff]:
    """Kill switches that were thrown, of agents that the actor may see, or all; unordered."""
    rows = CutOff.objects.select_related("identity", "server", "cut_by", "restored_by")
    if not sees_everything(actor):
        rows = rows.filter(identity__in=visible_identities(actor).values("pk"))
    return rows if standing is None else rows.filter(restored_at__isnull=standing)


def standing_cut_off_of(identity: Identity) -> CutOff | None:
    """The kill switch of this agent, where it is thrown."""
    return CutOff.objects.filter(identity=identity, restored_at=None).select_related("cut_by").first()


def list_agent_tokens(identity: Identity) -> QuerySet[AgentToken]:
    """The tokens that speak for this agent, the newest first."""
    return AgentToken.objects.filter(identity=identity).select_related("token").order_by("-linked_at", "pk")


def gateway_seen_at() -> datetime | None:
    """When the gateway's process last gave a sign of life; None where it never did."""
    seen: datetime | None = cache.get(LIFE_KEY)
    return seen


def is_gateway_needed() -> bool:
    """Whether any server stands behind the gateway and is in use."""
    return GatewayServer.objects.filter(is_enabled=True).exists()
