"""Fill what readings keep up from now on, for an inventory that is already there."""

from django.db import migrations

CURRENT_FACTS = """
UPDATE identities_grant g SET segment = v.segment, is_privileged = v.is_privileged
FROM identities_grantversion v WHERE v.grant_id = g.id AND v.seen_until IS NULL
"""
COUNTS = """
UPDATE identities_identity i
SET grant_count = coalesce(held.grants, 0), privileged_count = coalesce(held.privileged, 0),
    credential_count = coalesce(proofs.credentials, 0), last_seen_at = greatest(i.last_used_at, used.at)
FROM identities_identity self
LEFT JOIN (SELECT identity_id, count(*) AS grants, count(*) FILTER (WHERE is_privileged) AS privileged
           FROM identities_grant WHERE retired_at IS NULL GROUP BY identity_id) held ON held.identity_id = self.id
LEFT JOIN (SELECT identity_id, count(*) AS credentials
           FROM identities_credential WHERE retired_at IS NULL GROUP BY identity_id) proofs ON proofs.identity_id = self.id
LEFT JOIN (SELECT identity_id, max(last_seen_at) AS at
           FROM identities_usage GROUP BY identity_id) used ON used.identity_id = self.id
WHERE i.id = self.id
"""
TOTALS = """
UPDATE identities_source s SET totals = jsonb_build_object(
    'identities', coalesce(t.identities, 0), 'grants', coalesce(t.grants, 0),
    'privileged', coalesce(t.privileged, 0), 'credentials', coalesce(t.credentials, 0))
FROM identities_source self
LEFT JOIN (SELECT source_id, count(*) AS identities, sum(grant_count) AS grants, sum(privileged_count) AS privileged,
                  sum(credential_count) AS credentials
           FROM identities_identity WHERE retired_at IS NULL GROUP BY source_id) t ON t.source_id = self.id
WHERE s.id = self.id
"""
# What an identity was before is not known in one piece; its present content stands for the whole time it was seen.
VERSIONS = """
INSERT INTO identities_identityversion (identity_id, source_id, name, kind, status, environment, purpose, owner_id,
                                        team_id, tags, content, seen_from, seen_until)
SELECT id, source_id, name, kind, status, effective_environment, effective_purpose, owner_id, team_id, tags || source_tags,
       jsonb_build_object('custody', custody, 'owner', source_owner, 'sponsor', source_sponsor, 'acts_for', acts_for),
       first_seen_at, retired_at
FROM identities_identity
"""
FEED = """
UPDATE identities_syncrun r SET feed_number = n.number
FROM (SELECT id, row_number() OVER (ORDER BY finished_at, id) AS number
      FROM identities_syncrun WHERE state = 'applied') n
WHERE n.id = r.id;
"""


class Migration(migrations.Migration):
    dependencies = [("identities", "0004_million_grants")]

    operations = [
        migrations.RunSQL(statement, migrations.RunSQL.noop)
        for statement in (CURRENT_FACTS, COUNTS, TOTALS, VERSIONS, FEED)
    ]
