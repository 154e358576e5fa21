"""AI agents and the tools of their servers, as a table: which pairs there are to ask about."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from governance.kernel.actors import Actor
from identities.models import Identity, IdentityKind
from identities.selectors.inventory import visible_identities

MOST_TOOLS = 60

_SERVERS = """
SELECT DISTINCT r.server
FROM identities_grant g
JOIN identities_identity i ON i.id = g.identity_id
JOIN identities_grantversion v ON v.grant_id = g.id AND v.seen_until IS NULL
CROSS JOIN LATERAL jsonb_array_elements(v.permission -> 'statements') s
CROSS JOIN LATERAL jsonb_array_elements_text(
    CASE WHEN jsonb_typeof(s -> 'resources') = 'array' THEN s -> 'resources' ELSE s -> 'resources' -> 'include' END
) r(server)
WHERE i.kind = 'ai_agent' AND g.retired_at IS NULL AND g.segment = 'ai_tools' AND v.permission ->> 'dialect' = 'tools'
  AND i.id = ANY(%s) AND r.server NOT LIKE '%%*%%'
ORDER BY 1
"""
_TOOLS = """
SELECT DISTINCT a.tool
FROM identities_grant g
JOIN identities_grantversion v ON v.grant_id = g.id AND v.seen_until IS NULL
CROSS JOIN LATERAL jsonb_array_elements(v.permission -> 'statements') s
CROSS JOIN LATERAL jsonb_array_elements_text(
    CASE WHEN jsonb_typeof(s -> 'actions') = 'array' THEN s -> 'actions' ELSE s -> 'actions' -> 'include' END
) a(tool)
WHERE g.retired_at IS NULL AND g.segment = 'ai_tools' AND v.permission ->> 'dialect' = 'tools'
  AND (s -> 'resources')::text LIKE %s AND a.tool NOT LIKE '%%*%%'
ORDER BY 1 LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools that grants name on one server, by name; `more` says that there are further ones."""

    names: tuple[str, ...]
    more: bool


def list_agents(*, actor: Actor) -> QuerySet[Identity]:
    """The agents that the actor may see, unordered."""
    agents = visible_identities(actor).filter(kind=IdentityKind.AI_AGENT, retired_at=None)
    return agents.select_related("source", "owner")


def servers_of(agents: Sequence[UUID]) -> list[str]:
    """The servers that grants of these agents name, as resources ("server:git")."""
    with connection.cursor() as cursor:
        cursor.execute(_SERVERS, [list(agents)])
        return [server for (server,) in cursor.fetchall()]


def tools_of(server: str) -> Tools:
    """The tools that any grant names on this server."""
    quoted = server.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace('"', '\\\\"')
    with connection.cursor() as cursor:
        cursor.execute(_TOOLS, [f'%"{quoted}"%', MOST_TOOLS + 1])
        names = [name for (name,) in cursor.fetchall()]
    return Tools(tuple(names[:MOST_TOOLS]), len(names) > MOST_TOOLS)
