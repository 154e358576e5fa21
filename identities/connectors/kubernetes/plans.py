"""From a decision to a plan: which objects change, in which order, and what must be out of reach afterwards."""

from collections.abc import Sequence

from governance.kernel.permissions import Permission, includes, sample_requests
from governance.kernel.statements import PatternSet, Statement
from identities.connectors.contract import GrantRef, NotPossible, Plan, SourceChanged
from identities.connectors.kubernetes import objects
from identities.connectors.kubernetes.api import each_item, path_of
from identities.connectors.kubernetes.desk import Desk
from identities.connectors.kubernetes.estate import DIALECT, Estate, groups_of
from identities.connectors.kubernetes.facets import (
    ROLES,
    Facet,
    State,
    is_subject,
    state_of,
    states_hash,
    without_subject,
)
from identities.connectors.kubernetes.objects import MANAGED_BY, OURS, Account, Binding, Subject, read_pod
from identities.connectors.kubernetes.reading import read_estate

MOST_SAMPLES = 40
Samples = Sequence[tuple[str, str]]


def assemble(
    action: str,
    identity: str,
    grant: str,
    facets: Sequence[Facet],
    *,
    summary: str,
    removes: Samples = (),
    keeps: Samples = (),
    loses_watch: bool = False,
    side_effects: Sequence[str] = (),
    irreversible: bool = False,
) -> Plan:
    """The plan that takes the facets from before to after, one request each, in this order."""
    states = [
        [facet.after if n < done else facet.before for n, facet in enumerate(facets)] for done in range(len(facets) + 1)
    ]
    hashes = [states_hash(facets, each) for each in states]
    return Plan(
        action=action,
        identity=identity,
        grant_external_id=grant,
        steps=tuple(facet.step() for facet in facets),
        inverse=() if irreversible else tuple(facet.reversed().step() for facet in reversed(facets)),
        pre_image={"facets": [facet.to_json() for facet in facets], "loses_watch": loses_watch},
        pre_hash=hashes[0],
        post_hash=hashes[-1],
        stages=tuple(hashes[1:]),
        removes=tuple(removes),
        keeps=tuple(keeps),
        summary=summary,
        side_effects=tuple(side_effects),
        irreversible=irreversible,
    )


def facets_of(plan: Plan) -> list[Facet]:
    return [Facet(**data) for data in plan.pre_image["facets"]]


# --- taking a grant away ----------------------------------------------------------------------------------------


def plan_revoke(desk: Desk, grant: GrantRef) -> Plan:
    """The plan that takes the subject out of the binding. Raises NotPossible."""
    desk.refuse_own(grant.identity)
    facets, binding = leaving(desk, grant)
    desk.require(facets)
    lasting = desk.missing([facet.reversed() for facet in facets])
    return assemble(
        "revoke",
        grant.identity,
        grant.external_id,
        facets,
        summary=f"Takes {subject_in(grant).title()} out of {binding.title()}.{_cannot_return(lasting)}",
        removes=sample_requests(grant.permission, MOST_SAMPLES),
        loses_watch=loses_watch(grant.permission, None),
        irreversible=bool(lasting),
    )


def subject_in(grant: GrantRef) -> Subject:
    return Subject(**grant.native_ref["subject"])


