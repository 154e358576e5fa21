"""What pgaudit's lines say was used: statements of sign-ins, with the rights that each needed.

pgaudit writes one line per relation and names one privilege, after the server found that the right is there. Statements
often need more than that one, so their text is looked at too. As everywhere, every doubt counts as use.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from identities.connectors.files import Notes
from identities.connectors.postgresql.audit_log import AUDIT, REFUSED, LogLine, audited
from identities.connectors.postgresql.usage import Name, read_statement, tokens

CLASSES = frozenset({"read", "write", "function", "role", "ddl", "misc", "misc_set"})
# Sessions whose last statement may still turn out to have been refused; beyond, the oldest counts as it stands.
MOST_OPEN = 20_000

_TEXT_WITHHELD = ("<not logged>", "<previously logged>", "")
_VERBS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_PARSED = _VERBS | {"COPY", "TRUNCATE TABLE", "LOCK TABLE"}
_SEQUENCE = "SEQUENCE"


@dataclass(slots=True)
class Executed:
    """One statement of a sign-in. is_understood: every table that it used is named.

    words: the names and words of its text, for telling columns; empty where the text was not logged.
    """

    role: str
    database: str
    at: datetime
    uses: set[tuple[str, Name]] = field(default_factory=set)
    sequences: set[Name] = field(default_factory=set)
    calls: set[Name] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    is_understood: bool = True


@dataclass(slots=True)
class _Open:
    number: int
    transaction: str
    text: str
    statement: Executed


@dataclass(slots=True)
class AuditTrail:
    """Lines in, statements out. Afterwards: what the log shows of itself.

    first: by (database, role, class), when a line of that class was first seen. changed_at: when the classes of the
    whole server last changed. audited: how many lines of pgaudit there were.
    """

    notes: Notes
    first: dict[tuple[str, str, str], datetime] = field(default_factory=dict)
    changed_at: datetime | None = None
    audited: int = 0
    _open: OrderedDict[str, _Open] = field(default_factory=OrderedDict)

    def statements(self, lines: Iterable[LogLine]) -> Iterator[Executed]:
        """Every statement that was not refused, once it is known that it was not."""
        for line in lines:
            if line.message.startswith(AUDIT):
                yield from self._audited(line)
            elif line.state == REFUSED:
                self._refused(line)
            elif line.message.startswith('parameter "pgaudit.log" changed'):
                self.changed_at = line.at

    def rest(self) -> Iterator[Executed]:
        """The last statement of each session."""
        while self._open:
            yield self._open.popitem(last=False)[1].statement

    def _audited(self, line: LogLine) -> Iterator[Executed]:
        fields = audited(line.message)
        if fields is None:
            self.notes.count("lines of pgaudit that make no sense")
            return
        self.audited += 1
        kind, number, _, of_class, command, object_type, name, text = fields
        if kind == "SESSION":
            self.first.setdefault((line.database, line.role, of_class.lower()), line.at)
        key = line.session or line.role
        found = self._open.get(key)
        if found is None or found.number != number:
            if found is not None:
                yield self._open.pop(key).statement
            if len(self._open) >= MOST_OPEN:
                yield self._open.popitem(last=False)[1].statement
            found = self._open[key] = _Open(number, line.transaction, text, Executed(line.role, line.database, line.at))
        elif text in _TEXT_WITHHELD:
            text = found.text
        _add(found.statement, command, object_type, name, "" if text in _TEXT_WITHHELD else text)

    def _refused(self, line: LogLine) -> None:
        """An attempt is no use. Only the statement that the error names: others of its session did run."""
        found = self._open.get(line.session or line.role)
        if found is not None and (found.transaction, found.text) == (line.transaction, line.query):
            del self._open[line.session or line.role]
            self.notes.count("statements that were refused, which are attempts and no use")


def _add(statement: Executed, command: str, object_type: str, name: str, text: str) -> None:
    row = tokens(text) if text else []
    statement.words |= {token.text for token in row if token.is_name}
    words = {token.text for token in row if token.kind == "word"} if text else None
    named = _name(name) if name else None
    if command == "EXECUTE" and named is not None:
        statement.calls.add(named)
    elif named is not None and command in _VERBS:
        if object_type == _SEQUENCE:
            statement.sequences.add(named)
        else:
            statement.uses |= {(action, named) for action in needed(command, words)}
    elif not name and command in _PARSED:
        # Without pgaudit.log_relation, and for these commands always, only the text names the tables.
        if not text:
            statement.is_understood = False
            return
        reading = read_statement(text)
        is_known = reading.is_understood or (command in _VERBS and not reading.uses)
        statement.is_understood = statement.is_understood and is_known
        statement.uses |= reading.uses
        if command == "LOCK TABLE":
            # Which of these the lock needs depends on its mode.
            statement.uses |= {
                (action, table) for _, table in reading.uses for action in ("UPDATE", "DELETE", "TRUNCATE")
            }


def needed(command: str, words: set[str] | None) -> set[str]:
    """The privileges that a statement needs on a relation for which pgaudit names one. words None: text unknown."""
    if words is None:
        return {"DELETE": {"DELETE", "SELECT"}, "SELECT": {"SELECT", "UPDATE"}}.get(
            command, {"INSERT", "UPDATE", "DELETE", "SELECT"}
        )
    found = {command}
    if command == "UPDATE" or words & {"returning", "conflict", "merge"}:
        found.add("SELECT")
    if command == "DELETE" and words & {"where", "using"}:
        found.add("SELECT")
    if command == "INSERT" and "conflict" in words and ("update" in words or "nothing" not in words):
        found.add("UPDATE")
    if command == "SELECT" and "for" in words and words & {"update", "share"}:
        found.add("UPDATE")
    if "merge" in words and command != "SELECT":
        found |= {verb for verb in ("INSERT", "UPDATE", "DELETE") if verb.lower() in words}
    return found


def _name(text: str) -> Name | None:
    """`public."Odd.name"` as its two parts."""
    row = [token.text for token in tokens(text) if token.is_name]
    # A table can be called like a number or a keyword; then the server quotes it, and it is a name all the same.
    return Name(row[0], row[1]) if len(row) == 2 else Name(None, row[0]) if len(row) == 1 else None


def classes_on(setting: str) -> frozenset[str]:
    """What a value of pgaudit.log switches on: `all, -misc` and the like."""
    found: set[str] = set()
    for word in setting.lower().replace(" ", "").split(","):
        name = word.removeprefix("-")
        meant = CLASSES if name == "all" else {name} & CLASSES
        found = found - meant if word.startswith("-") else found | meant
    return frozenset(found)
