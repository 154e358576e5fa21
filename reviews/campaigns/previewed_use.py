"""How the things that a review would ask about were used, for many at once and without writing items for them.

Judged by the same function as at the opening. Comparing calls with permissions is what costs time, so equal grants are
judged once, and the comparing ends at a limit.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.conf import settings

from governance.kernel.permissions import Permission
from identities.models import GrantVersion
from identities.selectors.filters import InventoryFilter
from identities.selectors.unused import left_out_as_unknown
from reviews.campaigns.opening import population_of
from reviews.campaigns.snapshot import uses_of, windows_of
from reviews.models import Campaign, ItemKind
from reviews.recommend import CredentialFacts, GrantFacts, Seen, Use, Window, recommend, use_of

LATELY = timedelta(days=7)
# Calls compared with permissions; about ten seconds.
MOST_COMPARED = 300_000


class Question(NamedTuple):
    """One row of the population. thing: the grant or the credential. version, digest: the grant's current content."""

    kind: str
    identity: UUID
    identity_source: UUID
    environment: str
    thing: UUID
    is_privileged: bool
    version: UUID | None = None
    digest: bytes = b""
    last_used_at: datetime | None = None


@dataclass(slots=True)
class UseJudge:
    """Judges chunk by chunk and remembers what it has read and judged."""

    now: datetime
    compared: int = 0
    _permissions: dict[bytes, Permission] = field(default_factory=dict)
    _judged: dict[tuple[object, ...], Use] = field(default_factory=dict)

    def judge(self, questions: Sequence[Question]) -> list[Use | None]:
        """The use of each; None where the limit of comparisons is reached."""
        if not questions or questions[0].kind != ItemKind.GRANT:
            return [self._of_credential(question) for question in questions]
        self._read(questions)
        source_by_identity = {question.identity: question.identity_source for question in questions}
        uses = uses_of(source_by_identity.keys())
        of_identity, of_source = windows_of(source_by_identity)
        windows = {
            identity: (*of_identity.get(identity, ()), *of_source.get(source, ()))
            for identity, source in source_by_identity.items()
        }
        return [self._of_grant(each, uses.get(each.identity, ()), windows[each.identity]) for each in questions]

    def _read(self, questions: Sequence[Question]) -> None:
        """The content of each grant, equal contents once."""
        wanted = {
            each.digest: each.version for each in questions if each.version and each.digest not in self._permissions
        }
        rows = GrantVersion.objects.filter(pk__in=wanted.values()).values_list("digest", "permission")
        self._permissions |= {bytes(digest): Permission.from_json(document) for digest, document in rows}

    def _of_grant(self, question: Question, uses: Sequence[Seen], windows: tuple[Window, ...]) -> Use | None:
        key = (question.digest, question.identity if uses else None, windows)
        if key not in self._judged:
            if self.compared >= MOST_COMPARED:
                return None
            self.compared += max(len(uses), 1)
            facts = GrantFacts(
                permission=self._permissions[question.digest],
                now=self.now,
                min_observed=timedelta(days=settings.REVIEW_MIN_OBSERVED_DAYS),
                uses=uses,
                windows=windows,
            )
            self._judged[key] = use_of(facts)
        return self._judged[key]

    def _of_credential(self, question: Question) -> Use:
        return recommend(CredentialFacts(now=self.now, last_used_at=question.last_used_at)).use


def unknown_use(campaign: Campaign, now: datetime) -> int:
    """How much a scope of the unused leaves out because nobody can tell whether it is used."""
    apart = left_out_as_unknown(InventoryFilter.parse(campaign.scope))
    if apart is None:
        return 0
    other = copy(campaign)
    other.scope = apart.to_text()
    return sum(population_of(other, kind, now).count() for kind in campaign.item_kinds)
