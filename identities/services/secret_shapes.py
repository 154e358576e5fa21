"""Recognise what must never be stored: fields named like secrets, and values shaped like them.

It errs on the side of refusing. Nothing here ever repeats the value it found.
"""

import re
from functools import lru_cache
from typing import Any

_NAMES = (
    "password", "passwd", "passphrase", "pwd", "secret", "secretkey", "privatekey", "secretaccesskey",
    "accesskeysecret", "token", "apikey", "connectionstring", "sessionkey", "signingkey", "encryptionkey", "pincode",
)  # fmt: skip
_HARMLESS_ENDINGS = ("tokentype",)
# The id of an AWS access key is no secret, but beside its second half it is half of one: allowed as an id only.
_ACCESS_KEY_ID = re.compile(rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")
# Every shape behind a text that it must contain: looking for that first is twenty times as fast, and a million records
# are looked at.
_SHAPES = (
    (b"PRIVATE KEY", re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY")),
    *(
        (name, re.compile(rb"\b" + name + rb"[A-Za-z0-9]{30,}"))
        for name in (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_")
    ),
    (b"github_pat_", re.compile(rb"\bgithub_pat_[A-Za-z0-9_]{30,}")),
    (b"glpat-", re.compile(rb"\bglpat-[A-Za-z0-9_-]{20,}")),
    (b"xox", re.compile(rb"\bxox[abeoprs]-[A-Za-z0-9-]{10,}")),
    (b"eyJ", re.compile(rb"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*")),
    (b"k_live_", re.compile(rb"\b[rs]k_live_[A-Za-z0-9]{16,}")),
    (b"sk-", re.compile(rb"\bsk-[A-Za-z0-9_-]{20,}")),
    (b"AIza", re.compile(rb"\bAIza[A-Za-z0-9_-]{35}")),
    (b"hvs.", re.compile(rb"\bhvs\.[A-Za-z0-9_-]{20,}")),
    (b"remit_", re.compile(rb"\bremit_[0-9a-f]{8}_[A-Za-z0-9_-]{20,}")),
    # A password before the host of an address.
    (b"://", re.compile(rb"://[^/\s:@\"]*:[^/\s@\"]+@")),
    (b"AKIA", _ACCESS_KEY_ID),
    (b"ASIA", _ACCESS_KEY_ID),
)
_PLAIN = re.compile(r"[^a-z0-9]")


# Senders use the same few names in a million records.
@lru_cache(maxsize=10_000)
def is_secret_name(name: str) -> bool:
    """Whether a field of this name would hold a secret: `db_password` and `clientSecret` do, `password_set` doesn't."""
    plain = _PLAIN.sub("", name.lower())
    return plain.endswith(_NAMES) and not plain.endswith(_HARMLESS_ENDINGS)


def may_hold_secret(text: bytes) -> bool:
    """A quick look over the whole record as JSON text; a hit is looked into with `find_secret`."""
    return any(sign in text and shape.search(text) for sign, shape in _SHAPES)


def find_secret_name(value: dict[str, Any] | list[Any], pointer: str = "") -> str | None:
    """The JSON pointer of the first member that is named like a secret and holds something, or None."""
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for name, member in members:
        at = f"{pointer}/{escape(str(name))}"
        if isinstance(value, dict) and is_secret_name(name) and not _is_harmless(member):
            return at
        if isinstance(member, dict | list) and (found := find_secret_name(member, at)) is not None:
            return found
    return None


def find_secret(value: Any, pointer: str = "", *, access_key_ids_at: frozenset[str] = frozenset()) -> str | None:
    """The JSON pointer of the first member that is named or shaped like a secret ("" is the value itself), or None.

    `access_key_ids_at`: pointers at which an AWS access key id stands by right.
    """
    if isinstance(value, dict):
        for name, member in value.items():
            at = f"{pointer}/{escape(name)}"
            if is_secret_name(name) and not _is_harmless(member):
                return at
            if (found := find_secret(member, at, access_key_ids_at=access_key_ids_at)) is not None:
                return found
    elif isinstance(value, list):
        for index, member in enumerate(value):
            at = f"{pointer}/{index}"
            if (found := find_secret(member, at, access_key_ids_at=access_key_ids_at)) is not None:
                return found
    elif isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        if pointer in access_key_ids_at:
            data = _ACCESS_KEY_ID.sub(b"", data)
        return pointer if may_hold_secret(data) else None
    return None


def _is_harmless(member: Any) -> bool:
    """`"password": true` says that there is one; that is a fact, not a secret."""
    return member is None or isinstance(member, bool) or member in ("", [], {})


def escape(step: str) -> str:
    """One step of a JSON pointer (RFC 6901), cut to a length that is fit to be shown."""
    return step[:80].replace("~", "~0").replace("/", "~1")
