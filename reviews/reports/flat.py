"""A report as rows of a spreadsheet: one figure per row, named by its path."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any


def flat(figures: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value), like `answers.rows.1.count` or `burn_down.2026-03-02.open`: rows are numbered, or named by day."""
    if isinstance(figures, Mapping):
        for name, value in figures.items():
            yield from flat(value, f"{path}.{name}" if path else str(name))
    elif isinstance(figures, Sequence) and not isinstance(figures, str):
        for number, value in enumerate(figures, start=1):
            named = value.get("day") if isinstance(value, Mapping) else None
            yield from flat(value, f"{path}.{named or number}")
    elif isinstance(figures, datetime | date):
        yield path, figures.isoformat()
    else:
        yield path, figures
