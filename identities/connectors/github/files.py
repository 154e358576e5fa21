"""Installations of GitHub Apps and deploy keys, as GitHub's API lists them or its webhooks tell of them.

There is no connector for GitHub; such files go into a source that is pushed. Shapes: "List installations for an
organization" of GitHub's REST API, and the webhook events `installation`, `installation_repositories`, `deploy_key`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO

from identities.connectors.contract import Record
from identities.connectors.files import FileRefused, Holds, Notes, read_whole

LARGEST = 64 * 1024 * 1024
_INSTALLATION = re.compile(rb'"repository_selection"\s*:')
_DEPLOY_KEY = re.compile(rb'"read_only"\s*:\s*(?:true|false)')
# These name the account itself, every other permission its repositories.
_OF_ACCOUNT = ("organization_", "members", "team_discussions", "plan", "emails", "followers", "profile", "gpg_keys")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}(?:/[A-Za-z0-9_.-]{1,100})?")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,60}")


class Installations:
    """A list of installations, `{"installations": […]}`, one of them, or one webhook payload."""

    name = "github-installations"
    title = "GitHub App installations and deploy keys (API answers, webhook payloads)"
    kind = "push"
    holds = Holds.PART

    def recognises(self, head: bytes) -> bool:
        if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
            return False
        is_key = b'"deploy_key"' in head or (_DEPLOY_KEY.search(head) is not None and b'"verified"' in head)
        return (_INSTALLATION.search(head) is not None and b'"permissions"' in head) or is_key

    def records(self, file: BinaryIO, notes: Notes) -> Iterator[Record]:
        number, seen = 0, set[str]()
        for payload in _payloads(_document(file)):
            for record in _records(payload, notes):
                if record["type"] == "identity" and record["id"] in seen:
                    raise FileRefused(f"{record['id']} stands in this file twice.")
                seen.add(record["id"])
                number += 1
                yield record
        yield {"type": "end", "records": number}


def _document(file: BinaryIO) -> Any:
    data = read_whole(file, LARGEST)
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FileRefused(f"The file is no JSON, or is cut off: {type(error).__name__}.") from None


def _payloads(document: Any) -> list[Mapping[str, Any]]:
    """Webhook payloads, each bare installation as the payload that would tell of it."""
    if isinstance(document, Mapping) and isinstance(document.get("installations"), list):
        document = document["installations"]
    listed = document if isinstance(document, list) else [document]
    for number, each in enumerate(listed, start=1):
        if not isinstance(each, Mapping):
            raise FileRefused(f"Entry {number} of this file is no object.")
    return [{"installation": each} if "repository_selection" in each and "id" in each else each for each in listed]


def _records(payload: Mapping[str, Any], notes: Notes) -> Iterator[Record]:
    if isinstance(payload.get("installation"), Mapping) and "permissions" in payload["installation"]:
        yield from _installation(payload, payload["installation"], notes)
    elif isinstance(payload.get("key"), Mapping) and isinstance(payload.get("repository"), Mapping):
        yield from _deploy_key(payload, payload["key"], payload["repository"], notes)
    else:
        raise FileRefused("This is neither an installation with its permissions nor a deploy key of a repository.")


def _installation(payload: Mapping[str, Any], found: Mapping[str, Any], notes: Notes) -> Iterator[Record]:
    holder = f"installation/{_number(found.get('id'), 'installation.id')}"
    if payload.get("action") == "deleted":
        notes.count("installations that were deleted")
        return
    account = _name(_member(found, "account").get("login"), "installation.account.login")
    app = found.get("app_slug") or f"app {_number(found.get('app_id'), 'installation.app_id')}"
    suspended = found.get("suspended_at")
    yield {
        "type": "identity",
        "id": holder,
        "kind": "oauth_app",
        "name": f"{_text(app, 'installation.app_slug')} on {account}",
        "status": "disabled" if suspended else "active",
        "custody": "platform_managed",
        "created_at": _time(found.get("created_at"), "installation.created_at"),
        "attributes": {"account": account, "events": _words(found.get("events") or [], "installation.events")},
    }
    places = _places(payload, found, account, notes)
    permission = _permission(_member(found, "permissions"), account, places, notes)
    if permission is not None:
        selection = _text(found.get("repository_selection", "all"), "installation.repository_selection")
        yield {
            "type": "grant",
            "id": f"{holder}/permissions",
            "identity": holder,
            "label": f"Permissions on {selection} repositories of {account}",
            "permission": permission,
            "path": [{"kind": "direct", "id": account, "label": f"installed on {account}"}],
            "native_ref": {"installation": found["id"]},
        }
    notes.count("installations whose keys are not told here")


def _places(payload: Mapping[str, Any], found: Mapping[str, Any], account: str, notes: Notes) -> list[str]:
    """The repositories it reaches; every one of the account, later ones too, where no list is given."""
    if found.get("repository_selection") == "selected":
        listed = payload.get("repositories")
        if isinstance(listed, list) and listed:
            return sorted({_name(_mapping(each).get("full_name"), "repositories.full_name") for each in listed})
        notes.say(
            "The file does not list the repositories that were selected for an installation; it is shown with all of "
            "its account, which is more than it has."
        )
    return [f"{account}/*"]


def _permission(given: Mapping[str, Any], account: str, places: list[str], notes: Notes) -> dict[str, Any] | None:
    of_account: list[str] = []
    of_places: list[str] = []
    for name, level in sorted(given.items()):
        if not (isinstance(level, str) and _WORD.fullmatch(level) and _WORD.fullmatch(name)):
            raise FileRefused("A permission of an installation is no name with a level.")
        if level == "none":
            notes.count("permissions of level none")
            continue
        (of_account if name.startswith(_OF_ACCOUNT) else of_places).append(f"{name}:{level}")
    statements = [
        {"actions": actions, "resources": resources}
        for actions, resources in ((of_account, [account]), (of_places, places))
        if actions
    ]
    return {"dialect": "scopes", "statements": statements} if statements else None


def _deploy_key(
    payload: Mapping[str, Any], key: Mapping[str, Any], repository: Mapping[str, Any], notes: Notes
) -> Iterator[Record]:
    holder = f"deploy_key/{_number(key.get('id'), 'key.id')}"
    if payload.get("action") == "deleted":
        notes.count("deploy keys that were deleted")
        return
    place = _name(repository.get("full_name"), "repository.full_name")
    created = _time(key.get("created_at"), "key.created_at")
    yield {
        "type": "identity",
        "id": holder,
        "kind": "machine",
        "name": f"Deploy key {_text(key.get('title') or key['id'], 'key.title')} of {place}",
        "custody": "self_held",
        "created_at": created,
    }
    yield {"type": "credential", "id": f"{holder}/key", "identity": holder, "kind": "ssh_key", "created_at": created}
    yield {
        "type": "grant",
        "id": f"{holder}/contents",
        "identity": holder,
        "label": f"Contents of {place}",
        "permission": {
            "dialect": "scopes",
            "statements": [
                # Unless GitHub says that it may only read, it may write.
                {"actions": [f"contents:{'read' if key.get('read_only') is True else 'write'}"], "resources": [place]}
            ],
        },
        "path": [{"kind": "direct", "id": place, "label": f"deploy key of {place}"}],
    }


def _member(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    if not isinstance(found, Mapping):
        raise FileRefused(f"installation.{name} is missing or no object.")
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any, place: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise FileRefused(f"{place} is missing or no number.")
    return value


def _name(value: Any, place: str) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise FileRefused(f"{place} is missing or no name that GitHub gives.")
    return value


def _text(value: Any, place: str) -> str:
    text = str(value)
    if not text.isprintable() or len(text) > 200:
        raise FileRefused(f"{place} is no text of one line.")
    return text


def _words(value: Any, place: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) and _WORD.fullmatch(each) for each in value):
        raise FileRefused(f"{place} is no list of names.")
    return value


def _time(value: Any, place: str) -> str | None:
    """RFC 3339; GitHub writes seconds since 1970 in webhooks."""
    if value is None:
        return None
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).isoformat()
        return datetime.fromisoformat(value).astimezone(UTC).isoformat()
    except (ValueError, TypeError, OverflowError, OSError):
        raise FileRefused(f"{place} is no time.") from None


FORMATS = (Installations(),)
