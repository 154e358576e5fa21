"""From a stream of bytes to lines of bounded length, packed or not, without ever holding the whole body."""

import gzip
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from io import SEEK_END, BytesIO
from typing import IO, Any, cast

from django.conf import settings

from governance.kernel.errors import DomainError

GZIP_START = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# NDJSON shrinks ten- to fiftyfold; what shrinks much further was made to fill a disk.
SPOOL_IN_MEMORY = 4 * 1024 * 1024
RATIO_LIMIT = 200
RATIO_APPLIES_FROM = 16 * 1024 * 1024


class TooLarge(DomainError):
    """The body, or one line of it, is larger than this installation accepts."""

    code = "too-large"
    status = 413
    title = "The data is too large"


class UnreadableBody(DomainError):
    """The bytes are not what was announced: no gzip, gzip that ends early, a byte order mark."""

    code = "unreadable-body"
    title = "The body can't be read"


class Body:
    """The lines of one reading, which may be gone through more than once.

    source: a stream that can be rewound, or anything else that gives lines once: that is kept on disk as it passes.
    """

    def __init__(self, source: "IO[bytes] | Iterable[bytes]", *, is_gzip: bool = False) -> None:
        self._once: Iterator[bytes] | None = None
        self._is_gzip = is_gzip
        self._is_own_file = False
        if not hasattr(source, "readline"):
            self._keep(iter(cast(Iterable[bytes], source)))
        elif (stream := cast(IO[bytes], source)).seekable():
            self._file = stream
        else:
            self._keep(read_lines(stream, is_gzip=is_gzip))

    def _keep(self, lines: Iterator[bytes]) -> None:
        self._once = lines
        self._is_own_file = True
        self._file = cast(IO[bytes], tempfile.SpooledTemporaryFile(max_size=SPOOL_IN_MEMORY))  # noqa: SIM115

    def close(self) -> None:
        """Forget what was kept on disk; a stream that somebody else opened stays open."""
        if self._is_own_file:
            self._file.close()

    def lines(self) -> Iterator[bytes]:
        """All lines from the first. Raises `UnreadableBody` or `TooLarge`, possibly after some lines."""
        if self._once is not None:
            return self._first_pass(self._once)
        self._file.seek(0)
        return read_lines(self._file, is_gzip=self._is_gzip)

    def _first_pass(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        for line in lines:
            self._file.write(line + b"\n")
            yield line
        self._once, self._is_gzip = None, False

    def packed(self, *, left_out: frozenset[int] = frozenset()) -> bytes:
        """The whole body as gzip: what a run that waits for a person keeps. `{}` stands for each line left out."""
        buffer = BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0) as packed:
            for number, line in enumerate(self.lines(), start=1):
                packed.write((b"{}" if number in left_out else line) + b"\n")
        return buffer.getvalue()

    @property
    def size(self) -> int:
        """Bytes of the body as it came, zero where nobody can know yet."""
        if self._once is not None:
            return 0
        here = self._file.tell()
        size = self._file.seek(0, SEEK_END)
        self._file.seek(here)
        return size

    @property
    def position(self) -> int:
        """How many of these bytes have been read."""
        return self._file.tell()


def read_lines(stream: IO[bytes], *, is_gzip: bool = False) -> Iterator[bytes]:
    """The lines of a spooled body, without their line ends. `stream` stands at its beginning.

    Raises `UnreadableBody` or `TooLarge`, possibly after some lines: whoever consumes them must then drop them.
    """
    packed = _Counted(stream)
    source: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=cast(Any, packed), mode="rb") if is_gzip else stream
    try:
        yield from _lines(source, packed if is_gzip else None)
    except EOFError as error:
        raise UnreadableBody("The gzip data ends in the middle; the upload was cut off.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableBody("The body was announced as gzip but is not valid gzip data.") from error


def _lines(source: "IO[bytes] | gzip.GzipFile", packed: "_Counted | None") -> Iterator[bytes]:
    longest, most = settings.SYNC_MAX_LINE_BYTES, settings.SYNC_MAX_BODY_BYTES
    total = number = 0
    while line := source.readline(longest + 2):
        number += 1
        total += len(line)
        if number == 1:
            _check_start(line)
        line = line.rstrip(b"\r\n") if line.endswith(b"\n") else line
        if len(line) > longest:
            raise TooLarge(f"Line {number} is longer than {longest:,} bytes.", line=number, limit=longest)
        if total > most:
            raise TooLarge(f"The body unpacks to more than {most:,} bytes.", limit=most)
        if packed and total > RATIO_APPLIES_FROM and total > RATIO_LIMIT * packed.count:
            raise TooLarge(f"The gzip data unpacks to more than {RATIO_LIMIT} times its size.", limit=RATIO_LIMIT)
        yield line


def _check_start(line: bytes) -> None:
    if line.startswith(GZIP_START):
        raise UnreadableBody("The body looks like gzip; announce it with Content-Encoding: gzip.")
    if line.startswith(BYTE_ORDER_MARK):
        raise UnreadableBody("The body starts with a byte order mark; send plain UTF-8 without one.")


class _Counted:
    """Counts the packed bytes taken out of a stream."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self.count += len(chunk)
        return chunk
