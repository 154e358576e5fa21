"""Sets of strings, as written in permissions: literals, globs and simple regular expressions, all in one form.

A pattern is a row of tokens. A token is one character out of a set, or any number of them ("loop"). Everything
that the dialects need (AWS globs, path elements, character classes) fits this form, and three questions about it
can be answered exactly: does it match a text, does one pattern lie inside another, and which texts represent all
the ways in which a number of patterns can overlap (`representatives`).

Positions of all tokens of a machine are bits of one integer, so that reading a character costs a few integer
operations whatever the number of patterns.
"""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

STATE_LIMIT = 6_000
"""How many machine states one search may visit before it gives up and says so."""

_FRESH = "xzqjwkvy0123456789abcdefghilmnoprstu"


@dataclass(frozen=True, slots=True)
class Token:
    """One character of `chars` (or, negated, any character outside); with `loop` any number of them, also none."""

    chars: frozenset[str] = frozenset()
    negated: bool = False
    loop: bool = False

    def contains(self, other: "Token") -> bool:
        """Whether every character of the other token's set is one of this token's."""
        if self.negated:
            return not (self.chars & other.chars) if not other.negated else self.chars <= other.chars
        return not other.negated and other.chars <= self.chars


ANY = Token(negated=True, loop=True)
ONE = Token(negated=True)


@lru_cache(maxsize=4_096)
def literal(char: str) -> Token:
    """The token of exactly this character."""
    return Token(frozenset(char))


def _tidy(tokens: Iterable[Token]) -> tuple[Token, ...]:
    """Put runs of wildcards into one form: single characters first, then one loop (`*?` and `?*` are the same set)."""
    tidy: list[Token] = []
    for token in tokens:
        if tidy and tidy[-1].loop:
            last = tidy[-1]
            if token.loop and last.contains(token):
                continue
            if token.loop and token.contains(last):
                tidy[-1] = token
                continue
            if not token.loop and token.chars == last.chars and token.negated == last.negated:
                tidy[-1:] = [token, last]
                continue
        tidy.append(token)
    return tuple(tidy)


class Pattern:
    """A row of tokens; build it with `glob`, `exact` or from a dialect. Never changed once it is made.

    Most patterns are plain globs and texts. These keep their text, are compared as texts, and have tokens only when a
    machine needs them.
    """

    __slots__ = ("_hash", "_machine", "_text", "_tokens", "is_literal", "prefix", "suffix")

    def __init__(self, tokens: tuple[Token, ...] = (), *, text: str | None = None, wild: bool = False) -> None:
        """text: in place of tokens; `*` and `?` are wildcards if `wild`, else nothing is."""
        self._machine: Machine | None = None
        self._tokens: tuple[Token, ...] | None = None
        self._text: str | None = None
        if text is None:
            self._tokens = _tidy(tokens)
            self.prefix = _fixed_run(self._tokens)
            self.suffix = _fixed_run(self._tokens[::-1])[::-1]
            self.is_literal = len(self.prefix) == len(self._tokens)
        elif wild and (first := _WILD.search(text)):
            self._text = text = _RUN.sub(_tidy_run, text)
            self.prefix = text[: first.start()]
            self.suffix = text[max(text.rfind("*"), text.rfind("?")) + 1 :]
            self.is_literal = False
        else:
            self.prefix = self.suffix = text
            self.is_literal = True
        length = len(self.prefix) if self.is_literal else len(text if self._tokens is None else self._tokens)  # type: ignore[arg-type]
        self._hash = hash((self.prefix, self.suffix, length))

    def __repr__(self) -> str:
        return f"Pattern({self.prefix if self.is_literal else self._text or self.tokens!r})"

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Pattern) or self._hash != other._hash or self.is_literal != other.is_literal:
            return False
        if self.is_literal:
            return self.prefix == other.prefix
        if self._text is not None and other._text is not None:
            return self._text == other._text
        return self.tokens == other.tokens

    @property
    def tokens(self) -> tuple[Token, ...]:
        if self._tokens is None:
            if self._text is None:
                self._tokens = tuple(map(literal, self.prefix))
            else:
                self._tokens = tuple(_WILDCARDS.get(char) or literal(char) for char in self._text)
        return self._tokens

    @property
    def machine(self) -> "Machine":
        if self._machine is None:
            self._machine = Machine((self,))
        return self._machine

    def matches(self, text: str) -> bool:
        """Whether this text is in the set. Linear in the length of the text."""
        if self.is_literal:
            return text == self.prefix
        if not text.startswith(self.prefix) or not text.endswith(self.suffix):
            return False
        if self._text is not None and "?" not in self._text:
            return self._finds_its_parts(text)
        return self.machine.accepts(text)

    def _finds_its_parts(self, text: str) -> bool:
        """For a glob of stars alone: prefix and suffix are known to fit, the parts between must follow one another."""
        place, end = len(self.prefix), len(text) - len(self.suffix)
        if place > end:
            return False
        for part in self._text.split("*")[1:-1] if self._text else ():
            found = text.find(part, place, end)
            if found < 0:
                return False
            place = found + len(part)
        return True

    def covers(self, other: "Pattern") -> bool:
        """Whether the other pattern is seen to lie inside this one. Sound; may miss some true inclusions."""
        if other.is_literal:
            return self.matches(other.prefix)
        if self.is_literal or not other.prefix.startswith(self.prefix) or not other.suffix.endswith(self.suffix):
            return False
        if self._text is not None and other._text is not None and "?" not in self._text:
            # Read as a plain text, the wildcards of the other one can only be taken by a star of this one.
            return self._finds_its_parts(other._text)
        return self == other or self.machine.swallows(other)

    def may_overlap(self, other: "Pattern") -> bool:
        """False only where the two sets have nothing in common; cheap, may say True too often."""
        if self.is_literal:
            return other.matches(self.prefix)
        if other.is_literal:
            return self.matches(other.prefix)
        return _compatible(self.prefix, other.prefix) and _compatible(self.suffix[::-1], other.suffix[::-1])

    def overlaps(self, other: "Pattern") -> bool:
        """Whether the two sets share a text. Exact: walks pairs of positions, so the cost is the product of lengths."""
        return self.may_overlap(other) and _share(self.tokens, other.tokens)

    def sample(self, word: str = "example") -> str:
        """One text of this set, with `word` where anything may stand."""
        if self.is_literal:
            return self.prefix
        parts = []
        for token in self.tokens:
            if not token.negated:
                parts.append("" if token.loop else min(token.chars))
            elif token.loop:
                parts.append("".join(char for char in word if char not in token.chars))
            else:
                parts.append(next(char for char in _FRESH if char not in token.chars))
        return "".join(parts)


