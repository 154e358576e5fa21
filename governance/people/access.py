"""Who acts and what they may do: the one place where roles and scopes become an `Actor`.

Roles are read on every request (one query) and never kept in the session, so that a change is effective at
once. A session carries only how it was proved, and a weaker proof means fewer roles.
"""

from datetime import timedelta
from uuid import UUID

from django.conf import settings

from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Forbidden
from governance.people.models import ApiToken, RoleAssignment, User

SESSION_AUTH_METHOD = "auth_method"
MAIL_LINK = "mail_link"
PASSWORD = "password"  # noqa: S105 - the name of a method
MAIL_LINK_SESSION = timedelta(hours=4)
# Methods that count as a second factor when they follow a password.
SECOND_FACTORS = frozenset({"totp", "recovery_codes", "webauthn"})

ROLE_DESCRIPTIONS: dict[Role, str] = {
    Role.ADMINISTRATOR: "Manages people, roles, API tokens and sources.",
    Role.CAMPAIGN_MANAGER: "Plans, opens and closes reviews, and watches their progress.",
    Role.REVIEWER: "Decides on the items assigned to them.",
    Role.OWNER: "Answers for the identities they own.",
    Role.AUDITOR: "Reads everything, including the audit trail, and changes nothing.",
}

SCOPE_DESCRIPTIONS: dict[str, str] = {
    "inventory:read": "Read sources, identities, grants and findings.",
    "inventory:write": "Change owners, purposes and sources.",
    "sync:write": "Push snapshots and deltas of an inventory.",
    "reviews:read": "Read campaigns, items and decisions.",
    "reviews:write": "Create schedules and open, close or cancel campaigns.",
    "orders:read": "Read orders and their outcome.",
    "tickets:write": "Note which ticket another system keeps for an order.",
    "webhooks:read": "Read webhooks and what was sent to them.",
    "webhooks:write": "Create, change and remove webhooks, and get their new secrets.",
    "audit:read": "Read the audit trail and checkpoints.",
    "audit:write": "Place and lift legal holds, and erase personal details beside the trail.",
    "people:read": "Read people, teams and the list of API tokens.",
    "people:write": "Create and change people and teams, and create narrower API tokens.",
    "people:provision": "Keep people and teams in step with a directory (SCIM), and nothing else.",
    "metrics:read": "Read figures about how the installation does, for monitoring.",
    "pdp:decide": "Ask for access decisions.",
    "access:request": "Ask that an identity may do something for a while; people answer.",
    "mcp:call": "Call tools through the MCP gateway, as the agent that the token is linked to, and nothing else.",
    "clients:narrow": "Withhold scopes from API tokens, switch sources and webhooks off, cut agents and tools off.",
    "clients:restore": "Give back what was withheld from API tokens, and switch sources and webhooks on again.",
}
SCOPES = frozenset(SCOPE_DESCRIPTIONS)

# What a link from a mail may reach: answering for one's own items, never administration.
MAIL_LINK_ROLES = frozenset({Role.OWNER, Role.REVIEWER})
# What stays asleep until a second factor, where the installation asks for one.
SECOND_FACTOR_ROLES = frozenset({Role.ADMINISTRATOR})


def person_label(user_id: UUID | str) -> str:
    """The label of a person in audit records: recognisable, but not personal."""
    return f"person {str(user_id)[:8]}"


def actor_for_user(user: User, *, auth_method: str, request_id: str = "") -> Actor:
    """The person behind a session. `auth_method` is how the session was proved (see `Actor`)."""
    held = RoleAssignment.objects.filter(user=user).values_list("role", flat=True)
    roles = frozenset(Role(role) for role in held)
    if auth_method == MAIL_LINK:
        roles &= MAIL_LINK_ROLES
    elif settings.REQUIRE_MFA_FOR_ADMINISTRATORS and not SECOND_FACTORS & set(auth_method.split("+")):
        roles -= SECOND_FACTOR_ROLES
    return Actor(
        kind=ActorKind.PERSON,
        id=str(user.pk),
        label=person_label(user.pk),
        roles=roles,
        auth_method=auth_method,
        request_id=request_id,
    )


def actor_in_full(user: User) -> Actor:
    """The person with every role they hold, however they will sign in: to ask what waits for them, never to act."""
    return actor_for_user(user, auth_method="+".join((PASSWORD, *sorted(SECOND_FACTORS))))


def get_active(email: str) -> User | None:
    """Whoever has this address and has not left, or None."""
    return User.objects.filter(email=email.strip()[:254].lower().replace("\x00", ""), is_active=True).first()


def actor_for_token(token: ApiToken, request_id: str = "") -> Actor:
    """The program behind an API token: it has scopes and never roles."""
    return Actor(
        kind=ActorKind.API_CLIENT,
        id=str(token.pk),
        label=f"API token {token.prefix}",
        scopes=frozenset(token.scopes),
        auth_method="token",
        request_id=request_id,
    )


def require_role(actor: Actor, *roles: Role, scope: str | None = None) -> None:
    """Refuse unless the actor may act.

    People need one of `roles`. API clients need `scope`; where none is named, no program may do this at all.
    The system itself (schedules, commands of the operator) is always allowed. Raises `Forbidden`.
    """
    if actor.kind is ActorKind.SYSTEM:
        return
    if actor.kind is ActorKind.API_CLIENT:
        if scope is None:
            raise Forbidden("Only a signed-in person may do this, not an API token.")
        require_scope(actor, scope)
        return
    if actor.auth_method == MAIL_LINK:
        roles = tuple(role for role in roles if role in MAIL_LINK_ROLES)
        if not roles:
            raise Forbidden("You came by a link from a mail. Sign in with your password to do this.")
    if not actor.has_role(*roles):
        needed = " or ".join(role.value.replace("_", " ") for role in roles)
        raise Forbidden(f"This needs the role {needed}.", roles=[role.value for role in roles])


def require_scope(actor: Actor, scope: str) -> None:
    """Refuse an API client whose token lacks `scope`. Raises `Forbidden`."""
    if scope not in actor.scopes:
        raise Forbidden(f"The API token lacks the scope {scope}.", scope=scope)


def has_sleeping_roles(user: User, *, auth_method: str) -> bool:
    """Whether the session was proved too weakly for a role that the person holds."""
    actor = actor_for_user(user, auth_method=auth_method)
    held = RoleAssignment.objects.filter(user=user).count()
    return held > len(actor.roles)


def session_is_over(*, age_seconds: int, idle_seconds: int, auth_method: str) -> bool:
    """Whether a session reached `SESSION_COOKIE_AGE` (four hours by mail link) or `SESSION_IDLE_TIMEOUT`."""
    longest = MAIL_LINK_SESSION.total_seconds() if auth_method == MAIL_LINK else settings.SESSION_COOKIE_AGE
    return age_seconds > longest or idle_seconds > settings.SESSION_IDLE_TIMEOUT.total_seconds()
