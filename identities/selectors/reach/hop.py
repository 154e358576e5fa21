"""One step from an identity to another that it can become. Pure."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """Another identity that this one can become: by assuming, impersonating, or being trusted by it.

    via: how, as words ("may assume it"). is_conditional: whether that hangs on something else too. grant_id: of the
    grant that allows the step, None where the other side's trust alone does. environment: of the other one, "unknown"
    where nobody said. whole: how many identities can be become altogether, also those that are not listed.
    """

    identity_id: UUID
    name: str
    via: str
    is_conditional: bool
    grant_id: UUID | None = None
    environment: str = "unknown"
    whole: int = 1