_WILD = re.compile(r"[*?]")
_RUN = re.compile(r"[*?]{2,}")
_WILDCARDS = {"*": ANY, "?": ONE}


def _tidy_run(found: re.Match[str]) -> str:
    """Single characters first, then one star: `*?` and `?*` are the same set."""
    run = found.group()
    return "?" * run.count("?") + ("*" if "*" in run else "")


def _fixed_run(tokens: Sequence[Token]) -> str:
    run = []
    for token in tokens:
        if token.loop or token.negated or len(token.chars) != 1:
            break
        run.append(next(iter(token.chars)))
    return "".join(run)


def _compatible(left: str, right: str) -> bool:
    return left.startswith(right) or right.startswith(left)


def _meet(left: Token, right: Token) -> bool:
    if left.negated and right.negated:
        return True
    if left.negated:
        return bool(right.chars - left.chars)
    if right.negated:
        return bool(left.chars - right.chars)
    return bool(left.chars & right.chars)


def _share(left: tuple[Token, ...], right: tuple[Token, ...]) -> bool:
    seen = {(0, 0)}
    queue = deque(seen)
    while queue:
        i, j = queue.popleft()
        if i == len(left) and j == len(right):
            return True
        steps = []
        if i < len(left) and left[i].loop:
            steps.append((i + 1, j))
        if j < len(right) and right[j].loop:
            steps.append((i, j + 1))
        if i < len(left) and j < len(right) and _meet(left[i], right[j]):
            steps.append((i if left[i].loop else i + 1, j if right[j].loop else j + 1))
        for step in steps:
            if step not in seen:
                seen.add(step)
                queue.append(step)
    return False


@lru_cache(maxsize=65_536)
def glob(text: str, separator: str = "") -> Pattern:
    """`*` and `?` as wildcards; with a separator (such as "/") neither spans it."""
    if not separator:
        return Pattern(text=text, wild=True)
    stop = frozenset(separator)
    wild = {"*": Token(stop, negated=True, loop=True), "?": Token(stop, negated=True)}
    return Pattern(tuple(wild.get(char) or literal(char) for char in text))


def fixed_beginning(text: str) -> tuple[str, bool]:
    """`prefix` and `is_literal` of `glob(text)`, without building it."""
    found = _WILD.search(text)
    return (text[: found.start()], False) if found else (text, True)


@lru_cache(maxsize=65_536)
def exact(text: str) -> Pattern:
    """The set of just this text."""
    return Pattern(text=text)


