"""The file of a backup: a ZIP that is written once, streamed, and checked before anybody relies on it.

Entries are stored as they are (the dump is compressed already). `manifest.json` is the last one and lists every other
entry with its size and SHA-256. A ZIP's directory stands at its end, so a file that was cut is recognised as cut. While
it is written the file has another name; it gets its own only after everything in it was read back.
"""

import hashlib
import json
import os
import secrets
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from governance.operations.problems import OperationFailed

FORMAT = "remit-backup/1"
MANIFEST = "manifest.json"
LARGEST_MANIFEST = 16 * 1024 * 1024
CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as the manifest lists it. size: bytes."""

    path: str
    size: int
    sha256: str


class Writer:
    """Takes the entries one after the other."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.entries: list[Entry] = []

    def add(self, path: str, chunks: Iterable[bytes], progress: Callable[[int], None] = lambda size: None) -> Entry:
        """Write one entry as its bytes come. progress: told the bytes so far after each chunk."""
        digest, size = hashlib.sha256(), 0
        with self._archive.open(_info(path), "w", force_zip64=True) as target:
            for chunk in chunks:
                target.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                progress(size)
        self.entries.append(Entry(path, size, digest.hexdigest()))
        return self.entries[-1]

    def add_file(self, path: str, source: Path) -> Entry:
        """Write a file's content. Raises OSError."""
        with source.open("rb") as file:
            return self.add(path, iter(lambda: file.read(CHUNK), b""))

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Write the manifest: `facts`, and the list of entries."""
        files = [{"path": each.path, "size": each.size, "sha256": each.sha256} for each in self.entries]
        text = json.dumps({"format": FORMAT, **facts, "files": files}, indent=1, sort_keys=True)
        self._archive.writestr(_info(MANIFEST), text)


class Backup:
    """A backup that was opened. `manifest` is what it says about itself; see docs/operations.md."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, manifest: dict[str, Any]) -> None:
        self.path, self._archive, self.manifest = path, archive, manifest
        self.entries = {str(each["path"]): Entry(**each) for each in manifest["files"]}

    def chunks(self, path: str) -> Iterator[bytes]:
        """An entry's bytes. Raises OperationFailed where they are damaged."""
        try:
            with self._archive.open(path) as source:
                while chunk := source.read(CHUNK):
                    yield chunk
        except (zipfile.BadZipFile, EOFError) as error:
            raise _damaged(self.path, f"{path} cannot be read to its end") from error

    def check(self) -> None:
        """Read every entry and compare it with the manifest. Raises OperationFailed."""
        names = [info.filename for info in self._archive.infolist()]
        if sorted(names) != sorted([*self.entries, MANIFEST]):
            raise _damaged(self.path, "it does not hold exactly what its manifest lists")
        for entry in self.entries.values():
            _require_harmless(self.path, entry.path)
            digest, size = hashlib.sha256(), 0
            for chunk in self.chunks(entry.path):
                digest.update(chunk)
                size += len(chunk)
            if (size, digest.hexdigest()) != (entry.size, entry.sha256):
                raise _damaged(self.path, f"{entry.path} is not what its manifest says")


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A new, private file beside `path` that is gone at the end, unless it was published. Raises OSError.

    Raises OperationFailed when `path` exists.
    """
    if path.exists() or path.is_symlink():
        raise OperationFailed(f"{path} exists already and is not overwritten. Choose another name, or remove it.")
    if not path.parent.is_dir():
        raise OperationFailed(f"There is no folder {path.parent}.")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.incomplete")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def writing(draft: Path) -> Iterator[Writer]:
    """Write entries into the draft; it is complete once this is left without an error. Raises OSError."""
    with draft.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            yield Writer(archive)
        file.flush()
        os.fsync(file.fileno())


def publish(draft: Path, path: Path) -> None:
    """Give a checked draft its name; a file that came into being meanwhile is not overwritten. Raises OSError."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise OperationFailed(f"{path} came into being meanwhile and is not overwritten.") from None
    except OSError:
        # Not every file system has links.
        if path.exists():
            raise OperationFailed(f"{path} came into being meanwhile and is not overwritten.") from None
        draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def opened(path: Path) -> Iterator[Backup]:
    """Open a backup and read its manifest; nothing else is read yet. Raises OSError and OperationFailed."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield Backup(path, archive, _manifest(path, archive))
    except zipfile.BadZipFile as error:
        raise _damaged(path, "it is not complete, or no backup at all") from error


def _manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        info = archive.getinfo(MANIFEST)
        if info.file_size > LARGEST_MANIFEST:
            raise ValueError("too large")
        manifest = json.loads(archive.read(info))
        if manifest["format"] != FORMAT:
            raise OperationFailed(f"{path} has the format {manifest['format']!r}; this version reads {FORMAT}.")
        for each in manifest["files"]:
            Entry(**each)
        if not any(each["path"] == "database.dump" for each in manifest["files"]):
            raise ValueError("no dump")
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, "it has no manifest that can be read") from error
    return dict(manifest)


def _require_harmless(backup: Path, name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name:
        raise _damaged(backup, f"it names a file outside itself ({name!r})")


def _info(path: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(path)
    info.external_attr = 0o600 << 16
    return info


def _damaged(path: Path, why: str) -> OperationFailed:
    return OperationFailed(f"{path} cannot be used: {why}. Nothing was changed. Take another backup.")
