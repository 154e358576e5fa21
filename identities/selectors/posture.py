"""What the rules say of all that somebody may see, rule by rule: no share that hides what nobody assessed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection

from governance.kernel.actors import Actor
from identities.models import IdentityPosture, Source
from identities.selectors.inventory import visible_identities

MOST_REASONS = 3

# One pass over the rows that matter; every identity counts once per rule, by its heaviest result. Identities of whom
# the same is said are counted before it is taken apart, rule by rule: many are alike.
_COUNTS = """
WITH seen AS MATERIALIZED (
    SELECT p.failed, p.passed, p.not_assessable, p.not_applicable
    FROM identities_identityposture p WHERE p.identity_id IN ({identities})
),
unassessed AS MATERIALIZED (SELECT not_assessable AS said, count(*) AS number FROM seen GROUP BY 1)
SELECT rule, result, reason, sum(number)::bigint FROM (
    SELECT unnest(said) AS rule, 'failed' AS result, '' AS reason, number
    FROM (SELECT failed AS said, count(*) AS number FROM seen GROUP BY 1) alike
    UNION ALL
    SELECT unnest(said), 'passed', '', number
    FROM (SELECT passed AS said, count(*) AS number FROM seen GROUP BY 1) alike
    UNION ALL
    SELECT jsonb_object_keys(said), 'not_applicable', '', number
    FROM (SELECT not_applicable AS said, count(*) AS number FROM seen GROUP BY 1) alike
    UNION ALL
    SELECT jsonb_object_keys(said), 'not_assessable', '', number FROM unassessed
    UNION ALL
    SELECT e.key, 'because', r.reason, number
    FROM unassessed, jsonb_each(said) e, jsonb_array_elements_text(e.value) r (reason)
) AS each
GROUP BY rule, result, reason
"""


@dataclass(frozen=True, slots=True)
class RuleRollup:
    """How many identities a rule was put to, and what it said. reasons: the most frequent for not assessable."""

    rule: str
    passed: int = 0
    failed: int = 0
    not_assessable: int = 0
    not_applicable: int = 0
    reasons: tuple[tuple[str, int], ...] = ()

    @property
    def assessed(self) -> int:
        return self.passed + self.failed

    @property
    def concerned(self) -> int:
        """Those that the rule applies to, whether it could be judged or not."""
        return self.assessed + self.not_assessable

    @property
    def assessed_share(self) -> float | None:
        """Of those that the rule applies to, 0 to 1; None where it applies to none."""
        return self.assessed / self.concerned if self.concerned else None

    @property
    def pass_share(self) -> float | None:
        """Of the assessed, 0 to 1; None where nobody was."""
        return self.passed / self.assessed if self.assessed else None


def rule_rollups(*, actor: Actor, source: Source | None = None) -> Sequence[RuleRollup]:
    """Rule by rule, over every live identity that the actor may see and that was assessed. One query.

    source: of this one only. A rule that no identity was put to is absent.
    """
    identities = visible_identities(actor).filter(retired_at=None)
    if source is not None:
        identities = identities.filter(source=source)
    try:
        inner, parameters = identities.order_by().values("pk").query.sql_with_params()
    except EmptyResultSet:
        return []  # somebody who may see nothing: there is no question to ask
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS.format(identities=inner), parameters)
        return _rolled_up(cursor.fetchall())


def count_assessed(*, actor: Actor, source: Source | None = None) -> int:
    """How many live identities were assessed at all: the whole that the roll-ups are of."""
    identities = visible_identities(actor).filter(retired_at=None)
    if source is not None:
        identities = identities.filter(source=source)
    return IdentityPosture.objects.filter(identity__in=identities.order_by().values("pk")).count()


def _rolled_up(rows: list[tuple[str, str, str, int]]) -> list[RuleRollup]:
    counts: dict[str, dict[str, Any]] = defaultdict(dict)
    reasons: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for rule, result, reason, count in rows:
        if result == "because":
            reasons[rule].append((reason, count))
        else:
            counts[rule][result] = count
    return [
        RuleRollup(rule, **found, reasons=tuple(sorted(reasons[rule], key=_most_first)[:MOST_REASONS]))
        for rule, found in sorted(counts.items())
    ]


def _most_first(reason: tuple[str, int]) -> tuple[int, str]:
    name, count = reason
    return -count, name
