"""From a wide policy to a narrow one for one identity; whoever else holds the wide one keeps it."""

from hashlib import sha256
from typing import Any

from governance.kernel.permissions import Answer, Permission, difference_samples, includes, matches
from identities.connectors.aws import calls
from identities.connectors.aws.account import Policy
from identities.connectors.aws.documents import LANGUAGE_VERSION, denies_of, meaning, size, write
from identities.connectors.aws.holdings import Holder
from identities.connectors.aws.plans import (
    MANAGED_LIMIT,
    MOST_SAMPLES,
    Draft,
    grant_title,
    group_of,
    place_copy,
    place_managed,
    require_changeable,
    require_held,
    require_room,
    samples,
    take_away,
    whole,
    without_ceiling,
)
from identities.connectors.aws.session import Clients, plain_errors
from identities.connectors.aws.state import read_state
from identities.connectors.contract import GrantRef, NotPossible, Plan

MOST_VERSIONS = 5


def plan_narrow(clients: Clients, grant: GrantRef, target: Permission) -> Plan:
    """Leave only `target` of one policy. Raises NotPossible where it cannot be proved, written or placed."""
    holder = require_changeable(clients, grant)
    policy, group = require_held(holder, grant), group_of(grant)
    document = narrow_document(holder, grant, policy, target)
    draft = Draft("narrow", grant.identity, grant.external_id, watched=[holder.facet])
    draft.removes = [
        pair
        for pair in dict.fromkeys(
            (each.action, each.resource) for each in difference_samples(grant.permission, target, MOST_SAMPLES)
        )
        if matches(target, *pair) is Answer.NO
    ]
    draft.keeps = samples(target)
    draft.summary = f"Narrows {grant_title(policy, group)} of {holder.name}."
    if group:
        place_copy(draft, clients, holder, document, own_name(holder, policy, document))
        take_away(draft, clients, holder, policy, group=group)
    elif policy.is_inline:
        require_room(holder, {policy.name: size(document)})
        note = "overwrites the policy of this name"
        draft.add(calls.put_inline(holder.kind, holder.name, policy.name, document), note)
    elif _is_own(clients.iam, holder, policy):
        _new_version(draft, clients.iam, policy, document)
    else:
        _own_copy(draft, clients, holder, policy, document)
    return draft.finish(clients.iam)


def narrow_document(holder: Holder, grant: GrantRef, policy: Policy, target: Permission) -> dict[str, Any]:
    """The document of what shall remain, with every deny that the policy has, proved to lie inside it."""
    held = whole(policy.document)
    proof = includes(grant.permission, target)
    if not proof.holds:
        raise NotPossible(f"What shall remain is not proved to lie inside what is held. {proof.explain()}")
    version = str((policy.document or {}).get("Version", LANGUAGE_VERSION))
    for wanted in (without_ceiling(target, holder), target):
        document = write(wanted, version=version, denies=denies_of(policy.document or {}))
        inside = includes(held, whole(document))
        if inside.holds:
            break
    else:
        raise NotPossible(f"The policy to be written is not proved to lie inside the present one. {inside.explain()}")
    if meaning(document) == meaning(policy.document):
        raise NotPossible("The policy says exactly this already; there is nothing to narrow.")
    return document


def own_name(holder: Holder, policy: Policy, document: dict[str, Any]) -> str:
    """A name that says where the policy comes from, and differs for every holder and content."""
    digest = sha256(f"{holder.unique_id}|{meaning(document)}".encode()).hexdigest()[:10]
    return f"Remit-{policy.label[:60]}-{holder.name[:40]}-{digest}"


def _is_own(iam: Any, holder: Holder, policy: Policy) -> bool:
    """Whether nobody else holds this customer's policy, and it is nobody's boundary."""
    if policy.name.startswith(f"arn:{holder.partition}:iam::aws:"):
        return False
    with plain_errors("iam:GetPolicy"):
        found = iam.get_policy(PolicyArn=policy.name)["Policy"]
    holders = read_state(iam, [("holders", policy.name)])["holders", policy.name]
    return holders == [f"{holder.kind}/{holder.name}"] and not found.get("PermissionsBoundaryUsageCount")


def _new_version(draft: Draft, iam: Any, policy: Policy, document: dict[str, Any]) -> None:
    if size(document) > MANAGED_LIMIT:
        raise NotPossible(f"The policy would have {size(document):,} characters, and AWS allows {MANAGED_LIMIT:,}.")
    # Should somebody else get the policy before the plan runs, the plan stops instead of narrowing it for them too.
    draft.watched.append(("holders", policy.name))
    held = read_state(iam, [("policy", policy.name)])["policy", policy.name]
    if len(held["versions"]) >= MOST_VERSIONS:
        oldest = min((each for each in held["versions"] if each != held["default"]), key=_number)
        draft.add(
            calls.delete_version(policy.name, oldest, held["versions"][oldest]),
            f"AWS keeps {MOST_VERSIONS} versions; {oldest} is gone for good, its document stays in this plan",
        )
        draft.side_effects.append(
            f"Version {oldest} of {policy.label}, which is not in force, is deleted to make room. Restoring brings its "
            "document back under another number."
        )
    draft.add(calls.create_version(policy.name, document, default=True), "only this identity holds the policy")


def _number(version: str) -> int:
    return int(version[1:]) if version[1:].isdecimal() else 0


def _own_copy(draft: Draft, clients: Clients, holder: Holder, policy: Policy, document: dict[str, Any]) -> None:
    name = own_name(holder, policy, document)
    if holder.free_attachments > 0 and size(document) <= MANAGED_LIMIT:
        place_managed(draft, clients, holder, document, name)
    else:
        require_room(holder, {name: size(document)})
        draft.add(calls.put_inline(holder.kind, holder.name, name, document), "no room for another attached policy")
    draft.add(
        calls.detach(holder.kind, holder.name, policy.name),
        "the policy itself stays as it is for everybody else who holds it",
    )
