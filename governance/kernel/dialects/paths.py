"""Resources written as `kind:element/element`, each element percent-encoded, `*` and `?` wild inside one element."""

from collections.abc import Iterable
from urllib.parse import unquote

_ESCAPED = frozenset('/%*?:"') - {'"'}


def encode(element: str) -> str:
    """Escape what has a meaning in patterns; everything else stays readable.

    >>> encode("a/b*c")
    'a%2Fb%2Ac'
    """
    return "".join(_escape(char) if char in _ESCAPED or not char.isprintable() else char for char in element)


def _escape(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode())


def decode(element: str) -> str:
    """The name behind an encoded element (an unescaped `*` stays a `*`)."""
    return unquote(element)


def join(kind: str, *elements: str) -> str:
    """`join("table", "ledger", "public", "payments") == "table:ledger/public/payments"`; names are encoded."""
    return f"{kind}:{'/'.join(map(encode, elements))}"


def split(resource: str) -> tuple[str, tuple[str, ...]]:
    """Kind and decoded elements of a resource; the kind is empty for a bare `*`."""
    kind, colon, rest = resource.partition(":")
    if not colon:
        return "", (decode(kind),)
    return kind, tuple(map(decode, rest.split("/"))) if rest else ()


def last_name_open(resource: str) -> Iterable[str]:
    """`table:ledger/public/payments` as `table:ledger/public/*`; nothing for what has one name or a wildcard."""
    before, slash, name = resource.rpartition("/")
    if slash and name and "*" not in resource and "?" not in resource:
        yield f"{before}/*"
