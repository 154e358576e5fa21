"""What a request is seen in: its domain, what is registered of its resource, the context of its conditions.

What the store says always wins. A request fills in what the inventory leaves open; names that the inventory speaks of
itself it can never fill in, not even where they are empty.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from identities.models import IdentityKind, Source
from identities.pdp.index import Principal
from identities.pdp.requests import Request

ANY_SUBJECT = frozenset({"identity", "nhi"})
GOVERNED = frozenset(
    {
        *("id", "type", "kind", "status", "environment", "assurance", "tags", "source", "owner", "sponsor", "team"),
        *("custody", "acts_for", "is_privileged", "purpose"),
    }
)
"""Attributes of a subject that only the inventory has a say in."""
# Resources that their source writes without a word for their kind before them.
UNTYPED = frozenset({"aws", "scopes"})
CONTEXT_ALIASES = {"context.ip": "aws:sourceip", "context.source_ip": "aws:sourceip"}

Context = dict[str, str | list[str] | None]


@dataclass(frozen=True, slots=True)
class Domain:
    """Which sources answer under a name, what subjects may be called there, and what a request may add."""

    slug: str
    source_ids: frozenset[UUID]

    def admits(self, subject_type: str, kind: str) -> bool:
        """Whether an identity of this kind may be called so here."""
        return subject_type in ANY_SUBJECT or subject_type == kind

    def accepts(self, name: str) -> bool:
        """Whether a request may supply this attribute where the inventory says nothing of it."""
        return True


def find_domain(slug: str) -> Domain | None:
    """The domain as it is now, "" for every source that is switched on; None where there is none."""
    if slug:
        return None
    return Domain("", frozenset(Source.objects.filter(is_enabled=True).values_list("pk", flat=True)))


def stored_resources(
    source_ids: Collection[UUID], names: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The properties of those of these resources (type, id) that are registered."""
    return {}


def resource_text(dialect: str, kind: str, identifier: str) -> str:
    """A concrete resource in the words of a dialect: `table` and `ledger/public/payments` is `table:ledger/…`."""
    if dialect in UNTYPED or identifier.startswith(f"{kind}:"):
        return identifier
    return f"{kind}:{identifier}"


def request_context(
    request: Request, principal: Principal, domain: Domain, resource: Mapping[str, Any], now: datetime
) -> Context:
    """The attributes of one request by keys in small letters: `subject.team`, `resource.status`, `context.ip` …

    Also the keys of sources themselves (`aws:SourceIp`), which a caller names in the context. Lists have several values,
    null and empty lists none. Where two members differ only in case, both values stand there and no plain test holds.
    """
    context: Context = {}
    _add(context, "", {name: value for name, value in request.context.items() if ":" in name})
    _add(context, "context.", request.context)
    for name, alias in CONTEXT_ALIASES.items():
        if name in context:
            context.setdefault(alias, context[name])
    _add(context, "action.", {**request.action_properties, "name": None})
    _fill(context, "subject.", request.subject_properties, {**principal.attributes}, GOVERNED, domain)
    _fill(context, "resource.", request.resource_properties, resource, frozenset({"type", "id"}), domain)
    moment = now.isoformat()
    context |= {
        "subject.id": principal.external_id,
        "subject.type": principal.kind,
        "subject.kind": principal.kind,
        "subject.status": "active" if principal.is_active else "disabled",
        "subject.environment": principal.environment,
        "subject.assurance": None if principal.assurance is None else str(principal.assurance),
        "subject.tags": list(principal.tags) or None,
        "subject.acts_for": principal.acts_for or None,
        "action.name": request.action,
        "resource.type": request.resource_type,
        "resource.id": request.resource_id,
        # Of the time nobody has a say but the clock.
        "context.time": moment,
        "aws:currenttime": moment,
        "aws:epochtime": str(int(now.timestamp())),
    }
    return context


def _fill(
    context: Context,
    part: str,
    offered: Mapping[str, Any],
    stored: Mapping[str, Any],
    governed: frozenset[str],
    domain: Domain,
) -> None:
    said = {name.lower() for name in stored} | governed
    _add(context, part, {name: value for name, value in stored.items() if name.lower() not in governed})
    accepted = {
        name: value
        for name, value in offered.items()
        if name.lower() not in said and domain.accepts(f"{part}{name}")
    }
    _add(context, part, accepted)


def _add(context: Context, part: str, members: Mapping[str, Any]) -> None:
    for name, value in members.items():
        texts = _texts(value)
        if not texts:
            continue
        key = f"{part}{name}".lower()
        before = context.get(key)
        if before is not None:
            texts = [*(before if isinstance(before, list) else [before]), *texts]
        context[key] = texts if len(texts) > 1 else texts[0]


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [_text(each) for each in value if each is not None]
    return [_text(value)]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
