"""What is known about sources as a whole: whether they are fresh, and what an empty field of theirs means."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from identities.posture.facts import SourceFacts

# Per source, its last reading that was applied: by whom it came decides what an empty field means.
_SOURCES = """
SELECT s.id, s.slug, s.kind, s.environment, s.is_enabled, s.last_success_at, s.freshness_limit_seconds, s.last_error,
       s.coverage, s.totals, latest.origin, (
           SELECT coalesce(jsonb_agg(jsonb_build_array(w.log, w.observed_from, w.observable) ORDER BY w.log), '[]')
           FROM identities_usagewindow w WHERE w.source_id = s.id AND w.identity_id IS NULL),
       EXISTS (SELECT FROM identities_usagewindow w WHERE w.source_id = s.id),
       EXISTS (SELECT FROM identities_trustrelation t WHERE t.source_id = s.id),
       whole.counts
FROM identities_source s
LEFT JOIN LATERAL (
    SELECT r.origin FROM identities_syncrun r
    WHERE r.source_id = s.id AND r.state = 'applied' ORDER BY r.started_at DESC LIMIT 1
) latest ON true
LEFT JOIN LATERAL (
    SELECT r.counts FROM identities_syncrun r
    WHERE r.source_id = s.id AND r.state = 'applied' AND r.is_complete ORDER BY r.started_at DESC LIMIT 1
) whole ON true
WHERE %(ids)s::uuid[] IS NULL OR s.id = ANY(%(ids)s::uuid[])
"""


@dataclass(frozen=True, slots=True)
class SourceState:
    """facts: as rules see them. declared: what the connector says it can report.

    is_asked: whether a connector read it, so that an empty field says "there is none"; senders and files leave out what
    they like. digest: of everything here that concerns each of its identities.
    """

    facts: SourceFacts
    declared: Mapping[str, bool]
    is_asked: bool
    is_enabled: bool
    digest: str

    def reports(self, name: str) -> bool:
        """Whether an empty field means that there is nothing."""
        return self.is_asked and self.declared.get(name) is True

    def was_read_after(self, moment: datetime | None) -> bool:
        last = self.facts.last_success_at
        return moment is not None and last is not None and last > moment


def states_of(source_ids: Collection[UUID] | None, *, now: datetime) -> dict[UUID, SourceState]:
    """The state of these sources, or of all. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_SOURCES, {"ids": None if source_ids is None else list(source_ids)})
        return {row[0]: _state(row, now) for row in cursor.fetchall()}


def _state(row: tuple[Any, ...], now: datetime) -> SourceState:
    (pk, slug, kind, environment, is_enabled, succeeded, limit, error, coverage, totals, origin, windows, has_windows,
     has_trust, whole) = row  # fmt: skip
    is_fresh = succeeded is not None and now - succeeded <= timedelta(seconds=limit)
    is_asked = origin == "connector"
    seen = _Seen(_json(totals), has_windows, has_trust, _json(whole))
    covers = dict(_covers(_json(coverage), seen, is_asked=is_asked))
    facts = SourceFacts(
        id=pk,
        slug=slug,
        kind=kind,
        environment=environment,
        is_fresh=is_fresh,
        last_success_at=succeeded,
        covers=covers,
        error=error,
    )
    told = [kind, environment, is_fresh, is_enabled, bool(error), covers, is_asked, windows, succeeded is None]
    digest = blake2b(orjson.dumps(told, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
    return SourceState(facts, _json(coverage), is_asked, is_enabled, digest)


# What a source that was not asked can only be said to report where something of the kind has come from it.
_BY_EVIDENCE = ("identities", "grants", "credentials", "usage", "trust")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What has ever come from a source. whole: what its last complete reading held, as counts."""

    totals: Mapping[str, int]
    has_windows: bool
    has_trust: bool
    whole: Mapping[str, Mapping[str, int]]

    def lists(self) -> Mapping[str, bool]:
        """Lists of which all can be taken to be here: a part of one says nothing about what it lacks.

        An export may be whole and yet hold nothing of a kind, because its format has no place for it; what then came
        of that kind came in parts.
        """
        return {
            "identities": self._is_whole("identity") and self.totals.get("identities", 0) > 0,
            "grants": self._is_whole("grant") and self.totals.get("grants", 0) > 0,
            "credentials": self._is_whole("credential") and self.totals.get("credentials", 0) > 0,
            "usage": self.has_windows,
            "trust": self._is_whole("trust") and self.has_trust,
        }

    def _is_whole(self, kind: str) -> bool:
        counts = self.whole.get(kind, {})
        return any(counts.get(name, 0) for name in ("added", "changed", "unchanged"))


def _covers(declared: Mapping[str, bool], sent: _Seen, *, is_asked: bool) -> Mapping[str, bool]:
    """What can be relied on. Of a sender or a file: only what it has ever sent; a connector is asked for all of it."""
    if is_asked:
        # Use comes from logs that are switched on apart: a connector that could see it may not have been given one.
        return {**declared, "usage": sent.has_windows}
    seen = sent.lists()
    # Conditions and the end of a grant are part of its permission: one without them has none.
    certain = {"conditions", "grant_expiry"}
    return {
        name: seen[name] if name in _BY_EVIDENCE else name in certain and declared.get(name) is not None
        for name in {*declared, *_BY_EVIDENCE}
    }


def _json(value: Any) -> dict[str, Any]:
    return orjson.loads(value) if isinstance(value, str | bytes) else dict(value or {})
