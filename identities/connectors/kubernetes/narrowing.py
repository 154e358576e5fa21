"""Scope down: from a target permission to a role of its own, and the plan that leaves just that.

A role is never edited, because others may be bound to it. The narrow role and its binding come first and the wide
binding goes last, so at every moment the subject holds a part of what it held, and never less than what shall stay.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from governance.kernel.dialects.paths import decode
from governance.kernel.permissions import Permission, Proof, difference_samples, includes, sample_requests
from governance.kernel.statements import Statement
from identities.connectors.contract import GrantRef, NotPossible, Plan, SourceChanged
from identities.connectors.kubernetes import objects
from identities.connectors.kubernetes.desk import Desk
from identities.connectors.kubernetes.estate import DIALECT, permission_of
from identities.connectors.kubernetes.facets import Facet, State, meaning, state_of
from identities.connectors.kubernetes.objects import GROUP, MANAGED_BY, OURS, Binding, Rule, Subject
from identities.connectors.kubernetes.plans import (
    MOST_SAMPLES,
    assemble,
    leaving,
    loses_watch,
    subject_in,
)

# Requests that name no object: they are about a whole collection.
_OF_COLLECTIONS = frozenset({"list", "watch", "create", "deletecollection"})
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
CLUSTER = ""


def plan_narrow(desk: Desk, grant: GrantRef, target: Permission) -> Plan:
    """The plan after which only `target` is left of the grant. Raises NotPossible with what stands in the way."""
    desk.refuse_own(grant.identity)
    _refuse_unsayable(target)
    verdict = includes(grant.permission, target)
    if not isinstance(verdict, Proof):
        raise NotPossible(f"The target is not part of what is held: {verdict.explain()}")
    wide, binding = leaving(desk, grant)
    _check_current(desk, grant, binding)
    rules = rules_by_scope(target)
    if binding.meta.namespace and set(rules) - {binding.meta.namespace}:
        raise NotPossible(f"{binding.title()} gives nothing outside of namespace {binding.meta.namespace}.")
    result = _union(permission_of(each, scope or None) for scope, each in rules.items())
    _require_expressed(grant.permission, target, result)
    narrow = _narrow_facets(desk, grant, rules)
    facets = [*narrow, *wide]
    desk.require([*facets, *(facet.reversed() for facet in reversed(facets))])
    return assemble(
        "narrow",
        grant.identity,
        grant.external_id,
        facets,
        summary=(
            f"Gives {subject_in(grant).title()} a role of its own with what shall stay, then takes it out of "
            f"{binding.title()}. The role {binding.role_name} itself is left as it is."
        ),
        removes=[(each.action, each.resource) for each in difference_samples(grant.permission, result, MOST_SAMPLES)],
        keeps=sample_requests(target, MOST_SAMPLES),
        loses_watch=loses_watch(grant.permission, result),
    )


def _refuse_unsayable(target: Permission) -> None:
    for statement in target.statements:
        if statement.effect == "deny":
            raise NotPossible("Kubernetes knows no denial; name what shall stay instead.")
        if statement.conditions:
            raise NotPossible("Kubernetes cannot tie a role to conditions; take them out of the target.")
        if statement.until is not None:
            raise NotPossible("Kubernetes cannot end a role by itself; approve it until that date instead.")
        if statement.actions.exclude or statement.resources.exclude:
            raise NotPossible("Kubernetes cannot say “all but”; name the verbs and kinds of objects that shall stay.")


def _check_current(desk: Desk, grant: GrantRef, binding: Binding) -> None:
    """Raises SourceChanged unless the role still says what was read."""
    namespace, name = binding.role_key
    found = desk.find(binding.role_kind, namespace, name)
    if found is None:
        raise SourceChanged(f"{binding.role_kind} {name} does not exist any more. Read the source again.")
    if grant.native_ref.get("is_overstated"):
        raise NotPossible(f"{binding.role_kind} {name} has more rules than can be compared one by one; revoke it.")
    try:
        role = objects.read_role(found, is_namespaced=bool(namespace))
    except objects.BadObject as error:
        raise NotPossible(f"{binding.role_kind} {name} can't be read: {error}.") from error
    held = permission_of(role.rules, binding.meta.namespace or None)
    if held.digest() != grant.permission.digest():
        raise SourceChanged(f"{binding.role_kind} {name} has other rules than were read. Read the source again.")


def _union(parts: Iterable[Permission]) -> Permission:
    return Permission(DIALECT, tuple(statement for part in parts for statement in part.statements))


def _require_expressed(held: Permission, target: Permission, result: Permission) -> None:
    """Raises NotPossible unless the roles give all of the target, nothing beyond what is held, and less than that."""
    if result.is_empty:
        raise NotPossible("Nothing that a role could give would remain of it; revoke it instead.")
    inside = includes(held, result)
    if not isinstance(inside, Proof):
        raise NotPossible(f"A role for this target would give more than is held: {inside.explain()}")
    missing = difference_samples(target, result, limit=1)
    if missing or not isinstance(includes(result, target), Proof):
        part = f": {missing[0].action} on {missing[0].resource}" if missing else ""
        raise NotPossible(f"A role cannot express a part of the target{part}.")
    if isinstance(includes(result, held), Proof):
        raise NotPossible("The target leaves everything as it is; approve the grant instead.")


# --- rules ------------------------------------------------------------------------------------------------------


def rules_by_scope(target: Permission) -> dict[str, tuple[Rule, ...]]:
    """The rules that give a permission, by the namespace they are bound in (empty: the whole cluster).

    What is requested at cluster level can only be given together with the same in every namespace, and a request that
    names no object only together with those that do; `_require_expressed` keeps both inside of what was held. Raises
    NotPossible where no rule can say it.
    """
    # scope → (verbs, group, resource) → names; None stands for all names.
    wanted: dict[str, dict[tuple[tuple[str, ...], str, str], set[str] | None]] = defaultdict(dict)
    urls: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for statement in target.statements:
        verbs = tuple(sorted(set(statement.actions.include)))
        for pattern in _patterns(statement):
            if pattern.startswith("url:"):
                urls[verbs].append(pattern.removeprefix("url:"))
                continue
            scope, group, resource, name = _parts(pattern, verbs)
            names = wanted[scope].setdefault((verbs, group, resource), set())
            if name is None or names is None:
                wanted[scope][verbs, group, resource] = None
            else:
                names.add(name)
    found = {scope: list(_grouped(each)) for scope, each in wanted.items()}
    for verbs, listed in urls.items():
        found.setdefault(CLUSTER, []).append(Rule(verbs, urls=tuple(sorted(set(listed)))))
    return {scope: tuple(rules) for scope, rules in sorted(found.items())}


def _patterns(statement: Statement) -> Iterator[str]:
    for pattern in statement.resources.include:
        yield from ("api:*/*/*/*/*", "url:*") if pattern == "*" else (pattern,)


def _parts(pattern: str, verbs: Sequence[str]) -> tuple[str, str, str, str | None]:
    """(scope, API group, resource as a rule names it, object name or None for all)."""
    namespace, group, kind, subresource, name = pattern.removeprefix("api:").split("/")
    if (kind == "*") != (subresource == "*") and not (kind == "*" and subresource):
        said = f"every subresource of {decode(kind)}" if subresource == "*" else "every kind without its subresources"
        raise NotPossible(f"No rule can say “{said}”; name them one by one.")
    if kind == "*":
        resource = "*" if subresource == "*" else f"*/{decode(subresource)}"
    else:
        resource = f"{decode(kind)}/{decode(subresource)}" if subresource else decode(kind)
    if not name and not _OF_COLLECTIONS.issuperset(verbs):
        naming = sorted(set(verbs) - _OF_COLLECTIONS)
        raise NotPossible(f"{', '.join(naming)} needs the name of an object in {pattern} (or * for all).")
    scope = CLUSTER if namespace == "*" else decode(namespace)
    return scope, group if group == "*" else decode(group), resource, decode(name) if name not in ("*", "") else None


def _grouped(wanted: dict[tuple[tuple[str, ...], str, str], set[str] | None]) -> Iterator[Rule]:
    """Rules as people write them: kinds with the same verbs, group and names together."""
    together: dict[tuple[tuple[str, ...], str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (verbs, group, resource), names in wanted.items():
        together[verbs, group, tuple(sorted(names or ()))].append(resource)
    for (verbs, group, named), resources in together.items():
        yield Rule(verbs, (group,), tuple(sorted(set(resources))), named)


# --- objects ----------------------------------------------------------------------------------------------------


def _narrow_facets(desk: Desk, grant: GrantRef, rules: dict[str, tuple[Rule, ...]]) -> list[Facet]:
    """A role and a binding per scope, those that exist already left out."""
    facets = []
    for scope, listed in rules.items():
        if scope and not desk.namespace_exists(scope):
            raise NotPossible(f"There is no namespace {scope}, so nothing can be given there.")
        subject, written = subject_in(grant), objects.canonical_rules(listed)
        name = own_name_for(grant.external_id, subject, scope, written)
        metadata = {
            "labels": {MANAGED_BY: OURS},
            "annotations": {"remit/narrowed-from": _origin(grant)},
        }
        kind = "Role" if scope else "ClusterRole"
        role: State = {"rules": written, "metadata": metadata}
        binding: State = {
            "roleRef": {"apiGroup": GROUP, "kind": kind, "name": name},
            "subjects": [subject.to_json()],
            "metadata": metadata,
        }
        facets += _made(desk, Facet(kind, scope, name, None, role, "what shall stay"))
        facets += _made(desk, Facet(f"{kind}Binding", scope, name, None, binding, f"for {subject.title()} alone"))
    return facets


def _made(desk: Desk, facet: Facet) -> list[Facet]:
    """The facet, unless the same object exists already. Raises NotPossible where another one has its name."""
    found = desk.find(facet.kind, facet.namespace, facet.name)
    if found is None:
        return [facet]
    if meaning(facet.kind, state_of(facet.kind, found)) != meaning(facet.kind, facet.after):
        raise NotPossible(f"{facet.title()} exists already and is not what Remit would make. Remove it first.")
    return []


def own_name_for(grant: str, subject: Subject, scope: str, rules: list[dict[str, list[str]]]) -> str:
    """The same name for the same narrowing, so that doing it twice makes nothing twice."""
    told = "\n".join([grant, scope, str(rules)])
    short = _NOT_IN_NAMES.sub("-", subject.name.lower()).strip("-")[:40].strip("-")
    return f"remit-{short or 'subject'}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def _origin(grant: GrantRef) -> str:
    binding = grant.native_ref["binding"]
    return " ".join(filter(None, (binding["kind"], binding["namespace"], binding["name"])))
