"""A ZIP file that is the same bytes whenever it is written from the same content."""

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from governance.audit.canonical import canonical

# The earliest time that the format knows: when a file was packed is no evidence and would make each pack differ.
EPOCH = (1980, 1, 1, 0, 0, 0)
MODE = 0o100644
UNIX = 3
PIECE = 64 * 1024
FORMAT = "remit-evidence/1"


@dataclass(slots=True)
class Archive:
    """Entries in the order in which they are added, each with its hash for the manifest."""

    path: Path
    files: list[dict[str, Any]] = field(default_factory=list)
    _zip: Any = None

    def __enter__(self) -> "Archive":
        self._zip = zipfile.ZipFile(self.path, "w", zipfile.ZIP_DEFLATED)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def add(self, name: str, lines: Iterable[str], *, is_listed: bool = True) -> str:
        """Write one entry from texts, as they come; its sha256 in hex. is_listed: whether the manifest names it."""
        entry = zipfile.ZipInfo(name, EPOCH)
        entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, UNIX, MODE << 16
        summary, size = hashlib.sha256(), 0
        with self._zip.open(entry, "w", force_zip64=True) as file:
            for piece in _pieces(lines):
                file.write(piece)
                summary.update(piece)
                size += len(piece)
        if is_listed:
            self.files.append({"path": name, "sha256": summary.hexdigest(), "size": size})
        return summary.hexdigest()

    def manifest(self, **facts: Any) -> str:
        """The canonical text that names every listed file with its hash."""
        listed = sorted(self.files, key=lambda each: str(each["path"]))
        return canonical({"format": FORMAT, **facts, "files": listed})


def _pieces(lines: Iterable[str]) -> Iterable[bytes]:
    """The texts as UTF-8, some kilobytes at a time: a million small writes would take longer than making them."""
    some: list[str] = []
    length = 0
    for line in lines:
        some.append(line)
        length += len(line)
        if length >= PIECE:
            yield "".join(some).encode()
            some, length = [], 0
    if some:
        yield "".join(some).encode()
