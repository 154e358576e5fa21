"""Claims in the conditions of a trust: which of them pin somebody by an id that no rename can move."""

from collections.abc import Mapping

# Issuers that tell ids beside names (their own documentation).
_IMMUTABLE: Mapping[str, tuple[str, ...]] = {
    "token.actions.githubusercontent.com": ("repository_id", "repository_owner_id", "actor_id", "enterprise_id"),
    "gitlab.com": ("project_id", "namespace_id", "user_id"),
    "app.terraform.io": ("terraform_workspace_id", "terraform_project_id", "terraform_organization_id"),
    "api.bitbucket.org": ("repositoryuuid", "workspaceuuid"),
}


def immutable_claims(issuer: str) -> tuple[str, ...]:
    """The ids that this issuer could be asked for; empty where it tells none."""
    return _IMMUTABLE.get(issuer.removeprefix("https://").partition("/")[0].lower(), ())


def claims_of(conditions: Mapping[str, str]) -> set[str]:
    """The names of the claims that conditions ask for: `token.actions.githubusercontent.com:repository_id` is one."""
    return {key.rpartition(":")[2].lower() for key in conditions}
