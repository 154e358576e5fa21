"""JSON as AWS's tools write it into files: one object, a list, `{"Records": […]}`, several behind one another, lines.

Read piece by piece, so that a log of a million events needs no memory for all of them.
"""

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from identities.connectors.files import FileRefused

CHUNK = 1024 * 1024
LARGEST_OBJECT = 512 * 1024 * 1024
GZIP_START = b"\x1f\x8b"
_RECORDS = re.compile(r'\{\s*"Records"\s*:\s*\[')
_PERHAPS_RECORDS = re.compile(r'\{\s*("(R(e(c(o(r(d(s("\s*(:\s*)?)?)?)?)?)?)?)?)?)?$')
_DECODER = json.JSONDecoder()


def unpacked(file: BinaryIO) -> BinaryIO:
    """The file itself, or what a gzip file holds. A file that can be read only once must let itself be peeked into."""
    if isinstance(file, io.BufferedReader):
        start = file.peek(2)[:2]
    else:
        start = file.read(2)
        file.seek(-len(start), 1)
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if start == GZIP_START else file


def head_of(head: bytes) -> bytes:
    """The beginning of a file, unpacked where it is gzip."""
    if not head.startswith(GZIP_START):
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 65_536)
    except zlib.error:
        return b""


def objects(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """The objects of a file, members of lists one by one. Raises FileRefused for everything else."""
    yield from _Scanner(file).objects()


class _Scanner:
    def __init__(self, file: BinaryIO) -> None:
        self._file = unpacked(file)
        self._text, self._at, self._passed, self._is_over = "", 0, 0, False
        self._rest = b""
        self._open: list[str] = []

    def objects(self) -> Iterator[dict[str, Any]]:
        while (char := self._next()) != "":
            if char == "{":
                if self._enters_records():
                    self._open += ["}", "]"]
                else:
                    yield self._object()
            elif char == "[" and not self._open:
                self._open.append("]")
                self._at += 1
            elif self._open and char == self._open[-1]:
                self._open.pop()
                self._at += 1
            else:
                raise FileRefused(f"There is no JSON object at character {self._place():,}.")
        if self._open:
            raise FileRefused(f"The file is cut off: {self._open[-1]!r} is missing after {self._place():,} characters.")

    def _next(self) -> str:
        """The next character that is neither space nor comma; empty at the end."""
        while True:
            while self._at < len(self._text):
                char = self._text[self._at]
                if char not in " \t\r\n,\ufeff":
                    return char
                self._at += 1
            if not self._more():
                return ""

    def _enters_records(self) -> bool:
        while _PERHAPS_RECORDS.match(self._text, self._at) and self._more():
            pass
        found = _RECORDS.match(self._text, self._at)
        if found is None:
            return False
        self._at = found.end()
        return True

    def _object(self) -> dict[str, Any]:
        wanted = CHUNK
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # Only what fails at the very end of what was read so far can be the matter of a missing rest.
                if self._more(wanted):
                    wanted = min(2 * wanted, LARGEST_OBJECT)
                    if len(self._text) - self._at > LARGEST_OBJECT:
                        raise FileRefused("One object of the file is larger than 512 MB.") from None
                    continue
                place = self._passed + error.pos + 1
                is_cut = error.pos >= len(self._text) - 1 or error.msg.startswith("Unterminated")
                told = "is cut off or broken" if is_cut else "is no valid JSON"
                raise FileRefused(f"The file {told} at character {place:,} ({error.msg.lower()}).") from None
            except RecursionError:
                raise FileRefused("The file is nested too deep.") from None
            self._at = end
            return value

    def _more(self, size: int = CHUNK) -> bool:
        if self._is_over:
            return False
        try:
            data = self._rest + self._file.read(size)
        except (OSError, EOFError, zlib.error):
            raise FileRefused("The file is packed with gzip, and is cut off or damaged.") from None
        self._is_over = len(data) == len(self._rest)
        text, self._rest = _decode(data, is_over=self._is_over)
        self._passed += self._at
        self._text, self._at = self._text[self._at :] + text, 0
        return bool(text) or not self._is_over

    def _place(self) -> int:
        return self._passed + self._at + 1


def _decode(data: bytes, *, is_over: bool) -> tuple[str, bytes]:
    """The text, and the bytes of a character that is still incomplete."""
    try:
        return data.decode(), b""
    except UnicodeDecodeError as error:
        if not is_over and error.start >= len(data) - 3:
            return data[: error.start].decode(), data[error.start :]
        raise FileRefused("The file is no text in UTF-8.") from None
