"""Whom an identity could become in one step. `hops_of` answers it for many at once.

| step | who | what it rests on |
|---|---|---|
| assume a role | AWS users and roles | the role's trust, and `sts:AssumeRole` where the trust names an account only |
| be trusted | any identity | a trust whose subject is the identity's own name (`assumed`) |
| act as another | Kubernetes | `impersonate`, `serviceaccounts/token` create (`acting`) |
| the same secret | any identity | a credential with the same fingerprint elsewhere (`sharing`) |
| call a server | AI agents | an MCP server that holds a credential of its own (`sharing`) |

What a PostgreSQL role inherits through memberships, and may do after SET ROLE, is written into its own grants by the
connector, so it is no step. Nor is what somebody could make: escalation primitives say that.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from uuid import UUID

from identities.selectors.reach import acting, assumed, sharing
from identities.selectors.reach.hop import Hop
from identities.selectors.reach.starts import Instead, starts_of

MOST_LISTED = 50
"""Steps of one identity that are listed; `Hop.whole` tells how many a way leads to."""

__all__ = ["MOST_LISTED", "Hop", "hops_of"]


def hops_of(identity_ids: Iterable[UUID], *, instead: Instead | None = None) -> Mapping[UUID, tuple[Hop, ...]]:
    """The steps of each identity that has some: sure ones first, then by name. The number of queries is fixed.

    instead: permissions to take for those that some grants hold, by the grants' ids: what would be after a change.
    """
    starts = starts_of(list(identity_ids))
    if not starts:
        return {}
    found: dict[UUID, dict[UUID, Hop]] = defaultdict(dict)
    for way in (assumed.hops, acting.hops, sharing.hops):
        for start, hop in way(starts, instead or {}):
            known = found[start].get(hop.identity_id)
            if hop.identity_id != start and (known is None or (known.is_conditional and not hop.is_conditional)):
                found[start][hop.identity_id] = hop
    return {start: tuple(_listed(hops.values())) for start, hops in found.items() if hops}


def _listed(hops: Collection[Hop]) -> Iterator[Hop]:
    """The first of them, each with how many there are: found, or behind the limit of a wildcard."""
    whole = max(len(hops), *(hop.whole for hop in hops))
    for hop in sorted(hops, key=_order)[:MOST_LISTED]:
        yield replace(hop, whole=whole)


def _order(hop: Hop) -> tuple[bool, str, UUID]:
    return hop.is_conditional, hop.name, hop.identity_id
