"""Subjects and issuers of federated sign-in: how many they let in."""

from collections.abc import Mapping

# Whose id survives a rename, and the claims that carry one.
IMMUTABLE_CLAIMS: Mapping[str, tuple[str, ...]] = {
    "token.actions.githubusercontent.com": ("repository_id", "repository_owner_id", "actor_id", "enterprise_id"),
    "gitlab.com": ("project_id", "namespace_id", "user_id"),
    "app.terraform.io": ("terraform_workspace_id", "terraform_project_id", "terraform_organization_id"),
    "api.bitbucket.org": ("repositoryuuid", "workspaceuuid"),
}
_WILD = ("*", "?")


def is_any(subject: str) -> bool:
    """Whether every subject of the issuer fits."""
    return not subject.strip("*?: /")


def is_loose(subject: str) -> bool:
    """Whether a stranger at the same issuer could fit: a wildcard where the organisation or the project stands.

    `repo:acme/*:ref:refs/heads/main` is loose, `repo:acme/shop:*` is not: whoever gets that far is the project already.
    """
    if is_any(subject):
        return True
    owner = subject.partition(":")[2].partition(":")[0] or subject.partition(":")[0]
    return any(sign in owner for sign in _WILD)


def host_of(issuer: str) -> str:
    return issuer.removeprefix("https://").partition("/")[0].lower()


def immutable_claims(issuer: str) -> tuple[str, ...]:
    return IMMUTABLE_CLAIMS.get(host_of(issuer), ())


def claims_of(conditions: Mapping[str, str]) -> set[str]:
    """The names of the claims that conditions ask for: `token.actions.githubusercontent.com:repository_id` is one."""
    return {key.rpartition(":")[2].lower() for key in conditions}


def is_platform_service(issuer: str) -> bool:
    """A part of the platform itself ("ec2.amazonaws.com"), which proves itself inside it."""
    return issuer.endswith((".amazonaws.com", ".amazonaws.com.cn")) and "://" not in issuer and "eks" not in issuer
