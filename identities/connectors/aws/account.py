"""One account as `get-account-authorization-details` shows it: checked and joined from its pages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from governance.kernel.permissions import Permission
from identities.connectors.aws.documents import Document, decode, permission_of, unreadable

Entity = Mapping[str, Any]
LISTS = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
PROVIDER_PATH = "/aws-service-role/"
SINGLE_SIGN_ON = "AWSReservedSSO_"


class MalformedDetails(ValueError):
    """Something that must be there is not, or is of another kind; the message says where."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy on one holder. name: of an inline policy, else the ARN. document: None where it is not known."""

    label: str
    name: str
    is_inline: bool
    document: Document | None
    version: str = ""

    @property
    def permission(self) -> Permission:
        """What it gives; where it cannot be read, a permission about which nothing is certain."""
        if self.document is None:
            return unreadable(self.name)
        try:
            return permission_of(self.document)
        except ValueError:
            return unreadable(self.name)

    @property
    def is_readable(self) -> bool:
        if self.document is None:
            return False
        try:
            permission_of(self.document)
        except ValueError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Holding:
    """A policy as an identity holds it: directly, or through a group."""

    policy: Policy
    group: Entity | None = None


@dataclass
class Account:
    """Users, groups and roles by ARN (groups by name too), managed policies by ARN."""

    users: dict[str, Entity] = field(default_factory=dict)
    groups: dict[str, Entity] = field(default_factory=dict)
    roles: dict[str, Entity] = field(default_factory=dict)
    policies: dict[str, Entity] = field(default_factory=dict)
    repeated: int = 0

    def add_page(self, page: Mapping[str, Any]) -> None:
        """Raises MalformedDetails."""
        for name, place in zip(LISTS, (self.users, self.groups, self.roles, self.policies), strict=True):
            for index, entity in enumerate(_listed(page, name, name)):
                arn = entity.get("Arn")
                if not isinstance(arn, str) or not arn:
                    raise MalformedDetails(f"{name}[{index}] has no Arn")
                self.repeated += arn in place
                place[arn] = entity

    @cached_property
    def groups_by_name(self) -> dict[str, Entity]:
        return {str(group.get("GroupName")): group for group in self.groups.values()}

    def holdings(self, entity: Entity, what: str) -> list[Holding]:
        """Every policy that a user or role holds. what: "User" or "Role". Raises MalformedDetails."""
        found = [Holding(policy) for policy in self._own(entity, what)]
        for name in entity.get("GroupList") or []:
            group = self.groups_by_name.get(name)
            if group is None:
                missing = {"GroupName": name, "Arn": name, "GroupId": ""}
                found.append(Holding(Policy(f"whatever group {name} gives", "*", False, None), missing))
                continue
            found += [Holding(policy, group) for policy in self._own(group, "Group")]
        return found

    def boundary_of(self, entity: Entity) -> Policy | None:
        """The permissions boundary: what it does not allow, nothing else can give."""
        arn = (entity.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
        return self._managed(str(arn).rpartition("/")[2], str(arn)) if arn else None

    def holders(self) -> dict[tuple[str, str], set[str]]:
        """Who holds what: identities by (group ARN or "", managed policy's ARN or inline policy's name)."""
        found: dict[tuple[str, str], set[str]] = {}
        for what, entities in (("User", self.users), ("Role", self.roles)):
            for arn, entity in entities.items():
                for holding in self.holdings(entity, what):
                    group = str(holding.group["Arn"]) if holding.group else ""
                    if not holding.policy.is_inline:
                        found.setdefault(("", holding.policy.name), set()).add(arn)
                    if group:
                        found.setdefault((group, holding.policy.name), set()).add(arn)
        return found

    def _own(self, entity: Entity, what: str) -> Iterable[Policy]:
        where = f"{what} {entity.get('Arn')}"
        for inline in _listed(entity, f"{what}PolicyList", where):
            name = _text(inline, "PolicyName", where)
            yield Policy(name, name, True, _decoded(inline.get("PolicyDocument")))
        for attached in _listed(entity, "AttachedManagedPolicies", where):
            arn = _text(attached, "PolicyArn", where)
            yield self._managed(str(attached.get("PolicyName") or arn.rpartition("/")[2]), arn)

    def _managed(self, label: str, arn: str) -> Policy:
        policy = self.policies.get(arn, {})
        for version in _listed(policy, "PolicyVersionList", f"Policy {arn}"):
            if version.get("IsDefaultVersion") is True:
                return Policy(label, arn, False, _decoded(version.get("Document")), str(version.get("VersionId", "")))
        return Policy(label, arn, False, None)


def is_provider_managed(role: Entity) -> bool:
    """Roles that AWS or its single sign-on owns: nobody else can change what they may do."""
    return str(role.get("Path", "")).startswith(PROVIDER_PATH) or str(role.get("RoleName", "")).startswith(
        SINGLE_SIGN_ON
    )


def _listed(holder: Mapping[str, Any], name: str, where: str) -> list[Entity]:
    listed = holder.get(name)
    if listed is None:
        return []
    if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
        raise MalformedDetails(f"{name} of {where} is no list of objects")
    return listed


def _text(entity: Entity, name: str, where: str) -> str:
    value = entity.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedDetails(f"{where}: a policy has no {name}")
    return value


def _decoded(document: Any) -> Document | None:
    try:
        return decode(document)
    except ValueError:
        return None
