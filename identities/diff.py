"""What makes two contents of one object equal, and what differs between them. Pure: values in, values out.

The same rules exist a second time as SQL in `identities.sync.merge`, because a run compares a million rows without
fetching them; a test holds both against each other.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import orjson


def canonical_text(content: Mapping[str, Any]) -> bytes:
    """One JSON text for equal content: sorted keys, no spaces."""
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def content_hash(content: Mapping[str, Any]) -> bytes:
    """sha256 of the canonical text, 32 bytes. Equal hashes mean: nothing to write."""
    return sha256(canonical_text(content)).digest()


def moment_text(moment: datetime) -> str:
    """A time as PostgreSQL writes it into JSON (`2026-03-01T09:30:00.25+00:00`), so that both sides compare equal."""
    text = moment.astimezone(UTC).isoformat()
    whole, dot, rest = text.partition(".")
    if not dot:
        return text
    return f"{whole}.{rest[:-6].rstrip('0')}{rest[-6:]}"


def changed_members(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The members that differ, as they were and as they are: what a Change keeps."""
    names = [name for name in new if name not in old or old[name] != new[name]]
    return {name: old[name] for name in names if name in old}, {name: new[name] for name in names}
