"""What logs showed of one identity, and what they could have shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from governance.kernel.permissions import Permission
from identities.models import Identity, Usage, UsageWindow
from reviews.recommend import GrantFacts, Seen, Use, Window, use_of


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything logs showed of one identity, and what they could show."""

    uses: Sequence[Seen]
    windows: Sequence[Window]

    def use_of(self, permission: Permission, now: datetime) -> Use:
        """Used, unused or not observable, for this part of what is held."""
        return use_of(self.facts(permission, now))

    def facts(self, permission: Permission, now: datetime) -> GrantFacts:
        """The same as the rules of recommendation ask for it."""
        return GrantFacts(
            permission=permission, now=now, min_observed=timedelta(), uses=self.uses, windows=self.windows
        )


def observe(identity: Identity) -> Observed:
    """Two queries: what was seen of the identity, and through which logs it could be seen."""
    uses = [
        Seen(row.action, row.resource, row.last_seen_at, row.count, row.first_seen_at)
        for row in Usage.objects.filter(identity=identity).order_by("-last_seen_at", "pk")
    ]
    rows = UsageWindow.objects.filter(Q(identity=identity) | Q(identity=None, source=identity.source_id))
    windows = [
        Window(
            log=row.log,
            observed_from=row.observed_from,
            observed_until=row.observed_until,
            actions=tuple(row.observable.get("actions", ())),
            resources=tuple(row.observable.get("resources", ())),
        )
        for row in rows.order_by("pk")
    ]
    return Observed(uses, windows)
