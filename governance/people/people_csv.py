"""Read a list of people from CSV, line by line, and say exactly what is wrong where. No database here.

Columns: `email` and `name` must be there; `active`, `left_on`, `manager_email`, `team`, `roles` may. An
empty cell means "leave as it is". Comma, semicolon and tab are understood; the text is UTF-8, or UTF-16 with
its mark.
"""

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError

LARGEST_FILE = 20 * 1024 * 1024
MOST_ROWS = 200_000
MOST_ERRORS = 500
REQUIRED = ("email", "name")
OPTIONAL = ("active", "left_on", "manager_email", "team", "roles")
YES = frozenset({"true", "yes", "y", "1", "active"})
NO = frozenset({"false", "no", "n", "0", "inactive", "left"})
# A spreadsheet runs a cell that starts like this; such a name is a trap or an accident (OWASP ASVS 5.0,
# 1.2.10).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class FileRefused(DomainError):
    """The file as a whole can't be read; `line` in the details where one is known."""

    code = "people-file-refused"
    title = "This file can't be read"


class _Reader(Protocol):
    """What `csv.reader` returns."""

    line_num: int

    def __next__(self) -> list[str]: ...


class Readable(Protocol):
    """A binary file, as far as it is needed here."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong in one cell. `line` counts from 1, the header included."""

    line: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One good row. `None` means: leave as it is."""

    line: int
    email: str
    name: str | None = None
    active: bool | None = None
    left_on: date | None = None
    manager_email: str | None = None
    teams: tuple[str, ...] = ()
    roles: frozenset[Role] | None = None


@dataclass(slots=True)
class PeopleTable:
    """What a file holds: good rows, errors (the first `MOST_ERRORS`; `error_count` counts all), ignored
    columns.
    """

    rows: list[PersonRow] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    error_count: int = 0
    ignored_columns: list[str] = field(default_factory=list)

    def add_error(self, line: int, column: str, reason: str) -> None:
        self.error_count += 1
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(RowError(line, column, reason))


def read_people(file: Readable) -> PeopleTable:
    """Read the whole file. Raises `FileRefused` when it isn't a list of people at all; bad rows are
    collected.
    """
    table = PeopleTable()
    lines = _Lines(file)
    reader = _reader(lines)
    columns = _read_header(reader, table)
    seen: dict[str, int] = {}
    for cells in _records(reader, lines):
        if not any(cell.strip() for cell in cells):
            continue
        line = reader.line_num
        if len(table.rows) + table.error_count >= MOST_ROWS:
            raise FileRefused(f"The file has more than {MOST_ROWS} rows. Split it.", line=line)
        row = _read_row(line, cells, columns, table)
        if row is None:
            continue
        if row.email in seen:
            table.add_error(line, "email", f"{row.email} is already in line {seen[row.email]}.")
            continue
        seen[row.email] = line
        table.rows.append(row)
    if not table.rows and not table.error_count:
        raise FileRefused("The file has a header but no people.")
    return table


class _Lines:
    """Decoded lines of a binary file, with a limit on bytes and the place of the first bad one."""

    def __init__(self, file: Readable) -> None:
        start = file.read(4)
        if not start:
            raise FileRefused("The file is empty.")
        self._bytes = 0
        self._chunks = self._decode(file, start)
        self._number = 0

    def __iter__(self) -> Iterator[str]:
        rest = ""
        for text in self._chunks:
            if "\x00" in text:
                raise FileRefused("The file holds NUL characters, so it is no text.", line=self._number + 1)
            lines = (rest + text).splitlines(keepends=True)
            # The last piece may be half a line, or half of a CR LF.
            rest = lines.pop() if lines else ""
            for line in lines:
                self._number += 1
                yield line
            if len(rest) > LARGEST_FILE:
                break
        if rest:
            yield rest

    def _decode(self, file: Readable, start: bytes) -> Iterator[str]:
        encoding = "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        decoder = codecs.getincrementaldecoder(encoding)()
        chunk = start
        while True:
            self._bytes += len(chunk)
            if self._bytes > LARGEST_FILE:
                raise FileRefused(f"The file is larger than {LARGEST_FILE // 1024**2} MB. Split it.")
            try:
                yield decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                place = self._number + 1
                raise FileRefused(
                    f"The text is not UTF-8, near line {place}. Save it as “CSV UTF-8” and try again.", line=place
                ) from error
            if not chunk:
                return
            chunk = file.read(64 * 1024)


def _reader(lines: _Lines) -> "_Reader":
    source = iter(lines)
    head = next(source, "")
    delimiter = max(",;\t", key=head.count)
    return csv.reader(_chain(head, source), delimiter=delimiter, strict=True)


def _chain(head: str, rest: Iterator[str]) -> Iterator[str]:
    yield head
    yield from rest


def _records(reader: "_Reader", lines: _Lines) -> Iterator[list[str]]:
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FileRefused(
                f"Line {reader.line_num} isn't CSV: {error}. Look for a quote that was never closed.",
                line=reader.line_num,
            ) from error


def _read_header(reader: "_Reader", table: PeopleTable) -> list[str]:
    try:
        columns = [name.strip().lower().replace(" ", "_") for name in next(reader)]
    except (StopIteration, csv.Error) as error:
        raise FileRefused("The first line must name the columns.", line=1) from error
    if missing := [name for name in REQUIRED if name not in columns]:
        raise FileRefused(f"The column {missing[0]} is missing in the first line.", line=1, missing=missing)
    known = [name for name in columns if name in REQUIRED + OPTIONAL]
    if len(set(known)) != len(known):
        twice = next(name for name in known if known.count(name) > 1)
        raise FileRefused(f"The column {twice} is there twice.", line=1)
    table.ignored_columns = [name for name in columns if name and name not in REQUIRED + OPTIONAL]
    return columns


def _read_row(line: int, cells: list[str], columns: list[str], table: PeopleTable) -> PersonRow | None:
    if len(cells) > len(columns):
        table.add_error(line, "", f"The row has {len(cells)} cells, the header only {len(columns)}.")
        return None
    values = {name: cell.strip() for name, cell in zip(columns, cells, strict=False)}
    problems = table.error_count
    row = PersonRow(
        line=line,
        email=_email(line, "email", values.get("email", ""), table, needed=True) or "",
        name=_words(line, "name", values.get("name", ""), 200, table),
        active=_yes_no(line, values.get("active", ""), table),
        left_on=_date(line, values.get("left_on", ""), table),
        manager_email=_email(line, "manager_email", values.get("manager_email", ""), table),
        teams=_teams(line, values.get("team", ""), table),
        roles=_roles(line, values.get("roles", ""), table),
    )
    if row.left_on is not None and row.active:
        table.add_error(line, "left_on", "Somebody who left can't be active.")
    return row if table.error_count == problems else None


def _email(line: int, column: str, cell: str, table: PeopleTable, *, needed: bool = False) -> str | None:
    if not cell:
        if needed:
            table.add_error(line, column, "The e-mail address is missing.")
        return None
    address = cell.lower()
    try:
        validate_email(address)
    except ValidationError:
        table.add_error(line, column, f"{_shown(cell)} is not an e-mail address.")
        return None
    if len(address) > 254:
        table.add_error(line, column, "The e-mail address is too long.")
    return address


def _words(line: int, column: str, cell: str, longest: int, table: PeopleTable) -> str | None:
    if not cell:
        return None
    if cell.startswith(FORMULA_STARTS):
        table.add_error(line, column, f"{_shown(cell)} looks like a spreadsheet formula.")
    elif not cell.isprintable():
        table.add_error(line, column, "The text holds characters that can't be printed.")
    elif len(cell) > longest:
        table.add_error(line, column, f"The text is longer than {longest} characters.")
    return " ".join(cell.split())


def _yes_no(line: int, cell: str, table: PeopleTable) -> bool | None:
    word = cell.lower()
    if not word:
        return None
    if word not in YES | NO:
        table.add_error(line, "active", f"{_shown(cell)} is neither yes nor no.")
    return word in YES


def _date(line: int, cell: str, table: PeopleTable) -> date | None:
    if not cell:
        return None
    try:
        # Only the long form: fromisoformat would also take 20261123 and week dates, which are more often
        # mistakes.
        if len(cell) != 10:
            raise ValueError
        return date.fromisoformat(cell)
    except ValueError:
        table.add_error(line, "left_on", f"{_shown(cell)} is not a date like 2026-11-23.")
        return None


def _teams(line: int, cell: str, table: PeopleTable) -> tuple[str, ...]:
    names = (_words(line, "team", part.strip(), 120, table) for part in cell.split("|"))
    return tuple(dict.fromkeys(name for name in names if name))


def _roles(line: int, cell: str, table: PeopleTable) -> frozenset[Role] | None:
    if not cell:
        return None
    roles = set()
    for part in cell.split("|"):
        word = part.strip().lower().replace(" ", "_")
        try:
            roles.add(Role(word))
        except ValueError:
            known = ", ".join(role.value for role in Role)
            table.add_error(line, "roles", f"{_shown(part)} is no role. Roles are {known}.")
    return frozenset(roles)


def _shown(cell: str) -> str:
    """The cell as it may stand in a message: short, printable, quoted."""
    text = cell.strip()
    short = text if len(text) <= 60 else text[:57] + "…"
    return "“" + "".join(letter if letter.isprintable() else "�" for letter in short) + "”"
