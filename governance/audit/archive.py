"""Copy a stretch of the trail into a file that proves itself, and let the stand-alone verifier judge it.

The file is a ZIP like an evidence pack: the events as lines, the signed checkpoint over them, a proof that all of them
are under it, and a signed manifest. Whoever has the verifier's key can check it in twenty years, without Remit.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from governance.audit.lines import leaves_until, trail_lines
from governance.audit.notes import Checkpoint, verifier_key
from governance.audit.sealed_zip import SealedZip
from governance.audit.standalone import remit_verify
from governance.kernel.errors import DomainError
from governance.kernel.merkle import multiproof

FORMAT = "remit-archive/1"


class ArchiveBroken(DomainError):
    """The archive could not be written, or its verification did not pass."""

    code = "archive-broken"
    status = 500
    title = "The archive cannot be trusted"


@dataclass(frozen=True, slots=True)
class Archived:
    """A written and verified archive: its hash and size, and SHA-256 over its events' leaf hashes."""

    path: Path
    sha256: bytes
    size: int
    leaves: bytes


def write_archive(path: Path, *, first: int, last: int, checkpoint: Checkpoint, key: Ed25519PrivateKey) -> Archived:
    """Write events `first` to `last` into a new file `path` and verify it. Raises ArchiveBroken, and leaves no file."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(draft, first=first, last=last, checkpoint=checkpoint, key=key)
        leaves = _verify(draft, verifier_key(checkpoint.origin, key.public_key()), last - first + 1)
        found = Archived(path, _sha256(draft), draft.stat().st_size, leaves)
        if path.exists():
            raise ArchiveBroken(f"{path} is there already; an archive is never written over.")
        draft.rename(path)
    except OSError as error:
        raise ArchiveBroken(f"The archive {path} cannot be written: {error}.") from error
    finally:
        draft.unlink(missing_ok=True)
    return found


def _write(path: Path, *, first: int, last: int, checkpoint: Checkpoint, key: Ed25519PrivateKey) -> None:
    with SealedZip(path, FORMAT) as archive:
        archive.add(remit_verify.LOG, _lines(first, last))
        archive.add(remit_verify.INCLUSION, _proof(first, last, checkpoint.size))
        archive.add(remit_verify.CHECKPOINT, [checkpoint.note])
        stretch = {"first_seq": first, "last_seq": last}
        archive.seal(checkpoint=checkpoint, key=key, archive=stretch, events=last - first + 1)


def _lines(first: int, last: int) -> Iterator[str]:
    for row, line in trail_lines(after=first - 1, until=last):
        if row.payload is None:
            raise ArchiveBroken(f"Event {row.seq} is not in the database, so it cannot be archived.")
        yield line


def _proof(first: int, last: int, size: int) -> Iterator[str]:
    indices = range(first - 1, last)
    nodes = [node.hex() for node in multiproof(leaves_until(size), indices)]
    yield json.dumps({"indices": list(indices), "nodes": nodes, "size": size}, separators=(",", ":"))


def _verify(path: Path, key: str, events: int) -> bytes:
    """What the stand-alone verifier says of the finished file; SHA-256 over the leaf hashes of the events in it."""
    options = remit_verify.parser().parse_args(["verify-pack", str(path), "--key", key])
    report = remit_verify.check(options)
    if report.exit_code or report.facts.get("proved") != events:
        why = report.problems[0]["message"] if report.problems else report.not_checked
        raise ArchiveBroken(f"The archive was written, but its verification did not pass: {why}")
    leaves, shapes = hashlib.sha256(), remit_verify.Shapes()
    with zipfile.ZipFile(path) as archive, archive.open(remit_verify.LOG) as log:
        for raw in log:
            line = remit_verify.read_line(raw, shapes, lambda code, message: None)
            leaves.update(line.leaf if line else b"")
    return leaves.digest()


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def is_unchanged(path: Path, sha256: bytes) -> bool | None:
    """Whether the file is the one that was verified; None when it is not on this machine."""
    try:
        return _sha256(path) == sha256
    except OSError:
        return None
