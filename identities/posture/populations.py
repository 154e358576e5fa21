"""What the population rules look at: whole sources, in a fixed number of queries for all of them."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from identities.models import Source, SyncMode, SyncRun, SyncState
from identities.posture.facts import Missing
from identities.posture.results import Outcome
from identities.posture.rules import SourceJudged, assess_source
from identities.posture.rules.judged import Policy
from identities.posture.rules.thresholds import limit
from identities.posture.sources import states_of

MOST_NAMED = 50

_DUPLICATES = """
SELECT source_id, (array_agg(name ORDER BY name))[1:%(most)s]
FROM (
    SELECT source_id, min(name) AS name FROM identities_identity
    WHERE retired_at IS NULL AND source_id = ANY(%(sources)s)
    GROUP BY source_id, kind, lower(name) HAVING count(*) > 1
) AS held_twice
GROUP BY source_id
"""
# Gone although nobody had locked it out and Remit had removed nothing of it.
_VANISHED = """
SELECT i.source_id, (array_agg(i.name ORDER BY i.name))[1:%(most)s]
FROM identities_identity i
WHERE i.retired_at >= %(since)s AND i.status = 'active' AND i.source_id = ANY(%(sources)s)
  AND NOT EXISTS (
      SELECT 1 FROM identities_grant g WHERE g.identity_id = i.id AND g.removal_expected_at IS NOT NULL)
GROUP BY i.source_id
"""


@dataclass(slots=True)
class _Readings:
    """What the applied runs of one source say."""

    complete: int = 0
    refused: int | None = None
    strangers: list[str] | None = None


@dataclass(slots=True)
class _Found:
    duplicates: Mapping[UUID, list[str]]
    vanished: Mapping[UUID, list[str]]
    readings: Mapping[UUID, _Readings] = field(default_factory=dict)


def gather_sources(now: datetime, policy: Policy, source_ids: Collection[UUID] | None = None) -> Iterator[SourceJudged]:
    """Every source, or these."""
    wanted = Q() if source_ids is None else Q(pk__in=source_ids)
    sources = list(Source.objects.filter(wanted).order_by("slug"))
    ids = [source.pk for source in sources]
    states = states_of(ids, now=now)
    found = _look(ids, now - limit(policy, "vanished_days"))
    for source in sources:
        readings = found.readings.get(source.pk, _Readings())
        yield SourceJudged(
            source=states[source.pk].facts,
            now=now,
            is_enabled=source.is_enabled,
            unknown_callers=Missing("no_log") if readings.strangers is None else tuple(readings.strangers),
            parts_unread=_unread(source, readings),
            grants=int(source.totals.get("grants", 0)),
            unparsed=_unparsed(source),
            duplicates=tuple(found.duplicates.get(source.pk, ())),
            vanished=tuple(found.vanished.get(source.pk, ())) if readings.complete > 1 else Missing("first_reading"),
        )


def judge_sources(now: datetime, policy: Policy, source_ids: Collection[UUID] | None = None) -> list[Outcome]:
    """What the population rules say of them, to be kept as findings like all others."""
    return [outcome for judged in gather_sources(now, policy, source_ids) for outcome in assess_source(judged, policy)]


def _unread(source: Source, readings: _Readings) -> tuple[str, ...] | Missing:
    if source.last_success_at is None:
        return Missing("never_read")
    parts = [f"{readings.refused:,} records were refused"] if readings.refused else []
    if source.last_complete_at is None:
        parts.append("only a part of it was ever read")
    return tuple(parts)


def _unparsed(source: Source) -> int | Missing:
    # Every grant is read into the algebra before it is kept, and one that can't be is refused with its record; so all
    # that stand here were understood, but for the refused ones, which POP-2 names.
    return 0 if source.last_success_at else Missing("never_read")


def _look(sources: list[UUID], since: datetime) -> _Found:
    parameters: dict[str, Any] = {"sources": sources, "most": MOST_NAMED, "since": since}
    return _Found(
        duplicates=_names(_DUPLICATES, parameters),
        vanished=_names(_VANISHED, parameters),
        readings=_readings(sources),
    )


def _names(query: str, parameters: Mapping[str, Any]) -> dict[UUID, list[str]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return dict(cursor.fetchall())


def _readings(sources: list[UUID]) -> dict[UUID, _Readings]:
    """The newest applied run of each sort per source, and whether there were two complete ones."""
    applied = SyncRun.objects.filter(source__in=sources, state=SyncState.APPLIED)
    found: dict[UUID, _Readings] = defaultdict(_Readings)
    newest = applied.exclude(mode=SyncMode.DELTA).order_by("source", "-started_at").distinct("source")
    for source_id, refused in newest.values_list("source", "refused"):
        found[source_id].refused = refused
    logs = applied.filter(notes__has_key="format", mode=SyncMode.DELTA).order_by("source", "-started_at")
    for source_id, notes in logs.distinct("source").values_list("source", "notes"):
        found[source_id].strangers = list(notes.get("strangers", {}).get("first", []))
    complete = applied.filter(is_complete=True).order_by("source", "started_at")
    for source_id, first, last in _first_and_last(complete):
        found[source_id].complete = 1 if first == last else 2
    return found


def _first_and_last(runs: Any) -> Iterator[tuple[UUID, UUID, UUID]]:
    firsts = dict(runs.distinct("source").values_list("source", "pk"))
    lasts = dict(runs.order_by("source", "-started_at").distinct("source").values_list("source", "pk"))
    for source_id, first in firsts.items():
        yield source_id, first, lasts[source_id]
