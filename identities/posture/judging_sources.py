"""Judge sources as a whole: whether what the inventory says of them can be believed."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from identities.models import SyncRun, SyncState
from identities.posture.facts import Missing
from identities.posture.policy import Policy
from identities.posture.results import Outcome
from identities.posture.rules.catalogue import assess_source
from identities.posture.rules.judged import SourceJudged
from identities.posture.sources import SourceState, states_of

# One more than a finding shows, so that it can say that there are more.
MOST_NAMED = 21

_GRANTS = """
SELECT coalesce((totals ->> 'grants')::int, 0), (
    SELECT count(*) FROM identities_analysedpermission a
    JOIN identities_grantversion v ON v.digest = a.digest AND v.seen_until IS NULL
    JOIN identities_grant g ON g.id = v.grant_id AND g.retired_at IS NULL AND g.source_id = s.id
    WHERE NOT a.is_understood)
FROM identities_source s WHERE s.id = %(source)s
"""
_DUPLICATES = """
SELECT name FROM identities_identity WHERE source_id = %(source)s AND retired_at IS NULL
GROUP BY kind, name HAVING count(*) > 1 ORDER BY name LIMIT %(most)s
"""
_VANISHED = """
SELECT name FROM identities_identity
WHERE source_id = %(source)s AND retired_at >= %(since)s AND status = 'active' ORDER BY name LIMIT %(most)s
"""


def judge_sources(source_ids: Collection[UUID], *, policy: Policy, now: datetime) -> Iterator[Outcome]:
    """What the rules about sources say of these. A few queries per source: there are few, and each only when read."""
    for state in states_of(source_ids, now=now).values():
        yield from assess_source(_facts_of(state, policy, now), policy)


def _facts_of(state: SourceState, policy: Policy, now: datetime) -> SourceJudged:
    source = state.facts.id
    run = SyncRun.objects.filter(source=source, state=SyncState.APPLIED).order_by("-started_at")
    latest = run.only("is_partial", "refused", "notes").first()
    [(grants, unparsed)] = _asked(_GRANTS, source=source)
    since = now - timedelta(days=policy.thresholds["vanished_days"])
    never = Missing("never_read")
    return SourceJudged(
        source=state.facts,
        now=now,
        is_enabled=state.is_enabled,
        unknown_callers=_strangers(latest) if latest else never,
        parts_unread=_unread(latest) if latest else never,
        grants=grants,
        unparsed=unparsed if latest else never,
        duplicates=_names(_DUPLICATES, source=source, most=MOST_NAMED) if latest else never,
        vanished=_names(_VANISHED, source=source, since=since, most=MOST_NAMED) if latest else never,
    )


def _strangers(run: SyncRun) -> tuple[str, ...] | Missing:
    """Whom its logs name and nobody here knows: only a log that was taken in can tell."""
    unknown = run.notes.get("counts", {}).get("entries of unknown identities")
    said = [each for each in run.notes.get("sentences", []) if "nobody here knows" in each]
    return tuple(said) if unknown else Missing("no_log")


def _unread(run: SyncRun) -> tuple[str, ...]:
    return (f"{run.refused:,} records were refused",) if run.is_partial else ()


def _names(statement: str, **parameters: Any) -> tuple[str, ...]:
    return tuple(name for (name,) in _asked(statement, **parameters))


def _asked(statement: str, **parameters: Any) -> Sequence[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()
