"""One step from an identity to another that it can become. Pure: facts hold it, `reach` finds it."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """Another identity that this one can become: by assuming, impersonating, or being trusted by it.

    via: how, as words ("may assume it by …"). is_conditional: whether that hangs on something else too. grant_id: of the
    grant that allows the step, None where the other side's trust alone does. whole: how many identities this step
    stands for where a wildcard names more than are listed; 1 otherwise. environment: the other's, "unknown" where nobody
    said.
    """

    identity_id: UUID
    name: str
    via: str
    is_conditional: bool
    grant_id: UUID | None = None
    whole: int = 1
    environment: str = "unknown"
