"""What all decisions share: the policy, how fresh sources are, domains, and what is cut off."""

from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef

from identities.models import Resource, Source
from identities.pdp.guards import Guard, load_guards
from identities.pdp.policy import Policy, read_policy
from identities.selectors.domains import Domain, find_domain

MOST_DOMAINS = 1_000


class SourceFacts(NamedTuple):
    """seen_at: when it last said what it holds, in seconds since 1970. limit: after how many seconds that is stale."""

    slug: str
    is_enabled: bool
    seen_at: float | None
    limit: int


class SharedFacts:
    """Read together, replaced together. registering: the sources that have registered any resource."""

    __slots__ = ("_domains", "guards", "policy", "registering", "sources")

    def __init__(
        self,
        policy: Policy,
        sources: dict[UUID, SourceFacts],
        guards: tuple[Guard, ...],
        registering: frozenset[UUID],
    ) -> None:
        self.policy = policy
        self.sources = sources
        self.guards = guards
        self.registering = registering
        self._domains: dict[str, Domain | None] = {}

    def domain(self, slug: str) -> Domain | None:
        """Read when it is first asked for."""
        if slug not in self._domains:
            if len(self._domains) >= MOST_DOMAINS:
                self._domains.clear()
            found = find_domain(slug)
            self._domains[slug] = found and replace(found, source_ids=_same(found.source_ids))
        return self._domains[slug]


_known: dict[frozenset[UUID], frozenset[UUID]] = {}


def _same(source_ids: frozenset[UUID]) -> frozenset[UUID]:
    """One object for equal sets: names are looked up by them, and the same object is equal to itself at once."""
    if len(_known) >= MOST_DOMAINS:
        _known.clear()
    return _known.setdefault(source_ids, source_ids)


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
        frozenset(
            Source.objects.filter(Exists(Resource.objects.filter(source=OuterRef("pk")))).values_list("pk", flat=True)
        ),
    )
