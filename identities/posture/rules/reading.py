"""What sources and senders report in `attributes`, read with care: absent is Missing, and so is what makes no sense.

docs/rules.md, "Attributes that rules read", lists the names.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from identities.posture.facts import CredentialFacts, Missing

NOT_REPORTED = Missing("not_reported")
MALFORMED = Missing("malformed")

# What is issued anew each time and lies nowhere: nothing that could be rotated, leaked for long, or stored.
KEYLESS = frozenset({"federated_trust", "platform_issued", "jwt_svid"})
# Proves possession of a key with each request instead of sending something that can be sent again by others.
SIGNING = frozenset({"access_key", "ssh_key", "x509"})
# Its value is made with it: a new one is a new credential.
MADE_ONCE = frozenset({"access_key", "api_key", "token", "ssh_key", "x509"})


def is_keyless(credential: CredentialFacts) -> bool:
    return credential.kind in KEYLESS


def text(attributes: Mapping[str, Any], name: str) -> str | Missing:
    value = attributes.get(name, NOT_REPORTED)
    if isinstance(value, Missing | str):
        return value
    return MALFORMED


def flag(attributes: Mapping[str, Any], name: str) -> bool | Missing:
    value = attributes.get(name, NOT_REPORTED)
    return value if isinstance(value, Missing | bool) else MALFORMED


def whole(attributes: Mapping[str, Any], name: str) -> int | Missing:
    value = attributes.get(name, NOT_REPORTED)
    if isinstance(value, bool):
        return MALFORMED
    return value if isinstance(value, Missing | int) else MALFORMED


def moment(attributes: Mapping[str, Any], name: str) -> datetime | Missing | None:
    """A time with its zone; None where the sender says that there is none."""
    value = attributes.get(name, NOT_REPORTED)
    if value is None or isinstance(value, Missing):
        return value
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return MALFORMED
    return found.astimezone(UTC) if found.tzinfo else MALFORMED


def words(attributes: Mapping[str, Any], name: str) -> tuple[str, ...] | Missing:
    value = attributes.get(name, NOT_REPORTED)
    if isinstance(value, Missing):
        return value
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return tuple(value)
    return MALFORMED


def members(attributes: Mapping[str, Any], name: str) -> Mapping[str, Any] | Missing:
    value = attributes.get(name, NOT_REPORTED)
    return value if isinstance(value, Missing | Mapping) else MALFORMED


def entries(attributes: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], ...] | Missing:
    value = attributes.get(name, NOT_REPORTED)
    if isinstance(value, Missing):
        return value
    if isinstance(value, list | tuple) and all(isinstance(each, Mapping) for each in value):
        return tuple(value)
    return MALFORMED
