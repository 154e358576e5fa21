"""Simple regular expressions as unions of patterns; whatever is not simple raises `Unsupported`, never a guess."""

from itertools import product

from governance.kernel.patterns import ANY, ONE, Token, literal

MAX_ALTERNATIVES = 64
_DIGITS = frozenset("0123456789")
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") | _DIGITS
_CLASSES = {
    "d": Token(_DIGITS), "D": Token(_DIGITS, negated=True), "w": Token(_WORD), "W": Token(_WORD, negated=True),
}  # fmt: skip

Row = tuple[Token, ...]


class Unsupported(Exception):
    """The expression uses something that this reader does not decide."""


def search_patterns(expression: str) -> tuple[Row, ...]:
    """Rows of tokens whose union is every text in which the expression finds a match.

    Texts have no line breaks (brokers strip them from names), so `.` is any character.
    """
    if not expression.isascii():
        raise Unsupported("brokers match bytes, so characters beyond ASCII count more than once")
    reader = _Reader(expression)
    found = []
    for branch in reader.alternatives(top=True):
        start = () if branch and branch[0] is _START else (ANY,)
        end = () if branch and branch[-1] is _END else (ANY,)
        inner = tuple(item for item in branch if isinstance(item, Token))
        anchors = len(branch) - len(inner)
        if anchors != (not start) + (not end):
            raise Unsupported("an anchor inside the expression")
        found.append((*start, *inner, *end))
    if reader.position != len(expression):
        raise Unsupported("an unbalanced parenthesis")
    return tuple(dict.fromkeys(found))


class _Anchor:
    """A place, not a character."""


_START, _END = _Anchor(), _Anchor()
Item = Token | _Anchor


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def take(self) -> str:
        char = self.peek()
        if not char:
            raise Unsupported("the expression ends too early")
        self.position += 1
        return char

    def alternatives(self, *, top: bool = False) -> list[tuple[Item, ...]]:
        branches = self.branch()
        while self.peek() == "|":
            self.take()
            branches += self.branch()
        if not top and self.take() != ")":
            raise Unsupported("an unbalanced parenthesis")
        return _bounded(branches)

    def branch(self) -> list[tuple[Item, ...]]:
        rows: list[tuple[Item, ...]] = [()]
        while (char := self.peek()) and char not in "|)":
            rows = _bounded([(*left, *right) for left, right in product(rows, self.piece())])
        return rows

    def piece(self) -> list[tuple[Item, ...]]:
        items = self.atom()
        repeat = self.peek()
        if not repeat or repeat not in "*+?{":
            return items
        self.take()
        if repeat == "{" or (self.peek() and self.peek() in "*+?{"):
            raise Unsupported("a counted, lazy or possessive repeat")
        if any(isinstance(item, _Anchor) for row in items for item in row):
            raise Unsupported("a repeated anchor")
        if repeat == "?":
            return [(), *items]
        if len(items) != 1 or len(items[0]) != 1 or not isinstance(items[0][0], Token):
            raise Unsupported("a repeated group")
        token = items[0][0]
        loop = Token(token.chars, token.negated, loop=True)
        return [(loop,)] if repeat == "*" else [(token, loop)]

    def atom(self) -> list[tuple[Item, ...]]:
        char = self.take()
        if char == "(":
            if self.text.startswith("?:", self.position):
                self.position += 2
            elif self.peek() in ("?", "*"):
                raise Unsupported("a special group")
            return self.alternatives()
        if char == "[":
            return [(self.character_class(),)]
        if char == "\\":
            return [(self.escape(),)]
        if char in "*+?{":
            raise Unsupported("a repeat of nothing")
        item: Item = {"^": _START, "$": _END, ".": ONE}.get(char) or literal(char)  # type: ignore[assignment]
        return [(item,)]

    def escape(self) -> Token:
        char = self.take()
        if char in _CLASSES:
            return _CLASSES[char]
        if char.isalnum():
            raise Unsupported(f"the escape \\{char}")
        return literal(char)

    def character_class(self) -> Token:
        negated = self.peek() == "^"
        self.position += negated
        chars: set[str] = set()
        first = True
        while (char := self.take()) != "]" or first:
            first = False
            if char == "[":
                raise Unsupported("a bracket inside a class")
            if char == "\\":
                token = self.escape()
                if token.negated:
                    raise Unsupported("a negated class inside a class")
                chars |= token.chars
                if self.peek() == "-" and self.text[self.position + 1 : self.position + 2] != "]":
                    raise Unsupported("a range from an escape")
                continue
            if self.peek() == "-" and self.text[self.position + 1 : self.position + 2] not in ("]", ""):
                self.take()
                last = self.take()
                if last in "\\[" or not char <= last or ord(last) - ord(char) > 255:
                    raise Unsupported("an unusual range")
                chars |= {chr(code) for code in range(ord(char), ord(last) + 1)}
            else:
                chars.add(char)
        return Token(frozenset(chars), negated)


def _bounded(rows: list[tuple[Item, ...]]) -> list[tuple[Item, ...]]:
    if len(rows) > MAX_ALTERNATIVES:
        raise Unsupported("too many alternatives")
    return rows
