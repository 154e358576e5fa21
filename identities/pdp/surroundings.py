"""What a request is seen in: the words of a dialect for its resource, and the context of its conditions.

What the store says always wins (`attributes`). What only the inventory has a say in, no request can fill in either, not
even where nothing is known of it: then it is missing.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from governance.kernel.attributes import AttributeContext, attribute_context
from governance.kernel.dialects import authzen
from identities.pdp.attributes import context_of, governed_subject
from identities.pdp.index import Principal
from identities.pdp.requests import Properties, Request
from identities.selectors.domains import Domain

GOVERNED = (
    *("kind", "status", "environment", "assurance", "tags", "acts_for"),
    *("source", "owner", "sponsor", "team", "custody", "is_privileged", "purpose"),
)
"""Attributes of a subject that only the inventory has a say in; conditions may ask for those of the first line."""
GOVERNED_CONTEXT = frozenset({"context.time"})
# Resources that their source writes without a word for their kind before them.
UNTYPED = frozenset({"aws", "scopes"})
# The network that a request comes from, by the names that sources have for it.
ALIASES = {"context.ip": "aws:sourceip"}


def resource_text(dialect: str, kind: str, identifier: str) -> str:
    """A concrete resource in the words of a dialect.

    >>> resource_text("postgresql", "table", "ledger/public/payments")
    'table:ledger/public/payments'
    """
    if dialect == authzen.AuthZEN.name:
        if kind.isidentifier() and "%" not in identifier and "*" not in identifier and "?" not in identifier:
            return f"{kind}:{identifier}"
        return authzen.resource_text(kind, identifier)
    if dialect in UNTYPED or identifier.startswith(f"{kind}:"):
        return identifier
    return f"{kind}:{identifier}"


def resource_names(dialect: str, text: str) -> tuple[str, str]:
    """The other way round: type and id with which a request names this resource.

    >>> resource_names("postgresql", "table:ledger/public/payments")
    ('table', 'table:ledger/public/payments')
    """
    if dialect == authzen.AuthZEN.name:
        return authzen.resource_parts(text)
    return (text.partition(":")[0] or dialect) if dialect not in UNTYPED else "resource", text


def request_about(
    identity_id: UUID,
    dialect: str,
    action: str,
    resource: str,
    *,
    context: Properties | None = None,
    explained: bool = False,
) -> Request:
    """The question whether this identity may do that, on a resource in the words of a dialect."""
    kind, name = resource_names(dialect, resource)
    return Request("identity", str(identity_id), action, kind, name, context=context or {}, wants_explanation=explained)


def request_context(
    request: Request, principal: Principal, domain: Domain, resource: Mapping[str, Any], now: datetime
) -> AttributeContext:
    """The attributes of one request by keys in small letters: `subject.team`, `resource.status`, `context.ip` …

    And the keys of sources themselves (`aws:SourceIp`), which a caller names as such in the context; of the time nobody
    has a say but the clock.
    """
    facts = _facts(principal)
    subject = governed_subject(principal.attributes, facts)
    context = context_of(request, domain=domain, subject=subject, resource=resource)
    known = {name.lower() for name, value in subject.items() if value is not None}
    for name in GOVERNED:
        if name not in known:
            context.pop(f"subject.{name}", None)
    if request.context:
        context |= _keys_of_sources(request.context)
        for name, alias in ALIASES.items():
            if name in context:
                context.setdefault(alias, context[name])
    moment = now.isoformat()
    context["subject.id"] = principal.external_id
    context["context.time"] = context["aws:currenttime"] = moment
    context["aws:epochtime"] = str(int(now.timestamp()))
    return context


def _facts(principal: Principal) -> dict[str, Any]:
    return {
        "kind": principal.kind,
        "status": "active" if principal.is_active else "disabled",
        "environment": principal.environment,
        "assurance": principal.assurance,
        "tags": list(principal.tags) or None,
        "acts_for": principal.acts_for or None,
    }


def _keys_of_sources(members: Mapping[str, Any]) -> AttributeContext:
    named = {name: value for name, value in members.items() if ":" in name}
    return {key.removeprefix("."): value for key, value in attribute_context(**{"": named}).items()} if named else {}
