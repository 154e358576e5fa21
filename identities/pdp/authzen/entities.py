"""Subjects, actions, resources and contexts of AuthZEN, read without coercion into requests for the decision point."""

from collections.abc import Mapping
from typing import Any

from identities.pdp.authzen.wire import Malformed
from identities.pdp.requests import Request

LONGEST = {"type": 256, "id": 1024, "name": 256}
MOST_PROPERTIES = 200
EXPLAIN = "explain"

Members = Mapping[str, Any]


def read_request(members: Members, *, domain: str) -> Request:
    """One evaluation. Unknown members are ignored. Raises `Malformed`."""
    subject = entity(members, "subject", ("type", "id"))
    action = entity(members, "action", ("name",))
    resource = entity(members, "resource", ("type", "id"))
    context = read_context(members)
    return Request(
        subject_type=subject["type"],
        subject_id=subject["id"],
        subject_properties=subject["properties"],
        action=action["name"],
        action_properties=action["properties"],
        resource_type=resource["type"],
        resource_id=resource["id"],
        resource_properties=resource["properties"],
        context=context,
        domain=domain,
        wants_explanation=context.get(EXPLAIN) is True,
    )


def entity(members: Members, part: str, names: tuple[str, ...]) -> dict[str, Any]:
    """One entity: these of its members, each a text, and its properties. Raises `Malformed`."""
    found = members.get(part)
    if found is None:
        raise Malformed(f"{part} is missing.")
    if not isinstance(found, dict):
        raise Malformed(f"{part} must be an object.")
    read: dict[str, Any] = {name: _text(found.get(name), f"{part}.{name}", LONGEST[name]) for name in names}
    read["properties"] = _properties(found.get("properties"), f"{part}.properties")
    return read


def read_context(members: Members) -> dict[str, Any]:
    """The context, empty where there is none. Raises `Malformed`."""
    return _properties(members.get("context"), "context")


def _text(value: Any, at: str, most: int) -> str:
    if value is None:
        raise Malformed(f"{at} is missing.")
    if not isinstance(value, str):
        raise Malformed(f"{at} must be a text.")
    if not value:
        raise Malformed(f"{at} must not be empty.")
    if len(value) > most:
        raise Malformed(f"{at} is longer than {most:,} characters.")
    if not value.isprintable():
        raise Malformed(f"{at} holds characters that no name has.")
    return value


def _properties(value: Any, at: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"{at} must be an object.")
    if len(value) > MOST_PROPERTIES:
        raise Malformed(f"{at} has more than {MOST_PROPERTIES} members.")
    return value
