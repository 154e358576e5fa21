"""Policy variables such as `${aws:username}`: what they may stand for, put in, compared and solved for.

`${*}`, `${?}` and `${$}` are no variables but the characters themselves. A default stands in quotes after a comma:
`${aws:PrincipalTag/team, 'none'}`. A value that is put in stands for itself: a `*` in it is no wildcard.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from governance.kernel.patterns import ANY, ONE, Pattern, Token, literal

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_ESCAPED = ("*", "?", "$")
MOST_UNKNOWNS = 8
LONGEST_SOLVED = 400

Lookup = Callable[[str], str | None]


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Fixed text and bodies of variables in turn: ("text", "a/"), ("variable", "aws:username"), ("escape", "*")."""
    place = 0
    for found in _VARIABLE.finditer(text):
        yield "text", text[place : found.start()]
        yield ("escape" if found.group(1) in _ESCAPED else "variable"), found.group(1)
        place = found.end()
    yield "text", text[place:]


def _name_and_default(body: str) -> tuple[str, str | None]:
    name, comma, rest = body.partition(",")
    rest = rest.strip()
    if comma and len(rest) >= 2 and rest[0] == rest[-1] == "'":
        return name.strip().lower(), rest[1:-1]
    return body.strip().lower(), None


def variables_in(text: str) -> list[str]:
    """Names of the variables of a text, in small letters."""
    if "${" not in text:
        return []
    return [_name_and_default(body)[0] for kind, body in _pieces(text) if kind == "variable"]


def is_open(text: str) -> bool:
    """Whether what the text stands for hangs on a variable."""
    return "${" in text and any(kind == "variable" for kind, _ in _pieces(text))


_WILD = {"*": ANY, "?": ONE}


def _tokens(text: str, *, wild: bool) -> list[Token]:
    return [(_WILD.get(char) if wild else None) or literal(char) for char in text]


@lru_cache(maxsize=16_384)
def bound(text: str, *, wild: bool = True) -> Pattern:
    """Everything that the text could stand for, whatever its variables are. wild: whether `*` and `?` are wildcards."""
    tokens: list[Token] = []
    for kind, body in _pieces(text):
        tokens += [ANY] if kind == "variable" else _tokens(body, wild=wild and kind == "text")
    return Pattern(tuple(tokens))


def filled(text: str, lookup: Lookup, *, wild: bool = True) -> Pattern | None:
    """What the text stands for with these values; None where a variable has neither value nor default."""
    parts = _with_values(text, lookup)
    if parts is None:
        return None
    return Pattern(tuple(token for kind, part in parts for token in _tokens(part, wild=wild and kind == "text")))


def filled_text(text: str, lookup: Lookup) -> str | None:
    """The same as a text, for values in which nothing is wild."""
    parts = _with_values(text, lookup)
    return None if parts is None else "".join(part for _, part in parts)


def _with_values(text: str, lookup: Lookup) -> list[tuple[str, str]] | None:
    parts = []
    for kind, body in _pieces(text):
        if kind != "variable":
            parts.append((kind, body))
            continue
        name, default = _name_and_default(body)
        value = lookup(name)
        value = default if value is None else value
        if value is None:
            return None
        parts.append((kind, value))
    return parts


@lru_cache(maxsize=16_384)
def covers(wide: str, narrow: str, *, wide_wild: bool = True, narrow_wild: bool = True) -> bool:
    """Whether, for whatever the variables stand for, everything that `narrow` means is meant by `wide`.

    Each variable is one letter of its own that a `*` may swallow and a `?` may not (its value may be of any length):
    inclusion of such words stays inclusion when the letters are replaced by whatever they stand for.
    """
    bodies = [body for text in (wide, narrow) for kind, body in _pieces(text) if kind == "variable"]
    names = dict.fromkeys(map(_name_and_default, bodies))
    letters = {name: chr(0xF0000 + number) for number, name in enumerate(names)}
    if any(letter in text for letter in letters.values() for text in (wide, narrow)):
        return False
    return _lettered(wide, letters, wild=wide_wild).covers(_lettered(narrow, letters, wild=narrow_wild))


def _lettered(text: str, letters: Mapping[tuple[str, str | None], str], *, wild: bool) -> Pattern:
    one = Token(frozenset(letters.values()), negated=True)
    tokens: list[Token] = []
    for kind, body in _pieces(text):
        if kind == "variable":
            tokens.append(literal(letters[_name_and_default(body)]))
        else:
            tokens += [one if token is ONE else token for token in _tokens(body, wild=wild and kind == "text")]
    return Pattern(tuple(tokens))


def solved(template: str, text: str, known: Mapping[str, str], *, wild: bool = True) -> dict[str, str] | None:
    """Values of the variables with which the template stands for this text; None where none are found.

    known: values that are settled already, by names in small letters.
    """
    if len(text) > LONGEST_SOLVED:
        return None
    return _solved(template, text, known, ".+", wild=wild) or _solved(template, text, known, ".*", wild=wild)


def _solved(template: str, text: str, known: Mapping[str, str], any_value: str, *, wild: bool) -> dict[str, str] | None:
    groups: dict[str, str] = {}
    parts: list[str] = []
    unknowns = 0
    for kind, body in _pieces(template):
        if kind != "variable":
            looks = {"*": ".*", "?": "."} if wild and kind == "text" else {}
            parts += [looks.get(char) or re.escape(char) for char in body]
            unknowns += body.count("*") if looks else 0
            continue
        name, _ = _name_and_default(body)
        if name in known:
            parts.append(re.escape(known[name]))
        elif name in groups:
            parts.append(f"(?P={groups[name]})")
        else:
            groups[name] = f"g{len(groups)}"
            parts.append(f"(?P<{groups[name]}>{any_value})")
            unknowns += 1
    if unknowns > MOST_UNKNOWNS:
        return None  # the search would go back and forth for too long
    found = re.fullmatch("".join(parts), text, re.DOTALL)
    return {name: found.group(group) for name, group in groups.items()} if found else None