class Machine:
    """Several patterns read at once; one bit per position of each pattern."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self.start = self.accept = self._empty = 0
        self._positions: list[Token | None] = []
        for pattern in patterns:
            self.start |= 1 << len(self._positions)
            self._positions += pattern.tokens
            self.accept |= 1 << len(self._positions)
            self._positions.append(None)
        self._build_tables()
        self.start = self._close(self.start)

    def _build_tables(self) -> None:
        listed: dict[str, int] = {}
        outside = loops = 0
        for position, token in enumerate(self._positions):
            if token is None:
                continue
            bit = 1 << position
            loops |= bit if token.loop else 0
            outside |= bit if token.negated else 0
            for char in token.chars:
                listed[char] = listed.get(char, 0) | bit
        self._empty = loops
        self._loops = loops
        # A negated token lists the characters it refuses, a plain one those it takes: hence the exclusive or.
        self._takes = {char: bits ^ outside for char, bits in listed.items()}
        self._listed = listed
        self._other = outside

    def _close(self, state: int) -> int:
        while True:
            wider = state | ((state & self._empty) << 1)
            if wider == state:
                return state
            state = wider

    def step(self, state: int, char: str) -> int:
        """The state after one more character."""
        live = state & self._takes.get(char, self._other)
        return self._close(((live & ~self._loops) << 1) | (live & self._loops))

    def accepts(self, text: str) -> bool:
        state = self.start
        for char in text:
            state = self.step(state, char)
            if not state:
                return False
        return bool(state & self.accept)

    def swallows(self, other: Pattern) -> bool:
        """Read the other pattern's tokens as if they were characters: a loop may only be eaten by a loop."""
        state = self.start
        for token in other.tokens:
            able = self._containing(token)
            live = state & able
            state = live & self._loops
            if not token.loop:
                state |= (live & ~self._loops) << 1
            state = self._close(state)
            if not state:
                return False
        return bool(state & self.accept)

    def _containing(self, token: Token) -> int:
        if not token.negated and len(token.chars) == 1:
            return self._takes.get(next(iter(token.chars)), self._other)
        bits = 0
        for position, own in enumerate(self._positions):
            if own is not None and own.contains(token):
                bits |= 1 << position
        return bits

    @cached_property
    def fresh(self) -> str:
        """A character that no pattern of this machine mentions."""
        for char in _FRESH:
            if char not in self._listed:
                return char
        return next(chr(code) for code in range(0x4E00, 0x9FFF) if chr(code) not in self._listed)

    def choices(self, state: int) -> list[str]:
        """One character for every way in which the next step can differ."""
        return [self.fresh, *(char for char, bits in self._listed.items() if state & bits)]


@dataclass(frozen=True, slots=True)
class Representatives:
    """Texts of a set such that every text of the set hits the same patterns as one of them - if `complete`."""

    texts: tuple[str, ...]
    complete: bool


def representatives(
    target: Pattern, others: Iterable[Pattern], seeds: Iterable[str] = (), limit: int = STATE_LIMIT
) -> Representatives:
    """Texts of `target`, one at least for each realisable combination of hits on `others`.

    `seeds` are texts that read well; where one of them shows a combination it is listed first.
    """
    if target.is_literal:
        return Representatives((target.prefix,), complete=True)
    relevant = dict.fromkeys(o for o in others if o.may_overlap(target) and not o.covers(target))
    fixed = {other.prefix for other in relevant if other.is_literal}
    loose = [other for other in relevant if not other.is_literal]
    first = [text for text in seeds if text not in fixed and target.matches(text)]
    if not loose and (plain := first[:1] or [text for text in (target.sample(),) if text not in fixed]):
        return Representatives(tuple(dict.fromkeys([*plain, *sorted(fixed)])), complete=True)
    found, complete = _explore(target, loose, first, limit)
    if fixed & set(found):
        # A literal hides the only text known for its combination: let the search tell them apart.
        found, complete = _explore(target, [*loose, *map(exact, sorted(fixed))], first, limit)
    return Representatives(tuple(dict.fromkeys([*found, *sorted(fixed)])), complete)


def _explore(target: Pattern, others: list[Pattern], seeds: list[str], limit: int) -> tuple[list[str], bool]:
    machine = Machine((target, *others))
    own_end = len(target.tokens)
    own_bits = (1 << (own_end + 1)) - 1
    found: dict[int, str] = {}
    for text in seeds:
        state = machine.start
        for char in text:
            state = machine.step(state, char)
        found.setdefault(state & machine.accept, text)
    came_from: dict[int, tuple[int, str] | None] = {machine.start: None}
    queue = deque([machine.start])
    while queue:
        state = queue.popleft()
        if state >> own_end & 1 and state & machine.accept not in found:
            found[state & machine.accept] = _trace(came_from, state)
        for char in machine.choices(state):
            after = machine.step(state, char)
            if after & own_bits and after not in came_from:
                if len(came_from) >= limit:
                    return list(found.values()), False
                came_from[after] = (state, char)
                queue.append(after)
    return list(found.values()), True


def _trace(came_from: dict[int, tuple[int, str] | None], state: int) -> str:
    chars = []
    while (step := came_from[state]) is not None:
        state, char = step
        chars.append(char)
    return "".join(reversed(chars))
