"""What a plan changes: a record of permissions, a user's tags and hashing algorithm, or a limit.

A part knows its state before and after, how to look at it, how to write it, and what is shown of that. What somebody
signs in with is never part of a state: it is read right before a user is written, and given back with the rest.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from identities.connectors.contract import NotPossible
from identities.connectors.rabbitmq.broker import Broker, path, tags_of
from identities.connectors.rabbitmq.records import ACTIONS, password_state

State = Any
"""A JSON value; None where there is no such thing."""

UNFIT = {"rabbit_password_hashing_sha256": "rabbit_password_hashing_sha512"}
"""An algorithm whose results have another length, so that no password yields the stored hash."""


@dataclass(frozen=True, slots=True)
class Part:
    """kind: permissions (of a user in a virtual host), user, or limit (max-connections of a user)."""

    kind: str
    user: str
    vhost: str
    before: State
    after: State

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Part":
        return cls(**data)

    def reversed(self) -> "Part":
        return Part(self.kind, self.user, self.vhost, self.after, self.before)

    def read(self, broker: Broker) -> State:
        return read_state(broker, self.kind, self.user, self.vhost)

    @property
    def where(self) -> tuple[str, ...]:
        if self.kind == "permissions":
            return ("permissions", self.vhost, self.user)
        return ("users", self.user) if self.kind == "user" else ("user-limits", self.user, "max-connections")

    def text(self) -> str:
        """What is sent, fit to be shown."""
        if self.after is None:
            return f"DELETE {path(*self.where)}"
        return f"PUT {path(*self.where)} {json.dumps(self._body(), ensure_ascii=False, sort_keys=True)}"

    def note(self) -> str:
        if self.kind == "user":
            return "the password hash is read from the broker and given back as it is; it is kept nowhere"
        return "one record: all three expressions at once" if self.kind == "permissions" and self.after else ""

    def write(self, broker: Broker) -> None:
        """Raises SourceUnreachable, NotPossible."""
        if self.after is None:
            broker.delete(*self.where)
        elif self.kind == "user":
            broker.put(self.where, self._body() | self._given_back(broker))
        else:
            broker.put(self.where, self._body())

    def _body(self) -> dict[str, Any]:
        if self.kind == "permissions":
            return {action: self.after[action] for action in ACTIONS}
        if self.kind == "limit":
            return {"value": self.after}
        return {"tags": ",".join(self.after["tags"]), "hashing_algorithm": self.after["hashing_algorithm"]}

    def _given_back(self, broker: Broker) -> dict[str, Any]:
        """The hash, from the same answer that is compared once more: what is not in the body, the broker clears."""
        user = broker.get("users", self.user)
        if user is None or _user_state(user) != self.before:
            raise NotPossible("somebody else changed the user meanwhile.")
        return {"password_hash": user.get("password_hash", "")}


def read_state(broker: Broker, kind: str, user: str, vhost: str = "") -> State:
    """The state of a part as it is now. Raises SourceUnreachable, ReadIncomplete."""
    if kind == "permissions":
        found = broker.get("permissions", vhost, user)
        return {action: found[action] for action in ACTIONS} if found else None
    if kind == "user":
        found = broker.get("users", user)
        return _user_state(found) if found else None
    limits = [each.get("value") for each in broker.list_of("user-limits") if each.get("user") == user]
    value = limits[0].get("max-connections") if limits and isinstance(limits[0], dict) else None
    return value if isinstance(value, int) else None


def _user_state(user: Mapping[str, Any]) -> dict[str, Any]:
    algorithm = user.get("hashing_algorithm", "")
    return {
        "tags": tags_of(user),
        "hashing_algorithm": algorithm,
        "login": password_state(user.get("password_hash", ""), algorithm),
    }
