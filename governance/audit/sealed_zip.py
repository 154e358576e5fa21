"""A ZIP that proves itself: the same bytes from the same content, and a signed list of its files."""

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from governance.audit.canonical import canonical
from governance.audit.notes import Checkpoint, sign_note
from governance.audit.standalone.remit_verify import MANIFEST, MANIFEST_NOTE

# The earliest time that the format knows: when a file was packed is no evidence and would make each pack differ.
EPOCH = (1980, 1, 1, 0, 0, 0)
MODE = 0o100644
UNIX = 3
PIECE = 64 * 1024


@dataclass(slots=True)
class SealedZip:
    """Entries in the order in which they are added, each with its hash for the manifest; `seal` ends it.

    format: the name that the manifest begins with, such as "remit-evidence/1".
    """

    path: Path
    format: str
    files: list[dict[str, Any]] = field(default_factory=list)
    _zip: Any = None

    def __enter__(self) -> "SealedZip":
        self._zip = zipfile.ZipFile(self.path, "w", zipfile.ZIP_DEFLATED)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def add(self, name: str, lines: Iterable[str]) -> str:
        """Write one entry from texts, as they come; its sha256 in hex."""
        entry = zipfile.ZipInfo(name, EPOCH)
        entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, UNIX, MODE << 16
        summary, size = hashlib.sha256(), 0
        with self._zip.open(entry, "w", force_zip64=True) as file:
            for piece in _pieces(lines):
                file.write(piece)
                summary.update(piece)
                size += len(piece)
        self.files.append({"path": name, "sha256": summary.hexdigest(), "size": size})
        return summary.hexdigest()

    def seal(self, *, checkpoint: Checkpoint, key: Ed25519PrivateKey, **facts: Any) -> str:
        """Write the manifest, which names every file with its hash, and the signature over it; the manifest's text.

        checkpoint: what the content is proved under; facts: further members of the manifest.
        """
        listed = sorted(self.files, key=lambda each: str(each["path"]))
        under = {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}
        manifest = canonical({"format": self.format, "checkpoint": under, **facts, "files": listed})
        digest = self.add(MANIFEST, [manifest])
        body = f"{self.format}\n{checkpoint.origin}\n{digest}\n"
        self.add(MANIFEST_NOTE, [sign_note(name=checkpoint.origin, body=body, key=key)])
        return manifest


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
