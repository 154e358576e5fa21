"""The management API of a broker: settings, signing in, and the few calls that the connector makes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx

from identities.connectors.contract import NotPossible, ReadIncomplete, Setting
from identities.connectors.http import get_json, open_client, send
from identities.connectors.settings import BadSettings, read_settings

DONE = (httpx.codes.OK, httpx.codes.CREATED, httpx.codes.NO_CONTENT)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the management API is and as whom to sign in. Times are in seconds."""

    address: str
    user: str
    password: str = field(default="", repr=False)
    ca_file: str = ""
    timeout: int = 30
    list_lag: int = 6


def parse_settings(declared: Sequence[Setting], settings: Mapping[str, Any], secrets: Mapping[str, str]) -> Settings:
    """Raises BadSettings."""
    values = read_settings(declared, settings, secrets)
    address = values["address"].rstrip("/")
    if not address.startswith(("http://", "https://")) or "@" in address:
        raise BadSettings("The address must begin with http:// or https:// and name nobody.", setting="address")
    if not 1 <= values["timeout"] <= 600 or values["list_lag"] > 120:
        raise BadSettings("The timeout is 1 to 600 seconds, the list lag at most 120.", setting="timeout")
    return Settings(**(values | {"address": address, "ca_file": values["ca_file"] or ""}))


def path(*parts: str) -> str:
    """`path("permissions", "/", "app") == "/api/permissions/%2F/app"`"""
    return "/api/" + "/".join(quote(part, safe="") for part in parts)


@dataclass(frozen=True, slots=True)
class Connection:
    """One open connection of a client. connected_at: by the broker's clock."""

    name: str
    user: str
    vhost: str
    connected_at: datetime


class Broker:
    """An open client, signed in as `me`."""

    def __init__(self, client: httpx.Client, settings: Settings) -> None:
        self._client = client
        self.settings = settings

    @property
    def me(self) -> str:
        return self.settings.user

    def list_of(self, *where: str, **parameters: str) -> list[dict[str, Any]]:
        """Raises SourceUnreachable, ReadIncomplete."""
        found = get_json(self._client, path(*where), params=parameters)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise ReadIncomplete(f"The broker answered GET {path(*where)} with something that is no list of objects.")
        return found

    def get(self, *where: str) -> dict[str, Any] | None:
        """One object; None where there is none. Raises SourceUnreachable, ReadIncomplete."""
        response = send(self._client, "GET", path(*where))
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        try:
            found = response.json() if response.status_code == httpx.codes.OK else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ReadIncomplete(f"The broker answered {response.status_code} to GET {path(*where)}.")
        return found

    def put(self, where: tuple[str, ...], body: Mapping[str, Any]) -> None:
        """Raises SourceUnreachable, NotPossible."""
        response = send(self._client, "PUT", path(*where), json=dict(body))
        if response.status_code not in DONE:
            raise NotPossible(f"the broker answered {response.status_code} to PUT {path(*where)}.")

    def delete(self, *where: str, reason: str = "") -> None:
        """What is not there any more is deleted well enough. Raises SourceUnreachable, NotPossible."""
        headers = {"X-Reason": reason} if reason else {}
        response = send(self._client, "DELETE", path(*where), headers=headers)
        if response.status_code not in (*DONE, httpx.codes.NOT_FOUND):
            raise NotPossible(f"the broker answered {response.status_code} to DELETE {path(*where)}.")

    def connections(self, user: str, vhost: str | None = None) -> list[Connection]:
        """The open connections of a user, as far as the broker's list knows them by now."""
        found = self.list_of("connections", columns="name,user,vhost,connected_at")
        return [
            Connection(each["name"], user, each["vhost"], _moment(each.get("connected_at")))
            for each in found
            if each.get("user") == user and vhost in (None, each.get("vhost")) and "name" in each
        ]

    def now(self) -> datetime:
        """The broker's clock, to the second."""
        response = send(self._client, "GET", path("whoami"))
        try:
            return parsedate_to_datetime(response.headers["date"])
        except (KeyError, ValueError):
            return datetime.now(UTC)

    def tags(self) -> list[str]:
        """The tags of the connector's own user. Raises SourceUnreachable, ReadIncomplete."""
        return tags_of(get_json(self._client, path("whoami")))


def tags_of(user: Mapping[str, Any]) -> list[str]:
    """A user's tags, sorted: brokers before 3.9 write them as one text with commas."""
    found = user.get("tags") or []
    listed = found.split(",") if isinstance(found, str) else found
    return sorted({str(tag).strip() for tag in listed} - {""})


def _moment(milliseconds: Any) -> datetime:
    """An unknown moment counts as the beginning of time: such a connection is older than any change."""
    return datetime.fromtimestamp((milliseconds if isinstance(milliseconds, int) else 0) / 1000, UTC)


@contextmanager
def open_broker(settings: Settings) -> Iterator[Broker]:
    with open_client(
        settings.address,
        auth=(settings.user, settings.password),
        ca_file=settings.ca_file,
        timeout=settings.timeout,
    ) as client:
        yield Broker(client, settings)
