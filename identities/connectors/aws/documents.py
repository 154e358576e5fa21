"""Policy documents: read into permissions, written from them, and compared by what they mean."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from governance.kernel.dialects.aws import expiry_of, from_policy_document
from governance.kernel.documents import format_moment
from governance.kernel.permissions import Condition, PatternSet, Permission, Statement, includes
from identities.connectors.contract import NotPossible

Document = Mapping[str, Any]
LANGUAGE_VERSION = "2012-10-17"
EVERYTHING = PatternSet(("*",))
DENY_ALL: Document = {
    "Version": LANGUAGE_VERSION,
    "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}],
}
UNREADABLE = "DocumentMissing"
"""A condition that nobody can judge: it stands for a policy whose document was not there or cannot be read."""


def decode(document: Any) -> Document:
    """A document as it comes: an object, JSON text, or JSON text percent-encoded. Raises ValueError."""
    if isinstance(document, str):
        text = document.strip()
        document = json.loads(unquote(text) if text.startswith("%") else text)
    if not isinstance(document, Mapping):
        raise ValueError("a policy document must be an object")
    return document


def permission_of(*documents: Document) -> Permission:
    """What the documents give together. Raises ValueError where one cannot be read."""
    statements = [each for document in documents for each in from_policy_document(document)]
    return Permission("aws", tuple(each for each in statements if each.actions.include and each.resources.include))


def unreadable(name: str) -> Permission:
    """The permission of a policy that cannot be read: perhaps everything, and no answer about it is certain."""
    missing = Condition(UNREADABLE, "policy", (name[:2_000],))
    return Permission("aws", (Statement(EVERYTHING, EVERYTHING, conditions=(missing,)),))


def meaning(document: Document | None) -> str:
    """One text for documents that mean the same, however they are written; empty for none.

    The language version counts: only in the later one are `${…}` variables.
    """
    if document is None:
        return ""
    try:
        digest = permission_of(document).digest().hex()
    except ValueError:
        digest = json.dumps(document, sort_keys=True, default=str)
    return f"{document.get('Version', '2008-10-17')}:{digest}"


def denies_of(document: Document) -> list[Any]:
    """The statements that take away, as they are written."""
    listed = document.get("Statement", [])
    entries = listed if isinstance(listed, list) else [listed]
    return [each for each in entries if isinstance(each, Mapping) and each.get("Effect") == "Deny"]


def size(document: Document) -> int:
    """Characters as AWS counts them against its limits: without white space."""
    return len(compact(document))


def compact(document: Document) -> str:
    """JSON text, the same in whatever order the members stand: storing a plan may change that."""
    return json.dumps(_in_order(document), separators=(",", ":"), ensure_ascii=False)


_ORDER = ("Version", "Id", "Statement", "Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource")


def _in_order(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_order(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    names = sorted(value, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    return {name: _in_order(value[name]) for name in names}


def write(target: Permission, *, version: str = LANGUAGE_VERSION, denies: Iterable[Any] = ()) -> dict[str, Any]:
    """The document of a permission, followed by denying statements that must not get lost. Raises NotPossible."""
    kept = list(denies)
    held = set(from_policy_document({"Statement": kept}))
    written = [_write_statement(each) for each in target.statements if each not in held]
    document = {"Version": version, "Statement": [*written, *kept]}
    if not written:
        raise NotPossible("Nothing would remain of this policy; revoke it instead.")
    if not includes(target, permission_of(document)).holds:
        raise NotPossible("What shall remain cannot be written as an IAM policy without changing its meaning.")
    return document


def ends_at(permission: Permission) -> datetime | None:
    """The moment after which none of it holds any more, if it has one."""
    allows = [each for each in permission.statements if each.effect == "allow"]
    ends = [expiry_of(each) for each in allows]
    return max(end for end in ends if end) if allows and all(ends) else None


def ceiling_of(boundary: Document) -> tuple[Statement, ...]:
    """Denying statements that are as strict as a permissions boundary, or less strict where that cannot be written.

    Actions that no statement of the boundary mentions are denied, so are their resources where one statement stands
    alone, and whatever the boundary denies itself. So what is shown is never less than what is held.
    """
    statements = permission_of(boundary).statements
    allows = [each for each in statements if each.effect == "allow"]
    denies = tuple(each for each in statements if each.effect == "deny")
    if not allows:
        return (Statement(EVERYTHING, EVERYTHING, effect="deny"),)
    outside: tuple[Statement, ...] = ()
    if all(each.actions.exclude == () for each in allows):
        named = tuple(dict.fromkeys(action for each in allows for action in each.actions.include))
        if "*" not in named:
            outside = (Statement(PatternSet(("*",), named), EVERYTHING, effect="deny"),)
    elif len(allows) == 1:
        outside = (Statement(PatternSet(allows[0].actions.exclude), EVERYTHING, effect="deny"),)
    if len(allows) == 1 and not allows[0].resources.exclude and "*" not in allows[0].resources.include:
        outside += (Statement(EVERYTHING, PatternSet(("*",), allows[0].resources.include), effect="deny"),)
    return tuple(dict.fromkeys((*outside, *denies)))


def _write_statement(statement: Statement) -> dict[str, Any]:
    statement = _without_idle_excludes(statement)
    written: dict[str, Any] = {"Effect": statement.effect.capitalize()}
    written |= _write_set("Action", statement.actions)
    written |= _write_set("Resource", statement.resources)
    conditions = list(statement.conditions)
    if statement.until is not None:
        end = format_moment(statement.until.astimezone(UTC))
        conditions.append(Condition("DateLessThan", "aws:CurrentTime", (end,)))
    if conditions:
        written["Condition"] = _write_conditions(conditions)
    return written


def _write_set(word: str, patterns: PatternSet) -> dict[str, Any]:
    if not patterns.exclude:
        return {word: list(patterns.include)}
    if patterns.include == ("*",):
        return {f"Not{word}": list(patterns.exclude)}
    raise NotPossible(
        f"One IAM statement cannot name {word.lower()}s and leave some of them out "
        f"({', '.join(patterns.include[:3])} without {', '.join(patterns.exclude[:3])})."
    )


def _without_idle_excludes(statement: Statement) -> Statement:
    """Leave out exclusions that exclude nothing of what is included anyway, where that is proved."""
    for simpler in (
        replace(statement, actions=PatternSet(statement.actions.include)),
        replace(statement, resources=PatternSet(statement.resources.include)),
        replace(
            statement,
            actions=PatternSet(statement.actions.include),
            resources=PatternSet(statement.resources.include),
        ),
    ):
        if simpler != statement and _says_no_more(statement, simpler):
            statement = simpler
    return statement


def _says_no_more(statement: Statement, simpler: Statement) -> bool:
    held, written = (Permission("aws", (replace(each, effect="allow"),)) for each in (statement, simpler))
    return includes(held, written).holds


def _write_conditions(conditions: Iterable[Condition]) -> dict[str, dict[str, list[str]]]:
    written: dict[str, dict[str, list[str]]] = {}
    for condition in dict.fromkeys(conditions):
        block = written.setdefault(condition.operator, {})
        if condition.key in block:
            raise NotPossible(f"IAM cannot ask for {condition.operator} {condition.key} twice in one statement.")
        block[condition.key] = list(condition.values)
    return written
