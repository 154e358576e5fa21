"""From Remit's API to inventory records (docs/api.md, "Record types"). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from identities.connectors.contract import Record

ITSELF = "remit"
"""The resource of every scope: the product itself."""

Row = Mapping[str, Any]


def token_id(token: Row) -> str:
    return f"token:{token['id']}"


def source_id(source: Row) -> str:
    return f"source:{source['id']}"


def webhook_id(webhook: Row) -> str:
    return f"webhook:{webhook['id']}"


def secret_id(webhook: str) -> str:
    """The signing secret of a webhook, by the webhook's own id."""
    return f"{webhook}/secret"


def scopes_permission(scopes: Sequence[str]) -> dict[str, Any]:
    return {"dialect": "scopes", "statements": [{"actions": sorted(scopes), "resources": [ITSELF]}]}


def connector_permission(source: Row) -> dict[str, Any]:
    """What a connector may do in its system, by its capabilities."""
    actions = sorted(f"connector:{each}" for each in source["capabilities"]) or ["connector:read"]
    return {"dialect": "scopes", "statements": [{"actions": actions, "resources": [f"source:{source['slug']}"]}]}


def records(tokens: Sequence[Row], sources: Sequence[Row], webhooks: Sequence[Row], now: datetime) -> Iterator[Record]:
    """Every token that was not revoked, every source and every webhook; the `end` is the caller's."""
    for token in tokens:
        if not token.get("revoked_at"):
            yield from _token(token, now)
    for source in sources:
        yield from _source(source)
    for webhook in webhooks:
        yield from _webhook(webhook)


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


def _webhook(webhook: Row) -> Iterator[Record]:
    """Of its address only the host: the rest may itself be a key to what it leads to."""
    status = "active" if webhook["is_enabled"] else "disabled"
    yield {
        "type": "identity",
        "id": webhook_id(webhook),
        "kind": "machine",
        "name": f"Webhook {webhook['name']}",
        "status": status,
        "owner": webhook["created_by"] or "",
        "created_at": webhook.get("created_at"),
        "last_used_at": webhook.get("last_success_at"),
        "attributes": {
            "webhook": webhook["purpose"],
            "host": urlsplit(webhook.get("url") or "").hostname or "",
            "told": list(webhook.get("verbs") or ()),
        },
    }
    yield {
        "type": "credential",
        "id": secret_id(webhook_id(webhook)),
        "identity": webhook_id(webhook),
        "kind": "client_secret",
        "status": status,
        "created_at": webhook.get("created_at"),
        "last_rotated_at": webhook["secret_made_at"],
        "last_used_at": webhook.get("last_success_at"),
        "never_expires": True,
        "attributes": {"method": "hmac_sha256"},
    }
    if webhook["is_enabled"]:
        yield {
            "type": "grant",
            "id": f"{webhook_id(webhook)}/told",
            "identity": webhook_id(webhook),
            "label": f"What {webhook['name']} is told",
            "permission": scopes_permission([f"webhook:{webhook['purpose']}"]),
            "native_ref": {"kind": "webhook", "id": webhook["id"]},
        }
