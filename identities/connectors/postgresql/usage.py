"""What was used, read off pg_stat_statements: which role ran which normalised statement, and how often.

Two mistakes are possible and only one is dangerous. To call something used that was not costs a narrower proposal; to
call something unused that was used breaks a service. So every doubt counts as use, and a role that ran one statement
which is not fully understood gets no observation window at all: nothing it holds is then called unused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
      | (?P<text>(?:[eEnNbBxX]|[uU]&)?'(?:[^']|'')*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
      | (?P<quoted>"(?:[^"]|"")+")
      | (?P<param>\$\d+)
      | (?P<number>\d[\w.]*)
      | (?P<word>[^\W\d][\w$]*)
      | (?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)

HARMLESS = frozenset({
    "begin", "commit", "rollback", "abort", "end", "start", "savepoint", "release", "set", "reset", "show",
    "deallocate", "discard", "close", "listen", "unlisten", "notify", "checkpoint", "fetch", "move",
})  # fmt: skip
"""Statements that use no right on any object."""

_CLAUSE_ENDS = frozenset({
    "where", "group", "order", "having", "limit", "offset", "union", "intersect", "except", "returning", "set",
    "on", "using", "values", "select", "for", "window", "fetch", "when", "with", "default", "overriding",
})  # fmt: skip
_JOINERS = frozenset({"join", "inner", "left", "right", "full", "cross", "natural", "outer"})
_NOT_CALLS = frozenset({
    "in", "values", "exists", "and", "or", "not", "any", "all", "some", "over", "filter", "as", "on", "using", "from",
    "select", "where", "by", "then", "else", "when", "case", "row", "array", "coalesce", "nullif", "greatest", "least",
    "cast", "extract", "position", "substring", "trim", "overlay", "limit", "offset", "set", "returning", "conflict",
    "grouping", "sets", "rollup", "cube", "within", "distinct", "between", "like", "ilike", "is", "union", "except",
    "intersect", "with", "interval", "varchar", "char", "numeric", "decimal", "timestamp", "timestamptz", "time", "bit",
    "float", "having", "join", "materialized", "insert", "into", "of", "do",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Name:
    """A possibly qualified name, as the server folds it."""

    schema: str | None
    name: str


@dataclass(slots=True)
class Reading:
    """What one statement used. is_understood: nothing in it was left unexplained."""

    uses: set[tuple[str, Name]] = field(default_factory=set)
    calls: set[Name] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    is_understood: bool = True


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text in words

    @property
    def is_name(self) -> bool:
        return self.kind in ("word", "quoted")


def tokens(query: str) -> list[Token]:
    """The statement's tokens without white space; words folded to lower case, quoted names unquoted."""
    found = []
    for match in _TOKEN.finditer(query):
        kind = match.lastgroup or "mark"
        kind = "text" if kind == "tag" else kind
        text = match.group()
        if kind == "word":
            text = text.lower()
        elif kind == "quoted":
            text = text[1:-1].replace('""', '"')
        if kind != "space":
            found.append(Token(kind, text))
    return found


def read_statement(query: str) -> Reading:
    """Tables, with the privileges they need, and functions that one normalised statement uses."""
    row = tokens(query)
    while row and row[-1].text == ";":
        row.pop()
    reading = Reading(words={token.text for token in row if token.is_name})
    if not row:
        return reading
    first = row[0]
    if first.is_word("copy"):
        _read_copy(row, reading)
    elif first.is_word("truncate"):
        _read_list(row, reading, "TRUNCATE", skip={"truncate", "table", "only"})
    elif first.is_word("lock"):
        _read_list(row, reading, "SELECT", skip={"lock", "table", "only"})
    elif first.is_word("declare", "prepare"):
        # What runs later is recorded with the text that declared it.
        _read_statement(_after(row, "for" if first.is_word("declare") else "as"), reading)
    elif not first.is_word(*HARMLESS):
        _read_statement(row, reading)
    return reading


def _read_statement(row: list[Token], reading: Reading) -> None:
    reading.is_understood = (
        bool(row)
        and row[0].is_word("select", "insert", "update", "delete", "with", "call")
        and not any(token.text == ";" and token.kind == "mark" for token in row)
    )
    _read_query(row, reading)


