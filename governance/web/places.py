"""Signed places in lists that are no single queryset: what `pagination` promises, for lists made in several steps."""

from collections.abc import Callable, Sequence
from typing import Any

from django.core import signing

from governance.web.pagination import BadCursor

_SALT = "remit.place"


def write_place(kind: str, values: Sequence[Any], *, backwards: bool = False) -> str:
    """A cursor for the list called `kind`; the values are kept as texts."""
    return signing.dumps([kind, int(backwards), [str(value) for value in values]], salt=_SALT, compress=True)


def read_place(kind: str, cursor: str, types: Sequence[Callable[[str], Any]]) -> tuple[bool, list[Any]]:
    """Direction and values of a cursor that `write_place` made for this list. Raises BadCursor."""
    try:
        named, backwards, values = signing.loads(cursor, salt=_SALT)
        if named == kind and len(values) == len(types):
            return bool(backwards), [read(value) for read, value in zip(types, values, strict=True)]
    except (signing.BadSignature, ValueError, TypeError, UnicodeError) as error:
        raise _damaged() from error
    raise _damaged()


def _damaged() -> BadCursor:
    return BadCursor("This link into the list is damaged or belongs to another list. Start again from the first page.")
