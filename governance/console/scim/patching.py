"""PATCH (RFC 7644, 3.5.2) on a resource as its document: pure, so that users and groups share it.

Attributes that Remit does not keep are let through without effect: directories send what their mapping holds, and a
refusal there would keep a departure from being known. What is malformed is refused.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from governance.console.scim.messages import ENTERPRISE, GROUP, USER, Document, ScimRefused

MOST_OPERATIONS = 1000
_VALUE_PATH = re.compile(
    r'(?P<name>\w+)\[\s*(?P<key>\w+)\s+eq\s+(?P<value>"(?:[^"\\]|\\.)*"|true|false)\s*\](?:\.(?P<sub>\w+))?',
    re.IGNORECASE,
)
_SCHEMAS = (USER, GROUP)


def patched(document: Document, operations: Any) -> Document:
    """A copy of the document with the operations carried out, all or (by an error) none. Raises ScimRefused."""
    if not isinstance(operations, list) or not 0 < len(operations) <= MOST_OPERATIONS:
        raise ScimRefused(f"Operations is a list of 1 to {MOST_OPERATIONS} operations.", "invalidSyntax")
    found: Document = json.loads(json.dumps(document))
    for operation in operations:
        if not isinstance(operation, dict):
            raise ScimRefused("An operation is an object with op, path and value.", "invalidSyntax")
        _apply(found, operation)
    return found


def _apply(document: Document, operation: dict[str, Any]) -> None:
    by_name = {str(name).lower(): value for name, value in operation.items()}
    verb, path, value = str(by_name.get("op", "")).lower(), by_name.get("path"), by_name.get("value")
    if verb not in {"add", "replace", "remove"}:
        raise ScimRefused("op is add, replace or remove.", "invalidSyntax")
    if path is None or path == "":
        if verb == "remove":
            raise ScimRefused("remove needs a path.", "noTarget")
        if not isinstance(value, dict):
            raise ScimRefused("Without a path, the value is an object of attributes.", "invalidValue")
        for name, each in value.items():
            _at_path(document, verb, str(name), each)
        return
    if not isinstance(path, str) or len(path) > 500:
        raise ScimRefused("path is a text.", "invalidPath")
    _at_path(document, verb, path, value)


def _at_path(document: Document, verb: str, path: str, value: Any) -> None:
    for schema in _SCHEMAS:
        if path.lower().startswith(schema.lower() + ":"):
            path = path[len(schema) + 1 :]
    if path.lower().startswith(ENTERPRISE.lower()):
        rest = path[len(ENTERPRISE) :].lstrip(":")
        inner = document.setdefault(ENTERPRISE, {})
        if rest:
            _at_name(inner, verb, rest, value)
        elif isinstance(value, dict):
            for name, each in value.items():
                _at_name(inner, verb, str(name), each)
        return
    if "[" in path:
        _at_value_path(document, verb, path, value)
    else:
        _at_name(document, verb, path, value)


def _at_name(document: Document, verb: str, path: str, value: Any) -> None:
    first, _, rest = path.partition(".")
    name = _known_name(document, first)
    if rest:
        inner = document.get(name)
        if isinstance(inner, list):
            # "emails.value" means the value of each.
            for each in inner or [document.setdefault(name, [{}])[0]]:
                _set(each, verb, rest, value)
            return
        if not isinstance(inner, dict):
            inner = document[name] = {}
        _set(inner, verb, _known_name(inner, rest), value)
        return
    if verb == "add" and isinstance(document.get(name), list):
        document[name] = [*document[name], *_as_list(value)]
    elif verb == "remove" and isinstance(document.get(name), list) and value:
        gone = _values(_as_list(value))
        document[name] = [each for each in document[name] if each.get("value") not in gone]
    else:
        _set(document, verb, name, value)


def _at_value_path(document: Document, verb: str, path: str, value: Any) -> None:
    match = _VALUE_PATH.fullmatch(path.strip())
    if match is None:
        raise ScimRefused(f"{path[:80]!r} is no path that is known here.", "invalidPath")
    name, key, wanted, sub = (
        _known_name(document, match["name"]),
        match["key"],
        json.loads(match["value"]),
        match["sub"],
    )
    rows = document.setdefault(name, [])
    if not isinstance(rows, list):
        raise ScimRefused(f"{name} is no list.", "invalidPath")
    chosen = [row for row in rows if row.get(key) == wanted]
    if verb == "remove" and not sub:
        document[name] = [row for row in rows if row not in chosen]
        return
    if not chosen:
        chosen = [{key: wanted}]
        rows += chosen
    for row in chosen:
        if sub:
            _set(row, verb, sub, value)
        elif isinstance(value, dict):
            row.update(value)


def _set(document: Document, verb: str, name: str, value: Any) -> None:
    if verb == "remove":
        document.pop(name, None)
    else:
        document[name] = value


def _known_name(document: Document, name: str) -> str:
    """Names of attributes are the same in any case."""
    if not re.fullmatch(r"[\w$\-]+", name):
        raise ScimRefused(f"{name[:80]!r} is no attribute.", "invalidPath")
    return next((each for each in document if each.lower() == name.lower()), name)


def _as_list(value: Any) -> list[Any]:
    rows = value if isinstance(value, list) else [value]
    if not all(isinstance(row, dict) for row in rows):
        raise ScimRefused("The value is an object, or a list of objects.", "invalidValue")
    return rows


def _values(rows: Iterable[dict[str, Any]]) -> set[Any]:
    return {row.get("value") for row in rows if isinstance(row.get("value"), str)}
