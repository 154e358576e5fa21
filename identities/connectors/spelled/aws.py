"""IAM: the policy document that remains, and the commands that put it in place of the wide one."""

import json
import re
from collections.abc import Iterable, Mapping
from shlex import quote
from typing import Any

from governance.kernel.documents import format_moment
from governance.kernel.permissions import Condition, PatternSet, Permission, Statement
from identities.connectors.contract import GrantRef, image_hash

_HOLDER = re.compile(r"(?:^|:)(role|user|group)/(?:[^/\s]+/)*([\w+=,.@-]+)$", re.ASCII)
_MANAGED = re.compile(r"arn:[a-z-]+:iam::(?:\d{12}|aws):policy/\S+", re.ASCII)


def spell(grant: GrantRef, target: Permission | None) -> str:
    """The document and the commands; where the holder or the policy is not known by name, a line for a person."""
    holder = _holder(grant)
    remove = _remove(grant, holder)
    if target is None or target.is_empty:
        return remove
    document = policy(target)
    name = f"remit-narrowed-{image_hash(document)[:10]}"
    written = json.dumps(document, indent=2, ensure_ascii=False)
    if holder is None:
        place = f"# Attach the document below to {_plain(grant.identity)} first."
    else:
        kind, who = holder
        place = (
            f"aws iam put-{kind}-policy --{kind}-name {quote(who)} --policy-name {name} "
            "--policy-document file://narrowed.json"
        )
    return f"{place}\n{remove}\n\n# narrowed.json\n{written}{_lost(target)}"


def policy(permission: Permission) -> dict[str, Any]:
    """The IAM policy document of a permission."""
    return {"Version": "2012-10-17", "Statement": [_statement(each) for each in permission.statements]}


def _statement(statement: Statement) -> dict[str, Any]:
    written: dict[str, Any] = {"Effect": statement.effect.capitalize()}
    written |= _patterns("Action", statement.actions) | _patterns("Resource", statement.resources)
    conditions = _conditions(statement)
    return written | ({"Condition": conditions} if conditions else {})


def _patterns(word: str, patterns: PatternSet) -> dict[str, Any]:
    if patterns.exclude and patterns.include == ("*",):
        return {f"Not{word}": _one_or_many(patterns.exclude)}
    return {word: _one_or_many(patterns.include)}


def _one_or_many(values: Iterable[str]) -> Any:
    listed = list(values)
    return listed[0] if len(listed) == 1 else listed


def _conditions(statement: Statement) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    until = [Condition("DateLessThan", "aws:CurrentTime", (format_moment(statement.until),))] if statement.until else []
    for each in (*statement.conditions, *until):
        found.setdefault(each.operator, {})[each.key] = _one_or_many(each.values)
    return found


def _lost(target: Permission) -> str:
    """What one statement of a policy cannot say and the reader must write out."""
    sets = [patterns for each in target.statements for patterns in (each.actions, each.resources)]
    unsaid = [f"{', '.join(each.include)} without {', '.join(each.exclude)}" for each in sets if _is_unsaid(each)]
    return "".join(f"\n# A policy can't say “{text}” in one list: write out what remains." for text in unsaid)


def _is_unsaid(patterns: PatternSet) -> bool:
    return bool(patterns.exclude) and patterns.include != ("*",)


def _holder(grant: GrantRef) -> tuple[str, str] | None:
    """(role, user or group; name) to which the policy is attached: the group where it comes through one."""
    group = grant.native_ref.get("group")
    if isinstance(group, Mapping) and group.get("name"):
        return "group", str(group["name"])
    for step in grant.path:
        if step.get("kind") == "group" and (found := _HOLDER.search(str(step.get("id", "")))):
            return found[1], found[2]
    found = _HOLDER.search(grant.identity)
    return (found[1], found[2]) if found else None


def _remove(grant: GrantRef, holder: tuple[str, str] | None) -> str:
    named = str(grant.native_ref.get("policy") or "")
    texts = [named, *(str(step.get("id", "")) for step in grant.path), grant.external_id]
    managed = next((found[0] for text in texts if (found := _MANAGED.search(text))), "")
    if holder and managed:
        kind, who = holder
        return f"aws iam detach-{kind}-policy --{kind}-name {quote(who)} --policy-arn {quote(managed)}"
    if holder and named and grant.native_ref.get("kind") == "inline":
        kind, who = holder
        return f"aws iam delete-{kind}-policy --{kind}-name {quote(who)} --policy-name {quote(named)}"
    who, what = _plain(grant.identity), _plain(grant.external_id)
    return f"# Then take the policy away from which {who} has this access ({what})."


def _plain(text: str) -> str:
    """On one line, so that nothing of it leaves the comment."""
    return " ".join(text.split())
