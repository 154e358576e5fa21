"""Definitions that a broker exports (`rabbitmqctl export_definitions`, GET /api/definitions), read as an inventory.

What makes a file no broker's inventory is refused: it is cut off, is the export of one virtual host, or has entries
that a broker would not take. Names and rights are taken over; what users sign in with never is.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from identities.connectors.contract import Record
from identities.connectors.files import FileFormat, FileRefused, Holds, Notes, read_whole
from identities.connectors.rabbitmq.broker import tags_of
from identities.connectors.rabbitmq.records import ACTIONS, Estate, Topic, User, inventory, is_exact, password_state

LARGEST = 256 * 1024 * 1024
BUILT_IN_TYPES = frozenset({"direct", "fanout", "topic", "headers"})

_FIELDS: dict[str, tuple[str, ...]] = {
    "users": ("name",),
    "vhosts": ("name",),
    "permissions": ("user", "vhost", *ACTIONS),
    "topic_permissions": ("user", "vhost", "exchange", "write", "read"),
    "parameters": ("component", "name"),
    "global_parameters": ("name",),
    "policies": ("vhost", "name", "pattern"),
    "queues": ("vhost", "name"),
    "exchanges": ("vhost", "name", "type"),
    "bindings": ("vhost", "source", "destination"),
}
"""The sections of an export with the texts that each of their entries must have."""
_NOT_TAKEN = ("vhosts", "parameters", "global_parameters", "policies", "queues", "exchanges", "bindings")
_FIRST = re.compile(
    rb'\A(?:\xef\xbb\xbf)?\s*\{\s*"(?:rabbit_version|rabbitmq_version|rabbitmq_definition_format|product_name'
    rb"|product_version|original_cluster_name|original_vhost_name|explanation|metadata|"
    + b"|".join(name.encode() for name in _FIELDS)
    + rb')"\s*:'
)
_SURE = re.compile(rb'"(?:rabbit(?:mq)?_version|rabbitmq_definition_format|bindings|exchanges|queues|vhosts)"\s*:')


class Definitions:
    """The JSON file of a broker's definitions."""

    name = "rabbitmq-definitions"
    title = "RabbitMQ definitions (export_definitions)"
    kind = "rabbitmq"
    holds = Holds.INVENTORY

    def recognises(self, head: bytes) -> bool:
        return bool(_FIRST.match(head) and _SURE.search(head))

    def records(self, file: BinaryIO, notes: Notes) -> Iterator[Record]:
        data = _decode(file)
        sections = {name: _section(data, name) for name in _FIELDS}
        if not any(name in data for name in _FIELDS):
            raise FileRefused("This is no export of definitions: it has none of their sections.")
        _refuse_unknown_types(sections["exchanges"])
        estate = _estate(sections, notes)
        for name in _NOT_TAKEN:
            if sections[name]:
                notes.count(f"{name.replace('_', ' ')} not taken over", len(sections[name]))
        if not estate.users:
            notes.say("The file names no users and no permissions, so it says that the broker has none.")
        count = 0
        for record in inventory(estate, {}):
            count += 1
            yield record
        yield {"type": "end", "records": count}


FORMATS: tuple[FileFormat, ...] = (Definitions(),)


