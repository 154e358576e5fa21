"""The part of an account that a plan touches: facets, read from AWS, and compared by what they mean.

A facet is named by a tuple of texts. Its value is JSON; `None` where there is no such thing:

    ("user" | "role" | "group", name)                  its unique id, which a re-created one does not have
    ("inline", holder kind, holder, policy name)       the document
    ("attached", holder kind, holder, policy ARN)      whether it is attached
    ("member", user, group)                            whether the user is in the group
    ("policy", ARN)                                    {"default": version id, "versions": {version id: document}}
    ("holders", ARN)                                   who else holds the policy, sorted: ["role/x", "user/y"]
    ("key" | "ssh" | "cert", user, id)                 "Active" or "Inactive"
    ("login", user)                                    whether there is a console password
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from identities.connectors.aws.documents import decode, meaning
from identities.connectors.aws.session import Gone, plain_errors
from identities.connectors.contract import image_hash

Facet = tuple[str, ...]
State = dict[Facet, Any]
NEW = "new"
"""Stands for the id of a policy version that AWS has not numbered yet."""


def read_state(iam: Any, facets: Iterable[Facet]) -> State:
    """Raises SourceUnreachable, ReadIncomplete."""
    return {facet: _read(iam, facet) for facet in dict.fromkeys(facets)}


def hash_of(state: Mapping[Facet, Any]) -> str:
    """The same for states that mean the same: documents by meaning, policy versions without their numbers."""
    return image_hash(sorted(["\n".join(facet), _meaning(facet, value)] for facet, value in state.items()))


def to_json(state: Mapping[Facet, Any]) -> list[list[Any]]:
    return [[list(facet), value] for facet, value in state.items()]


def from_json(written: Iterable[Any]) -> State:
    return {tuple(facet): value for facet, value in written}


def _meaning(facet: Facet, value: Any) -> Any:
    if value is None:
        return None
    if facet[0] == "inline":
        return meaning(value)
    if facet[0] == "policy":
        versions = value["versions"]
        return [meaning(versions[value["default"]]), sorted(meaning(each) for each in versions.values())]
    return value


def _read(iam: Any, facet: Facet) -> Any:
    try:
        with plain_errors(f"a look at the {facet[0]} {facet[1]}"):
            return _READERS[facet[0]](iam, *facet[1:])
    except Gone:
        return False if facet[0] in ("attached", "member", "login") else None


def _user(iam: Any, name: str) -> str:
    return str(iam.get_user(UserName=name)["User"]["UserId"])


def _role(iam: Any, name: str) -> str:
    return str(iam.get_role(RoleName=name)["Role"]["RoleId"])


def _group(iam: Any, name: str) -> str:
    return str(iam.get_group(GroupName=name)["Group"]["GroupId"])


def _inline(iam: Any, kind: str, name: str, policy: str) -> Any:
    found = getattr(iam, f"get_{kind}_policy")(**{f"{kind.capitalize()}Name": name, "PolicyName": policy})
    return dict(decode(found["PolicyDocument"]))


def _attached(iam: Any, kind: str, name: str, arn: str) -> bool:
    pages = iam.get_paginator(f"list_attached_{kind}_policies").paginate(**{f"{kind.capitalize()}Name": name})
    return any(each["PolicyArn"] == arn for page in pages for each in page["AttachedPolicies"])


def _member(iam: Any, user: str, group: str) -> bool:
    pages = iam.get_paginator("list_groups_for_user").paginate(UserName=user)
    return any(each["GroupName"] == group for page in pages for each in page["Groups"])


def _policy(iam: Any, arn: str) -> Any:
    listed = [
        each for page in iam.get_paginator("list_policy_versions").paginate(PolicyArn=arn) for each in page["Versions"]
    ]
    versions = {
        each["VersionId"]: dict(
            decode(iam.get_policy_version(PolicyArn=arn, VersionId=each["VersionId"])["PolicyVersion"]["Document"])
        )
        for each in listed
    }
    return {"default": next(each["VersionId"] for each in listed if each["IsDefaultVersion"]), "versions": versions}


def _holders(iam: Any, arn: str) -> list[str]:
    found = []
    for page in iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=arn):
        found += [f"user/{each['UserName']}" for each in page["PolicyUsers"]]
        found += [f"role/{each['RoleName']}" for each in page["PolicyRoles"]]
        found += [f"group/{each['GroupName']}" for each in page["PolicyGroups"]]
    return sorted(found)


def _key(iam: Any, user: str, key: str) -> str | None:
    pages = iam.get_paginator("list_access_keys").paginate(UserName=user)
    return next((k["Status"] for page in pages for k in page["AccessKeyMetadata"] if k["AccessKeyId"] == key), None)


def _ssh(iam: Any, user: str, key: str) -> str | None:
    listed = iam.list_ssh_public_keys(UserName=user)["SSHPublicKeys"]
    return next((each["Status"] for each in listed if each["SSHPublicKeyId"] == key), None)


def _cert(iam: Any, user: str, key: str) -> str | None:
    listed = iam.list_signing_certificates(UserName=user)["Certificates"]
    return next((each["Status"] for each in listed if each["CertificateId"] == key), None)


def _login(iam: Any, user: str) -> bool:
    return bool(iam.get_login_profile(UserName=user)["LoginProfile"])


_READERS: Mapping[str, Callable[..., Any]] = {
    "user": _user, "role": _role, "group": _group, "inline": _inline, "attached": _attached, "member": _member,
    "policy": _policy, "holders": _holders, "key": _key, "ssh": _ssh, "cert": _cert, "login": _login,
}  # fmt: skip
