"""From an account to inventory records. Pure: the same for the live API and for a file that its command line wrote."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from governance.kernel.permissions import Permission
from identities.connectors.aws.account import Account, Entity, Holding, is_provider_managed
from identities.connectors.aws.documents import ceiling_of, ends_at, meaning
from identities.connectors.aws.trust import trust_of
from identities.connectors.contract import Record

LONGEST_ID = 1_000
_SECRET = re.compile(
    r"://[^/\s:@]*:[^\s@]+@|PRIVATE KEY-|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\b(?:password|passwd|pwd|secret|token|api.?key)\s*[:=]\s*\S",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(r"password|passwd|secret|token|api.?key|private.?key", re.IGNORECASE)
_ENVIRONMENTS = {
    "prod": "production", "production": "production", "live": "production", "stage": "staging", "staging": "staging",
    "test": "development", "dev": "development", "development": "development",
}  # fmt: skip
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,188}\.[^@\s.]{1,63}")


@dataclass
class Facts:
    """What is known beside the authorization details, by ARN of the user or role.

    credentials: credential records without `type` and `identity`. last_used_at: of the identity. attributes: more of
    them. counts: what was left out, and why.
    """

    credentials: dict[str, list[Record]] = field(default_factory=dict)
    last_used_at: dict[str, datetime] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def note_use(self, arn: str, when: datetime | None) -> None:
        if when is not None and when > self.last_used_at.get(arn, datetime.min.replace(tzinfo=UTC)):
            self.last_used_at[arn] = when


def records(account: Account, facts: Facts) -> Iterator[Record]:
    """Identities, credentials, trust relations and grants; without the `end` record. Raises MalformedDetails."""
    holders = account.holders()
    for what, entities in (("User", account.users), ("Role", account.roles)):
        for arn, entity in entities.items():
            holdings = account.holdings(entity, what)
            yield _identity(account, entity, what, holdings, facts)
            for credential in facts.credentials.get(arn, ()):
                yield {"type": "credential", "identity": arn, **in_order(credential, facts.counts)}
            if what == "Role":
                yield from trust_of(arn, entity.get("AssumeRolePolicyDocument"), facts.counts)
            yield from _grants(account, entity, what, holdings, holders, facts.counts)


def moment(value: Any) -> datetime | None:
    """A time as AWS's tools write it, or None where there is none ("N/A", "no_information" …)."""
    if isinstance(value, datetime):
        found = value
    else:
        try:
            found = datetime.fromisoformat(str(value).strip().replace("Z", "+00:00"))
        except ValueError:
            return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found.astimezone(UTC) if found.year >= 1970 else None


def text_of(when: datetime | None) -> str | None:
    return when.isoformat() if when else None


def grant_id(identity: str, holding: Holding) -> str:
    """The same in every reading; a digest stands for what would be too long."""
    policy = holding.policy
    through = f"group|{holding.group['Arn']}|" if holding.group else ""
    found = f"{identity}|{through}{'inline' if policy.is_inline else 'managed'}|{policy.name}"
    return found if len(found) <= LONGEST_ID else f"{identity[:800]}|{sha256(found.encode()).hexdigest()}"


def is_locked_out(permissions: list[Permission]) -> bool:
    """Whether a deny without conditions takes everything away."""
    denies = [each for permission in permissions for each in permission.statements if each.effect == "deny"]
    return any(
        "*" in each.actions.include
        and "*" in each.resources.include
        and not (each.actions.exclude or each.resources.exclude or each.conditions or each.until)
        for each in denies
    )


def _identity(account: Account, entity: Entity, what: str, holdings: list[Holding], facts: Facts) -> Record:
    arn = str(entity["Arn"])
    is_role = what == "Role"
    tags = _tags(entity, facts.counts)
    named = {key.lower(): value for key, value in tags}
    created = moment(entity.get("CreateDate"))
    used = facts.last_used_at.get(arn)
    role_used = moment((entity.get("RoleLastUsed") or {}).get("LastUsedDate"))
    used = max((each for each in (used, role_used) if each), default=None)
    if used and created and used < created:
        facts.counts["last uses that lie before the creation"] += 1
        used = None
    attributes: dict[str, Any] = {
        "unique_id": str(entity.get(f"{what}Id", "")),
        "path": str(entity.get("Path", "/")),
        **facts.attributes.get(arn, {}),
    }
    if is_role:
        profiles = [str(each.get("InstanceProfileName", "")) for each in entity.get("InstanceProfileList") or []]
        attributes |= {"instance_profiles": profiles} if profiles else {}
    else:
        attributes["groups"] = sorted(map(str, entity.get("GroupList") or []))
    boundary = account.boundary_of(entity)
    if boundary is not None:
        attributes["permissions_boundary"] = boundary.name
    own = [holding.policy.permission for holding in holdings]
    owner = named.get("owner", "")
    purpose = named.get("purpose") or named.get("description") or _plain(entity.get("Description"), facts.counts)
    return {
        "type": "identity",
        "id": arn,
        "kind": "workload" if is_role else "service_account",
        "name": str(entity.get(f"{what}Name") or arn.rpartition("/")[2]),
        "status": "disabled" if is_locked_out(own) else "active",
        "environment": _ENVIRONMENTS.get((named.get("environment") or named.get("env") or "").lower()),
        "purpose": purpose,
        "owner": owner.lower() if _EMAIL.fullmatch(owner) else "",
        "custody": _custody(entity, is_role),
        "tags": [f"{key}={value}"[:60] for key, value in tags][:50],
        "created_at": text_of(created),
        "last_used_at": text_of(used),
        "attributes": attributes,
    }


