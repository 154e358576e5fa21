"""Find what leaves no change behind in the inventory: people who left, access that came back, use after silence.

The first two are facts in some table, and what was noticed once is known by its cause (`WatchHit.cause`), so looking
again finds nothing new. Use is looked at once after each reading of a source, against what was dormant before it.
Severe findings have a module of their own (`findings`).
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, F, Func, OuterRef, Subquery, TextField, Value
from django.db.models.functions import Cast, Concat

from identities.models import Identity, Source, SyncRun, SyncState
from reviews.continuous.findings import look_for_findings
from reviews.continuous.noticing import Event, events_on_identities, write_hits
from reviews.continuous.pulling import get_cursor
from reviews.models import DormantIdentity, Order, ReviewWatch, Trigger, WatchCursor, WatchHit
from reviews.states import OrderState

CHUNK = 500

# The log that watched an identity longest without seeing any use of it. Silence begins where the identity does.
_NOTE_DORMANT = """
INSERT INTO reviews_dormantidentity AS t (identity_id, quiet_from, quiet_until)
SELECT i.id, quiet.since, quiet.until
FROM identities_identity i
CROSS JOIN LATERAL (
    SELECT greatest(i.last_seen_at, w.observed_from, coalesce(i.created_at, i.first_seen_at)) AS since,
           w.observed_until AS until
    FROM identities_usagewindow w
    WHERE w.source_id = i.source_id AND (w.identity_id = i.id OR w.identity_id IS NULL)
    ORDER BY w.observed_until - greatest(i.last_seen_at, w.observed_from) DESC
    LIMIT 1
) quiet
WHERE i.source_id = %(source)s AND i.retired_at IS NULL AND quiet.until - quiet.since >= make_interval(days => %(days)s)
ON CONFLICT (identity_id) DO UPDATE SET quiet_from = EXCLUDED.quiet_from, quiet_until = EXCLUDED.quiet_until
-- A day more is worth writing down, an hour is not.
WHERE EXCLUDED.quiet_until >= t.quiet_until + interval '1 day' OR EXCLUDED.quiet_from <> t.quiet_from
"""


def look_around(*, now: datetime) -> None:
    """Notice what is not in the change feed."""
    _look_for_leavers(now)
    _look_for_returned_access(now)
    _look_for_use(now)
    look_for_findings(_watches(Trigger.FINDING), now)


def _watches(trigger: Trigger) -> list[ReviewWatch]:
    return list(ReviewWatch.objects.filter(trigger=trigger, is_enabled=True).order_by("pk"))


# --- people who left ----------------------------------------------------------------------------------------------


def _look_for_leavers(now: datetime) -> None:
    """Identities whose owner left and that still hold something; each leaving is noticed once per identity."""
    for watch in _watches(Trigger.OWNER_LEFT):
        # Chunks of identities, so that all access of one goes along together.
        while _notice_leavers(watch, now) == CHUNK:
            pass


def _notice_leavers(watch: ReviewWatch, now: datetime) -> int:
    with transaction.atomic(durable=True):
        found = list(_without_owner(watch, now)[:CHUNK])
        causes = {row["pk"]: _leaving(row["owner_id"], row["owner__left_at"]) for row in found}
        facts = {
            row["pk"]: {
                "owner": str(row["owner_id"]),
                "said_by": "people",
                "left_at": row["owner__left_at"].isoformat(),
            }
            for row in found
        }
        write_hits(events_on_identities(Trigger.OWNER_LEFT, facts, causes), now)
    return len(found)


def _without_owner(watch: ReviewWatch, now: datetime) -> Any:
    day = Func(
        Func(Value("UTC"), OuterRef("owner__left_at"), function="timezone"),
        Value("YYYY-MM-DD"),
        function="to_char",
        output_field=TextField(),
    )
    cause = Concat(Value("left:"), Cast(OuterRef("owner_id"), TextField()), Value(":"), day, output_field=TextField())
    noticed = WatchHit.objects.filter(watch=watch, identity=OuterRef("pk"), cause=cause)
    holding = Identity.objects.filter(retired_at=None, owner__left_at__lte=now, grants__retired_at=None)
    return holding.exclude(Exists(noticed)).order_by("pk").values("pk", "owner_id", "owner__left_at").distinct()


def _leaving(owner: UUID, left_at: datetime) -> str:
    return f"left:{owner}:{left_at.astimezone(UTC):%Y-%m-%d}"


# --- access that came back ----------------------------------------------------------------------------------------


def _look_for_returned_access(now: datetime) -> None:
    """Orders that a later reading contradicted: what they took away is held again."""
    watches = _watches(Trigger.REAPPEARED)
    if not watches:
        return
    with transaction.atomic(durable=True):
        orders = Order.objects.filter(
            state=OrderState.REAPPEARED, grant__retired_at=None, grant__isnull=False
        ).select_related("grant")
        causes = {f"order:{order.pk}:{order.verified_at}": order for order in orders.order_by("pk")}
        known = set(WatchHit.objects.filter(watch=watches[0], cause__in=list(causes)).values_list("cause", flat=True))
        write_hits([_return_of(order, cause) for cause, order in causes.items() if cause not in known], now)


def _return_of(order: Order, cause: str) -> Event:
    assert order.grant is not None  # noqa: S101 - asked for above
    facts = {
        "order": str(order.pk),
        "action": str(order.action),
        "gone_at": order.verified_at.isoformat() if order.verified_at else None,
        "decision": str(order.decision_id) if order.decision_id else None,
    }
    return Event(Trigger.REAPPEARED, order.source_id, order.grant.identity_id, order.grant.pk, cause, facts)


# --- use after silence --------------------------------------------------------------------------------------------


def _look_for_use(now: datetime) -> None:
    """After each reading of a source: who of the dormant was used, and who has become dormant."""
    watches = _watches(Trigger.WOKE_UP)
    if not watches:
        return
    looked = get_cursor(now).looked
    for source, run in _latest_readings().items():
        if looked.get(str(source)) != str(run):
            _look_at_source(source, run, watches, now)


def _latest_readings() -> dict[UUID, UUID]:
    runs = SyncRun.objects.filter(source=OuterRef("pk"), state=SyncState.APPLIED).order_by("-started_at")
    sources = Source.objects.annotate(latest=Subquery(runs.values("pk")[:1])).filter(latest__isnull=False)
    return dict(sources.values_list("pk", "latest"))


def _look_at_source(source: UUID, run: UUID, watches: list[ReviewWatch], now: datetime) -> None:
    days = min(watch.quiet_days for watch in watches)
    with transaction.atomic(durable=True):
        cursor = WatchCursor.objects.select_for_update().get(pk=1)
        if cursor.looked.get(str(source)) == str(run):
            return
        _notice_awakened(source, now)
        with connection.cursor() as sql:
            sql.execute(_NOTE_DORMANT, {"source": source, "days": days})
        cursor.looked = cursor.looked | {str(source): str(run)}
        cursor.save(update_fields=["looked"])


def _notice_awakened(source: UUID, now: datetime) -> None:
    """Whoever was used since is dormant no more. Use that a late log placed inside the silence breaks no silence."""
    awake = DormantIdentity.objects.filter(
        identity__source=source, identity__last_seen_at__gt=F("quiet_from")
    ).select_related("identity")
    facts = {
        each.identity_id: {
            "quiet_from": each.quiet_from.isoformat(),
            "quiet_until": each.quiet_until.isoformat(),
            "quiet_days": (each.quiet_until - each.quiet_from).days,
            "used_at": each.identity.last_seen_at.isoformat(),
        }
        for each in awake
        if each.identity.last_seen_at and each.identity.last_seen_at >= each.quiet_until
    }
    write_hits(events_on_identities(Trigger.WOKE_UP, facts), now)
    awake.delete()
