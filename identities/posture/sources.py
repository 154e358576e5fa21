"""What is known about sources as a whole: whether they are fresh, and what an empty field of theirs means."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from uuid import UUID

import orjson
from django.db import connection

from identities.models import Source, SyncOrigin
from identities.posture.facts import SourceFacts
from identities.selectors.coverage import coverage_of
from identities.selectors.sources import freshness_of

# Per source, by whom its last reading came that was applied, and the logs that concern everything in it.
_BESIDE = """
SELECT s.id, latest.origin, (
    SELECT coalesce(jsonb_agg(jsonb_build_array(w.log, w.observed_from, w.observable) ORDER BY w.log), '[]')
    FROM identities_usagewindow w WHERE w.source_id = s.id AND w.identity_id IS NULL)::text
FROM identities_source s
LEFT JOIN LATERAL (
    SELECT r.origin FROM identities_syncrun r
    WHERE r.source_id = s.id AND r.state = 'applied' ORDER BY r.started_at DESC LIMIT 1
) latest ON true
WHERE s.id = ANY(%s::uuid[])
"""


@dataclass(frozen=True, slots=True)
class SourceState:
    """facts: as rules see them.

    is_asked: whether a connector read it, so that an empty field says "there is none"; senders and files leave out what
    they like. digest: of everything here that concerns each of its identities.
    """

    facts: SourceFacts
    is_asked: bool
    is_enabled: bool
    digest: str

    def reports(self, name: str) -> bool:
        """Whether an empty field means that there is nothing."""
        return self.is_asked and self.facts.can_report(name)

    def was_read_after(self, moment: datetime | None) -> bool:
        last = self.facts.last_success_at
        return moment is not None and last is not None and last > moment


def states_of(source_ids: Collection[UUID] | None, *, now: datetime) -> dict[UUID, SourceState]:
    """The state of these sources, or of all. Three queries at most."""
    sources = list(Source.objects.all() if source_ids is None else Source.objects.filter(pk__in=source_ids))
    with connection.cursor() as cursor:
        cursor.execute(_BESIDE, [[source.pk for source in sources]])
        beside = {pk: (origin, windows) for pk, origin, windows in cursor.fetchall()}
    sent = frozenset(pk for pk, (origin, _) in beside.items() if origin != SyncOrigin.CONNECTOR)
    coverage = coverage_of(sources, sent=sent)
    return {
        source.pk: _state(source, coverage[source.pk], source.pk not in sent, beside[source.pk][1], now)
        for source in sources
    }


def _state(source: Source, coverage: Mapping[str, bool], is_asked: bool, windows: str, now: datetime) -> SourceState:
    covers = dict(coverage)
    if is_asked:
        # Use comes from logs that are switched on apart: a connector that could see it may have been given none.
        covers["usage"] = covers.get("usage", False) or windows != "[]"
    facts = SourceFacts(
        id=source.pk,
        slug=source.slug,
        kind=source.kind,
        environment=source.environment,
        is_fresh=freshness_of(source, now) not in ("stale", "never_read") and source.last_success_at is not None,
        last_success_at=source.last_success_at,
        covers=covers,
        error=source.last_error,
    )
    told = [
        *(source.kind, source.environment, source.is_enabled, source.last_error, covers, is_asked, windows),
        *(facts.is_fresh, source.last_success_at is None),
    ]
    digest = blake2b(orjson.dumps(told, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
    return SourceState(facts, is_asked, source.is_enabled, digest)
