"""What can go wrong while operating, as sentences that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.db import DatabaseError, InterfaceError


class OperationFailed(Exception):
    """A backup, restore or upgrade did not happen. The text is for the person who asked for it."""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the disk or the database says into a sentence."""
    try:
        yield
    except OSError as error:
        raise OperationFailed(f"{error.filename or path}: {error.strerror or error}.") from error
    except (DatabaseError, InterfaceError, psycopg.Error) as error:
        words = str(error).strip().splitlines()
        raise OperationFailed(f"The database says: {words[0] if words else type(error).__name__}") from error
