"""What the gateway asks the database and the decision point. Synchronous; called through `threads.ask`.

Nothing here decides: who the agent is stands in its token, what is cut off in the switches, what it may do is the
decision point's answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.cache import cache
from django.utils import timezone

from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError, NotFound
from governance.people.models import ApiToken
from governance.people.tokens import InvalidToken, authenticate_token
from identities.gateway.messages import DENIED, NOT_DECIDABLE, Refused
from identities.models import AgentToken, GatewayServer, GatewaySession
from identities.pdp.deciding import decide_many
from identities.pdp.reasons import SENTENCES, Reason
from identities.pdp.requests import Decision, Request
from identities.pdp.switches import DEFINITION, SERVER
from identities.selectors.gateway import LIFE_KEY, standing_cuts
from identities.services.agent_tokens import SCOPE
from identities.services.gateway_servers import Told, allowed_commands, note_tools, note_trouble, told_of
from identities.services.secrets import resolve_secrets

GATEWAY = system_actor("gateway")
# Conditions name an argument of a call `action.arguments.<name>`.
ARGUMENTS = "arguments"


class NotAnAgent(DomainError):
    """The token is good, but speaks for no agent here: another scope, more scopes, or no link."""


class NoSuchServer(NotFound):
    """No server of this name is in use behind the gateway."""


@dataclass(frozen=True, slots=True)
class Agent:
    """Who calls: the agent behind the token, by the inventory, and on whose behalf it acts."""

    id: UUID
    name: str
    acts_for: str
    token_id: UUID


@dataclass(frozen=True, slots=True)
class Upstream:
    """How a server is reached; `version` changes with that, so that old connections are not used any more."""

    id: UUID
    name: str
    version: int
    url: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Admission:
    """One HTTP request let in as far as the server. is_cut: a kill switch stands, so that nothing is even started."""

    agent: Agent
    server: Upstream
    is_cut: bool


def admit(token: str, server_name: str) -> Admission:
    """Raises InvalidToken, NotAnAgent, NoSuchServer."""
    return _admission(_agent_of(authenticate_token(token, now=timezone.now())), server_name)


def admit_again(agent: Agent, server_name: str) -> Admission:
    """The same for a session that only listens: its token is looked up again. Raises as `admit`, and InvalidToken."""
    now = timezone.now()
    held = ApiToken.objects.filter(pk=agent.token_id, revoked_at=None, expires_at__gt=now).exclude(scopes=[]).first()
    if held is None:
        raise InvalidToken("The API token is unknown, expired or revoked.")
    return _admission(_agent_of(held), server_name)


def _admission(agent: Agent, server_name: str) -> Admission:
    server = GatewayServer.objects.filter(name=server_name, is_enabled=True).first()
    if server is None:
        raise NoSuchServer("There is no such server behind the gateway.")
    reached = Upstream(server.pk, server.name, server.version, server.url, tuple(server.command))
    return Admission(agent, reached, standing_cuts().hits(agent.id, server.name))


def secrets_of(server_id: UUID) -> tuple[dict[str, str], str]:
    """The variables and the token that a connection to the server needs, and whether its command is still allowed.

    Raises SecretMissing, InvalidServer, Refused.
    """
    server = GatewayServer.objects.get(pk=server_id)
    if server.command and list(server.command) not in allowed_commands():
        raise Refused(DENIED, "The operator does not allow this server to be started.", reason="not_allowed")
    variables = resolve_secrets(server.environment)
    return variables, resolve_secrets({"token": server.token})["token"] if server.token else ""


def take_in(server_id: UUID, tools: Sequence[Mapping[str, Any]]) -> None:
    """Keep what the server tells of its tools."""
    told: list[Told] = [told_of(tool) for tool in tools]
    server = GatewayServer.objects.get(pk=server_id)
    note_tools(server=server, told=told, actor=GATEWAY, now=timezone.now())
    note_trouble(server_id=server_id, sentence="")


def tell_trouble(server_id: UUID, sentence: str) -> None:
    """For the server's page: why it could not be reached."""
    note_trouble(server_id=server_id, sentence=sentence)


