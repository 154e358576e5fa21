"""Access lists as Redis writes them: `users.acl`, or the answer to ACL LIST, read as an inventory.

Each line is `user <name> <rule> …`. Hashes and passwords are dropped and counted. Rules about commands are folded with
the catalogue of Redis 7.0 that comes with the kernel; one that it does not know is refused, never guessed.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from governance.kernel.dialects.redis import touches
from governance.kernel.dialects.redis_rules import BUILT_IN
from identities.connectors.contract import ReadIncomplete, Record
from identities.connectors.files import FileFormat, FileRefused, Holds, Notes
from identities.connectors.redis_acl.accounts import Account, Selector
from identities.connectors.redis_acl.reading import inventory

LARGEST = 64 * 1024 * 1024
_NUMBER = r'(?:\d+\)\s*"?)?'
_LINE = re.compile(rf'{_NUMBER}user\s+(?P<name>\S+)(?P<rules>(?:\s.*?)?)"?\s*')
_HEAD = re.compile(rf"\A(?:(?:#.*)?\s*\n)*{_NUMBER}user\s+\S+\s".encode())
_WITHOUT_MEANING = frozenset({"sanitize-payload", "skip-sanitize-payload"})


class UsersFile:
    """`users.acl` of Redis and Valkey."""

    name = "redis-acl"
    title = "Redis access lists (users.acl, ACL LIST)"
    kind = "redis"
    holds = Holds.INVENTORY

    def recognises(self, head: bytes) -> bool:
        return bool(_HEAD.match(head))

    def records(self, file: BinaryIO, notes: Notes) -> Iterator[Record]:
        accounts = _accounts(_text(file), notes)
        count = 0
        try:
            for record in inventory(accounts, set(), BUILT_IN, touches, None):
                count += 1
                yield record
        except ReadIncomplete as problem:
            raise FileRefused(problem.message) from problem
        yield {"type": "end", "records": count}


FORMATS: tuple[FileFormat, ...] = (UsersFile(),)


def _text(file: BinaryIO) -> str:
    body = file.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise FileRefused(f"The file is larger than {LARGEST // 1024**2} MB.")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileRefused("The file is no text in UTF-8.") from error
    if not text.strip():
        raise FileRefused("The file is empty.")
    return text


def _accounts(text: str, notes: Notes) -> list[Account]:
    found: dict[str, Account] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise FileRefused(f"Line {number} is not of the form: user <name> <rules>.")
        name = match["name"]
        if name in found:
            raise FileRefused(f"Line {number}: the user is there twice, and Redis refuses such a file.")
        found[name] = _account(name, _words(match["rules"], number), number, notes)
    return list(found.values())


def _words(text: str, number: int) -> list[str]:
    """Rules, a selector in parentheses being one."""
    words: list[str] = []
    for word in text.split():
        if words and words[-1].startswith("(") and not words[-1].endswith(")"):
            words[-1] += f" {word}"
        else:
            words.append(word)
    if any(word.startswith("(") and not word.endswith(")") for word in words):
        raise FileRefused(f"Line {number}: a selector is not closed.")
    return words


@dataclass(slots=True)
class _Draft:
    """A selector while its rules are read."""

    commands: list[str] = field(default_factory=lambda: ["-@all"])
    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    channels: set[str] = field(default_factory=set)

    def takes(self, word: str) -> bool:
        """Whether this was a rule about commands, keys or channels."""
        low = word.lower()
        flags, tilde, pattern = word.partition("~")
        if low in ("allkeys", "allchannels", "resetkeys", "resetchannels"):
            for patterns in (self.reads, self.writes) if low.endswith("keys") else (self.channels,):
                patterns.clear()
                patterns.update(["*"] if low.startswith("all") else [])
        elif low in ("allcommands", "nocommands") or word[0] in "+-":
            self.commands.append(word)
        elif word[0] == "&":
            self.channels.add(word[1:])
        elif tilde and flags.upper() in ("", "%R", "%W", "%RW", "%WR"):
            self.reads |= {pattern} if flags.upper() != "%W" else set()
            self.writes |= {pattern} if flags.upper() != "%R" else set()
        else:
            return False
        return True

    def selector(self) -> Selector:
        patterns = (frozenset(self.reads), frozenset(self.writes), frozenset(self.channels))
        return Selector(" ".join(self.commands), *patterns)


def _account(name: str, words: Sequence[str], number: int, notes: Notes) -> Account:
    root, others = _Draft(), list[_Draft]()
    is_enabled, needs_password, passwords = False, True, 0
    for word in words:
        low = word.lower()
        if low in ("on", "off"):
            is_enabled = low == "on"
        elif low in ("nopass", "resetpass"):
            needs_password, passwords = low != "nopass", 0
        elif word[0] in "#>":
            passwords += 1
            needs_password = True
            notes.count("password hashes dropped" if word[0] == "#" else "passwords dropped")
            notes.say("What users sign in with is never taken over; how many passwords they have is.")
        elif word[0] == "(":
            others.append(_Draft())
            if not all(map(others[-1].takes, word[1:-1].split())):
                raise FileRefused(f"Line {number}: a selector holds a rule that Redis does not know.")
        elif low == "clearselectors":
            others.clear()
        elif low == "reset":
            root, others, is_enabled, needs_password, passwords = _Draft(), [], False, True, 0
        elif low not in _WITHOUT_MEANING and not root.takes(word):
            raise FileRefused(f"Line {number} holds a rule that Redis does not know.")
    return Account(name, is_enabled, needs_password, passwords, tuple(each.selector() for each in (root, *others)))
