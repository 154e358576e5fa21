"""The folder outside the database that holds the checkpoints: one file per size, and `latest`.

Whoever keeps a copy of these files can prove any later change of the trail, whatever happens to the database.
"""

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from governance.audit.notes import BadNote, Checkpoint, open_checkpoint

SUFFIX = ".checkpoint"
LATEST = "latest"
VERIFIER_KEY = "verifier.key"


def list_files(folder: Path) -> list[tuple[int, Path]]:
    """(size, file) of every checkpoint in `folder`, smallest first; the size is the file's name."""
    if not folder.is_dir():
        return []
    files = [(int(path.stem), path) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal()]
    return sorted(files)


def open_file(path: Path, public_key: Ed25519PublicKey) -> Checkpoint:
    """The verified checkpoint in `path`; raises BadNote also when the name and the text disagree."""
    try:
        checkpoint = open_checkpoint(path.read_text(encoding="utf-8"), public_key)
    except (OSError, UnicodeDecodeError) as error:
        raise BadNote(f"the file cannot be read: {error}") from error
    if str(checkpoint.size) != path.stem:
        raise BadNote(f"the file is named {path.name} but speaks of size {checkpoint.size}")
    return checkpoint


def write_file(folder: Path, checkpoint: Checkpoint, verifier_key: str) -> Path:
    """Put the checkpoint into `folder`, complete or not at all, also after a power cut. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{checkpoint.size}{SUFFIX}"
    _replace(folder / VERIFIER_KEY, f"{verifier_key}\n")
    _replace(path, checkpoint.note)
    _replace(folder / LATEST, checkpoint.note)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return path


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
