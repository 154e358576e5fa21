"""A file on its way in: unpacked, of bounded size, its first bytes to be looked at before anything is read."""

import gzip
import io
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import IO, Any, BinaryIO, cast

from django.conf import settings

from identities.sync.lines import GZIP_START, RATIO_APPLIES_FROM, RATIO_LIMIT, SPOOL_IN_MEMORY, TooLarge, UnreadableBody

HEAD = 64 * 1024
CHUNK = 256 * 1024
# A format that asks for the whole file at once holds it in memory several times over.
MOST_IN_ONE_PIECE = 256 * 1024 * 1024


class _Source(io.RawIOBase):
    """Counts what is read, and stops where a file is larger than an installation accepts."""

    def __init__(self, file: IO[bytes]) -> None:
        self._packed = file
        file.seek(0)
        self.is_gzip = file.read(2) == GZIP_START
        file.seek(0)
        self._file: Any = gzip.GzipFile(fileobj=file, mode="rb") if self.is_gzip else file
        self._total = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._file.read(len(buffer))
        except EOFError as error:
            raise UnreadableBody("The gzip data ends in the middle; the file was cut off.") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise UnreadableBody("The file begins like gzip but is not valid gzip data.") from error
        self._total += len(chunk)
        most = settings.SYNC_MAX_BODY_BYTES
        if self._total > most:
            raise TooLarge(f"The file unpacks to more than {most:,} bytes.", limit=most)
        if self.is_gzip and self._total > max(RATIO_APPLIES_FROM, RATIO_LIMIT * self._packed.tell()):
            raise TooLarge(f"The gzip data unpacks to more than {RATIO_LIMIT} times its size.", limit=RATIO_LIMIT)
        buffer[: len(chunk)] = chunk
        return len(chunk)


class Incoming(io.BufferedReader):
    """The unpacked bytes of a file. Raises `UnreadableBody` and `TooLarge` while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        source = _Source(file)
        self.is_gzip = source.is_gzip
        super().__init__(source, buffer_size=HEAD)

    def head(self) -> bytes:
        """The first bytes, which stay to be read."""
        return self.peek(HEAD)[:HEAD]

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size >= 0:
            return super().read(size)
        whole = super().read(MOST_IN_ONE_PIECE + 1)
        if len(whole) > MOST_IN_ONE_PIECE:
            most = MOST_IN_ONE_PIECE // 1024**2
            raise TooLarge(f"A file of this format must be held in memory, and may have {most} MB.", limit=most)
        return whole


@contextmanager
def rewindable(file: BinaryIO) -> Iterator[IO[bytes]]:
    """The file itself, or a copy on disk of what can be read only once. Raises `TooLarge`."""
    if file.seekable():
        yield cast(IO[bytes], file)
        return
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_IN_MEMORY) as copy:
        most, total = settings.SYNC_MAX_UPLOAD_BYTES, 0
        while chunk := file.read(CHUNK):
            total += len(chunk)
            if total > most:
                raise TooLarge(f"More than {most:,} bytes came.", limit=most)
            copy.write(chunk)
        copy.seek(0)
        yield cast(IO[bytes], copy)


def digest_of(file: IO[bytes]) -> str:
    """sha256 (hex) of the bytes as they lie there; the file is rewound."""
    file.seek(0)
    digest = sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()
