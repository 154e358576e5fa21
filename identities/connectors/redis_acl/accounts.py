"""A user's access control list as a value: read from the server, compared by meaning, written as rules. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from governance.kernel.dialects.redis import SERVER
from governance.kernel.dialects.redis_rules import Catalogue, Commands, fold

Touches = Callable[[str], frozenset[str]]
"""Kinds of resources that a command may touch."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Commands on keys and channels: the root of a user, or one of its further selectors.

    commands: rules in their order, as the server writes them. reads, writes, channels: patterns.
    """

    commands: str
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()

    def folded(self, catalogue: Catalogue) -> Commands:
        """Raises UnknownRule."""
        return fold(self.commands.split(), catalogue)

    def rules(self) -> list[str]:
        """What rebuilds this selector in an empty one."""
        both = self.reads & self.writes
        keys = [*(f"~{each}" for each in sorted(both)), *(f"%R~{each}" for each in sorted(self.reads - both))]
        keys += [f"%W~{each}" for each in sorted(self.writes - both)]
        return [*self.commands.split(), *keys, *(f"&{each}" for each in sorted(self.channels))]

    def meaning(self, catalogue: Catalogue) -> dict[str, Any]:
        """Equal for selectors that allow the same, however they are written."""
        commands = self.folded(catalogue)
        return {
            "allowed": sorted(commands.allowed),
            "is_open": commands.is_open,
            "first_words": sorted(commands.first_words),
            "reads": sorted(self.reads),
            "writes": sorted(self.writes),
            "channels": sorted(self.channels),
        }

    def to_json(self) -> dict[str, Any]:
        return {
            "commands": self.commands,
            "reads": sorted(self.reads),
            "writes": sorted(self.writes),
            "channels": sorted(self.channels),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Selector":
        return cls(data["commands"], *(frozenset(data[name]) for name in ("reads", "writes", "channels")))


NOTHING = Selector("-@all")


@dataclass(frozen=True, slots=True)
class Account:
    """One user. passwords: how many it has. selectors: the root first."""

    name: str
    is_enabled: bool
    needs_password: bool
    passwords: int
    selectors: tuple[Selector, ...]

    def meaning(self, catalogue: Catalogue) -> list[Any]:
        """What its permissions come to; selectors have no order but the root, and one that gives nothing is none."""
        root, *others = (selector.meaning(catalogue) for selector in self.selectors)
        return [root, *sorted((each for each in others if each["allowed"] or each["first_words"]), key=str)]


def account_of(name: str, reply: Sequence[Any]) -> Account:
    """From the answer to ACL GETUSER; the hashes of passwords in it are counted and left."""
    fields = dict(zip(reply[::2], reply[1::2], strict=False))
    flags = set(fields["flags"])
    others = [dict(zip(each[::2], each[1::2], strict=False)) for each in fields.get("selectors", ())]
    return Account(
        name,
        "on" in flags,
        "nopass" not in flags,
        len(fields["passwords"]),
        tuple(_selector(each) for each in (fields, *others)),
    )


def _selector(fields: Mapping[str, Any]) -> Selector:
    keys, channels = _words(fields["keys"]), _words(fields["channels"])
    reads, writes = set(), set()
    for word in keys:
        flags, _, pattern = word.partition("~")
        if flags != "%W":
            reads.add(pattern)
        if flags != "%R":
            writes.add(pattern)
    patterns = frozenset(word.removeprefix("&") for word in channels)
    return Selector(str(fields["commands"]), frozenset(reads), frozenset(writes), patterns)


def _words(value: Any) -> list[str]:
    return value.split() if isinstance(value, str) else [str(each) for each in value]


def setting_rules(selectors: Sequence[Selector]) -> list[str]:
    """The words after ACL SETUSER and a name that give just these selectors; what signs the user in stays as it is."""
    root, *others = selectors or (NOTHING,)
    rules = ["resetkeys", "resetchannels", "clearselectors", *root.rules()]
    return [*rules, *(f"({' '.join(each.rules())})" for each in others)]


def permission_json(selectors: Sequence[Selector], catalogue: Catalogue, touches: Touches) -> dict[str, Any]:
    """What these selectors let their holder do. Raises UnknownRule.

    Commands stand with what they can touch; where commands of later versions are allowed too, with everything.
    """
    statements = [statement for each in selectors for statement in _statements(each, catalogue, touches)]
    return {"dialect": "redis", "statements": list({str(each): each for each in statements}.values())}


def _statements(selector: Selector, catalogue: Catalogue, touches: Touches) -> list[dict[str, Any]]:
    commands = selector.folded(catalogue)
    places = {
        "server": [SERVER],
        "read": [f"read:{each}" for each in sorted(selector.reads)],
        "write": [f"write:{each}" for each in sorted(selector.writes)],
        "channel": [f"channel:{each}" for each in sorted(selector.channels)],
    }
    if commands.is_open:
        excluded = sorted(catalogue.commands - commands.allowed)
        actions = {"include": ["*"], "exclude": excluded} if excluded else ["*"]
        return [{"actions": actions, "resources": [place for listed in places.values() for place in listed]}]
    names = sorted(commands.allowed | commands.first_words)
    found = []
    for kind, listed in places.items():
        able = [name for name in names if kind in (touches(name) or {"server"})]
        if able and listed:
            found.append({"actions": able, "resources": listed})
    return found