def granted_tools(agent: Agent, server: Upstream, hashes: Mapping[str, str], client: str) -> set[str]:
    """Of these tools (definitions by name) those that the agent may call, with some arguments at least."""
    names = list(hashes)
    requests = [_request(agent, server, name, hashes[name], None, client) for name in names]
    decisions = decide_many(requests, now=timezone.now(), is_search=True)
    if any(decision.reason == Reason.UNAVAILABLE for decision in decisions):
        raise Refused(NOT_DECIDABLE, SENTENCES[Reason.UNAVAILABLE], reason=str(Reason.UNAVAILABLE))
    return {name for name, decision in zip(names, decisions, strict=True) if _is_callable(decision)}


def decide_call(
    agent: Agent, server: Upstream, tool: str, hash: str, readings: Iterable[Mapping[str, str]], client: str
) -> None:
    """Ask about one call, in every reading of its arguments. Raises Refused with the reason of the first no.

    hash: of the definition that the server gives, empty where the call will not be made whatever is answered.
    """
    requests = [_request(agent, server, tool, hash, reading, client) for reading in readings]
    for decision in decide_many(requests, now=timezone.now()):
        if not decision.permit:
            raise denied(Reason(decision.reason), evaluation=str(decision.evaluation_id))


def denied(reason: Reason, **data: str) -> Refused:
    """The refusal of a call, in the words of the decision point."""
    if reason is Reason.UNAVAILABLE:
        return Refused(NOT_DECIDABLE, f"Not done: {SENTENCES[reason]} Try again.", reason=str(reason), **data)
    return Refused(DENIED, f"Not allowed: {SENTENCES[reason]}", reason=str(reason), **data)


def note_session(session_id: UUID, agent: Agent, server: Upstream, client: str, protocol: str) -> None:
    """For people to see who is connected; decides nothing."""
    now = timezone.now()
    GatewaySession.objects.create(
        id=session_id,
        server_id=server.id,
        identity_id=agent.id,
        client=client,
        protocol=protocol,
        opened_at=now,
        last_seen_at=now,
    )


def note_life(open_sessions: Iterable[UUID], ended: Iterable[UUID]) -> None:
    """A sign of life of the process, and of its sessions."""
    now = timezone.now()
    cache.set(LIFE_KEY, now, timeout=int(timedelta(days=1).total_seconds()))
    GatewaySession.objects.filter(pk__in=list(open_sessions)).update(last_seen_at=now)
    GatewaySession.objects.filter(pk__in=list(ended), ended_at=None).update(ended_at=now)


def _agent_of(token: ApiToken) -> Agent:
    link = AgentToken.objects.select_related("identity").filter(token=token).first()
    if link is None or token.scopes != [SCOPE]:
        raise NotAnAgent(f"The token must have the scope {SCOPE} alone, and speak for an agent.")
    identity = link.identity
    return Agent(identity.pk, identity.name, identity.acts_for, token.pk)


def _request(
    agent: Agent, server: Upstream, tool: str, hash: str, reading: Mapping[str, str] | None, client: str
) -> Request:
    """One call as the decision point is asked. reading: None while a list is made, before there are arguments.

    On whose behalf the agent acts stands in the inventory, so nothing of it is claimed here.
    """
    return Request(
        subject_type="identity",
        subject_id=str(agent.id),
        action=tool,
        action_properties={f"{ARGUMENTS}.{name}": text for name, text in (reading or {}).items()},
        resource_type=SERVER,
        resource_id=server.name,
        resource_properties={DEFINITION: hash} if hash else {},
        context={"protocol": "mcp", "client": client},
    )


def _is_callable(decision: Decision) -> bool:
    """Whether there may be arguments with which the call is allowed: then the tool is listed, and judged per call."""
    if decision.reason != Reason.MISSING_INPUT:
        return decision.permit
    missing = decision.not_assessed
    return bool(missing) and all(name.startswith(f"action.{ARGUMENTS}.") for name in missing)
