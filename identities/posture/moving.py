"""Who would move from which box to which if a policy were in force. Nothing is written.

Where only the lines of the picture move, the stored scores tell it exactly, in one query. Anything else is judged anew:
everybody in a small estate, else a sample that is the same each time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from governance.kernel.actors import Actor, Role
from governance.people.access import require_role
from identities.models import IdentityPosture, PosturePolicy
from identities.posture.assurance import assess_assurance
from identities.posture.changing import differences
from identities.posture.exposure import assess_exposure, box_of
from identities.posture.gathering import gather
from identities.posture.policy import Policy, completed, parse_policy, policy_in_force

SAMPLE = 2_000
MOST_SHOWN = 50
# What moves lines and changes no score.
_LINES = ("bands.", "required_assurance.", "picture.strong_from", "picture.broad_from")

_BY_LINES = """
SELECT p.box, n.box, count(*), (array_agg(p.identity_id ORDER BY p.worst_case DESC))[1:%(most)s]
FROM identities_identityposture p
CROSS JOIN LATERAL (SELECT CASE
    WHEN p.exposure_high IS NULL THEN 'unmeasured'
    WHEN p.exposure_high >= %(broad)s THEN
        CASE WHEN p.assurance_lower >= %(strong)s THEN 'proven_broad' ELSE 'unproven_broad' END
    ELSE CASE WHEN p.assurance_lower >= %(strong)s THEN 'proven_contained' ELSE 'unproven_contained' END
END AS box) n
GROUP BY p.box, n.box
"""
_SAMPLE = """
SELECT identity_id FROM identities_identityposture TABLESAMPLE BERNOULLI (%(percent)s) REPEATABLE (1) LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Mover:
    """One identity that would move. before, after: boxes. exposure_before, exposure_after: worst cases."""

    identity_id: UUID
    name: str
    before: str
    after: str
    exposure_before: float
    exposure_after: float


@dataclass(frozen=True, slots=True)
class Preview:
    """moves: (box now, box then) → identities, those that stay included. looked_at: how many of `assessed` were judged.

    is_exact: whether these are all; otherwise counts are of the sample. changes: what differs from the policy in force,
    {"weights.breadth": (20, 15)}. movers: at most `MOST_SHOWN`, those with the highest exposure first.
    """

    moves: Mapping[tuple[str, str], int]
    movers: Sequence[Mover]
    looked_at: int
    assessed: int
    is_exact: bool
    changes: Mapping[str, tuple[Any, Any]]

    @property
    def moving(self) -> int:
        return sum(count for (before, after), count in self.moves.items() if before != after)

    def would_be(self, box: str) -> int:
        """How many of those looked at would stand in this box."""
        return sum(count for (_, after), count in self.moves.items() if after == box)


def preview_policy(*, document: object, actor: Actor, now: datetime) -> Preview:
    """What a policy would do. Raises `InvalidPolicy`, `Forbidden`."""
    require_role(actor, Role.ADMINISTRATOR)
    before = policy_in_force()
    after = parse_policy(document, number=before.number + 1)
    stored = PosturePolicy.objects.only("document").get(number=before.number)
    changes = differences(completed(stored.document), completed(document))  # type: ignore[arg-type]
    assessed = _estimate()
    if all(place.startswith(_LINES) for place in changes):
        return _by_lines(after, changes)
    return _by_judging(after, changes, assessed, now)


def _estimate() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(identities), 0) FROM (SELECT DISTINCT ON (source_id) identities"
                       " FROM identities_posturemeasure ORDER BY source_id, day DESC) latest")  # fmt: skip
        return int(cursor.fetchone()[0])


def _by_lines(policy: Policy, changes: Mapping[str, tuple[Any, Any]]) -> Preview:
    parameters = {"broad": policy.broad_from, "strong": policy.strong_from, "most": MOST_SHOWN}
    with connection.cursor() as cursor:
        cursor.execute(_BY_LINES, parameters)
        found = cursor.fetchall()
    moves = {(before, after): count for before, after, count, _ in found}
    moved = {pk: after for before, after, _, ids in found if before != after for pk in ids}
    movers = [
        Mover(row.identity_id, row.identity.name, row.box, moved[row.pk], float(row.worst_case), float(row.worst_case))
        for row in _shown(list(moved))
    ]
    total = sum(moves.values())
    return Preview(moves, movers[:MOST_SHOWN], total, total, True, changes)


def _shown(ids: Sequence[UUID]) -> Sequence[IdentityPosture]:
    return list(IdentityPosture.objects.select_related("identity").filter(pk__in=ids).order_by("-worst_case", "pk"))


def _by_judging(policy: Policy, changes: Mapping[str, tuple[Any, Any]], assessed: int, now: datetime) -> Preview:
    ids = _chosen(assessed)
    stored = {row.pk: row for row in _shown(ids)}
    moves: Counter[tuple[str, str]] = Counter()
    movers = []
    for facts in gather(ids, now=now, policy=policy):
        row = stored[facts.id]
        exposure = assess_exposure(facts, policy)
        box = str(box_of(assess_assurance(facts, policy), exposure, policy).value)
        moves[(row.box, box)] += 1
        if box != row.box:
            movers.append(Mover(facts.id, facts.name, row.box, box, float(row.worst_case), exposure.worst_case))
    movers.sort(key=lambda mover: (-mover.exposure_before, str(mover.identity_id)))
    looked_at = sum(moves.values())
    return Preview(moves, movers[:MOST_SHOWN], looked_at, max(assessed, looked_at), assessed <= SAMPLE, changes)


def _chosen(assessed: int) -> list[UUID]:
    # A little more than is wanted, because a sample is never of the size that was asked for.
    percent = 100.0 if assessed <= SAMPLE else 110.0 * SAMPLE / assessed
    with connection.cursor() as cursor:
        cursor.execute(_SAMPLE, {"percent": percent, "most": SAMPLE})
        return [pk for (pk,) in cursor.fetchall()]
