"""Kubernetes: a role of its own with what remains and its binding, then the subject leaves the old binding."""

import re
from collections.abc import Mapping
from shlex import quote
from typing import Any

import yaml

from governance.kernel.dialects.paths import decode
from governance.kernel.permissions import Permission, Statement
from identities.connectors.contract import GrantRef, image_hash

_ACCOUNT = re.compile(r"(?:system:serviceaccount:|serviceaccount[:/])([a-z0-9-]+)[:/]([a-z0-9.-]+)$", re.ASCII)
GROUP = "rbac.authorization.k8s.io"


def spell(grant: GrantRef, target: Permission | None) -> str:
    """Manifests for `kubectl apply`, and what becomes of the old binding."""
    remove = _remove(grant)
    if target is None or target.is_empty:
        return remove
    rules, unsaid = _rules(target)
    name = f"remit-{image_hash(target.to_json())[:10]}"
    subject = _subject(grant)
    manifests = [part for scope, found in rules.items() for part in _manifests(name, scope, found, subject)]
    written = yaml.safe_dump_all(manifests, sort_keys=False, allow_unicode=True)
    notes = "".join(f"# RBAC can't say: {text}\n" for text in unsaid)
    return f"kubectl apply -f narrowed.yaml\n{remove}\n\n# narrowed.yaml\n{notes}{written}".rstrip("\n")


def _rules(target: Permission) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """Rules by namespace ("*": of the cluster), and what cannot be written as one."""
    rules: dict[str, list[dict[str, Any]]] = {}
    unsaid = []
    for statement in target.statements:
        if statement.actions.exclude or statement.resources.exclude or statement.conditions or statement.until:
            unsaid.append("exceptions, conditions or an end date; write the rules out and take them away in time")
        for text in statement.resources.include:
            scope, rule = _rule(statement, text)
            if rule is None:
                unsaid.append(" ".join(text.split()))
            elif rule not in rules.setdefault(scope, []):
                rules[scope].append(rule)
    return rules, list(dict.fromkeys(unsaid))


def _rule(statement: Statement, text: str) -> tuple[str, dict[str, Any] | None]:
    verbs = list(statement.actions.include)
    kind, _, rest = text.partition(":")
    if kind == "url":
        return "*", {"nonResourceURLs": [rest], "verbs": verbs}
    parts = rest.split("/")
    if text == "*":
        return "*", {"apiGroups": ["*"], "resources": ["*"], "verbs": verbs}
    if kind != "api" or len(parts) != 5:
        return "*", None
    namespace, group, resource, subresource, name = map(decode, parts)
    what = resource if subresource in ("", "*") else f"{resource}/{subresource}"
    rule: dict[str, Any] = {"apiGroups": [group], "resources": [what], "verbs": verbs}
    if name not in ("", "*"):
        rule["resourceNames"] = [name]
    return namespace or "*", rule


def _manifests(name: str, scope: str, rules: list[dict[str, Any]], subject: dict[str, Any]) -> list[dict[str, Any]]:
    is_wide = scope == "*"
    kind = "ClusterRole" if is_wide else "Role"
    meta = {"name": name} if is_wide else {"name": name, "namespace": scope}
    head = {"apiVersion": f"{GROUP}/v1"}
    return [
        {**head, "kind": kind, "metadata": dict(meta), "rules": rules},
        {
            **head,
            "kind": f"{kind}Binding",
            "metadata": dict(meta),
            "roleRef": {"apiGroup": GROUP, "kind": kind, "name": name},
            "subjects": [dict(subject)],
        },
    ]


def _subject(grant: GrantRef) -> dict[str, Any]:
    found = _ACCOUNT.search(grant.identity)
    if found:
        return {"kind": "ServiceAccount", "namespace": found[1], "name": found[2]}
    if grant.identity.startswith("group:"):
        return {"kind": "Group", "apiGroup": GROUP, "name": grant.identity.removeprefix("group:")}
    return {"kind": "User", "apiGroup": GROUP, "name": grant.identity}


def _remove(grant: GrantRef) -> str:
    """Other subjects of the binding keep what they have, so it is edited and never deleted blindly."""
    binding = grant.native_ref.get("binding")
    subject = _subject(grant)
    who = " ".join(f"{subject['kind']} {subject.get('namespace', '')} {subject['name']}".split())
    if not isinstance(binding, Mapping) or not binding.get("name"):
        return f"# Then take {who} out of the binding that gives this access ({' '.join(grant.external_id.split())})."
    namespace = str(binding.get("namespace") or "")
    kind = str(binding.get("kind") or ("RoleBinding" if namespace else "ClusterRoleBinding")).lower()
    where = f" -n {quote(namespace)}" if namespace else ""
    return f"kubectl edit {quote(kind)} {quote(str(binding['name']))}{where}  # take out the subject {who}; others stay"