def _after(row: list[Token], word: str) -> list[Token]:
    for index, token in enumerate(row):
        if token.is_word(word):
            return row[index + 1 :]
    return []


def _read_query(row: list[Token], reading: Reading) -> None:
    """One pass over the tokens: names after FROM, JOIN, INTO, UPDATE; calls; what each verb needs besides."""
    defined = _cte_names(row)
    index = 0
    while index < len(row):
        token = row[index]
        if token.is_word("from", "join") and not _is_inside_call(row, index):
            verb = "DELETE" if index and row[index - 1].is_word("delete") else "SELECT"
            index = _read_from(row, index + 1, reading, defined, verb)
        elif token.is_word("using") and index + 1 < len(row) and row[index + 1].is_name:
            index = _read_from(row, index + 1, reading, defined, "SELECT")
        elif token.is_word("into"):
            index = _read_target(row, index + 1, reading, "INSERT", defined)
            if not any(other.is_word("insert") for other in row):
                reading.is_understood = False  # SELECT INTO creates a table
        elif token.is_word("update") and _starts_update(row, index):
            index = _read_target(row, index + 1, reading, "UPDATE", defined)
        else:
            _read_call(row, index, reading)
            index += 1
    _add_implied(row, reading)


def _starts_update(row: list[Token], index: int) -> bool:
    """UPDATE as a statement, not FOR UPDATE or ON CONFLICT DO UPDATE."""
    return not (index and row[index - 1].is_word("for", "do", "key", "on"))


def _is_inside_call(row: list[Token], index: int) -> bool:
    """FROM in extract(… from …), substring, trim, overlay and IS DISTINCT FROM names no table."""
    if index and row[index - 1].is_word("distinct"):
        return True
    depth = 0
    for back in range(index - 1, -1, -1):
        if row[back].text == ")" and row[back].kind == "mark":
            depth += 1
        elif row[back].text == "(" and row[back].kind == "mark":
            if depth == 0:
                return back > 0 and row[back - 1].is_word("extract", "substring", "trim", "overlay", "position")
            depth -= 1
    return False


def _read_name(row: list[Token], index: int) -> tuple[Name | None, int]:
    if index >= len(row) or not row[index].is_name:
        return None, index
    first = row[index].text
    if index + 2 < len(row) and row[index + 1].text == "." and row[index + 2].is_name:
        return Name(first, row[index + 2].text), index + 3
    return Name(None, first), index + 1


def _read_from(row: list[Token], index: int, reading: Reading, defined: set[str], verb: str) -> int:
    """A list of tables: names, aliases and commas, until another clause or a parenthesis takes over."""
    while index < len(row):
        while index < len(row) and row[index].is_word("only", "lateral"):
            index += 1
        if index < len(row) and row[index].text == "(":
            return (
                index + 1
                if index + 1 < len(row) and row[index + 1].is_word("select", "with", "values")
                else (_read_from(row, index + 1, reading, defined, verb))
            )
        name, after = _read_name(row, index)
        if name is None:
            reading.is_understood = False
            return index + 1
        if after < len(row) and row[after].text == "(":
            reading.calls.add(name)
            return after
        if name.schema is not None or name.name not in defined:
            reading.uses.add((verb, name))
        index = after
        while index < len(row) and row[index].text != "," and not _ends_list(row[index]):
            index += 1
        if index >= len(row) or row[index].text != ",":
            return index
        index += 1
    return index


def _ends_list(token: Token) -> bool:
    return token.text in "()" or token.is_word(*_CLAUSE_ENDS) or token.is_word(*_JOINERS)


def _read_target(row: list[Token], index: int, reading: Reading, verb: str, defined: set[str]) -> int:
    if index < len(row) and row[index].is_word("only"):
        index += 1
    name, after = _read_name(row, index)
    if name is None:
        reading.is_understood = False
        return index + 1
    if name.schema is not None or name.name not in defined:
        reading.uses.add((verb, name))
    return after


