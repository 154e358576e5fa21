"""Downloads of one JSON object per line, streamed."""

from collections.abc import Iterable
from typing import Any

import orjson
from django.http import StreamingHttpResponse

from governance.web.csv import download


def stream_ndjson(filename: str, rows: Iterable[dict[str, Any]]) -> StreamingHttpResponse:
    """A download that never holds the whole list in memory. Times become RFC 3339, ids their text."""
    lines = (orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE).decode() for row in rows)
    return download(filename, lines, content_type="application/x-ndjson")
