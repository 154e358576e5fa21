"""What a change in the inventory means for reviews: which triggers it fires, on which access.

A change alone does not say enough. What holds now is read from the inventory, what was approved from the decisions, so
that a change which was undone meanwhile, or which an order of Remit itself brought about, fires nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from governance.kernel.permissions import Permission
from governance.kernel.privileges import is_privileged
from identities.models import Change, ChangeAction, Grant, GrantVersion, Identity, SyncRun, SyncState
from reviews.campaigns.approved import Approval, approvals_of
from reviews.campaigns.differences import difference_of_tools
from reviews.models import HitOutcome, ReviewWatch, Trigger, WatchHit


@dataclass(frozen=True, slots=True)
class Event:
    """A trigger fired on one access. cause, facts: see `WatchHit`."""

    trigger: Trigger
    source: UUID
    identity: UUID
    grant: UUID
    cause: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def events_of(changes: Sequence[Change], now: datetime) -> list[Event]:
    """Everything that these changes fire, at most one event per trigger and access."""
    of_grants = [each for each in changes if each.object_kind == "grant" and each.action != ChangeAction.RETIRED]
    by_grant: dict[UUID, list[Change]] = defaultdict(list)
    for change in of_grants:
        by_grant[change.object_id].append(change)
    current = current_versions(by_grant)
    approvals = approvals_of(current, now)
    first_readings = _first_readings(of_grants)
    found = []
    for grant_id, version in current.items():
        history, approval = by_grant[grant_id], approvals.get(grant_id)
        if _became_privileged(history, version, first_readings):
            found.append(_event(Trigger.PRIVILEGED, version, {"was_held": history[0].old is not None}))
        changed = _changed_since_approval(history, version, approval)
        if changed is not None:
            found.append(_event(Trigger.CHANGED, version, changed))
    return found + _owners_dropped([each for each in changes if each.object_kind == "identity"])


def current_versions(grant_ids: Collection[UUID]) -> dict[UUID, GrantVersion]:
    """What is held now of these grants, with the grant; what is gone is absent."""
    held = GrantVersion.objects.filter(
        grant__in=list(grant_ids), seen_until=None, grant__retired_at=None, grant__identity__retired_at=None
    )
    return {version.grant_id: version for version in held.select_related("grant").order_by("grant_id")}


def _event(trigger: Trigger, version: GrantVersion, facts: Mapping[str, Any], cause: str = "") -> Event:
    grant = version.grant
    return Event(trigger, grant.source_id, grant.identity_id, grant.pk, cause, facts)


def _first_readings(changes: Iterable[Change]) -> frozenset[UUID]:
    """Runs that were the first of their source: what stands in them is where the watching starts, not news."""
    sources = {change.run.source_id for change in changes if change.action == ChangeAction.ADDED}
    first = (
        SyncRun.objects.filter(source=source, state=SyncState.APPLIED, feed_number__isnull=False)
        .order_by("started_at")
        .values_list("pk", flat=True)
        .first()
        for source in sources
    )
    return frozenset(run for run in first if run is not None)


def _became_privileged(history: Sequence[Change], version: GrantVersion, first_readings: frozenset[UUID]) -> bool:
    """Whether it is privileged now and one of these changes made it so."""
    if not version.is_privileged:
        return False
    for change in history:
        if change.action == ChangeAction.ADDED:
            if change.run_id not in first_readings:
                return True
        elif change.old and "permission" in change.old and not _is_privileged(orjson.dumps(change.old["permission"])):
            return True
    return False


@lru_cache(maxsize=4096)
def _is_privileged(document: bytes) -> bool:
    return is_privileged(Permission.from_json(orjson.loads(document)))


def _changed_since_approval(
    history: Sequence[Change], version: GrantVersion, approval: Approval | None
) -> dict[str, Any] | None:
    """What the question has to tell, or None where what is held is what was approved (or nothing ever was)."""
    if approval is None:
        return None
    since = [change for change in history if change.created_at > approval.decision.decided_at]
    tools_before = next((each.old["native_ref"] for each in since if each.old and "native_ref" in each.old), None)
    facts: dict[str, Any] = {"decision": str(approval.decision.pk)}
    if tools_before is not None and difference_of_tools(tools_before, version.grant.native_ref):
        return facts | {"tools_before": tools_before}
    return None if approval.stands_for(version) else facts


def _owners_dropped(changes: Sequence[Change]) -> list[Event]:
    """Identities whose source no longer names the person who still is their owner in Remit."""
    dropped: dict[UUID, str] = {}
    for change in changes:
        was = (change.old or {}).get("owner")
        if change.action == ChangeAction.CHANGED and was and (change.new or {}).get("owner") != was:
            dropped.setdefault(change.object_id, was)
    identities = Identity.objects.filter(pk__in=list(dropped), retired_at=None, owner__isnull=False)
    left = {
        identity.pk: {"owner": str(identity.owner_id), "said_by": "source"}
        for identity in identities.select_related("owner")
        if identity.owner is not None
        and identity.owner.email.lower() == dropped[identity.pk].lower()
        # It came back to the same person within this page.
        and identity.source_owner.lower() != dropped[identity.pk].lower()
    }
    return events_on_identities(Trigger.OWNER_LEFT, left)


def events_on_identities(
    trigger: Trigger, facts: Mapping[UUID, Mapping[str, Any]], causes: Mapping[UUID, str] | None = None
) -> list[Event]:
    """One event per access that these identities hold now."""
    held = Grant.objects.filter(identity__in=list(facts), retired_at=None).order_by("identity_id", "pk")
    return [
        Event(trigger, source, identity, grant, (causes or {}).get(identity, ""), facts[identity])
        for grant, identity, source in held.values_list("pk", "identity_id", "source_id")
    ]


def hit_of(event: Event, watch_id: UUID, outcome: HitOutcome, now: datetime) -> WatchHit:
    """A new row: one watch has noticed this event."""
    return WatchHit(
        watch_id=watch_id,
        source_id=event.source,
        identity_id=event.identity,
        grant_id=event.grant,
        cause=event.cause,
        facts=dict(event.facts),
        noticed_at=now,
        outcome=outcome,
    )


def write_hits(events: Iterable[Event], now: datetime) -> int:
    """Keep the events for every watch that is switched on for their trigger. What waits already stays as it is.

    An inner step: it commits with what moved the caller on. Returns how many were new or repeated.
    """
    watches: dict[str, list[UUID]] = defaultdict(list)
    for pk, trigger in ReviewWatch.objects.filter(is_enabled=True).order_by("pk").values_list("pk", "trigger"):
        watches[trigger].append(pk)
    hits = [hit_of(event, watch, HitOutcome.WAITING, now) for event in events for watch in watches[event.trigger]]
    WatchHit.objects.bulk_create(hits, ignore_conflicts=True, batch_size=2000)
    return len(hits)
