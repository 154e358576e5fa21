"""From what a broker or its export holds to inventory records, in the words of docs/api.md. Pure."""

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from governance.kernel.dialects.paths import encode
from governance.kernel.dialects.rabbitmq import ACTIONS, BROKER
from governance.kernel.permissions import Answer, Permission, matches
from identities.connectors.contract import Record
from identities.connectors.naming import is_printable, make_id, printable, shortened

LONGEST_LABEL = 500
LONGEST_EXPRESSION = 1500
TOPIC_CONDITION = "RoutingKeyMatches"
TOPIC_KEY = "rabbitmq:RoutingKey"
EVERYTHING = frozenset({".*", "^.*$", "^.*", ".*$"})
HASH_SIZES = {
    "rabbit_password_hashing_md5": 16,
    "rabbit_password_hashing_sha256": 32,
    "rabbit_password_hashing_sha512": 64,
}
SALT = 4

Expressions = Mapping[str, str]
"""`configure`, `write` and `read`, each an expression."""


@dataclass(frozen=True, slots=True)
class User:
    """login: by password is usable, unusable (none fits) or none. is_listed: false where only permissions name it."""

    name: str
    tags: tuple[str, ...] = ()
    login: str = "none"
    limits: Mapping[str, int] = field(default_factory=dict)
    is_listed: bool = True

    @property
    def is_locked_out(self) -> bool:
        return self.limits.get("max-connections") == 0


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic permission: it narrows what the user may do with one topic exchange."""

    user: str
    vhost: str
    exchange: str
    write: str
    read: str


@dataclass(slots=True)
class Estate:
    """Everything that decides who may do what. exchange_types: by (virtual host, name), as far as they are known."""

    users: Sequence[User]
    permissions: Sequence[tuple[str, str, Expressions]]
    topics: Sequence[Topic] = ()
    exchange_types: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def restrictions(self, user: str, vhost: str) -> list[Topic]:
        """The topic permissions that count: on topic exchanges, and on those of which nobody knows what they are."""
        return [
            topic
            for topic in self.topics
            if (topic.user, topic.vhost) == (user, vhost)
            and self.exchange_types.get((vhost, topic.exchange), "topic") == "topic"
        ]


def password_state(password_hash: str, algorithm: str) -> str:
    """`usable`, `unusable` (a hash that this algorithm can never yield, so no password fits) or `none`."""
    if not password_hash:
        return "none"
    try:
        size = len(base64.b64decode(password_hash, validate=True)) - SALT
    except (binascii.Error, ValueError):
        return "unusable"
    return "usable" if HASH_SIZES.get(algorithm, size) == size else "unusable"


def inventory(estate: Estate, connected_at: Mapping[str, str]) -> Iterator[Record]:
    """Identities, credentials and grants. connected_at: a time by user, for those with an open connection."""
    held: dict[str, list[tuple[str, Expressions]]] = defaultdict(list)
    for name, vhost, expressions in estate.permissions:
        held[name].append((vhost, expressions))
    idle = _idle_topics(estate)
    for user in estate.users:
        yield _identity(user, connected_at.get(user.name), idle.get(user.name, 0))
        if user.login != "none":
            yield _credential(user, connected_at.get(user.name))
    for user in estate.users:
        for vhost, expressions in held.get(user.name, ()):
            yield permission_grant(user.name, vhost, expressions, estate.restrictions(user.name, vhost))
        for tag in user.tags:
            yield _tag_grant(user.name, tag)


def _idle_topics(estate: Estate) -> dict[str, int]:
    """Topic permissions of users without any permission in that virtual host: they restrict nothing today."""
    holders = {(user, vhost) for user, vhost, _ in estate.permissions}
    found: dict[str, int] = defaultdict(int)
    for topic in estate.topics:
        if (topic.user, topic.vhost) not in holders:
            found[topic.user] += 1
    return found


def _identity(user: User, last_used_at: str | None, idle_topics: int) -> Record:
    return {
        "type": "identity",
        "id": user.name,
        "name": user.name,
        "kind": "queue_user",
        "status": "disabled" if user.is_locked_out else "active",
        "custody": "self_held",
        "created_at": None,
        "last_used_at": last_used_at,
        "attributes": {
            "tags": list(user.tags),
            "limits": dict(user.limits),
            "password_login": user.login,
            **({} if user.is_listed else {"named_by": "a permission only"}),
            **({"idle_topic_permissions": idle_topics} if idle_topics else {}),
        },
    }


def _credential(user: User, last_used_at: str | None) -> Record:
    return {
        "type": "credential",
        "id": f"password:{user.name}",
        "identity": user.name,
        "kind": "password",
        "status": "active" if user.login == "usable" else "disabled",
        "created_at": None,
        "expires_at": None,
        "never_expires": True,
        "last_used_at": None,
        "attributes": {"seen_connected_at": last_used_at} if last_used_at else {},
    }


def permission_grant(user: str, vhost: str, expressions: Expressions, topics: Sequence[Topic]) -> Record:
    """One record of permissions: all three expressions come and go together, so they are one grant."""
    listed = ", ".join(f"{action} {expressions[action] or 'nothing'}" for action in ACTIONS)
    restricted = f"; topics of {len(topics)} exchange{'s' if len(topics) != 1 else ''} restricted" if topics else ""
    return {
        "type": "grant",
        "id": make_id("permissions", user, vhost),
        "identity": user,
        "label": shortened(printable(f"Virtual host {vhost}: {listed}{restricted}"), LONGEST_LABEL),
        "permission": permission_json(vhost, expressions, topics),
        "path": [{"kind": "direct", "id": printable(vhost)[:200], "label": printable(f"virtual host {vhost}")[:200]}],
        "revocability": "here",
        "native_ref": {
            "kind": "permissions",
            "user": user,
            "vhost": vhost,
            **{action: expressions[action] for action in ACTIONS},
            "topic_permissions": [
                {"exchange": topic.exchange, "write": topic.write, "read": topic.read} for topic in topics
            ],
        },
    }


def _tag_grant(user: str, tag: str) -> Record:
    return {
        "type": "grant",
        "id": make_id("tag", user, tag),
        "identity": user,
        "label": shortened(printable(f"Tag {tag}"), LONGEST_LABEL),
        "permission": {
            "dialect": "rabbitmq",
            "statements": [{"actions": [f"tag:{printable(tag)[:200]}"], "resources": [BROKER]}],
        },
        "path": [{"kind": "tag", "id": printable(tag)[:200], "label": printable(f"tag {tag}")[:200]}],
        "revocability": "here",
        "native_ref": {"kind": "tag", "user": user, "tag": tag},
    }


def permission_json(vhost: str, expressions: Expressions, topics: Iterable[Topic]) -> dict[str, Any]:
    """What a record of permissions lets its holder do, topic permissions as conditions on the exchange they restrict.

    An expression that no record can carry (over-long, control characters) is told as everything; `is_exact` says so.
    """
    listed = list(topics)
    statements: list[dict[str, Any]] = []
    for action in ACTIONS:
        written = expressions[action] if is_exact(expressions[action]) else ".*"
        statements += _statements(vhost, action, written, listed)
    return {"dialect": "rabbitmq", "statements": _joined(statements)}


def is_exact(expression: str) -> bool:
    """Whether a permission can hold this expression as it is."""
    return len(expression) <= LONGEST_EXPRESSION and is_printable(expression)


def _statements(vhost: str, action: str, expression: str, topics: Iterable[Topic]) -> Iterator[dict[str, Any]]:
    everywhere = resource(vhost, expression)
    held = Permission.from_json(
        {"dialect": "rabbitmq", "statements": [{"actions": [action], "resources": [everywhere]}]}
    )
    restricted = []
    for topic in topics:
        keys = {"write": topic.write, "read": topic.read}.get(action, "")
        may_use = matches(held, action, resource(vhost, topic.exchange)) is Answer.YES
        if action != "configure" and may_use and keys not in EVERYTHING and is_exact(topic.exchange + keys):
            restricted.append((resource(vhost, f"^{re.escape(topic.exchange)}$"), keys))
    if not restricted:
        yield {"actions": [action], "resources": [everywhere]}
        return
    outside = [place for place, _ in restricted]
    yield {"actions": [action], "resources": {"include": [everywhere], "exclude": outside}}
    for place, keys in restricted:
        if keys:  # an empty expression matches no routing key
            condition = {"operator": TOPIC_CONDITION, "key": TOPIC_KEY, "values": [keys]}
            yield {"actions": [action], "resources": [place], "conditions": [condition]}


def _joined(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Actions with the same rest stand in one statement."""
    found: list[dict[str, Any]] = []
    for statement in statements:
        for other in found:
            if {**other, "actions": None} == {**statement, "actions": None}:
                other["actions"] += statement["actions"]
                break
        else:
            found.append(statement)
    return found


def resource(vhost: str, expression: str) -> str:
    """A resource, or a pattern of resources, in the words of the dialect."""
    return f"vhost:{encode(vhost)}/{expression}"
