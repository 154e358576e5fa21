"""From Remit's API to inventory records (docs/api.md, "Record types"). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from identities.connectors.contract import Record

ITSELF = "remit"
"""The resource of every scope: the product itself."""

Row = Mapping[str, Any]


def token_id(token: Row) -> str:
    return f"token:{token['id']}"


def source_id(source: Row) -> str:
    return f"source:{source['id']}"


def scopes_permission(scopes: Sequence[str]) -> dict[str, Any]:
    return {"dialect": "scopes", "statements": [{"actions": sorted(scopes), "resources": [ITSELF]}]}


def connector_permission(source: Row) -> dict[str, Any]:
    """What a connector may do in its system, by its capabilities."""
    actions = sorted(f"connector:{each}" for each in source["capabilities"]) or ["connector:read"]
    return {"dialect": "scopes", "statements": [{"actions": actions, "resources": [f"source:{source['slug']}"]}]}


def records(tokens: Sequence[Row], sources: Sequence[Row], now: datetime) -> Iterator[Record]:
    """Every token that was not revoked and every source; the `end` is the caller's."""
    for token in tokens:
        if not token.get("revoked_at"):
            yield from _token(token, now)
    for source in sources:
        yield from _source(source)


def _token(token: Row, now: datetime) -> Iterator[Record]:
    is_live = bool(token["scopes"]) and datetime.fromisoformat(token["expires_at"]) > now
    status = "active" if is_live else "disabled"
    yield {
        "type": "identity",
        "id": token_id(token),
        "kind": "api_client",
        "name": token["name"],
        "status": status,
        "custody": "self_held",
        "owner": token.get("created_by") or "",
        "created_at": token.get("created_at"),
        "last_used_at": token.get("last_used_at"),
        "attributes": {"prefix": token["prefix"], "withheld": token["withheld_scopes"]},
    }
    yield {
        "type": "credential",
        "id": token_id(token),
        "identity": token_id(token),
        "kind": "token",
        "status": status,
        "created_at": token.get("created_at"),
        "expires_at": token["expires_at"],
        "last_used_at": token.get("last_used_at"),
        "storage": "as a hash",
    }
    if token["scopes"]:
        yield {
            "type": "grant",
            "id": f"{token_id(token)}/scopes",
            "identity": token_id(token),
            "label": f"Scopes of {token['name']}",
            "permission": scopes_permission(token["scopes"]),
            "native_ref": {"kind": "scopes", "id": token["id"]},
            "valid_until": token["expires_at"],
        }


def _source(source: Row) -> Iterator[Record]:
    references = {
        name: value
        for name, value in source["settings"].items()
        if isinstance(value, str) and value.startswith(("env:", "file:"))
    }
    status = "active" if source["is_enabled"] else "disabled"
    yield {
        "type": "identity",
        "id": source_id(source),
        "kind": "machine",
        "name": f"Connector of {source['name']}",
        "status": status,
        "environment": source.get("environment"),
        "owner": source.get("owner") or "",
        "created_at": source.get("created_at"),
        "last_used_at": source.get("last_success_at"),
        "attributes": {"connector": source["kind"], "source": source["slug"]},
    }
    for name, value in references.items():
        yield {
            "type": "credential",
            "id": f"{source_id(source)}/{name}",
            "identity": source_id(source),
            "kind": "token" if "token" in name else "password" if "pass" in name else "api_key",
            "status": status,
            "storage": value[:120],
            "attributes": {"setting": name},
        }
    if source["is_enabled"]:
        yield {
            "type": "grant",
            "id": f"{source_id(source)}/connector",
            "identity": source_id(source),
            "label": f"What Remit may do in {source['name']}",
            "permission": connector_permission(source),
            "native_ref": {"kind": "source", "id": source["id"], "slug": source["slug"], "connector": source["kind"]},
        }
