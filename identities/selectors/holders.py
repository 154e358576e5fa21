"""Which identity held a grant at an earlier time, where the source has moved the grant to another one since.

A grant row names its present holder. Readings that hung it on another identity left a Change with the holder before;
those Changes have an index of their own, because there are few of them.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

# The conditions on `c` are those of the index identities_change_of_hands: hung on another identity while it was there,
# or seen again with another holder after it was gone.
CHANGED_HANDS = "(c.action IN ('added', 'changed') AND c.object_kind = 'grant' AND c.old ? 'identity')"
# Asked first and alone: mostly there is none, and the planner expects far more of them than there are.
_CANDIDATES = f"""
SELECT DISTINCT c.object_id
FROM identities_change c JOIN identities_syncrun r ON r.id = c.run_id
WHERE {CHANGED_HANDS} AND r.observed_at > %(at)s
"""  # noqa: S608 - constants of this module
_MOVED = """
SELECT g.id, i.id
FROM identities_grant g
CROSS JOIN LATERAL (
    SELECT c.old ->> 'identity' AS external_id
    FROM identities_change c JOIN identities_syncrun r ON r.id = c.run_id
    WHERE c.object_id = g.id AND c.object_kind = 'grant' AND c.old ? 'identity' AND r.observed_at > %(at)s
    ORDER BY c.id LIMIT 1
) earlier
JOIN identities_identity i ON i.source_id = g.source_id AND i.external_id = earlier.external_id
WHERE g.id = ANY(%(candidates)s) AND i.id <> g.identity_id
ORDER BY g.id
"""


@dataclass(frozen=True, slots=True)
class Moved:
    """Grants that had another holder at that time: `grants[n]` was held by `holders[n]`."""

    grants: tuple[UUID, ...] = ()
    holders: tuple[UUID, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.grants)

    def held_by(self, identity_id: UUID) -> list[UUID]:
        """The grants that this identity held then and does not hold now."""
        return [grant for grant, holder in zip(self.grants, self.holders, strict=True) if holder == identity_id]

    @property
    def arrays(self) -> list[list[UUID]]:
        """Both columns, as parameters of `unnest`."""
        return [list(self.grants), list(self.holders)]


def moved_since(at: datetime) -> Moved:
    """Every grant whose holder at that time is not the one it has now. Two queries over few rows, mostly one."""
    with connection.cursor() as cursor:
        cursor.execute(_CANDIDATES, {"at": at})
        candidates = [grant for (grant,) in cursor.fetchall()]
        if not candidates:
            return Moved()
        cursor.execute(_MOVED, {"at": at, "candidates": candidates})
        rows = cursor.fetchall()
    return Moved(tuple(grant for grant, _ in rows), tuple(holder for _, holder in rows))
