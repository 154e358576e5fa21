"""Notice severe findings: what a finding names, or else all that its identity holds, is asked about once per opening.

A finding that comes back is noticed anew (its cause counts how often it came back); one that is accepted or fixed
before its turn comes is moot.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, TextField, Value
from django.db.models.functions import Cast, Concat
from django.utils.dateparse import parse_datetime

from identities.models import Finding, FindingSeverity, Grant
from identities.models.finding import TO_DO
from reviews.continuous.noticing import Event, hit_of, write_hits
from reviews.continuous.pulling import get_cursor
from reviews.models import HitOutcome, ReviewWatch, Trigger, WatchCursor, WatchHit

CHUNK = 500
# Findings carry the time at which their pass began, and become visible when it commits.
LEEWAY = timedelta(hours=6)
LOOKED = "findings"
SEVERE = FindingSeverity.HIGH


def look_for_findings(watches: Sequence[ReviewWatch], now: datetime) -> None:
    """Findings that opened since somebody last looked, and since the rule exists: earlier ones are for the calendar."""
    if not watches:
        return
    looked = parse_datetime(get_cursor(now).looked.get(LOOKED, ""))
    for watch in watches:
        since = watch.created_at if looked is None else max(watch.created_at, looked - LEEWAY)
        while _notice(watch, since, now) == CHUNK:
            pass
    with transaction.atomic(durable=True):
        cursor = WatchCursor.objects.select_for_update().get(pk=1)
        cursor.looked = cursor.looked | {LOOKED: now.isoformat()}
        cursor.save(update_fields=["looked"])


def standing_findings(finding_ids: Collection[Any]) -> set[str]:
    """Those of these findings that are still to be fixed and still severe, as texts."""
    standing = Finding.objects.filter(pk__in=list(finding_ids), state__in=list(TO_DO), severity__gte=SEVERE)
    return {str(pk) for pk in standing.values_list("pk", flat=True)}


def _notice(watch: ReviewWatch, since: datetime, now: datetime) -> int:
    with transaction.atomic(durable=True):
        found = list(_unnoticed(watch, since)[:CHUNK])
        events = _events_on(found)
        write_hits(events, now)
        # What waits already for another finding is noticed all the same, or it would be met again and again.
        WatchHit.objects.bulk_create(
            (hit_of(event, watch.pk, HitOutcome.ASKED_ALREADY, now) for event in events),
            ignore_conflicts=True,
            batch_size=2_000,
        )
    return len(found)


def _unnoticed(watch: ReviewWatch, since: datetime) -> Any:
    cause = Concat(
        Value("finding:"),
        Cast(OuterRef("pk"), TextField()),
        Value(":"),
        Cast(OuterRef("reopened"), TextField()),
        output_field=TextField(),
    )
    noticed = WatchHit.objects.filter(watch=watch, identity=OuterRef("identity"), cause=cause)
    held = Grant.objects.filter(identity=OuterRef("identity"), retired_at=None)
    severe = Finding.objects.filter(severity__gte=SEVERE, state__in=list(TO_DO), opened_at__gte=since)
    # Who holds nothing gives nothing to ask about.
    return severe.filter(Exists(held)).exclude(Exists(noticed)).order_by("-severity", "opened_at", "pk")


def _events_on(findings: Sequence[Finding]) -> list[Event]:
    """On the access that a finding names in its evidence; where it names none that is held, on all of the identity."""
    held: dict[UUID | None, list[Grant]] = {}
    grants = Grant.objects.filter(identity__in=[each.identity_id for each in findings], retired_at=None)
    for grant in grants.only("identity_id", "source_id", "label").order_by("identity_id", "pk"):
        held.setdefault(grant.identity_id, []).append(grant)
    return [
        Event(Trigger.FINDING, grant.source_id, grant.identity_id, grant.pk, _cause(finding), _facts(finding))
        for finding in findings
        for grant in _named(finding, held.get(finding.identity_id, []))
    ]


def _named(finding: Finding, grants: Sequence[Grant]) -> Iterable[Grant]:
    labels = finding.evidence.get("grants")
    named = [grant for grant in grants if isinstance(labels, list) and grant.label in labels]
    return named or grants


def _cause(finding: Finding) -> str:
    return f"finding:{finding.pk}:{finding.reopened}"


def _facts(finding: Finding) -> dict[str, Any]:
    return {
        "finding": str(finding.pk),
        "rule": finding.rule,
        "severity": FindingSeverity(finding.severity).word,
        "opened_at": finding.opened_at.isoformat(),
    }
