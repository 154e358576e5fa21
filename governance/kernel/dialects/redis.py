"""Redis and Valkey: commands on keys, channels and the server, as access control lists (ACL) say them.

Actions are commands in small letters, second words after a bar: `get`, `config|set`. A word without a bar stands for
all its second words too; `@read` for every command of that category in our catalogue; `*` for every command, also those
of later versions and modules. Resources are `read:<pattern>` and `write:<pattern>` of keys, `channel:<pattern>`, and
`server:` for commands that touch neither. Patterns are Redis's own globs: `*`, `?`, `[a-z]`, `[^a]`, and `\\` before a
character that means itself. They match bytes.

A permission speaks of one key at a time. That all keys of one call must be allowed by the same selector is for the
connector to heed, which compares selector with selector.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from governance.kernel.dialects import redis_commands as catalogue
from governance.kernel.dialects.interface import Dialect, Language, exactly, join_words
from governance.kernel.patterns import ANY, ONE, Pattern, Token, exact, literal
from governance.kernel.statements import Statement

SERVER = "server:"
KINDS = ("read", "write", "channel")
TOUCHING = {
    "read": catalogue.KEYS_READ,
    "write": catalogue.KEYS_WRITTEN,
    "channel": catalogue.CHANNELS,
    "server": catalogue.KEYLESS,
}
"""Which commands touch which kind of resource."""
_WORD = re.compile(r"[a-z0-9._-]+(\|[^\s*]+)?|@[a-z]+|\*")
_SPECIAL = re.compile(r"([*?\[\]\\^-])")
_DESTRUCTIVE = frozenset({"flushall", "flushdb", "del", "unlink", "getdel", "swapdb", "shutdown", "function|flush"})
_SCRIPTS = frozenset({"eval", "evalsha", "fcall"})
_SENDS = frozenset({"publish", "spublish"})


class Redis(Dialect):
    name = "redis"
    title = "Redis"
    known_actions = ("get", "set", "publish", "ping", "config|set", "flushall")
    known_resources = ("read:example", "write:example", "channel:example", SERVER)

    @lru_cache(maxsize=4_096)  # noqa: B019 - the dialects are singletons
    def action(self, text: str, *, removing: bool = False) -> Language:
        text = text.lower()
        if text == "*":
            return Language((Pattern((ANY,)),))
        words = sorted(catalogue.CATEGORIES.get(text[1:], ())) if text.startswith("@") else [text]
        return Language(tuple(pattern for word in words for pattern in _command(word)))

    @lru_cache(maxsize=16_384)  # noqa: B019
    def resource(self, text: str, *, removing: bool = False) -> Language:
        kind, colon, pattern = text.partition(":")
        if text == "*":
            return Language((Pattern((ANY,)),))
        if not colon or kind not in KINDS:
            return exactly(text)
        tokens = glob_tokens(pattern.encode().decode("latin-1"))
        return Language((Pattern((*exact(kind + ":").tokens, *tokens)),)) if tokens is not None else Language(())

    def fold_action(self, text: str) -> str:
        return text.lower()

    def fold_resource(self, text: str) -> str:
        return text if text.isascii() else text.encode().decode("latin-1")

    def exact_resource(self, resource: str) -> str | None:
        kind, _, name = resource.partition(":")
        return f"{kind}:{escape(name)}" if kind in KINDS else resource

    def action_fault(self, text: str) -> str:
        if text.startswith("@") and text[1:].lower() not in catalogue.CATEGORIES:
            return f"Redis has no category {text!r}"
        return "" if _WORD.fullmatch(text.lower()) else f"{text!r} is no Redis command; expected get, config|set or *"

    def resource_fault(self, text: str) -> str:
        if text in ("*", SERVER) or (text.partition(":")[0] in KINDS and ":" in text):
            return ""
        return f"{text!r} is no Redis resource; expected read:, write: or channel: with a pattern, or server:"

    def makes_sense(self, action: str, resource: str) -> bool:
        command, kind = action.lower(), resource.partition(":")[0]
        touched = touches(command)
        return not touched or kind in touched

    def classes(self, action: str, resource: str) -> frozenset[str]:
        action = action.lower()
        if action == "*":
            return frozenset({"read", "write", "destructive", "admin"})
        named = self.action(action)
        found = set()
        for category, kind in (("read", "read"), ("write", "write"), ("admin", "admin"), ("dangerous", "admin")):
            if any(named.may_contain(each) for each in catalogue.CATEGORIES[category]):
                found.add(kind)
        if any(named.may_contain(each) for each in _DESTRUCTIVE):
            found.add("destructive")
        if any(named.may_contain(each) for each in _SCRIPTS):
            found |= {"read", "write"}
        if any(named.may_contain(each) for each in _SENDS):
            found.add("write")
        if not found:  # a command that our catalogue does not know may do anything
            found.add("read" if touches(action) or action in catalogue.CONTAINERS else "write")
        return frozenset(found)

    def segment(self, actions: Iterable[str], resources: Iterable[str]) -> str:
        listed, places = list(actions), list(resources)
        if listed and all("admin" in self.classes(each, "*") for each in listed):
            return "admin"
        is_messaging = bool(places) and all(place.startswith("channel:") for place in places)
        return "queues" if is_messaging else "databases"

    def reached(self, statement: Statement) -> set[str]:
        """Each command where it can do anything: on channels, on keys, on the server."""
        places = {text.partition(":")[0] for text in statement.resources.include}
        kinds = set(TOUCHING) if "*" in places else places
        return {
            self._segment_of(action, kind)
            for action in statement.actions.include
            for kind in kinds & self._touched(action.lower())
        }

    def _segment_of(self, action: str, kind: str) -> str:
        if kind == "server":
            return "admin" if "admin" in self.classes(action, "*") else "databases"
        return "queues" if kind == "channel" else "databases"

    @lru_cache(maxsize=4_096)  # noqa: B019
    def _touched(self, action: str) -> frozenset[str]:
        """Kinds of resources that the commands of a word may touch: every kind where nobody knows."""
        named = self.action(action)
        found = {kind for kind, commands in TOUCHING.items() if any(named.may_contain(command) for command in commands)}
        return frozenset(found or TOUCHING)

    def phrase(self, actions: tuple[str, ...], resource: str) -> str:
        spoken = "every command" if "*" in actions else join_words(each.replace("|", " ") for each in actions)
        kind, _, pattern = resource.partition(":")
        if resource in ("*", SERVER):
            return f"run {spoken} on the server"
        which = "every" if pattern == "*" else f"{'channels' if kind == 'channel' else 'keys'} {pattern}"
        if kind == "channel":
            return f"run {spoken} on {'every channel' if pattern == '*' else which}"
        return f"run {spoken}, {'reading' if kind == 'read' else 'writing'} {'every key' if pattern == '*' else which}"


def _command(word: str) -> tuple[Pattern, ...]:
    """A command with whatever second word, or with just the one that is named."""
    return (exact(word),) if "|" in word else (exact(word), Pattern((*exact(word + "|").tokens, ANY)))


def touches(command: str) -> frozenset[str]:
    """Kinds of resources that a command may touch (`read`, `write`, `channel`, `server`); empty where nobody knows."""
    return frozenset(kind for kind, commands in TOUCHING.items() if command in commands)


def escape(name: str) -> str:
    """A pattern for just this name."""
    return _SPECIAL.sub(r"\\\1", name)


def glob_tokens(pattern: str) -> tuple[Token, ...] | None:
    """The tokens of a Redis glob as `stringmatchlen` in Redis reads it; None where it can match nothing."""
    tokens: list[Token] = []
    place = 0
    while place < len(pattern):
        char = pattern[place]
        place += 1
        if char == "*":
            tokens.append(ANY)
        elif char == "?":
            tokens.append(ONE)
        elif char == "[":
            token, place = _character_class(pattern, place)
            if not token.negated and not token.chars:
                return None
            tokens.append(token)
        elif char == "\\" and place < len(pattern):
            tokens.append(literal(pattern[place]))
            place += 1
        else:
            tokens.append(literal(char))
    return tuple(tokens)


def _character_class(pattern: str, place: int) -> tuple[Token, int]:
    """The class that begins at `place`, and where what follows it begins. One that never closes goes to the end."""
    negated = pattern[place : place + 1] == "^"
    place += negated
    chars: set[str] = set()
    while place < len(pattern) and pattern[place] != "]":
        if pattern[place] == "\\" and place + 1 < len(pattern):
            place += 1
            chars.add(pattern[place])
        elif place + 2 < len(pattern) and pattern[place + 1] == "-":
            first, last = sorted((ord(pattern[place]), ord(pattern[place + 2])))
            chars |= {chr(code) for code in range(first, last + 1)}
            place += 2
        else:
            chars.add(pattern[place])
        place += 1
    return Token(frozenset(chars), negated), place + 1
