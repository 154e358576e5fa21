"""OAuth scopes and GitHub App permissions. Names are literal: a longer name is never inside a shorter one by its looks.

Only the permissions of GitHub Apps have levels that contain each other (none < read < write < admin); elsewhere
`x:write` need not contain `x:read`, so the levels apply to GitHub's own names only.
"""

from collections.abc import Iterable
from functools import lru_cache

from governance.kernel.dialects.interface import Dialect, Language, exactly, join_words
from governance.kernel.patterns import ANY, Pattern
from governance.kernel.statements import Statement

LEVELS = ("none", "read", "write", "admin")
LEVELLED = frozenset(
    [
        "actions",
        "administration",
        "attestations",
        "checks",
        "codespaces",
        "codespaces_lifecycle_admin",
        "codespaces_metadata",
        "codespaces_secrets",
        "contents",
        "copilot_messages",
        "dependabot_secrets",
        "deployments",
        "discussions",
        "emails",
        "environments",
        "followers",
        "gpg_keys",
        "issues",
        "members",
        "merge_queues",
        "metadata",
        "organization_administration",
        "organization_announcement_banners",
        "organization_custom_properties",
        "organization_custom_roles",
        "organization_events",
        "organization_hooks",
        "organization_packages",
        "organization_personal_access_token_requests",
        "organization_personal_access_tokens",
        "organization_plan",
        "organization_projects",
        "organization_secrets",
        "organization_self_hosted_runners",
        "organization_user_blocking",
        "packages",
        "pages",
        "plan",
        "profile",
        "pull_requests",
        "repository_advisories",
        "repository_announcement_banners",
        "repository_custom_properties",
        "repository_hooks",
        "repository_projects",
        "secret_scanning_alerts",
        "secrets",
        "security_events",
        "single_file",
        "starring",
        "statuses",
        "team_discussions",
        "variables",
        "vulnerability_alerts",
        "workflows",
    ]
)
# Remit's own scopes, what its connectors may do and what its webhooks are told: no name of them tells its reach, and
# none contains another.
_REMIT = {
    "inventory:read": "read",
    "inventory:write": "read write admin",
    "sync:write": "read write destructive",
    "reviews:read": "read",
    "reviews:write": "read write",
    "orders:read": "read",
    "tickets:write": "write",
    "webhooks:read": "read",
    "webhooks:write": "write admin external_send",
    "audit:read": "read",
    "people:read": "read",
    "people:write": "read write admin",
    "people:provision": "read write admin",
    "pdp:decide": "read",
    "mcp:call": "read write destructive external_send",
    "clients:narrow": "read write destructive",
    "clients:restore": "read write admin",
    "connector:read": "read",
    "connector:verify": "read",
    "connector:revoke": "write destructive",
    "connector:narrow": "write",
    "connector:quarantine": "write destructive",
    "connector:deactivate": "write destructive",
    "connector:restore": "write admin",
    "webhook:events": "read external_send",
    "webhook:tickets": "read external_send",
}
_ADMIN_NAMES = ("administration", "admin", "members", "hooks", "workflows", "roles", "owner", "manage")
_SECRET_NAMES = ("secret", "token", "credential", "key", "password")
_SEND_WORDS = ("send", "chat", "mail.send", "messages", "publish")


def _level(scope: str) -> tuple[str, int] | None:
    name, _, level = scope.rpartition(":")
    return (name, LEVELS.index(level)) if name in LEVELLED and level in LEVELS else None


class Scopes(Dialect):
    name = "scopes"
    title = "Scopes"
    literal_actions = True

    @lru_cache(maxsize=4_096)  # noqa: B019 - the dialects are singletons
    def action(self, text: str, *, removing: bool = False) -> Language:
        if text == "*":
            return Language((Pattern((ANY,)),))
        levelled = _level(text)
        if levelled is None:
            return exactly(text)
        name, height = levelled
        levels = LEVELS[max(height, 1) :] if removing and height else LEVELS[1 : height + 1]
        return exactly(*(f"{name}:{level}" for level in levels))

    def action_fault(self, text: str) -> str:
        if text != "*" and any(char.isspace() for char in text):
            return "a scope name has no blanks"
        return ""

    def spell_out(self, action: str) -> tuple[str, ...]:
        levelled = _level(action)
        if levelled is None:
            return (action,)
        return tuple(f"{levelled[0]}:{level}" for level in LEVELS[levelled[1] : 0 : -1])

    def classes(self, action: str, resource: str) -> frozenset[str]:
        if action == "*":
            return frozenset({"read", "write", "destructive", "admin", "secret_read"})
        if action in _REMIT and (resource == "remit" or resource.startswith("source:")):
            return frozenset(_REMIT[action].split())
        name = action.lower()
        if name.endswith(":none"):
            return frozenset()
        found = {"read"} if "read" in name or "view" in name or name.endswith(".get") else {"read", "write"}
        if "write" in found and any(word in name for word in _ADMIN_NAMES):
            found.add("admin")
        if "delete" in name:
            found.add("destructive")
        if any(word in name for word in _SECRET_NAMES):
            found.add("secret_read")
        if any(word in name for word in _SEND_WORDS):
            found.add("external_send")
        return frozenset(found)

    def segment(self, actions: Iterable[str], resources: Iterable[str]) -> str:
        places = list(resources)
        if places and all(place.startswith("source:") for place in places):
            return "admin"
        names = " ".join(actions).lower()
        if any(word in names for word in _SECRET_NAMES):
            return "secrets"
        return "admin" if any(word in names for word in ("administration", "admin:", "owner")) else "apis"

    def reached(self, statement: Statement) -> set[str]:
        places = statement.resources.include
        if "*" in statement.actions.include and not all(place.startswith("source:") for place in places):
            return {"apis", "secrets", "admin"}
        return super().reached(statement)

    def phrase(self, actions: tuple[str, ...], resource: str) -> str:
        where = "everything it is installed on" if resource == "*" else resource
        levelled = [_words(action) for action in actions if _level(action)]
        others = [_words(action) for action in actions if not _level(action)]
        said = [f"{join_words(levelled)} of {where}"] if levelled else []
        return join_words([*said, *([f"{join_words(others)} on {where}"] if others else [])])


def _words(scope: str) -> str:
    levelled = _level(scope)
    if levelled is None:
        return f"use scope {scope}" if scope != "*" else "use every scope"
    verb = {0: "nothing of", 1: "read", 2: "read and change", 3: "administer"}[levelled[1]]
    return f"{verb} {levelled[0].replace('_', ' ')}"
