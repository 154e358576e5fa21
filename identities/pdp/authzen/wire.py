"""Bodies of the decision API: one meaning or none.

Two readers of one body must not understand two things (RFC 7493, I-JSON): repeated names, numbers beyond JSON and text
that is no Unicode are refused, and so is what no caller means: deep nesting, megabytes.
"""

import json
import math
import re
from typing import Any

from governance.kernel.errors import DomainError

MOST_BYTES = 1024 * 1024
DEEPEST = 24
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Malformed(DomainError):
    """The body is none that the standard describes. The message says what is wrong, never what was sent."""

    code = "malformed-request"
    status = 400
    title = "The request cannot be read"


def read_object(body: bytes) -> dict[str, Any]:
    """The one JSON object of a body. Raises `Malformed`."""
    if not body:
        raise Malformed("The body is empty; send a JSON object.")
    if len(body) > MOST_BYTES:
        raise Malformed(f"The body is larger than {MOST_BYTES:,} bytes.")
    try:
        text = body.decode("utf-8")
        found = _DECODER.decode(text)
    except UnicodeDecodeError:
        raise Malformed("The body is not UTF-8.") from None
    except RecursionError:
        raise Malformed(f"The body is nested deeper than {DEEPEST} levels.") from None
    except _Refused as refused:
        raise Malformed(f"The body holds {refused}.") from None
    except ValueError:
        raise Malformed("The body is not JSON.") from None
    if not isinstance(found, dict):
        raise Malformed("The body must be a JSON object.")
    _check_depth(found)
    if _SURROGATE.search(text):
        _check_unicode(found)
    return found


class _Refused(ValueError):
    pass


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused("a name twice in one object")
    return members


def _constant(word: str) -> Any:
    raise _Refused(f"{word}, which is not JSON")


def _fraction(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Refused("a number that is too large")
    return number


def _whole(text: str) -> int:
    if len(text) > 40:
        raise _Refused("a number that is too large")
    return int(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_constant=_constant, parse_float=_fraction, parse_int=_whole
)


def _check_depth(found: Any) -> None:
    level = [found]
    for _ in range(DEEPEST):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise Malformed(f"The body is nested deeper than {DEEPEST} levels.")


def _check_unicode(found: Any) -> None:
    """Escapes can spell half of a character, which nothing else can store or print."""
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Malformed("The body holds text that is no valid Unicode.") from None
