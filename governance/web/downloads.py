"""Files as downloads, piece by piece; what is kept packed is handed on as it is to whoever can unpack it."""

import gzip
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import patch_vary_headers

PIECE = 256 * 1024


def file_download(path: Path, filename: str, *, content_type: str) -> StreamingHttpResponse:
    """A download of a file, opened when the first piece is asked for. `filename` is one that we made."""
    response = StreamingHttpResponse(_pieces(path), content_type=content_type)
    response["Content-Length"] = str(path.stat().st_size)
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def packed_ndjson(filename: str, packed: bytes, *, accept_encoding: str) -> HttpResponseBase:
    """A download of gzipped NDJSON. `accept_encoding` is the request's header."""
    takes_gzip = "gzip" in {word.partition(";")[0].strip().lower() for word in accept_encoding.split(",")}
    response: HttpResponseBase
    if takes_gzip:
        response = HttpResponse(packed, content_type="application/x-ndjson")
        response["Content-Encoding"] = "gzip"
    else:
        response = StreamingHttpResponse(_unpacked(packed), content_type="application/x-ndjson")
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    patch_vary_headers(response, ["Accept-Encoding"])
    return response


def _unpacked(packed: bytes) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=BytesIO(packed)) as file:
        while piece := file.read(PIECE):
            yield piece
