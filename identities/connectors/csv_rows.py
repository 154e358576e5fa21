"""The CSV format: one row per grant, as people keep such lists in a spreadsheet. docs/api.md, "As CSV", describes it.

Rows are read one at a time; what must be remembered of earlier rows (which grants came, what was said about each
identity) lies in a file-backed store, so memory does not grow with the number of rows.
"""

import codecs
import csv
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from hashlib import blake2b
from io import TextIOWrapper
from typing import Any, BinaryIO

import orjson

from identities.connectors.contract import Record
from identities.connectors.files import FileRefused, Holds, Notes

# What a row says about its identity: column -> member of the record.
IDENTITY_COLUMNS = {
    "kind": "kind", "name": "name", "status": "status", "environment": "environment", "purpose": "purpose",
    "owner": "owner", "sponsor": "sponsor", "custody": "custody", "acts_for": "acts_for", "tags": "tags",
    "created_at": "created_at", "last_used": "last_used_at",
}  # fmt: skip
# What it says about the grant.
GRANT_COLUMNS = {
    "label": "label", "revocability": "revocability", "shared_with": "shared_with", "valid_from": "valid_from",
    "valid_until": "valid_until",
}  # fmt: skip
STATEMENT_COLUMNS = ("dialect", "actions", "resources", "effect")
COLUMNS = ("identity", *IDENTITY_COLUMNS, "grant", *GRANT_COLUMNS, *STATEMENT_COLUMNS)
REQUIRED = ("identity", "kind")
TIMES = frozenset({"created_at", "last_used", "valid_from", "valid_until"})
END = "#end"
LONGEST_LABEL = 200
DELIMITERS = ",;\t"
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?)?", re.ASCII)
# In these a vertical bar or a space is part of a pattern, so only line breaks part the patterns.
_PARTED_BY_LINES = frozenset({"rabbitmq"})
_STORE = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE identity (id TEXT PRIMARY KEY, line INTEGER, said BLOB, last_used TEXT) WITHOUT ROWID;
CREATE TABLE came (key BLOB PRIMARY KEY, line INTEGER, content BLOB) WITHOUT ROWID;
"""


class CsvRows:
    """`csv`: identity and kind in every file, everything else as the header names it."""

    name = "csv"
    title = "CSV, one row per grant"
    kind = "push"
    holds = Holds.INVENTORY

    def recognises(self, head: bytes) -> bool:
        """A header that names the identity and its kind."""
        try:
            first = _decoded(head).lstrip().splitlines()[0]
        except (UnicodeDecodeError, IndexError):
            return False
        if first.startswith(("{", "[")):
            return False
        return set(REQUIRED) <= {_plain(cell) for cell in first.split(_delimiter(first))}

    def records(self, file: BinaryIO, notes: Notes) -> Iterator[Record]:
        """Grants as they come, then the identities, then the end. Raises FileRefused with `line` and `column`."""
        text = TextIOWrapper(file, encoding=_encoding(file), newline="")
        try:
            with closing(sqlite3.connect("")) as store:
                yield from _Reading(text, store, notes).records()
        except UnicodeDecodeError as error:
            raise FileRefused("The file is not UTF-8 text. Save it as “CSV UTF-8”.") from error
        finally:
            text.detach()


class _Reading:
    """One pass over one file."""

    def __init__(self, text: TextIOWrapper, store: sqlite3.Connection, notes: Notes) -> None:
        store.executescript(_STORE)
        self._store, self._notes = store, notes
        self._first = text.readline().lstrip("\ufeff")
        self._rows = csv.reader(_after(self._first, text), delimiter=_delimiter(self._first), strict=True)
        self._header: list[str] = []
        self._line = 1
        self._said_of: tuple[str, dict[str, str]] = ("", {})
        self._open: dict[str, Any] | None = None
        self._open_line = 0
        self._count = 0

    def records(self) -> Iterator[Record]:
        self._header = self._read_header()
        rows = 0
        for cells in self._filled():
            if cells[0].strip() == END:
                self._check_end(cells, rows)
                break
            rows += 1
            row = self._row(cells)
            self._note_identity(row)
            yield from self._grant(row)
        if not rows:
            raise FileRefused("The file has a header and no rows; an empty list is not accepted.", line=self._line)
        yield from self._close_grant()
        yield from self._identities()
        yield {"type": "end", "records": self._count}

    def _read_header(self) -> list[str]:
        if not self._first.strip():
            raise FileRefused("The file is empty.")
        header = [_plain(cell) for cell in next(self._filled(), [])]
        for place, name in enumerate(header, start=1):
            if name not in COLUMNS:
                known = ", ".join(COLUMNS)
                raise self._refuse(f"“{name[:60]}” is no column of this format. Known are {known}.", f"number {place}")
            if header.index(name) != place - 1:
                raise self._refuse("stands twice in the header.", name)
        for name in REQUIRED:
            if name not in header:
                raise self._refuse("is missing in the header.", name)
        return header

    def _filled(self) -> Iterator[list[str]]:
        """Rows that hold anything. `_line` is where each begins: a quoted cell may go on over several lines."""
        while True:
            self._line = self._rows.line_num + 1
            try:
                cells = next(self._rows)
            except StopIteration:
                return
            except csv.Error as error:
                ends_early = "unexpected end" in str(error)
                told = "a quoted cell is never closed; the file may be cut off" if ends_early else str(error)
                raise FileRefused(f"Line {self._line}: {told}.", line=self._line) from error
            if any(cell.strip() for cell in cells):
                yield cells

    def _row(self, cells: list[str]) -> dict[str, str]:
        if len(cells) < len(self._header) or any(cell.strip() for cell in cells[len(self._header) :]):
            raise FileRefused(
                f"Line {self._line} has {len(cells)} cells, the header has {len(self._header)}. A cell that holds the "
                "delimiter must stand in quotes; a last line with too few may be cut off.",
                line=self._line,
            )
        row = {name: cell.strip() for name, cell in zip(self._header, cells, strict=False)}
        if not row["identity"]:
            raise self._refuse("is empty.", "identity")
        for name in TIMES & row.keys():
            row[name] = self._moment(name, row[name])
        return row

    def _moment(self, column: str, cell: str) -> str:
        if not cell:
            return ""
        try:
            found = datetime.fromisoformat(cell) if _DATE.fullmatch(cell) else None
        except ValueError:
            found = None
        if found is None:
            raise self._refuse("is no date. Write 2027-01-31 or 2027-01-31T09:30:00Z.", column)
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        return found.isoformat().replace("+00:00", "Z")

    def _note_identity(self, row: Mapping[str, str]) -> None:
        """Keep what was said first, and the latest use; two rows that contradict each other are refused."""
        name = row["identity"]
        said = {column: row[column] for column in IDENTITY_COLUMNS if row.get(column)}
        if self._said_of == (name, said):
            return
        self._said_of = (name, said.copy())
        last_used = said.pop("last_used", "")
        found = self._store.execute("SELECT line, said, last_used FROM identity WHERE id = ?", [name]).fetchone()
        if found is None:
            new = (name, self._line, orjson.dumps(said), last_used)
            self._store.execute("INSERT INTO identity VALUES (?, ?, ?, ?)", new)
            return
        line, known = found[0], orjson.loads(found[1])
        for column, value in said.items():
            if known.setdefault(column, value) != value:
                raise self._refuse(f"says something else about {name[:80]!r} than line {line}.", column)
        merged = (orjson.dumps(known), max(last_used, found[2]), name)
        self._store.execute("UPDATE identity SET said = ?, last_used = ? WHERE id = ?", merged)

    def _grant(self, row: Mapping[str, str]) -> Iterator[Record]:
        statement = self._statement(row)
        if statement is None:
            return
        # Dialect and statement belong to one identity: without an id of its own the content is the grant's name.
        shape = [row["identity"], row["dialect"], statement]
        key = row.get("grant") or f"csv:{_digest(shape).hex()}"
        facts = {member: row[column] for column, member in GRANT_COLUMNS.items() if row.get(column)}
        if self._open is not None and self._open["id"] == key:
            self._add_statement(row, statement, facts)
            return
        yield from self._close_grant()
        content = _digest([*shape, facts])
        found = self._store.execute("SELECT line, content FROM came WHERE key = ?", [key]).fetchone()
        if found is None:
            self._store.execute("INSERT INTO came VALUES (?, ?, ?)", [key, self._line, content])
        elif found[1] == content:
            self._notes.count("repeated rows")
            return
        else:
            told = f"was said differently in line {found[0]}. Rows of one grant stand below each other and agree."
            raise self._refuse(told, "grant" if row.get("grant") else "resources")
        if "shared_with" in facts and facts["shared_with"].isdecimal() and len(facts["shared_with"]) < 10:
            facts["shared_with"] = int(facts["shared_with"])  # type: ignore[assignment]
        permission = {"dialect": row["dialect"], "statements": [statement]}
        label = {} if row.get("grant") else {"label": _label(statement)}
        self._open = {
            "type": "grant",
            "id": key,
            "identity": row["identity"],
            "permission": permission,
            **label,
            **facts,
        }
        self._open_line = self._line

    def _add_statement(self, row: Mapping[str, str], statement: dict[str, Any], facts: Mapping[str, str]) -> None:
        """Another row of the grant that the row above began."""
        known = self._open or {}
        if known["identity"] != row["identity"] or known["permission"]["dialect"] != row["dialect"]:
            raise self._refuse(f"belongs to another identity or dialect in line {self._open_line}.", "grant")
        for member, value in facts.items():
            if str(known.get(member, "")) != value:
                raise self._refuse(f"says something else about the grant than line {self._open_line}.", member)
        if statement in known["permission"]["statements"]:
            self._notes.count("repeated rows")
        else:
            known["permission"]["statements"].append(statement)

    def _statement(self, row: Mapping[str, str]) -> dict[str, Any] | None:
        """None for a row that is only about its identity."""
        given = {name: row.get(name, "") for name in STATEMENT_COLUMNS}
        if not any(given.values()) and not row.get("grant"):
            return None
        for name in ("dialect", "actions", "resources"):
            if not given[name]:
                raise self._refuse("is empty, although the row names a grant.", name)
        statement: dict[str, Any] = {
            "actions": _parts(given["actions"], given["dialect"]),
            "resources": _parts(given["resources"], given["dialect"]),
        }
        if given["effect"]:
            statement["effect"] = given["effect"].lower()
        return statement

    def _close_grant(self) -> Iterator[Record]:
        if self._open is not None:
            yield self._counted(self._open, self._open_line)
            self._open = None

    def _identities(self) -> Iterator[Record]:
        for name, line, said, last_used in self._store.execute("SELECT id, line, said, last_used FROM identity"):
            known: dict[str, Any] = orjson.loads(said)
            record: Record = {"type": "identity", "id": name}
            record |= {IDENTITY_COLUMNS[column]: value for column, value in known.items()}
            if "tags" in record:
                record["tags"] = _parts(record["tags"], "")
            if last_used:
                record["last_used_at"] = last_used
            yield self._counted(record, line)

    def _counted(self, record: Record, line: int) -> Record:
        self._count += 1
        self._notes.line = line
        return record

    def _check_end(self, cells: list[str], rows: int) -> None:
        told = cells[1].strip() if len(cells) > 1 else ""
        if told != str(rows):
            raise FileRefused(
                f"The last line says {told or 'nothing'}, but {rows} rows stand above it.", line=self._line
            )
        if next(self._filled(), None) is not None:
            raise FileRefused(f"Line {self._line} stands after the line {END}.", line=self._line)

    def _refuse(self, told: str, column: str) -> FileRefused:
        return FileRefused(f"Line {self._line}, column {column}: {told}", line=self._line, column=column)


def _after(first: str, rest: TextIOWrapper) -> Iterator[str]:
    yield first
    for line in rest:  # noqa: UP028 - `yield from` would close the text when this ends early
        yield line


def _plain(cell: str) -> str:
    """A heading as people write it: "Last used" is last_used."""
    return cell.strip().strip('"').strip().lower().replace(" ", "_").replace("-", "_")


def _parts(cell: str, dialect: str) -> list[str]:
    """Patterns of one cell: parted by line breaks, else by vertical bars, else by spaces."""
    if "\n" in cell or "\r" in cell or dialect in _PARTED_BY_LINES:
        parts = re.split(r"[\r\n]+", cell)
    else:
        parts = cell.split("|") if "|" in cell else cell.split()
    return [part.strip() for part in parts if part.strip()]


def _label(statement: Mapping[str, Any]) -> str:
    """What a grant without a name of its own is called: what it allows."""
    text = f"{', '.join(statement['actions'])} on {', '.join(statement['resources'])}"
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _delimiter(header: str) -> str:
    return max(DELIMITERS, key=header.count)


def _encoding(file: BinaryIO) -> str:
    start = file.peek(2)[:2] if hasattr(file, "peek") else b""
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8"


def _decoded(head: bytes) -> str:
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return head.decode("utf-16", errors="ignore")
    # The head may end within a character.
    return head.decode("utf-8-sig", errors="strict" if len(head) < 1024 else "ignore")


def _digest(value: Any) -> bytes:
    return blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
