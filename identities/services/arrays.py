"""Many ids as one parameter of a statement."""

from collections.abc import Iterable
from uuid import UUID


def array_of(ids: Iterable[UUID]) -> str:
    """For `%s::uuid[]`: a list of five hundred ids costs more to put together than most statements that take it."""
    return f"{{{','.join([pk.hex for pk in ids])}}}"
