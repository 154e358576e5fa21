"""Where packs lie: one file per pack in the folder of the settings, written aside and put in place whole."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from governance.kernel.errors import DomainError
from reviews.models import EvidencePack


class FolderUnusable(DomainError):
    """The folder of packs cannot be written."""

    code = "evidence-folder-unusable"
    status = 500
    title = "The folder of packs cannot be written"


def file_of(pack: EvidencePack) -> Path:
    """Where the finished file is, or will be."""
    return Path(settings.EVIDENCE_DIR) / f"{pack.pk}.zip"


def file_name(pack: EvidencePack) -> str:
    """What the file is called where somebody keeps it: which review, as of which checkpoint."""
    return f"remit-evidence-{str(pack.campaign_id)[:8]}-{pack.size}.zip"


@contextmanager
def draft_of(target: Path) -> Iterator[Path]:
    """A place to write that becomes `target` when all went well. Raises FolderUnusable.

    What a builder that died has left of the same target is removed.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in target.parent.glob(f".{target.name}.*"):
            left.unlink(missing_ok=True)
    except OSError as error:
        raise FolderUnusable(f"{target.parent} cannot be written: {error.strerror}.") from error
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        yield draft
        _put_in_place(draft, target)
    except OSError as error:
        raise FolderUnusable(f"{target} cannot be written: {error.strerror}.") from error
    finally:
        draft.unlink(missing_ok=True)


def _put_in_place(draft: Path, target: Path) -> None:
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.chmod(0o600)
    draft.replace(target)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
