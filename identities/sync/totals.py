"""Counters that lists sort by and pages show, kept up by every run instead of being counted by every page."""

from uuid import UUID

from django.db import connection

from identities.services.posture_marks import SILENCE_DAYS

# Only what this run can have moved; used by nothing but the identities that it names.
_TOUCHED = """
DROP TABLE IF EXISTS pg_temp.sync_touched;
CREATE TEMPORARY TABLE sync_touched ON COMMIT DROP AS
SELECT d.id FROM sync_diff d WHERE d.kind = 'identity'
UNION SELECT g.identity_id FROM sync_diff d JOIN identities_grant g ON g.id = d.id WHERE d.kind = 'grant'
UNION SELECT c.identity_id FROM sync_diff d JOIN identities_credential c ON c.id = d.id WHERE d.kind = 'credential'
UNION SELECT i.id FROM sync_diff d JOIN identities_identity i
      ON i.source_id = %(source)s AND i.external_id = d.old ->> 'identity' WHERE d.action = 'changed'
UNION SELECT i.id FROM sync_stage s JOIN identities_identity i
      ON i.source_id = %(source)s AND i.external_id = s.identity
      WHERE s.kind = 'usage'
         OR (s.kind = 'credential' AND s.last_used_at > coalesce(i.last_seen_at, '-infinity'))
UNION SELECT i.id FROM sync_stage s JOIN identities_identity i
      ON i.source_id = %(source)s AND i.external_id = s.external_id
      WHERE s.kind = 'identity' AND s.last_used_at IS NOT NULL;
ANALYZE sync_touched
"""
_COUNTS = f"""
WITH counted AS (
UPDATE identities_identity i
SET grant_count = n.grants, privileged_count = n.privileged, credential_count = n.credentials, last_seen_at = n.seen
FROM (
    SELECT t.id, coalesce(held.grants, 0) AS grants, coalesce(held.privileged, 0) AS privileged,
           coalesce(proofs.credentials, 0) AS credentials, greatest(self.last_used_at, used.at, proofs.used_at) AS seen,
           self.last_seen_at AS seen_before
    FROM sync_touched t
    JOIN identities_identity self ON self.id = t.id
    LEFT JOIN (SELECT identity_id, count(*) AS grants, count(*) FILTER (WHERE is_privileged) AS privileged
               FROM identities_grant WHERE retired_at IS NULL AND identity_id IN (SELECT id FROM sync_touched)
               GROUP BY identity_id) held ON held.identity_id = t.id
    -- Whoever signs in with a credential is in use, and was also where the credential has ended since.
    LEFT JOIN (SELECT identity_id, count(*) FILTER (WHERE retired_at IS NULL) AS credentials,
                      max(last_used_at) AS used_at
               FROM identities_credential WHERE identity_id IN (SELECT id FROM sync_touched)
               GROUP BY identity_id) proofs ON proofs.identity_id = t.id
    LEFT JOIN (SELECT identity_id, max(last_seen_at) AS at
               FROM identities_usage WHERE identity_id IN (SELECT id FROM sync_touched)
               GROUP BY identity_id) used ON used.identity_id = t.id
) n
WHERE i.id = n.id AND (i.grant_count, i.privileged_count, i.credential_count, i.last_seen_at)
      IS DISTINCT FROM (n.grants, n.privileged, n.credentials, n.seen)
RETURNING i.id, n.seen, n.seen_before
)
-- Use after silence changes what posture says; use after use does not. What was added or changed stands in the feed.
INSERT INTO identities_posturemark (identity_id)
SELECT c.id FROM counted c
WHERE c.seen IS DISTINCT FROM c.seen_before
  AND (c.seen_before IS NULL OR c.seen_before < now() - interval '{SILENCE_DAYS} days'
       OR c.seen - c.seen_before > interval '{SILENCE_DAYS} days')
  AND NOT EXISTS (SELECT FROM sync_diff d WHERE d.kind = 'identity' AND d.id = c.id)
"""  # noqa: S608 - a constant
_TOTALS = """
UPDATE identities_source s
SET totals = jsonb_build_object('identities', t.identities, 'grants', t.grants, 'privileged', t.privileged,
                                'credentials', t.credentials)
FROM (SELECT count(*) AS identities, coalesce(sum(grant_count), 0) AS grants,
             coalesce(sum(privileged_count), 0) AS privileged, coalesce(sum(credential_count), 0) AS credentials
      FROM identities_identity WHERE source_id = %(source)s AND retired_at IS NULL) t
WHERE s.id = %(source)s
"""


def write_totals(*, source_id: UUID) -> None:
    """Count anew what hangs on the identities that this run touched, and the source as a whole. An inner step."""
    with connection.cursor() as cursor:
        cursor.execute(_TOUCHED, {"source": source_id})
        cursor.execute(_COUNTS)
        cursor.execute(_TOTALS, {"source": source_id})