def _decode(file: BinaryIO) -> dict[str, Any]:
    body = read_whole(file, LARGEST)
    try:
        data = json.loads(body.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise FileRefused(f"The file is no JSON (line {error.lineno}, column {error.colno}): {error.msg}.") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise FileRefused("The file is no JSON in UTF-8.") from error
    if not isinstance(data, dict):
        raise FileRefused("An export of definitions is one JSON object; this is something else.")
    return data


def _section(data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = data.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise FileRefused(f"/{name} must be a list.")
    for place, entry in enumerate(found):
        if not isinstance(entry, dict):
            raise FileRefused(f"/{name}/{place} must be an object.")
        for wanted in _FIELDS[name]:
            if not isinstance(entry.get(wanted), str):
                raise FileRefused(_missing(name, place, wanted, entry))
    return found


def _missing(section: str, place: int, wanted: str, entry: dict[str, Any]) -> str:
    if wanted == "vhost" and wanted not in entry:
        return (
            f"/{section}/{place} names no virtual host: this is the export of a single one, which holds neither users "
            "nor permissions. Export the definitions of the whole broker."
        )
    return f"/{section}/{place}/{wanted} is missing or no text, so no broker would take this file."


def _refuse_unknown_types(exchanges: list[dict[str, Any]]) -> None:
    """Whether topic permissions count depends on the type, and a broker stops at one that it does not know."""
    for place, exchange in enumerate(exchanges):
        if exchange["type"] not in BUILT_IN_TYPES and not exchange["type"].startswith("x-"):
            raise FileRefused(f"/exchanges/{place}/type is no type of exchange, so no broker would take this file.")


def _estate(sections: dict[str, list[dict[str, Any]]], notes: Notes) -> Estate:
    users = [_user(entry, f"/users/{place}", notes) for place, entry in enumerate(sections["users"])]
    topics = [
        Topic(entry["user"], entry["vhost"], entry["exchange"], entry["write"], entry["read"])
        for entry in sections["topic_permissions"]
    ]
    _refuse_twice("users", sections["users"], lambda entry: (entry["name"],))
    _refuse_twice("permissions", sections["permissions"], lambda entry: (entry["user"], entry["vhost"]))
    _refuse_twice(
        "topic_permissions",
        sections["topic_permissions"],
        lambda entry: (entry["user"], entry["vhost"], entry["exchange"]),
    )
    permissions = [
        (entry["user"], entry["vhost"], {action: entry[action] for action in ACTIONS})
        for entry in sections["permissions"]
    ]
    known = {user.name for user in users}
    named = [user for user, _, _ in permissions] + [topic.user for topic in topics]
    unlisted = [name for name in dict.fromkeys(named) if name not in known]
    if unlisted:
        notes.count("users that only permissions name", len(unlisted))
        notes.say("Permissions name users that the file does not define; they are taken over as identities.")
    if topics:
        notes.count("topic permissions, taken over as conditions", len(topics))
    inexact = sum(not is_exact(each) for _, _, held in permissions for each in held.values())
    if inexact:
        notes.count("expressions too long to keep, told as everything", inexact)
    types = {(entry["vhost"], entry["name"]): entry["type"] for entry in sections["exchanges"]}
    return Estate([*users, *(User(name, is_listed=False) for name in unlisted)], permissions, topics, types)


def _user(entry: dict[str, Any], at: str, notes: Notes) -> User:
    limits = entry.get("limits") or {}
    if not isinstance(limits, dict):
        raise FileRefused(f"{at}/limits must be an object.")
    for name, value in limits.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise FileRefused(f"{at}/limits/{name[:80]} must be a whole number, so no broker would take this file.")
    for name in ("password_hash", "password"):
        if entry.get(name):
            notes.count("password hashes dropped" if name == "password_hash" else "passwords dropped")
            notes.say("What users sign in with is never taken over; whether they have a password is.")
    return User(entry["name"], _tags(entry, at), _password_state(entry, at), limits)


def _tags(entry: dict[str, Any], at: str) -> tuple[str, ...]:
    found = entry.get("tags") or []
    if not isinstance(found, str) and not (isinstance(found, list) and all(isinstance(tag, str) for tag in found)):
        raise FileRefused(f"{at}/tags must be a text or a list of texts.")
    return tuple(tags_of(entry))


def _password_state(entry: dict[str, Any], at: str) -> str:
    hashed, algorithm = entry.get("password_hash") or "", entry.get("hashing_algorithm") or ""
    if not isinstance(hashed, str) or not isinstance(algorithm, str):
        raise FileRefused(f"{at}/password_hash and hashing_algorithm must be texts.")
    return "usable" if entry.get("password") and not hashed else password_state(hashed, algorithm)


def _refuse_twice(
    section: str, entries: list[dict[str, Any]], key: Callable[[dict[str, Any]], tuple[str, ...]]
) -> None:
    seen: set[tuple[str, ...]] = set()
    for place, entry in enumerate(entries):
        if key(entry) in seen:
            raise FileRefused(f"/{section}/{place} is there twice, and which of them counts cannot be told.")
        seen.add(key(entry))