def _read_call(row: list[Token], index: int, reading: Reading) -> None:
    """A name directly before an opening parenthesis is a call, unless it is a word of the language."""
    if index + 1 >= len(row) or row[index + 1].text != "(" or not row[index].is_name:
        return
    token = row[index]
    if token.kind == "word" and token.text in _NOT_CALLS:
        return
    if index >= 2 and row[index - 1].text == "." and row[index - 2].is_name:
        reading.calls.add(Name(row[index - 2].text, token.text))
    elif not (index and row[index - 1].is_word("into", "as")):
        reading.calls.add(Name(None, token.text))


def _cte_names(row: list[Token]) -> set[str]:
    """Names defined by WITH: `name AS (` and `name (columns) AS (`."""
    if not any(token.is_word("with") for token in row):
        return set()
    found = set()
    for index in range(1, len(row)):
        if not row[index].is_name or (not row[index - 1].is_word("with", "recursive") and row[index - 1].text != ","):
            continue
        after = index + 1
        if after < len(row) and row[after].text == "(":
            while after < len(row) and row[after].text != ")":
                after += 1
            after += 1
        if after < len(row) and row[after].is_word("as"):
            found.add(row[index].text)
    return found


def _add_implied(row: list[Token], reading: Reading) -> None:
    """Rights that a verb needs besides its own: reading back what WHERE, RETURNING or a conflict compares."""
    words = {token.text for token in row if token.kind == "word"}
    targets = {(verb, name) for verb, name in reading.uses if verb in ("INSERT", "UPDATE", "DELETE")}
    for verb, name in targets:
        if verb == "INSERT" and "conflict" in words:
            reading.uses.add(("SELECT", name))
            if "nothing" not in words or "update" in words:
                reading.uses.add(("UPDATE", name))
        if "returning" in words or (verb == "DELETE" and words & {"where", "using"}):
            reading.uses.add(("SELECT", name))
        if verb == "UPDATE":
            reading.uses.add(("SELECT", name))  # SET a = a + 1 reads a
    if "for" in words and words & {"update", "share"}:
        reading.uses |= {("UPDATE", name) for verb, name in reading.uses if verb == "SELECT"}


def _read_copy(row: list[Token], reading: Reading) -> None:
    if len(row) > 1 and row[1].text == "(":
        _read_query(row[2:], reading)
        return
    name, after = _read_name(row, 1)
    direction = {token.text for token in row[after:]} & {"to", "from"}
    reading.is_understood = name is not None and len(direction) == 1
    if name is not None:
        reading.uses |= {("SELECT" if word == "to" else "INSERT", name) for word in direction}


def _read_list(row: list[Token], reading: Reading, verb: str, skip: set[str]) -> None:
    index = 0
    while index < len(row) and row[index].is_word(*skip):
        index += 1
    while True:
        name, index = _read_name(row, index)
        if name is None:
            reading.is_understood = False
            return
        reading.uses.add((verb, name))
        if index >= len(row) or row[index].text != ",":
            return
        index += 1


@dataclass(slots=True)
class RoleUse:
    """What one role used in one database. counts: (action, resource) to number of calls; first, last: where known.

    restarted: since when the youngest of the counters behind a count has been counting, where the server says it.
    """

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    first: dict[tuple[str, str], str] = field(default_factory=dict)
    last: dict[tuple[str, str], str] = field(default_factory=dict)
    restarted: dict[tuple[str, str], str] = field(default_factory=dict)
    is_complete: bool = True

    def add(self, action: str, resource: str, calls: int, since: str | None, last: str | None = None) -> None:
        key = (action, resource)
        self.counts[key] = self.counts.get(key, 0) + calls
        if since is not None and (key not in self.first or since < self.first[key]):
            self.first[key] = since
        if since is not None:
            self.restarted[key] = max(since, self.restarted.get(key, since))
        if last is not None and (key not in self.last or last > self.last[key]):
            self.last[key] = last


def candidates(name: Name, by_name: Mapping[str, list[tuple[str, int]]]) -> list[int]:
    """The objects a name can mean: the one in its schema, or all of that name when no schema was written."""
    found = by_name.get(name.name, [])
    return [oid for schema, oid in found if name.schema in (None, schema)]
