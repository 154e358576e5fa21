"""CSV downloads that stream, of cells that no spreadsheet can be tricked with (`governance.kernel.cells`)."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from django.http import StreamingHttpResponse

from governance.kernel.cells import csv_lines, safe_cell

__all__ = ["csv_lines", "download", "safe_cell", "stream_csv"]


def stream_csv(filename: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> StreamingHttpResponse:
    """A download that never holds the whole list in memory. Pass `queryset.iterator()` mapped to tuples."""
    return download(filename, csv_lines(header, rows), content_type="text/csv; charset=utf-8")


def download(filename: str, lines: Iterable[str], *, content_type: str) -> StreamingHttpResponse:
    """Lines as a file, some hundred at a time: a million small writes would take longer than making them."""
    blocks = ("".join(some) for some in _batched(lines, 500))
    response = StreamingHttpResponse(blocks, content_type=content_type)
    safe_name = "".join(letter for letter in filename if letter.isalnum() or letter in "._-")
    response["Content-Disposition"] = f'attachment; filename="{safe_name}"'
    return response


def _batched(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    remaining = iter(lines)
    while some := list(islice(remaining, size)):
        yield some
