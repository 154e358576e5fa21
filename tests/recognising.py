"""The one format that a file is of."""

from identities.connectors.files import FileFormat
from identities.connectors.registry import recognise


def format_of(head: bytes) -> FileFormat | None:
    """None where nobody knows a file that begins like this; several formats at once are a fault."""
    found = recognise(head)
    assert len(found) < 2, [each.name for each in found]
    return found[0] if found else None
