"""What all decisions share: the policy, how fresh sources are, domains, and what is cut off."""

from typing import NamedTuple
from uuid import UUID

from identities.models import Source
from identities.pdp.guards import Guard, load_guards
from identities.pdp.policy import Policy, read_policy
from identities.pdp.surroundings import Domain, find_domain

MOST_DOMAINS = 1_000


class SourceFacts(NamedTuple):
    """seen_at: when it last said what it holds, in seconds since 1970. limit: after how many seconds that is stale."""

    slug: str
    is_enabled: bool
    seen_at: float | None
    limit: int


class SharedFacts:
    """Read together, replaced together."""

    __slots__ = ("_domains", "guards", "policy", "sources")

    def __init__(self, policy: Policy, sources: dict[UUID, SourceFacts], guards: tuple[Guard, ...]) -> None:
        self.policy = policy
        self.sources = sources
        self.guards = guards
        self._domains: dict[str, Domain | None] = {}

    def domain(self, slug: str) -> Domain | None:
        """Read when it is first asked for."""
        if slug not in self._domains:
            if len(self._domains) >= MOST_DOMAINS:
                self._domains.clear()
            self._domains[slug] = find_domain(slug)
        return self._domains[slug]


def read_shared() -> SharedFacts:
    """Raises what the database raises, and InvalidDecisionPolicy."""
    policy = read_policy()
    rows = Source.objects.values_list("pk", "slug", "is_enabled", "last_success_at", "freshness_limit_seconds")
    return SharedFacts(
        policy,
        {
            pk: SourceFacts(slug, is_enabled, seen.timestamp() if seen else None, limit)
            for pk, slug, is_enabled, seen, limit in rows
        },
        load_guards(),
    )
