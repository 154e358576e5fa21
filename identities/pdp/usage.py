"""Decisions become use: what was permitted is what was used, and where every use asks first, nothing else was.

A permitted request counts as use of its action on its resource by the identity. A window says for which sources the log
of decisions shows *all* use: those of which an administrator has said that an enforcement point stands before all of
their access (`Source.enforced_since`). Of other sources no window is written: there, no decision does not mean no use.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from identities.models import Source
from identities.services.sources import require_role, source_subject

LOG = "decisions"
MOST_AT_ONCE = 20_000
# Processes write what they gathered within this time, so the log is whole up to so long ago.
WRITTEN_WITHIN = timedelta(seconds=60)
# Longer than any memory lives without a check (`freshness.LONGEST_PAUSE_SECONDS`).
NOTES_KEPT = timedelta(minutes=20)

_FOLD = """
WITH taken AS (
    DELETE FROM identities_decisiontally
    WHERE id IN (SELECT id FROM identities_decisiontally ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING identity_id, action, resource, count, first_at, last_at
), summed AS (
    SELECT t.identity_id, t.action, t.resource, sum(t.count) AS count, min(t.first_at) AS first, max(t.last_at) AS last
    FROM taken t JOIN identities_identity i ON i.id = t.identity_id
    GROUP BY t.identity_id, t.action, t.resource ORDER BY t.identity_id, t.action, t.resource
), used AS (
    INSERT INTO identities_usage AS u (identity_id, action, resource, first_seen_at, last_seen_at, count)
    SELECT identity_id, action, resource, first, last, count FROM summed
    ON CONFLICT (identity_id, action, resource) DO UPDATE
    SET count = u.count + EXCLUDED.count, last_seen_at = greatest(u.last_seen_at, EXCLUDED.last_seen_at),
        first_seen_at = least(u.first_seen_at, EXCLUDED.first_seen_at)
    RETURNING u.id, u.identity_id, u.last_seen_at
), marked AS (
    -- Use that is new, or of a later day than before; the table is read as it was before this statement.
    INSERT INTO identities_posturemark (identity_id)
    SELECT DISTINCT n.identity_id FROM used n LEFT JOIN identities_usage old ON old.id = n.id
    WHERE (old.last_seen_at AT TIME ZONE 'UTC')::date IS DISTINCT FROM (n.last_seen_at AT TIME ZONE 'UTC')::date
), seen AS (
    UPDATE identities_identity i SET last_seen_at = greatest(i.last_seen_at, latest.at)
    FROM (SELECT identity_id, max(last_seen_at) AS at FROM used GROUP BY identity_id ORDER BY identity_id) latest
    WHERE i.id = latest.identity_id AND i.last_seen_at IS DISTINCT FROM greatest(i.last_seen_at, latest.at)
)
SELECT count(*) FROM taken
"""
_WINDOWS = """
INSERT INTO identities_usagewindow (source_id, identity_id, log, observed_from, observed_until, observable)
SELECT s.id, NULL, %(log)s, s.enforced_since, %(until)s, %(observable)s::jsonb
FROM identities_source s WHERE s.enforced_since < %(until)s
ON CONFLICT (source_id, identity_id, log) DO UPDATE
SET observed_from = EXCLUDED.observed_from, observed_until = EXCLUDED.observed_until, observable = EXCLUDED.observable
"""
_NO_LONGER = """
WITH gone AS (
    DELETE FROM identities_usagewindow w USING identities_source s
    WHERE w.log = %s AND w.source_id = s.id AND s.enforced_since IS NULL RETURNING w.source_id
)
INSERT INTO identities_posturemark (identity_id)
SELECT i.id FROM gone JOIN identities_identity i USING (source_id) WHERE i.retired_at IS NULL
"""


def fold_decisions(*, now: datetime) -> int:
    """Add tallies to use, and let windows end where the log is whole. Returns how many tallies were folded."""
    folded = 0
    while some := _fold_some():
        folded += some
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_NO_LONGER, [LOG])
        cursor.execute(_WINDOWS, {"log": LOG, "until": now - WRITTEN_WITHIN, "observable": EVERYTHING})
    return folded


EVERYTHING = '{"actions": ["*"], "resources": ["*"]}'


def _fold_some() -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_FOLD, [MOST_AT_ONCE])
        return int(cursor.fetchone()[0])


def forget_notes() -> int:
    """Remove notes that every memory has seen or has outlived; returns how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO identities_decisionmark (at, horizon)"
            " VALUES (clock_timestamp(), pg_snapshot_xmin(pg_current_snapshot())::text::bigint)"
        )
        cursor.execute(
            "DELETE FROM identities_decisionnote WHERE xid < (SELECT max(horizon) FROM identities_decisionmark"
            " WHERE at < clock_timestamp() - %s * interval '1 second')",
            [NOTES_KEPT.total_seconds()],
        )
        gone = cursor.rowcount
        cursor.execute(
            "DELETE FROM identities_decisionmark WHERE at < (SELECT max(at) FROM identities_decisionmark"
            " WHERE at < clock_timestamp() - %s * interval '1 second')",
            [NOTES_KEPT.total_seconds()],
        )
    return gone


def note_enforcement(*, source: Source, is_enforced: bool, actor: Actor, now: datetime, reason: str) -> Source:
    """Say that from now on every use of this source's access asks the decision point first, or no longer.

    Raises Forbidden.
    """
    require_role(actor, Role.ADMINISTRATOR)
    with transaction.atomic(durable=True):
        locked = Source.objects.select_for_update(of=("self",)).get(pk=source.pk)
        if (locked.enforced_since is not None) == is_enforced:
            return locked
        old: dict[str, Any] = {"enforced_since": locked.enforced_since}
        locked.enforced_since = now if is_enforced else None
        locked.version += 1
        locked.save(update_fields=["enforced_since", "version"])
        log.record(
            verb=Verb.SOURCE_CHANGED,
            actor=actor,
            subject=source_subject(locked),
            now=now,
            old=old,
            new={"enforced_since": locked.enforced_since},
            reason=reason,
        )
    return locked
