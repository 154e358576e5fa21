"""Log files of the server, line by line: its jsonlog and csvlog formats, of which pgaudit's lines are a part.

What a line says of a statement may hold anything, passwords too; it is looked at and kept nowhere.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import BinaryIO

import orjson

from identities.connectors.files import FileRefused, Notes

LONGEST_LINE = 8 * 1024 * 1024
AUDIT = "AUDIT: "
REFUSED = "42501"
"""The SQLSTATE of a missing right."""

_WANTED = (b"AUDIT: ", b'"42501"', b'parameter "pgaudit.', b'parameter \\"pgaudit.')
_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(\.\d{1,6})? ([A-Za-z]{1,5}|[+-]\d\d(?::?\d\d)?)$")
# Columns of csvlog; servers add new ones at the end.
_AT, _USER, _DATABASE, _SESSION, _VXID, _SEVERITY, _STATE, _MESSAGE, _QUERY = 0, 1, 2, 5, 9, 11, 12, 13, 19
_FEWEST_COLUMNS = 23
_SEVERITIES = frozenset({"LOG", "ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", "INFO", "DEBUG"} | {
    f"DEBUG{number}" for number in range(1, 6)
})  # fmt: skip
# Offsets in minutes of the names that servers write most; others are ambiguous or rare.
_ZONES = {
    "UTC": 0, "GMT": 0, "WET": 0, "Z": 0, "CET": 60, "BST": 60, "WEST": 60, "CEST": 120, "EET": 120, "SAST": 120,
    "EEST": 180, "MSK": 180, "JST": 540, "KST": 540, "AEST": 600, "AEDT": 660, "NZST": 720, "NZDT": 780,
    "EST": -300, "EDT": -240, "CDT": -300, "MST": -420, "MDT": -360, "PST": -480, "PDT": -420,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LogLine:
    """One message. session and transaction tell which lines belong together; query is the statement of an error."""

    at: datetime
    role: str
    database: str
    session: str
    transaction: str
    state: str
    message: str
    query: str


@dataclass(slots=True)
class Span:
    """From when to when a log speaks, whatever it says."""

    first: datetime | None = None
    last: datetime | None = None

    def add(self, at: datetime) -> None:
        self.first = at if self.first is None or at < self.first else self.first
        self.last = at if self.last is None or at > self.last else self.last


def format_of(head: bytes) -> str:
    """`jsonlog` or `csvlog` by the first line of a file; empty where it is neither."""
    line = head.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0]
    if line.startswith(b"{"):
        return "jsonlog" if b'"timestamp"' in line and b'"error_severity"' in line else ""
    try:
        row = next(csv.reader([line.decode("utf-8", "replace")]), [])
    except csv.Error:
        return ""
    # The first message may span lines; everything before it stands on the first.
    is_log = len(row) > _MESSAGE and bool(_TIME.match(row[_AT])) and row[_SEVERITY] in _SEVERITIES
    return "csvlog" if is_log else ""


def read_log(file: BinaryIO, notes: Notes, span: Span) -> Iterator[LogLine]:
    """The messages about pgaudit and missing rights. Raises FileRefused, naming the line.

    A last line that is cut off is counted and left out: a server may still be writing it.
    """
    head = file.readline(LONGEST_LINE)
    kind = format_of(head)
    if not head.strip():
        raise FileRefused("The file is empty.")
    if not kind:
        raise FileRefused(
            "This is neither a jsonlog nor a csvlog file of PostgreSQL. Set log_destination = 'jsonlog' (from version "
            "15 on) or 'csvlog' at the server."
        )
    yield from (_json_lines if kind == "jsonlog" else _csv_lines)(head.removeprefix(b"\xef\xbb\xbf"), file, notes, span)


def _lines(head: bytes, file: BinaryIO, notes: Notes) -> Iterator[tuple[int, bytes]]:
    """Numbered lines. One that is too long is left out and counted."""
    number, line = 1, head
    while line:
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = file.readline(LONGEST_LINE)
            notes.count("lines that are too long")
        elif line.strip():
            yield number, line
        number, line = number + 1, file.readline(LONGEST_LINE)


def _json_lines(head: bytes, file: BinaryIO, notes: Notes, span: Span) -> Iterator[LogLine]:
    last = b""
    for number, line in _lines(head, file, notes):
        last = line
        if number > 1 and line.startswith(b"{") and line.endswith(b"}\n") and not any(mark in line for mark in _WANTED):
            continue
        found = _json_line(number, line, notes)
        if found is not None:
            span.add(found.at)
            yield found
    # The log goes on to its last line, which may be about something else.
    found = _json_line(0, last, Notes()) if last.endswith(b"\n") else None
    if found is not None:
        span.add(found.at)


def _json_line(number: int, line: bytes, notes: Notes) -> LogLine | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        if not line.endswith(b"\n"):
            notes.count("lines cut off at the end of a file")
            return None
        raise FileRefused(f"Line {number} is not JSON, though the file is a jsonlog.", line=number) from None
    if not isinstance(value, dict):
        raise FileRefused(f"Line {number} is no message of a jsonlog.", line=number)

    def text(name: str) -> str:
        found = value.get(name)
        return found if isinstance(found, str) else ""

    return LogLine(
        at=_time(text("timestamp"), number), role=text("user"), database=text("dbname"), session=text("session_id"),
        transaction=text("vxid"), state=text("state_code"), message=text("message"), query=text("statement"),
    )  # fmt: skip


def _csv_lines(head: bytes, file: BinaryIO, notes: Notes, span: Span) -> Iterator[LogLine]:
    # The limit is one for the whole process, and others rely on it being small.
    usual = csv.field_size_limit(LONGEST_LINE)
    try:
        yield from _csv_rows(head, file, notes, span)
    finally:
        csv.field_size_limit(usual)


def _csv_rows(head: bytes, file: BinaryIO, notes: Notes, span: Span) -> Iterator[LogLine]:
    rows = csv.reader(_text_lines(head, file, notes), strict=True)
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            if "unexpected end" in str(error):
                notes.count("lines cut off at the end of a file")
                return
            raise FileRefused(f"Line {rows.line_num} is no line of a csvlog: {error}.", line=rows.line_num) from None
        if row is None:
            return
        if len(row) < _FEWEST_COLUMNS:
            if next(rows, None) is None:
                notes.count("lines cut off at the end of a file")
                return
            raise FileRefused(f"Line {rows.line_num} has {len(row)} columns; a csvlog has more.", line=rows.line_num)
        at = _time(row[_AT], rows.line_num)
        span.add(at)
        if row[_MESSAGE].startswith((AUDIT, 'parameter "pgaudit.')) or row[_STATE] == REFUSED:
            yield LogLine(
                at, row[_USER], row[_DATABASE], row[_SESSION], row[_VXID], row[_STATE], row[_MESSAGE], row[_QUERY]
            )


def _text_lines(head: bytes, file: BinaryIO, notes: Notes) -> Iterator[str]:
    # Empty lines may belong to a quoted message, so nothing is left out here but what is too long.
    line = head
    while line:
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            notes.count("lines that are too long")
        yield line.decode("utf-8", "replace").replace("\0", "")
        line = file.readline(LONGEST_LINE)


def _time(text: str, number: int) -> datetime:
    match = _TIME.match(text)
    if match is None:
        raise FileRefused(f"Line {number} does not begin with a time.", line=number)
    moment, fraction, zone = match.groups()
    offset = _offset(zone)
    if offset is None:
        raise FileRefused(
            f"The log's times are in zone {zone}, which has no single meaning. Set log_timezone = 'UTC' at the server.",
            line=number,
        )
    try:
        found = datetime.fromisoformat(moment + (fraction or "").ljust(7, "0") if fraction else moment)
    except ValueError:
        raise FileRefused(f"Line {number} does not begin with a time.", line=number) from None
    return found.replace(tzinfo=offset).astimezone(UTC)


def _offset(zone: str) -> timezone | None:
    if zone[0] in "+-":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        minutes = int(digits[:2]) * 60 + int(digits[2:])
        return timezone(timedelta(minutes=-minutes if zone[0] == "-" else minutes)) if minutes < 24 * 60 else None
    found = _ZONES.get(zone)
    return None if found is None else timezone(timedelta(minutes=found))


Fields = tuple[str, int, int, str, str, str, str, str]


def audited(message: str) -> Fields | None:
    """(kind, statement, substatement, class, command, object type, object, text) of a line; None if malformed."""
    try:
        row = next(csv.reader(io.StringIO(message.removeprefix(AUDIT), newline=""), strict=True), [])
    except csv.Error:
        return None
    if len(row) < 8 or row[0] not in ("SESSION", "OBJECT") or not (row[1].isdigit() and row[2].isdigit()):
        return None
    return row[0], int(row[1]), int(row[2]), row[3], row[4], row[5], row[6], row[7]
