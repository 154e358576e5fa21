"""What must not stand in a log: secrets, by the name they are given and by the shape they have.

This is the last net, not the first: code does not log secrets. But a library's exception may carry a connection string,
and an address may carry a token. What is found is replaced by a mark that says so; everything around it stays readable.
"""

import re
from collections.abc import Mapping
from typing import Any

MARK = "[redacted]"
# Below this many levels nobody reads, and a value that contains itself ends.
DEEPEST = 6
_NAMES = re.compile(
    r"(?:^|[_.-])(?:pass(?:word|wd|phrase)?|pwd|secret|secret_?key|token|authorization|cookie|api_?key|private_?key|dsn|"
    r"conn(?:ection)?_?(?:string|info)|database_?url|broker_?url|credentials?|csrf\w*)$",
    re.IGNORECASE,
)
_GIVEN = (
    r"(?:aws_secret_access_key|(?:[a-z0-9]+[_-])*(?:password|passwd|pwd|passphrase|secret|token|api[_-]?key|secret[_-]?key|"
    r"private[_-]?key))"
)
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MARK),
    # A password in an address, also one that holds slashes.
    (re.compile(r"\b([a-z][a-z0-9+.-]{1,20}://[^\s:/@?#'\"]*):[^\s@'\"]+@", re.IGNORECASE), rf"\1:{MARK}@"),
    (re.compile(r"\b(Bearer|Basic|Digest|Negotiate|Token)(\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1\2{MARK}"),
    (re.compile(r"\b(remit_[0-9a-f]{8}_)[A-Za-z0-9_-]{16,}"), rf"\1{MARK}"),
    (re.compile(r"\b(whsec_)[A-Za-z0-9+/=_-]{16,}"), rf"\1{MARK}"),
    (re.compile(r"\b((?:AKIA|ASIA)[A-Z0-9]{4})[A-Z0-9]{12}\b"), rf"\1{MARK}"),
    (re.compile(r"\b(gh[pousr]_|xox[abprs]-|sk-)[A-Za-z0-9_-]{16,}"), rf"\1{MARK}"),
    # Links from mails: into the inbox, and for setting a password.
    (re.compile(r"(/m/)[A-Za-z0-9_-]{16,}"), rf"\1{MARK}"),
    (re.compile(r"(/reset/key/[0-9a-z]+-)[A-Za-z0-9_-]+", re.IGNORECASE), rf"\1{MARK}"),
    (
        re.compile(
            rf"\b({_GIVEN})(['\"]?\s*(?:=|:|=>)\s*)('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s,;&)}}\]]+)",
            re.IGNORECASE,
        ),
        rf"\1\2{MARK}",
    ),
)


def redact(value: Any, *, name: str = "", depth: int = 0) -> Any:
    """The value without what looks like a secret. name: the key it stands under, if any.

    Texts, mappings and sequences are looked through; what is none of these stays as it is, unless its name forbids it.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth >= DEEPEST or (name and _NAMES.search(name)):
        return MARK
    if isinstance(value, Mapping):
        return {str(key): redact(each, name=str(key), depth=depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(each, depth=depth + 1) for each in value]
    return f"{len(value)} bytes" if isinstance(value, bytes) else redact_text(str(value))


def redact_text(text: str) -> str:
    """The text with every secret of a known shape replaced."""
    for shape, replacement in _SHAPES:
        text = shape.sub(replacement, text)
    return text


def redact_event(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """`redact` for the fields of one log line, as the last step before it is written."""
    return {key: redact(value, name=key) for key, value in event.items()}
