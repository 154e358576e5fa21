"""Remit's REST API as the connector uses it: three lists read to their end, and single requests."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx

from identities.connectors.contract import NotPossible, ReadIncomplete, Setting
from identities.connectors.http import decoded, open_client, send
from identities.connectors.settings import BadSettings, read_settings

MOST_PAGES = 1_000
PAGE = 500


@dataclass(frozen=True, slots=True)
class Settings:
    address: str
    token: str
    ca_file: str
    timeout: int

    def is_own(self, token: Mapping[str, Any]) -> bool:
        """Whether the connector itself signs in with this token."""
        return self.token.startswith(f"remit_{token['prefix']}_")


def parse_settings(declared: Sequence[Setting], settings: Mapping[str, Any], secrets: Mapping[str, str]) -> Settings:
    """Raises BadSettings."""
    values = read_settings(declared, settings, secrets)
    parts = urlsplit(values["address"])
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise BadSettings("The address must look like https://remit.example.org.", setting="address")
    return Settings(values["address"].rstrip("/"), values["token"], values["ca_file"] or "", values["timeout"] or 30)


class Api:
    """One open client; used in a `with` block."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = ExitStack()
        self.now = datetime.now(UTC)

    def __enter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self.settings.token}", "Accept": "application/json"}
        self._client = self._stack.enter_context(
            open_client(
                self.settings.address, headers=headers, ca_file=self.settings.ca_file, timeout=self.settings.timeout
            )
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def tokens(self) -> list[dict[str, Any]]:
        """Every API token, without secrets. Raises SourceUnreachable, ReadIncomplete."""
        return self._all("/api/v1/tokens/", ("id", "name", "prefix", "scopes", "withheld_scopes", "expires_at"))

    def sources(self) -> list[dict[str, Any]]:
        """Every source. Raises SourceUnreachable, ReadIncomplete."""
        return self._all("/api/v1/sources/", ("id", "slug", "name", "kind", "is_enabled", "settings", "capabilities"))

    def webhooks(self) -> list[dict[str, Any]]:
        """Every webhook, without secrets. Raises SourceUnreachable, ReadIncomplete."""
        fields = ("id", "name", "purpose", "is_enabled", "secret_made_at", "created_by")
        return self._all("/api/v1/webhooks/", fields, scope="webhooks:read")

    def post(self, path: str, body: Mapping[str, Any]) -> None:
        """One change. Raises NotPossible with the product's own reason, SourceUnreachable."""
        content = json.dumps(body).encode()
        response = send(self._client, "POST", path, content=content, headers={"Content-Type": "application/json"})
        if response.status_code >= 300:
            raise NotPossible(f"Remit answered {response.status_code}: {_reason(response)}")

    def _all(self, path: str, fields: Sequence[str], scope: str = "") -> list[dict[str, Any]]:
        """scope: what the token needs for it, for who made the token when less was read."""
        found: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(MOST_PAGES):
            parameters = {"limit": PAGE, **({"cursor": cursor} if cursor else {})}
            page = self._page(path, parameters, scope)
            rows = page.get("results") if isinstance(page, dict) else None
            if not isinstance(rows, list) or not all(_is_whole(row, fields) for row in rows):
                raise ReadIncomplete(f"{path} did not answer as Remit does; is the address right?")
            found += rows
            cursor = _cursor(page.get("next"))
            if not cursor:
                return found
        raise ReadIncomplete(f"{path} does not come to an end.")

    def _page(self, path: str, parameters: Mapping[str, Any], scope: str) -> Any:
        response = send(self._client, "GET", path, params=parameters)
        if response.status_code == httpx.codes.FORBIDDEN and scope:
            raise ReadIncomplete(f"The connector's token lacks the scope {scope}; make one that has it.")
        return decoded(response)


def _is_whole(row: Any, fields: Sequence[str]) -> bool:
    return isinstance(row, dict) and all(field in row for field in fields)


def _cursor(following: Any) -> str:
    """The cursor in the address of the next page; only it is taken, never the address."""
    if not isinstance(following, str):
        return ""
    return parse_qs(urlsplit(following).query).get("cursor", [""])[0]


def _reason(response: Any) -> str:
    try:
        detail = response.json().get("detail", "")
    except (ValueError, AttributeError):
        detail = ""
    return str(detail)[:300] or "no reason given"
