"""Everything that one identity holds right now, asked for itself: what plans are made of and verification looks at."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from governance.kernel.permissions import Statement
from identities.connectors.aws.account import Policy, is_provider_managed
from identities.connectors.aws.documents import ceiling_of, decode
from identities.connectors.aws.session import Gone, NotImplementedThere, optional, plain_errors
from identities.connectors.aws.state import Facet
from identities.connectors.contract import NotPossible

MOST_ATTACHED = 10


@dataclass(frozen=True, slots=True)
class Held:
    """group: the group that it comes through, or empty."""

    policy: Policy
    group: str = ""


@dataclass(frozen=True)
class Holder:
    """A user or role with all its policies. kind: user or role."""

    kind: str
    name: str
    arn: str
    unique_id: str
    path: str
    policies: tuple[Held, ...]
    boundary: Policy | None
    most_attachments: int

    @property
    def facet(self) -> Facet:
        return (self.kind, self.name)

    @property
    def partition(self) -> str:
        return self.arn.split(":")[1]

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]

    @property
    def is_provider_managed(self) -> bool:
        return self.kind == "role" and is_provider_managed({"Path": self.path, "RoleName": self.name})

    @property
    def own_inline(self) -> list[Held]:
        return [each for each in self.policies if each.policy.is_inline and not each.group]

    @property
    def free_attachments(self) -> int:
        attached = sum(not each.policy.is_inline and not each.group for each in self.policies)
        return self.most_attachments - attached

    @cached_property
    def ceiling(self) -> tuple[Statement, ...]:
        """The permissions boundary as denying statements, as the inventory shows it."""
        if self.boundary is None or not self.boundary.is_readable or self.boundary.document is None:
            return ()
        return ceiling_of(self.boundary.document)

    def through(self, group: str) -> list[Held]:
        return [each for each in self.policies if each.group == group]

    def through_policies(self, group: str) -> list[Policy]:
        return [each.policy for each in self.through(group)]

    def find(self, native_ref: Mapping[str, Any], group: str) -> Policy | None:
        """The policy that a grant's native reference names."""
        for each in self.policies:
            policy = each.policy
            is_kind = policy.is_inline == (native_ref.get("kind") == "inline")
            if is_kind and policy.name == native_ref.get("policy") and each.group == group:
                return policy
        return None

    def active_credentials(self, iam: Any) -> list[tuple[str, str]]:
        """(sort, id) of what a user could still sign in with, beside the console password."""
        if self.kind != "user":
            return []
        with plain_errors("iam:ListAccessKeys"):
            pages = iam.get_paginator("list_access_keys").paginate(UserName=self.name)
            return [
                ("key", key["AccessKeyId"])
                for page in pages
                for key in page["AccessKeyMetadata"]
                if key["Status"] == "Active"
            ]


def holder_of(iam: Any, arn: str) -> Holder:
    """Raises NotPossible when there is no such user or role (any more)."""
    kind, name = _named(arn)
    try:
        with plain_errors(f"iam:Get{kind.capitalize()}"):
            found = getattr(iam, f"get_{kind}")(**{f"{kind.capitalize()}Name": name})[kind.capitalize()]
    except Gone as error:
        raise NotPossible(f"AWS has no {kind} {name!r} any more.") from error
    policies = [Held(each) for each in _own(iam, kind, name)]
    if kind == "user":
        with plain_errors("iam:ListGroupsForUser"):
            pages = iam.get_paginator("list_groups_for_user").paginate(UserName=name)
            groups = [each["GroupName"] for page in pages for each in page["Groups"]]
        policies += [Held(each, group) for group in groups for each in _own(iam, "group", group)]
    boundary = (found.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
    return Holder(
        kind=kind,
        name=name,
        arn=str(found["Arn"]),
        unique_id=str(found[f"{kind.capitalize()}Id"]),
        path=str(found.get("Path", "/")),
        policies=tuple(policies),
        boundary=_managed(iam, boundary.rpartition("/")[2], boundary) if boundary else None,
        most_attachments=_most_attachments(iam, kind),
    )


def _named(arn: str) -> tuple[str, str]:
    kind, _, rest = arn.split(":", 5)[-1].partition("/")
    if kind not in ("user", "role") or not rest:
        raise NotPossible("Only users and roles can be changed; the root account cannot.")
    return kind, rest.rpartition("/")[2]


def _own(iam: Any, kind: str, name: str) -> list[Policy]:
    holder = {f"{kind.capitalize()}Name": name}
    found = []
    with plain_errors(f"iam:List{kind.capitalize()}Policies"):
        for page in iam.get_paginator(f"list_{kind}_policies").paginate(**holder):
            for policy in page["PolicyNames"]:
                document = getattr(iam, f"get_{kind}_policy")(**holder, PolicyName=policy)["PolicyDocument"]
                found.append(Policy(policy, policy, True, decode(document)))
        attached = [
            each
            for page in iam.get_paginator(f"list_attached_{kind}_policies").paginate(**holder)
            for each in page["AttachedPolicies"]
        ]
    return found + [_managed(iam, each["PolicyName"], each["PolicyArn"]) for each in attached]


def _managed(iam: Any, label: str, arn: str) -> Policy:
    with plain_errors("iam:GetPolicyVersion"):
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
    return Policy(label, arn, False, decode(found["Document"]), version)


def _most_attachments(iam: Any, kind: str) -> int:
    """The account's own quota, which may have been raised."""
    try:
        summary = optional("iam:GetAccountSummary", iam.get_account_summary)["SummaryMap"]
    except NotImplementedThere:
        return MOST_ATTACHED
    return int(summary.get(f"AttachedPoliciesPer{kind.capitalize()}Quota", MOST_ATTACHED))
