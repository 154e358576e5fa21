"""Names of outside systems, which may hold anything, in the form that records take."""

import hashlib
import re

from governance.kernel.dialects.paths import encode

LONGEST_ID = 500
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def make_id(kind: str, *parts: str) -> str:
    """A stable identifier: `make_id("tag", "app", "a/b") == "tag:app/a%2Fb"`. An over-long one ends in a hash."""
    return shortened(f"{kind}:{'/'.join(map(encode, parts))}", LONGEST_ID)


def printable(text: str) -> str:
    """The text on one line, which is only how it is shown."""
    return _UNPRINTABLE.sub(" ", text)


def is_printable(text: str) -> bool:
    return not _UNPRINTABLE.search(text)


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and a hash of all of it; `longest` counts bytes."""
    data = text.encode(errors="replace")
    if len(data) <= longest:
        return text
    return f"{data[: longest - 20].decode(errors='ignore')}…#{hashlib.sha256(data).hexdigest()[:16]}"
