"""Steps by what is shared: the same secret in two places, and servers that act with a credential of their own."""

from collections.abc import Iterator, Mapping
from uuid import UUID

from django.db import connection

from identities.selectors.reach.hop import Hop
from identities.selectors.reach.starts import CANDIDATES, Instead, Start

_SAME_SECRET = f"""
SELECT own.identity_id, i.id, i.name, i.effective_environment
FROM identities_credential own
JOIN identities_credential other ON other.fingerprint = own.fingerprint AND other.identity_id <> own.identity_id
JOIN identities_identity i ON i.id = other.identity_id
WHERE own.identity_id = ANY(%s) AND own.fingerprint > '' AND own.retired_at IS NULL
  AND other.fingerprint > '' AND other.retired_at IS NULL AND other.status = 'active'
  AND i.retired_at IS NULL AND i.status = 'active'
LIMIT {CANDIDATES * 10}
"""  # noqa: S608 - constants of this module
# An agent's entry of a server has the server's own id (connectors/mcp/records.py).
_SERVERS = """
SELECT g.identity_id, i.id, i.name, i.effective_environment, g.id
FROM identities_grant g
JOIN identities_identity i ON i.source_id = g.source_id AND i.external_id = g.external_id
WHERE g.identity_id = ANY(%s) AND g.retired_at IS NULL AND g.segment = 'ai_tools'
  AND i.retired_at IS NULL AND i.status = 'active' AND i.id <> g.identity_id
  AND EXISTS (SELECT 1 FROM identities_credential c WHERE c.identity_id = i.id AND c.retired_at IS NULL)
"""


def hops(starts: Mapping[UUID, Start], instead: Instead) -> Iterator[tuple[UUID, Hop]]:
    """(from, step). Two queries."""
    with connection.cursor() as cursor:
        cursor.execute(_SAME_SECRET, [list(starts)])
        for start, identity_id, name, environment in cursor.fetchall():
            yield (
                start,
                Hop(
                    identity_id=identity_id,
                    name=name,
                    via="holds the same secret",
                    is_conditional=False,
                    environment=environment,
                ),
            )
        cursor.execute(_SERVERS, [list(starts)])
        for start, identity_id, name, environment, grant_id in cursor.fetchall():
            if grant_id in instead and instead[grant_id].is_empty:
                continue
            # What the server lets through is not known, so it may do less with its credential than it could.
            yield (
                start,
                Hop(
                    identity_id=identity_id,
                    name=name,
                    via="calls it, and it acts with a credential of its own",
                    is_conditional=True,
                    grant_id=grant_id,
                    environment=environment,
                ),
            )
