"""Which attributes a decision goes by: what the inventory says, and what the request may add.

What the store says always wins. A request fills in attributes of subject and resource only where its domain accepts
them and the store says nothing; properties of the action and the context are the caller's to say, because nobody else
knows them. Conditions name them `subject.role`, `resource.status`, `action.soft`, `context.ip`.
"""

from collections.abc import Mapping
from typing import Any

from governance.kernel.attributes import AttributeContext, attribute_context
from identities.pdp.requests import Request
from identities.selectors.domains import Domain


def context_of(
    request: Request, *, domain: Domain, subject: Mapping[str, Any], resource: Mapping[str, Any]
) -> AttributeContext:
    """The attributes of one request, flat.

    subject: governed facts of the identity (`governed_subject`). resource: the registered properties, empty where the
    resource is not registered.
    """
    return attribute_context(
        subject={
            **_added("subject", request.subject_properties, subject, domain),
            "type": request.subject_type,
            "id": request.subject_id,
        },
        resource={
            **_added("resource", request.resource_properties, resource, domain),
            "type": request.resource_type,
            "id": request.resource_id,
        },
        action={**_without(request.action_properties, {"name"}), "name": request.action},
        context=request.context,
    )


def governed_subject(attributes: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the store says of an identity: facts (status, environment, owner …) before attributes of the same name."""
    said = {name.lower() for name in facts}
    return {**_without(attributes, said), **facts}


def _added(part: str, offered: Mapping[str, Any], stored: Mapping[str, Any], domain: Domain) -> dict[str, Any]:
    """Stored members, and those of the request that are accepted and not stored in whatever case."""
    said = {name.lower() for name, value in stored.items() if value is not None} | {"type", "id"}
    accepted = {
        name: value for name, value in offered.items() if name.lower() not in said and domain.accepts(f"{part}.{name}")
    }
    return {**_without(stored, {"type", "id"}), **accepted}


def _without(members: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name.lower() not in names}