def leaving(desk: Desk, grant: GrantRef) -> tuple[list[Facet], Binding]:
    """The changes that take the grant's subject out of its binding. Raises NotPossible, SourceChanged."""
    ref = grant.native_ref
    kind, namespace, name = (ref["binding"][key] for key in ("kind", "namespace", "name"))
    subject = subject_in(grant)
    if ref["kind"] == "group":
        raise NotPossible(
            f"{kind} {name} gives this to the group {subject.name}, which {grant.identity} belongs to by its nature; "
            "it can't be taken from one member. Bind the role to those that need it, then take the group out."
        )
    found = desk.find(kind, namespace, name)
    if found is None:
        raise SourceChanged(f"{kind} {name} does not exist any more. Read the source again.")
    state = state_of(kind, found)
    binding = objects.read_binding(found, is_namespaced=bool(namespace))
    if (binding.role_kind, binding.role_name) != (ref["role"]["kind"], ref["role"]["name"]):
        raise SourceChanged(f"{kind} {name} was made anew and binds another role now. Read the source again.")
    if not any(is_subject(each, subject) for each in state["subjects"]):
        raise SourceChanged(f"{subject.title()} does not stand in {kind} {name} any more. Read the source again.")
    _refuse_reconciled(binding)
    after = without_subject(state, subject)
    facets = [Facet(kind, namespace, name, state, after, _note(binding, after))]
    return facets + _own_role(desk, binding, after), binding


def _refuse_reconciled(binding: Binding) -> None:
    if binding.meta.is_reconciled:
        raise NotPossible(
            f"{binding.title()} is Kubernetes' own: the API server puts its subjects back at every start. Set its "
            f'annotation {objects.AUTOUPDATE} to "false" first, and know that an upgrade may need it.'
        )


def _note(binding: Binding, after: State) -> str:
    note = "nobody else is in it" if after is None else f"{len(after['subjects'])} other(s) stay in it"
    if binding.meta.tool:
        note += f"; {binding.meta.tool} manages it and may put it back: change it there too"
    return note


def _own_role(desk: Desk, binding: Binding, after: State) -> list[Facet]:
    """The role that Remit made for a binding goes with it, once nobody else is bound to it."""
    if after is not None:
        return []
    namespace, name = binding.role_key
    found = desk.find(binding.role_kind, namespace, name)
    labels = (found or {}).get("metadata", {}).get("labels") or {}
    if found is None or labels.get(MANAGED_BY) != OURS:
        return []
    estate = read_estate(desk.client, desk.settings)
    if estate.bindings_of_role[binding.role_key] > 1:
        return []
    state = state_of(binding.role_kind, found)
    return [Facet(binding.role_kind, namespace, name, state, None, "Remit made it for this binding alone")]


