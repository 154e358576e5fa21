"""Once a day and source: how many identities hold too much, and how much was reviewed. Counted in the background.

The judgement is the recommender's, so that a measure, a question and a report of a review mean the same by *too much*.
Only sources whose picture is fresh are measured: an old reading says nothing about today, and pages show the gap.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max

from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from identities.models import GrantVersion, Identity, IdentityStatus, Source
from identities.selectors.sources import freshness_of
from reviews.campaigns.snapshot import uses_of, windows_of
from reviews.models import PASSING_ON, DeadlinePolicy, Decision, EstateMeasure
from reviews.recommend import RULE_VERSION, GrantFacts, Seen, Window, recommend
from reviews.reports.clock import zone_for
from reviews.reports.excess import CONTAINED, REDUCING, TOO_MUCH, UNKNOWN, state_of

CHUNK = 500
NOT_TODAY = ("stale", "never_read")
_LOCK = "hashtextextended('reviews.measure_estate', 0)"
_LATELY = {"reviewed_90": timedelta(days=90), "reviewed_365": timedelta(days=365)}


@dataclass(slots=True)
class Tally:
    """Counts of one tier of one source."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, state: str, reviewed: Sequence[datetime | None], now: datetime) -> None:
        """One identity: what it is, and when each of its accesses was last decided on (None: never).

        An identity counts as reviewed when all that it holds was, and as never reviewed when nothing was.
        """
        self.counts["identities"] += 1
        self.counts[state] += 1
        self.counts["grants"] += len(reviewed)
        self.counts["grants_never"] += reviewed.count(None)
        self.counts["identities_never"] += not any(reviewed)
        for name, length in _LATELY.items():
            young = sum(moment is not None and moment > now - length for moment in reviewed)
            self.counts[f"grants_{name}"] += young
            self.counts[f"identities_{name}"] += young == len(reviewed)


COLUMNS = (
    *("identities", TOO_MUCH, CONTAINED, UNKNOWN, "identities_reviewed_90", "identities_reviewed_365"),
    *("identities_never", "grants", "grants_reviewed_90", "grants_reviewed_365", "grants_never"),
)


def measure_estate(*, now: datetime) -> int:
    """Measure every fresh source that has no row for today; returns how many. Only one worker does it at a time.

    A worker that dies loses the source it was at; the next tick starts there.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_lock({_LOCK})")
        if not cursor.fetchone()[0]:
            return 0
    try:
        return _measure_missing(now, zone_for(""))
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_unlock({_LOCK})")


def _measure_missing(now: datetime, zone: ZoneInfo) -> int:
    day = now.astimezone(zone).date()
    done = EstateMeasure.objects.filter(day=day).values("source_id")
    sources = [each for each in Source.objects.exclude(pk__in=done) if freshness_of(each, now) not in NOT_TODAY]
    for source in sources:
        rows = [
            EstateMeasure(
                source=source,
                day=day,
                is_privileged=is_privileged,
                measured_at=now,
                rule_version=RULE_VERSION,
                **{name: tally.counts[name] for name in COLUMNS},
            )
            for is_privileged, tally in measured(source, now).items()
        ]
        with transaction.atomic(durable=True):
            EstateMeasure.objects.bulk_create(rows, ignore_conflicts=True)
    return len(sources)


def measured(source: Source, now: datetime) -> dict[bool, Tally]:
    """The counts of one source, of identities with privileged access (True) and of the others.

    Works through the identities in chunks; what does not hold anything at present is not counted.
    """
    found = {True: Tally(), False: Tally()}
    identities = Identity.objects.filter(source=source, retired_at=None).order_by("pk")
    after: UUID | None = None
    while chunk := list((identities.filter(pk__gt=after) if after else identities)[:CHUNK]):
        after = chunk[-1].pk
        _measure(chunk, found, now)
    return found


def _measure(chunk: Sequence[Identity], found: Mapping[bool, Tally], now: datetime) -> None:
    ids = [identity.pk for identity in chunk]
    held = _held_by(ids)
    uses = uses_of(ids)
    of_identity, of_source = windows_of({identity.pk: identity.source_id for identity in chunk})
    reviewed = _reviewed([grant for grants in held.values() for grant, _, _ in grants])
    for identity in chunk:
        grants = held.get(identity.pk)
        if not grants:
            continue
        windows = (*of_identity[identity.pk], *of_source[identity.source_id])
        advice = [_advice(document, identity, uses[identity.pk], windows, now) for _, document, _ in grants]
        state = state_of(is_much=any(each in REDUCING for each in advice), is_unknown="" in advice)
        is_privileged = any(privileged for _, _, privileged in grants)
        found[is_privileged].add(state, [reviewed.get(grant) for grant, _, _ in grants], now)


def _held_by(identity_ids: Collection[UUID]) -> dict[UUID, list[tuple[UUID, Any, bool]]]:
    current = GrantVersion.objects.filter(
        grant__identity__in=identity_ids, grant__retired_at=None, seen_until=None
    ).values_list("grant__identity_id", "grant_id", "permission", "is_privileged")
    held: dict[UUID, list[tuple[UUID, Any, bool]]] = defaultdict(list)
    for identity, grant, document, is_privileged in current:
        held[identity].append((grant, document, is_privileged))
    return held


def _reviewed(grant_ids: Iterable[UUID]) -> dict[UUID, datetime]:
    """When a question about each of these was last decided by people; silence and carrying over are no review."""
    decided = (
        Decision.objects.filter(
            item__grant__in=list(grant_ids), is_attestation=False, recalls=None, recalled_by=None, carries=None
        )
        .exclude(answer__in=PASSING_ON)
        .exclude(decided_by_policy__in=DeadlinePolicy.values)
        .order_by()
        .values_list("item__grant_id")
        .annotate(at=Max("decided_at"))
    )
    return dict(decided)


def _advice(document: Any, identity: Identity, uses: Sequence[Seen], windows: Sequence[Window], now: datetime) -> str:
    """The recommendation for one access; empty where nothing can be said."""
    try:
        permission = _permission(orjson.dumps(document))
    except DomainError:
        return ""
    facts = GrantFacts(
        permission=permission,
        now=now,
        min_observed=timedelta(days=settings.REVIEW_MIN_OBSERVED_DAYS),
        uses=uses,
        windows=windows,
        is_disabled=identity.status == IdentityStatus.DISABLED,
    )
    return recommend(facts).answer


@lru_cache(maxsize=8192)
def _permission(document: bytes) -> Permission:
    return Permission.from_json(orjson.loads(document))
