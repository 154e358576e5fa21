"""Files that are kept packed: handed on as they are to whoever can unpack them, otherwise unpacked piece by piece."""

import gzip
from collections.abc import Iterator
from io import BytesIO

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import patch_vary_headers

PIECE = 256 * 1024


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
