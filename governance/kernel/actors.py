"""Who acts: a value that is passed into every use case, never looked up from the surroundings."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from uuid import UUID


class ActorKind(StrEnum):
    PERSON = "person"
    API_CLIENT = "api_client"
    SYSTEM = "system"


class Role(StrEnum):
    """What a person may do, besides what follows from owning an identity or being assigned an item."""

    ADMINISTRATOR = "administrator"
    CAMPAIGN_MANAGER = "campaign_manager"
    REVIEWER = "reviewer"
    OWNER = "owner"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Actor:
    """One acting party.

    id: random identifier (people: the user's UUID; API clients: the token's UUID; system: a fixed name).
    label: never personal; the trail resolves people through an erasable table.
    auth_method: how the session was proved ("password", "password+totp", "mail_link", "token", "internal").
    """

    kind: ActorKind
    id: str
    label: str
    roles: frozenset[Role] = frozenset()
    scopes: frozenset[str] = frozenset()
    auth_method: str = "internal"
    request_id: str = ""

    @property
    def person_id(self) -> UUID | None:
        """The UUID of the person acting, or None for programs."""
        return _person(self.id) if self.kind is ActorKind.PERSON else None

    def has_role(self, *roles: Role) -> bool:
        return any(role in self.roles for role in roles)


@lru_cache(maxsize=1024)  # asked several times for each of many answers
def _person(text: str) -> UUID:
    return UUID(text)


def system_actor(name: str) -> Actor:
    """The actor of scheduled work, e.g. `system_actor("scheduler")`."""
    return Actor(kind=ActorKind.SYSTEM, id=f"system:{name}", label=f"Remit {name}")
