"""Plans: from calls to something that can be shown, checked against the account, carried out and undone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from governance.kernel.permissions import Permission, includes, sample_requests
from identities.connectors.aws import calls
from identities.connectors.aws.account import Policy
from identities.connectors.aws.documents import DENY_ALL, LANGUAGE_VERSION, denies_of, meaning, permission_of, size
from identities.connectors.aws.holdings import Held, Holder, holder_of
from identities.connectors.aws.session import Clients
from identities.connectors.aws.state import Facet, from_json, hash_of, read_state, to_json
from identities.connectors.contract import GrantRef, NotPossible, Plan, SourceChanged, Step

QUARANTINE = "RemitQuarantine"
KEPT = "RemitKeptDenies"
MOST_SAMPLES = 60
# What AWS allows: characters of all inline policies of one holder together, and of one managed policy.
INLINE_LIMIT = {"user": 2_048, "role": 10_240}
MANAGED_LIMIT = 6_144
NO_LIST_OF_SESSIONS = (
    "Temporary keys that were issued with this one before live on until they end, at most 36 hours later: AWS does not "
    "list them. Quarantine would end them at once."
)


@dataclass
class Draft:
    """A plan in the making: calls with notes, and what else must stay as it is while they are made."""

    action: str
    identity: str
    grant: str = ""
    summary: str = ""
    steps: list[Step] = field(default_factory=list)
    watched: list[Facet] = field(default_factory=list)
    side_effects: list[str] = field(default_factory=list)
    removes: Sequence[tuple[str, str]] = ()
    keeps: Sequence[tuple[str, str]] = ()
    irreversible: bool = False

    def add(self, call: calls.Call, note: str = "") -> None:
        self.steps.append(calls.step(call, note))

    def finish(self, iam: Any) -> Plan:
        """Read what the plan starts from, and work out every state that it leads through."""
        changed = [facet for each in self.steps for facet in calls.facets_of(each.call)]
        state = read_state(iam, [*self.watched, *changed])
        before, stages = state, []
        undo: list[calls.Call] = []
        for each in self.steps:
            undo[:0] = calls.inverse(state, each.call)
            state = calls.predict(state, each.call)
            stages.append(hash_of(state))
        return Plan(
            action=self.action,
            identity=self.identity,
            grant_external_id=self.grant,
            steps=tuple(self.steps),
            inverse=tuple(calls.step(call) for call in undo),
            pre_image={"state": to_json(before), "after": to_json(state)},
            pre_hash=hash_of(before),
            post_hash=stages[-1],
            stages=tuple(stages),
            removes=tuple(self.removes),
            keeps=tuple(self.keeps),
            side_effects=tuple(self.side_effects),
            irreversible=self.irreversible,
            summary=self.summary,
        )


def facets_of_plan(plan: Plan) -> list[Facet]:
    return list(from_json(plan.pre_image["state"]))


def plan_revoke(clients: Clients, grant: GrantRef) -> Plan:
    """Take one policy away from one identity, and nothing else from anybody."""
    holder = require_changeable(clients, grant)
    policy, group = require_held(holder, grant), group_of(grant)
    draft = Draft("revoke", grant.identity, grant.external_id, watched=[holder.facet])
    draft.removes = samples(grant.permission)
    keep_denies(draft, holder, policy, group)
    take_away(draft, clients, holder, policy, group=group)
    draft.summary = f"Takes {grant_title(policy, group)} away from {holder.name}."
    return draft.finish(clients.iam)


def plan_quarantine(clients: Clients, identity: str) -> Plan:
    """A deny of everything, which also meets open sessions at their next request, and no active key."""
    holder = holder_of(clients.iam, identity)
    require_not_self(clients, holder)
    require_own(holder)
    draft = Draft("quarantine", identity, watched=[holder.facet])
    draft.summary = f"Locks {holder.name} out: everything is denied, open sessions included, and its keys are inactive."
    require_room(holder, {QUARANTINE: size(DENY_ALL)})
    draft.add(
        calls.put_inline(holder.kind, holder.name, QUARANTINE, DENY_ALL),
        "denies everything; sessions that are open meet it at their next request",
    )
    for sort, credential in holder.active_credentials(clients.iam):
        draft.add(calls.set_status(sort, holder.name, credential, "Inactive"), "kept, and can be made active again")
    draft.removes = [pair for each in holder.policies for pair in samples(each.policy.permission, most=10)][
        :MOST_SAMPLES
    ]
    return draft.finish(clients.iam)


def plan_deactivate(clients: Clients, identity: str, credential: str) -> Plan:
    """End one credential. Deleting it is another decision, after some time without complaints."""
    holder = holder_of(clients.iam, identity)
    if holder.kind != "user":
        raise NotPossible("A role has no credential of its own; its trust policy says who may become it.")
    require_not_self(clients, holder)
    draft = Draft("deactivate", identity, watched=[holder.facet])
    local = credential.rpartition("|")[2]
    if local == "password":
        draft.add(calls.delete_login(holder.name), "AWS cannot switch a password off; a new one can be set later")
        draft.irreversible = True
        draft.summary = f"Deletes the console password of {holder.name}."
        return draft.finish(clients.iam)
    sort = next((each for each in ("key", "ssh", "cert") if _has(clients.iam, each, holder.name, local)), None)
    if sort is None:
        raise NotPossible(f"{holder.name} has no such credential any more, or Remit cannot change credentials like it.")
    draft.add(calls.set_status(sort, holder.name, local, "Inactive"), "kept, and can be made active again")
    draft.summary = f"Makes {local} of {holder.name} inactive."
    if sort == "key":
        draft.side_effects.append(NO_LIST_OF_SESSIONS)
    return draft.finish(clients.iam)


def plan_restore(clients: Clients, done: Plan) -> Plan:
    """The plan turned around: from what it led to, back to what it started from."""
    if done.irreversible:
        raise NotPossible("This change cannot be undone.")
    draft = Draft(
        "restore", done.identity, done.grant_external_id, summary=f"Brings back what was taken: {done.summary}"
    )
    draft.steps = list(done.inverse)
    draft.keeps = (*done.removes, *done.keeps)
    touched = {facet for each in done.steps for facet in calls.facets_of(each.call)}
    # What was only watched may have moved on since; what was changed must be as the plan left it.
    draft.watched = [facet for facet in facets_of_plan(done) if facet in touched or facet[0] in ("user", "role")]
    plan = draft.finish(clients.iam)
    after = {facet: value for facet, value in from_json(done.pre_image["after"]).items() if facet in draft.watched}
    if plan.pre_hash != hash_of(after):
        raise SourceChanged("Somebody has changed the same since then, so it cannot be brought back as it was.")
    return plan


def take_away(draft: Draft, clients: Clients, holder: Holder, policy: Policy, *, group: str) -> None:
    """The calls that end one holding: directly, or by leaving the group with everything else that it gives."""
    if not group:
        end = calls.delete_inline if policy.is_inline else calls.detach
        draft.add(end(holder.kind, holder.name, policy.name))
        return
    others = [each.policy for each in holder.through(group) if each.policy != policy]
    direct = {each.policy.name for each in holder.policies if not each.group and not each.policy.is_inline}
    room = holder.free_attachments
    for other in others:
        if other.is_inline:
            if other.document is None:
                raise NotPossible(
                    f"The inline policy {other.label} of group {group} cannot be read, so it is not copied."
                )
            place_copy(draft, clients, holder, other.document, f"Remit-{group}-{other.name}")
        elif other.name not in direct:
            room -= 1
            draft.add(calls.attach("user", holder.name, other.name), f"held through group {group} until now")
    if room < 0:
        raise NotPossible(
            f"{holder.name} would have to leave group {group}, and has no room for what else the group gives: AWS "
            f"allows {holder.most_attachments} attached policies."
        )
    draft.watched += [("group", group), *(_facet_in_group(group, each) for each in holder.through_policies(group))]
    draft.add(calls.leave_group(holder.name, group), "the policy comes from the group; its other members keep it")
    kept = ", ".join(each.label for each in others)
    draft.side_effects.append(
        f"{holder.name} leaves group {group}"
        + (f" and holds {kept} directly instead" if others else "")
        + "; what the group is given later no longer reaches it."
    )


def place_copy(draft: Draft, clients: Clients, holder: Holder, document: Any, name: str) -> str:
    """Give the holder its own policy, inline where there is room, else managed. Returns its name or ARN."""
    name = free_name(holder, name, document)
    used = sum(size(each.policy.document or {}) for each in holder.own_inline)
    planned = sum(
        size(each.call["parameters"][calls.DOCUMENT])
        for each in draft.steps
        if each.call["operation"] == f"put_{holder.kind}_policy"
    )
    if used + planned + size(document) <= INLINE_LIMIT[holder.kind]:
        draft.add(calls.put_inline(holder.kind, holder.name, name, document))
        return name
    return place_managed(draft, clients, holder, document, name)


def free_name(holder: Holder, name: str, document: Any) -> str:
    """A name for an inline policy under which the holder has nothing else: putting one overwrites in silence."""
    taken = {each.policy.name: each.policy.document for each in holder.own_inline}
    name = name[:110]
    if name not in taken or meaning(taken[name]) == meaning(document):
        return name
    return f"{name}-{sha256(meaning(document).encode()).hexdigest()[:10]}"


def place_managed(draft: Draft, clients: Clients, holder: Holder, document: Any, name: str) -> str:
    """Create a managed policy and attach it. Returns its ARN."""
    if size(document) > MANAGED_LIMIT:
        raise NotPossible(f"The policy would have {size(document):,} characters, and AWS allows {MANAGED_LIMIT:,}.")
    attached = sum(each.call["operation"].startswith("attach_") for each in draft.steps)
    if holder.free_attachments - attached < 1:
        raise NotPossible(
            f"{holder.name} has no room for another attached policy: AWS allows {holder.most_attachments}."
        )
    arn = f"arn:{holder.partition}:iam::{holder.account}:policy/{name}"
    there = read_state(clients.iam, [("policy", arn)])["policy", arn]
    if there is None:
        draft.add(calls.create_policy(arn, document))
    elif meaning(there["versions"][there["default"]]) != meaning(document):
        raise NotPossible(f"There is a policy {name} already, and it says something else.")
    draft.add(calls.attach(holder.kind, holder.name, arn))
    return arn


def keep_denies(draft: Draft, holder: Holder, policy: Policy, group: str) -> None:
    """Where taking the policy away would also end a deny that keeps something else shut, keep that deny."""
    denies = denies_of(policy.document or {})
    if not denies:
        return
    rest = [each.policy.permission for each in holder.policies if each != Held(policy, group)]
    before = _together([policy.permission, *rest])
    if includes(before, _together(rest)).holds:
        return
    document = {"Version": (policy.document or {}).get("Version", LANGUAGE_VERSION), "Statement": denies}
    name = free_name(holder, f"{KEPT}-{policy.label}", document)
    require_room(holder, {name: size(document)})
    draft.add(
        calls.put_inline(holder.kind, holder.name, name, document),
        "what this policy denies stays denied; without that, other policies would give more than before",
    )


def _together(permissions: Iterable[Permission]) -> Permission:
    return Permission("aws", tuple(dict.fromkeys(each for one in permissions for each in one.statements)))


def require_room(holder: Holder, added: dict[str, int]) -> None:
    used = sum(size(each.policy.document or {}) for each in holder.own_inline if each.policy.name not in added)
    if used + sum(added.values()) > INLINE_LIMIT[holder.kind]:
        raise NotPossible(
            f"The inline policies of {holder.name} would have {used + sum(added.values()):,} characters together, and "
            f"AWS allows {INLINE_LIMIT[holder.kind]:,}."
        )


def require_changeable(clients: Clients, grant: GrantRef) -> Holder:
    """Raises NotPossible for what only the provider can change, for the connector itself, and for what is gone."""
    if grant.native_ref.get("provider_only"):
        raise NotPossible("AWS manages this access itself; it ends where the service or the single sign-on grants it.")
    holder = holder_of(clients.iam, grant.identity)
    require_not_self(clients, holder)
    require_own(holder)
    wanted = grant.native_ref.get("holder", {}).get("unique_id")
    if wanted and wanted != holder.unique_id:
        raise SourceChanged(f"{holder.name} was deleted and made anew since it was last read.")
    return holder


def require_own(holder: Holder) -> None:
    if holder.is_provider_managed:
        raise NotPossible("This role belongs to AWS or its single sign-on, and only they can change it.")


def require_not_self(clients: Clients, holder: Holder) -> None:
    own = clients.caller.get("Arn", "")
    is_role = ":assumed-role/" in own and own.split("/")[1] == holder.name and holder.kind == "role"
    if own == holder.arn or is_role:
        raise NotPossible("This is what Remit itself signs in as; it cannot take its own access away.")


def require_held(holder: Holder, grant: GrantRef) -> Policy:
    """The policy of this grant as it is now. Raises SourceChanged when it is gone or says something else."""
    found = holder.find(grant.native_ref, group_of(grant))
    if found is None:
        raise SourceChanged(f"{holder.name} no longer holds this policy. Read the source again.")
    shown = Permission("aws", (*found.permission.statements, *holder.ceiling))
    if shown.digest() != grant.permission.digest():
        raise SourceChanged("The policy has changed since it was last read. Read the source again, then decide anew.")
    return found


def without_ceiling(permission: Permission, holder: Holder) -> Permission:
    """What the policy itself says, of a permission that is shown under a permissions boundary."""
    ceiling = set(holder.ceiling)
    return Permission("aws", tuple(each for each in permission.statements if each not in ceiling))


def group_of(grant: GrantRef) -> str:
    return str((grant.native_ref.get("group") or {}).get("name", ""))


def grant_title(policy: Policy, group: str) -> str:
    kind = "the inline policy" if policy.is_inline else "the policy"
    return f"{kind} {policy.label}{f' (through group {group})' if group else ''}"


def samples(permission: Permission, most: int = MOST_SAMPLES) -> list[tuple[str, str]]:
    return sample_requests(permission, most)


def whole(document: Any) -> Permission:
    """Raises NotPossible where a document cannot be understood: nothing could be proved about it."""
    try:
        return permission_of(document)
    except ValueError as error:
        raise NotPossible("The policy document cannot be understood, so nothing can be proved about it.") from error


def _facet_in_group(group: str, policy: Policy) -> Facet:
    return ("inline" if policy.is_inline else "attached", "group", group, policy.name)


def _has(iam: Any, sort: str, user: str, credential: str) -> bool:
    facet = (sort, user, credential)
    return read_state(iam, [facet])[facet] is not None