def _custody(entity: Entity, is_role: bool) -> str:
    if not is_role:
        return "self_held"
    return "platform_managed" if is_provider_managed(entity) else "assumable"


def _tags(entity: Entity, counts: Counter[str]) -> list[tuple[str, str]]:
    found = []
    for tag in entity.get("Tags") or []:
        key, value = str(tag.get("Key", "")), str(tag.get("Value", ""))
        if _SECRET_NAME.search(key) or _SECRET.search(value):
            counts["tags that look as if they held a secret"] += 1
        elif key.isprintable() and value.isprintable() and key.strip():
            found.append((key, value))
    return found


def _plain(text: Any, counts: Counter[str]) -> str:
    if not isinstance(text, str):
        return ""
    if _SECRET.search(text):
        counts["descriptions that look as if they held a secret"] += 1
        return ""
    return text


def in_order(credential: Record, counts: Counter[str]) -> Record:
    """Without times that contradict the creation: one that is wrong must not hide the credential."""
    created = moment(credential.get("created_at")) if credential.get("created_at") else None
    found = dict(credential)
    for name in ("last_used_at", "last_rotated_at"):
        when = moment(found[name]) if found.get(name) else None
        if when and created and when < created:
            counts["last uses that lie before the creation"] += 1
            found[name] = None
    return found


def _grants(
    account: Account,
    entity: Entity,
    what: str,
    holdings: list[Holding],
    holders: Mapping[tuple[str, str], set[str]],
    counts: Counter[str],
) -> Iterator[Record]:
    arn = str(entity["Arn"])
    boundary = account.boundary_of(entity)
    ceiling = _ceiling(boundary, counts)
    provider = what == "Role" and is_provider_managed(entity)
    for holding in holdings:
        policy, group = holding.policy, holding.group
        if not policy.is_readable:
            counts["policies without a readable document"] += 1
        permission = policy.permission
        whole = Permission("aws", tuple(dict.fromkeys((*permission.statements, *ceiling))))
        shared = holders.get((str(group["Arn"]), policy.name) if group else ("", policy.name), set()) - {arn}
        yield {
            "type": "grant",
            "id": grant_id(arn, holding),
            "identity": arn,
            "label": f"{policy.label} through group {group['GroupName']}" if group else policy.label,
            "permission": whole.to_json(),
            "path": _path(holding),
            "revocability": "provider_only" if provider else "via_group" if group else "here",
            "shared_with": 0 if policy.is_inline and not group else len(shared),
            "native_ref": {
                "kind": "inline" if policy.is_inline else "managed",
                "policy": policy.name,
                "version": policy.version,
                "meaning": sha256(meaning(policy.document).encode()).hexdigest() if policy.document else "",
                "holder": {
                    "kind": what.lower(),
                    "name": str(entity.get(f"{what}Name", "")),
                    "unique_id": str(entity.get(f"{what}Id", "")),
                },
                "group": {"name": str(group["GroupName"]), "unique_id": str(group.get("GroupId", ""))}
                if group
                else None,
                "provider_only": provider,
            },
            "valid_until": text_of(ends_at(permission)),
        }


def _ceiling(boundary: Any, counts: Counter[str]) -> tuple[Any, ...]:
    if boundary is None:
        return ()
    if not boundary.is_readable:
        counts["permissions boundaries without a readable document"] += 1
        return ()
    return ceiling_of(boundary.document)


def _path(holding: Holding) -> list[dict[str, str]]:
    policy, group = holding.policy, holding.group
    steps = []
    if group:
        steps.append({"kind": "group", "id": str(group["Arn"])[:1_024], "label": str(group["GroupName"])})
    if not policy.is_inline:
        steps.append({"kind": "policy", "id": policy.name, "label": policy.label})
    elif group:
        steps.append({"kind": "inline_policy", "label": policy.label})
    return steps
