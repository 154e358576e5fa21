"""Grants for the decision point itself: actions are names, resources are written `type:id` (OpenID AuthZEN 1.0).

Both are case-sensitive globs: `record:*` is every record, `*` everything. A type holds no colon of its own, an id may.
Conditions compare attributes of subject, resource, action and context (`governance.kernel.attributes`).
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from governance.kernel.dialects.interface import Dialect, gathered_by, join_words
from governance.kernel.dialects.tools import classes_by_words

# What each method of HTTP does, where an action is one.
_METHODS = {
    "GET": "read", "HEAD": "read", "OPTIONS": "read", "POST": "write", "PUT": "write", "PATCH": "write",
    "DELETE": "destructive",
}  # fmt: skip
_EVERYTHING = frozenset({"read", "write", "destructive", "admin"})
_IN_TYPES = re.compile(r"[%*?:]")
_IN_IDS = re.compile(r"[%*?]")
_LAST_PART = re.compile(r"(?<=[/:._-])[^/:._-]+$")


def resource_text(kind: str, identifier: str) -> str:
    """The text of one concrete resource, in which nothing is wild.

    >>> resource_text("record", "a*b")
    'record:a%2Ab'
    """
    return f"{_IN_TYPES.sub(_escaped, kind)}:{_IN_IDS.sub(_escaped, identifier)}"


def resource_parts(text: str) -> tuple[str, str]:
    """Type and id of such a text."""
    kind, _, identifier = text.partition(":")
    return unquote(kind), unquote(identifier)


def _escaped(found: re.Match[str]) -> str:
    return f"%{ord(found.group()):02X}"


class AuthZEN(Dialect):
    name = "authzen"
    title = "Decision point"

    def resource_fault(self, text: str) -> str:
        kind, colon, identifier = text.partition(":")
        if text == "*" or (colon and kind and identifier):
            return ""
        return "a resource is written type:id, such as record:7 or record:*"

    def gathered(self, resources: list[str]) -> Iterable[tuple[str, list[str]]]:
        """By everything up to the last mark, then by type."""
        return gathered_by(resources, _shortened)

    def classes(self, action: str, resource: str) -> frozenset[str]:
        if action in _METHODS:
            return frozenset({_METHODS[action]})
        if "*" in action or "?" in action:
            return _EVERYTHING | classes_by_words(action)
        return classes_by_words(action) or frozenset({"read", "write"})

    def segment(self, actions: Iterable[str], resources: Iterable[str]) -> str:
        return "apis"

    def phrase(self, actions: tuple[str, ...], resource: str) -> str:
        verb = "do everything to" if "*" in actions else f"{join_words(actions)}"
        kind, identifier = resource_parts(resource)
        if resource == "*":
            return f"{verb} every resource"
        if identifier == "*":
            return f"{verb} every {kind}"
        return f"{verb} {kind} {identifier}"


def _shortened(resource: str) -> Iterable[str]:
    kind, _, identifier = resource.partition(":")
    if "*" in resource or "?" in resource:
        return
    shorter = _LAST_PART.sub("*", identifier)
    if shorter not in (identifier, "*"):
        yield f"{kind}:{shorter}"
    yield f"{kind}:*"
