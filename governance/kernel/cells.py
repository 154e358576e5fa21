"""Cells of tables that people open in a spreadsheet, which must never run what somebody else wrote into a name."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

# A cell that starts with one of these is run as a formula by spreadsheets (OWASP ASVS 5.0, 1.2.10).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00")


def safe_cell(value: Any) -> Any:
    """The value as it may stand in a CSV cell. Numbers stay numbers; text that looks like a formula gets a `'`."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return value
    text = str(value)
    # Some programs skip leading blanks before they look for a formula.
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The lines of the file, header first (RFC 4180: CRLF, quotes doubled)."""
    writer = csv.writer(_Echo(), lineterminator="\r\n")
    yield writer.writerow([safe_cell(cell) for cell in header])
    for row in rows:
        yield writer.writerow([safe_cell(cell) for cell in row])


class _Echo:
    """A file that hands each written line straight back."""

    def write(self, line: str) -> str:
        return line
