"""Which agent an API token speaks for at the gateway."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Conflict, DomainError, NotFound
from governance.people.access import require_role
from governance.people.models import ApiToken
from identities.models import AgentToken, Identity, IdentityKind
from identities.services.identities import identity_subject

SCOPE = "mcp:call"


class NoAgentToken(DomainError):
    """A token that may not speak for an agent, or an identity that is none."""

    code = "no-agent-token"
    title = "This token can't speak for an agent"


class LinkedAlready(Conflict):
    """The token speaks for an agent already; it never changes hands."""

    code = "token-linked-already"


def link_agent_token(*, identity: Identity, token_id: UUID, actor: Actor, now: datetime) -> AgentToken:
    """Let a token speak for this agent at the gateway, from now on and for good; ending the token ends it.

    The token has the scope `mcp:call` and no other: what an agent presents to the gateway must open nothing else, and
    what opens something else must not open the gateway. Raises `NoAgentToken`, `LinkedAlready`, `NotFound`,
    `Forbidden`.
    """
    require_role(actor, Role.ADMINISTRATOR)
    if identity.kind != IdentityKind.AI_AGENT or identity.retired_at is not None:
        raise NoAgentToken("Only an AI agent that its source still holds gets a token for the gateway.")
    with transaction.atomic(durable=True):
        token = ApiToken.objects.select_for_update().filter(pk=token_id, revoked_at=None).first()
        if token is None:
            raise NotFound("There is no such API token.")
        if token.scopes != [SCOPE] or token.withheld_scopes:
            raise NoAgentToken(f"The token must have the scope {SCOPE} and no other.", field="token")
        if AgentToken.objects.filter(pk=token.pk).exists():
            raise LinkedAlready("This token speaks for an agent already.", field="token")
        link = AgentToken.objects.create(token=token, identity=identity, linked_at=now, linked_by_id=actor.person_id)
        log.record(
            verb=Verb.AGENT_TOKEN_LINKED,
            actor=actor,
            subject=identity_subject(identity),
            now=now,
            new={"token": str(token.pk)},
        )
    return link