def _cannot_return(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    return f" Remit can't put it back: the connector lacks {'; '.join(missing)}."


def loses_watch(held: Permission, kept: Permission | None) -> bool:
    """Whether watches that are open now would not be allowed afterwards."""
    watching = tuple(
        Statement(PatternSet(("watch",)), each.resources)
        for each in held.statements
        if {"watch", "*"} & set(each.actions.include) and any(r.startswith("api:") for r in each.resources.include)
    )
    return bool(watching) and (kept is None or not includes(kept, Permission(DIALECT, watching)).holds)


# --- locking out ------------------------------------------------------------------------------------------------


def plan_quarantine(desk: Desk, identity: str) -> Plan:
    """Take the account out of every binding that names it, and mark it. Raises NotPossible."""
    desk.refuse_own(identity)
    named = Subject("User", identity).account
    estate = read_estate(desk.client, desk.settings)
    account = estate.account_of.get(identity)
    if named is None or account is None:
        raise NotPossible(
            f"Kubernetes keeps no object for {identity} that could be locked. Revoke what it holds, and end its "
            "sign-in where it signs in."
        )
    if objects.QUARANTINED in account.meta.annotations:
        raise NotPossible(f"{identity} is locked out already.")
    held, facets = _own_bindings(desk, estate, identity)
    facets.append(Facet("ServiceAccount", *named, {"quarantined": False}, {"quarantined": True}, "marks it as locked"))
    desk.require(facets)
    lasting = desk.missing([facet.reversed() for facet in facets])
    return assemble(
        "quarantine",
        identity,
        "",
        facets,
        summary=(
            f"Takes {identity} out of {len(facets) - 1} binding(s) and marks it. It can still sign in, and what its "
            f"groups hold ({', '.join(groups_of(identity))}) stays.{_cannot_return(lasting)}"
        ),
        removes=sample_requests(held, MOST_SAMPLES),
        loses_watch=loses_watch(held, None),
        side_effects=_pods_of(desk, account),
        irreversible=bool(lasting),
    )


def _own_bindings(desk: Desk, estate: Estate, identity: str) -> tuple[Permission, list[Facet]]:
    """Everything that is bound to the account itself, and the changes that take it out."""
    facets: dict[tuple[str, str], Facet] = {}
    statements: dict[Statement, None] = {}
    for holding in estate.holdings():
        if holding.identity != identity or holding.group:
            continue
        binding = holding.binding
        _refuse_reconciled(binding)
        statements |= dict.fromkeys(estate.permission(binding).statements)
        known = facets.get(binding.key)
        found = None if known else desk.find(binding.kind, *binding.key)
        if known is None and found is None:
            raise SourceChanged(f"{binding.title()} is just being changed. Try again.")
        before = known.before if known else state_of(binding.kind, found or {})
        state = known.after if known else before
        after = without_subject(state, holding.subject) if state else None
        facets[binding.key] = Facet(binding.kind, *binding.key, before, after, _note(binding, after))
    return Permission(DIALECT, tuple(statements)), list(facets.values())


def _pods_of(desk: Desk, account: Account) -> list[str]:
    """Who is hit by it, as far as the connector may look."""
    namespace, name = account.key
    if not desk.settings.read_pods:
        return []
    path = path_of("Pod", namespace)
    runs = sum(read_pod(each)[1] == name for each in each_item(desk.client, path))
    return [f"{runs} pod(s) run as {account.username} and lose what they may do at the API server."] if runs else []


def plan_deactivate(desk: Desk, identity: str, credential: str) -> Plan:
    """Delete a secret that holds a token without an end. Raises NotPossible."""
    place, _, name = credential.removeprefix("secret:").partition("/")
    if not credential.startswith("secret:") or not name:
        raise NotPossible(
            f"Tokens issued to {identity} on request can't be listed or ended one by one; each ends by itself."
        )
    facet = Facet("Secret", place, name, {}, None, "cannot be undone: a pod that mounts it can't sign in any more")
    found = facet.fetch(desk.client)
    if found is None:
        raise SourceChanged(f"There is no secret {name} in namespace {place} any more. Read the source again.")
    secret = objects.read_secret(found)
    if secret is None or objects.username(*secret.owner) != identity:
        raise NotPossible(f"The secret {name} of namespace {place} holds no token of {identity}.")
    desk.refuse_own(identity)
    facet = Facet(facet.kind, facet.namespace, facet.name, state_of("Secret", found), None, facet.note)
    desk.require([facet])
    summary = (
        f"Deletes the secret {name} of namespace {place}; the token in it is refused some seconds later, for ever."
    )
    return assemble("deactivate", identity, "", [facet], summary=summary, irreversible=True)


# --- bringing back ----------------------------------------------------------------------------------------------


def plan_restore(desk: Desk, done: Plan) -> Plan:
    """The plan turned around: from what it led to, back to what it started from. Raises NotPossible."""
    if done.irreversible:
        raise NotPossible("This change cannot be undone.")
    facets = [facet.reversed() for facet in reversed(facets_of(done))]
    desk.require(facets)
    return assemble(
        "restore",
        done.identity,
        done.grant_external_id,
        facets,
        summary=f"Brings back what was taken: {done.summary}",
        keeps=[*done.removes, *done.keeps],
    )


def describe_state(facet: Facet, state: State) -> str:
    """How an object differs from what a plan expects, in a few words."""
    if state is None:
        return f"{facet.title()} is not there"
    if facet.after is None:
        return f"{facet.title()} is there"
    if facet.kind in ROLES:
        return f"{facet.title()} has other rules"
    if facet.kind == "ServiceAccount":
        return f"{facet.title()} is {'marked' if state['quarantined'] else 'not marked'} as locked"
    return f"{facet.title()} has other subjects"
