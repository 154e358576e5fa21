"""What an operator wants to see, asked of the database at the moment of the scrape.

What stands in the database is the same whichever process answers; latencies do not stand there (governance.measuring).
Each group costs a query or two along an index or over a small table; one that fails or takes too long is left out and
named by `remit_group_failed`.
Labels are states, kinds of connectors and verbs of our own vocabulary, never names: their number has a limit.
"""

import platform
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import django
import structlog
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Count, Max, Min, Q

from governance.audit.actions import Verb
from governance.audit.models import AuditCheckpoint, AuditEvent, AuditHead
from governance.console import health
from governance.console.metrics.exposition import Family
from governance.waiting import within
from identities.models import Source, SyncRun, SyncState
from reviews.models import Brake, BrakeState, Campaign, Order, RestoreHold, ReviewMail, WebhookEndpoint
from reviews.states import SETTLED_ORDERS, CampaignState, OrderState

logger = structlog.get_logger(__name__)
STATEMENT_MILLISECONDS = 1500
HOUR = timedelta(hours=1)
COUNTED_EVENTS = (
    Verb.USER_SIGNED_IN,
    Verb.USER_SIGN_IN_FAILED,
    Verb.SYNC_APPLIED,
    Verb.SYNC_FAILED,
    Verb.SYNC_REJECTED,
    Verb.ORDER_APPLIED,
    Verb.ORDER_FAILED,
    Verb.ORDER_BLOCKED,
    Verb.CHECKPOINT_SIGNED,
    Verb.CHECKPOINT_PLACE_FAILED,
)
OPEN_ORDERS = [state for state in OrderState if state not in SETTLED_ORDERS]
OPEN_CAMPAIGNS = [CampaignState.DRAFT, CampaignState.OPENING, CampaignState.OPEN, CampaignState.CLOSING]
Group = Callable[[datetime], Iterator[Family]]


def collect(now: datetime, *, knows_latencies: bool = True) -> list[Family]:
    """All groups. Never raises: what could not be asked is named. knows_latencies: whether the caller could read those.

    Where the database is away, it is asked once and no group waits for it again.
    """
    began = time.perf_counter()
    families = _reach()
    is_up = bool(families[0].samples[0][1])
    failed = Family("remit_group_failed", "1 for a group of figures that could not be read in time.")
    failed.add(int(not knows_latencies), group="latencies")
    for group in GROUPS:
        name = group.__name__.strip("_")
        if not is_up and group is not _build:
            failed.add(1, group=name)
            continue
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(STATEMENT_MILLISECONDS)])
                found = list(group(now))
        except DatabaseError as error:
            logger.warning("metrics.group_failed", group=name, error=type(error).__name__)
            failed.add(1, group=name)
        else:
            families += found
            failed.add(0, group=name)
    seconds = Family("remit_scrape_seconds", "How long it took to ask for these figures.")
    return [*families, failed, seconds.add(round(time.perf_counter() - began, 4))]


def _reach() -> list[Family]:
    """Whether the database answers this process, and how soon."""
    up = Family("remit_database_up", "1 where the database answers this process, else 0.")
    seconds = Family("remit_database_answer_seconds", "How long it took to answer.")
    began = time.perf_counter()
    try:
        with within(STATEMENT_MILLISECONDS / 1000), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        logger.warning("metrics.database_away", error=type(error).__name__)
        return [up.add(0)]
    return [up.add(1), seconds.add(round(time.perf_counter() - began, 5))]


def _build(now: datetime) -> Iterator[Family]:
    about = Family("remit_build_info", "Versions in use; the value is always 1.")
    yield about.add(1, python=platform.python_version(), django=django.get_version())


def _programs(now: datetime) -> Iterator[Family]:
    ages = Family("remit_heartbeat_age_seconds", "Time since the last sign of life of worker and beat.")
    for name in health.HEARTBEATS:
        ages.add(health.heartbeat_age(name, now=now), program=name)
    yield ages


def _queue(now: datetime) -> Iterator[Family]:
    if not settings.CELERY_BROKER_URL.startswith("pgmq"):
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT queue_name, queue_length, oldest_msg_age_sec FROM pgmq.metrics_all()")
        rows = cursor.fetchall()
    length = Family("remit_queue_messages", "Messages in a queue of the broker inside PostgreSQL.")
    lag = Family("remit_queue_lag_seconds", "Age of the oldest message in a queue.")
    for queue, messages, oldest in rows[:20]:
        length.add(messages, queue=queue)
        lag.add(oldest or 0, queue=queue)
    yield from (length, lag)


def _orders(now: datetime) -> Iterator[Family]:
    rows = Order.objects.filter(state__in=OPEN_ORDERS).order_by().values("state")
    counted = {row["state"]: row for row in rows.annotate(count=Count("pk"), oldest=Min("state_since"))}
    number = Family("remit_orders", "Orders by state; those that ended are not counted.")
    oldest = Family("remit_orders_oldest_seconds", "How long the first order has stood in this state.")
    for state in OPEN_ORDERS:
        row: dict[str, Any] = dict(counted.get(state, {}))
        number.add(row.get("count", 0), state=str(state))
        oldest.add(_age(row.get("oldest"), now), state=str(state))
    yield from (number, oldest)


def _stopped(now: datetime) -> Iterator[Family]:
    brakes = Brake.objects.filter(state=BrakeState.HELD).count()
    holds = RestoreHold.objects.filter(ended_at=None).count()
    yield Family("remit_brakes_held", "Budgets of changes that ran out and hold orders.").add(brakes)
    yield Family("remit_restore_holds", "Sources where nothing is sent since a restore.").add(holds)


def _sources(now: datetime) -> Iterator[Family]:
    rows = (
        Source.objects.filter(is_enabled=True)
        .order_by()
        .values_list("kind", "last_complete_at", "freshness_limit_seconds", "last_error")
    )
    number = Family("remit_sources", "Sources in use by kind and by how fresh their newest complete reading is.")
    age = Family("remit_source_age_seconds", "Age of the oldest newest complete reading among the sources of a kind.")
    counts: dict[tuple[str, str], int] = {}
    ages: dict[str, float] = {}
    failing: dict[str, int] = {}
    for kind, read_at, limit, error in rows:
        seconds = _age(read_at, now)
        freshness = "never" if seconds is None else "stale" if seconds > limit else "fresh"
        counts[kind, freshness] = counts.get((kind, freshness), 0) + 1
        failing[kind] = failing.get(kind, 0) + bool(error)
        if seconds is not None:
            ages[kind] = max(ages.get(kind, 0), seconds)
    for (kind, freshness), count in sorted(counts.items()):
        number.add(count, kind=kind, freshness=freshness)
    for kind, seconds in sorted(ages.items()):
        age.add(seconds, kind=kind)
    yield from (number, age)
    broken = Family("remit_sources_failing", "Sources whose latest reading failed.")
    for kind, count in sorted(failing.items()):
        broken.add(count, kind=kind)
    yield broken
    held = SyncRun.objects.filter(state=SyncState.HELD, started_at__gt=now - 30 * 24 * HOUR).count()
    yield Family("remit_readings_held", "Readings of the last 30 days that wait for a person.").add(held)


def _campaigns(now: datetime) -> Iterator[Family]:
    rows = Campaign.objects.filter(state__in=OPEN_CAMPAIGNS).order_by().values("state")
    counted = {
        row["state"]: row for row in rows.annotate(n=Count("pk"), late=Count("pk", filter=Q(deadline_at__lt=now)))
    }
    number = Family("remit_campaigns", "Reviews by state; those that ended are not counted.")
    for state in OPEN_CAMPAIGNS:
        number.add(counted.get(state, {"n": 0})["n"], state=str(state))
    yield number
    late = sum(row["late"] for row in counted.values())
    yield Family("remit_campaigns_overdue", "Reviews that are open although their deadline has passed.").add(late)


def _mail(now: datetime) -> Iterator[Family]:
    waiting = ReviewMail.objects.filter(sent_at=None, is_dropped=False)
    found = waiting.aggregate(count=Count("pk"), oldest=Min("created_at"))
    yield Family("remit_mails_waiting", "Mails that were not accepted by the mail server yet.").add(found["count"])
    oldest = Family("remit_mails_oldest_seconds", "Age of the oldest of them.")
    yield oldest.add(_age(found["oldest"], now) or 0)


def _trail(now: datetime) -> Iterator[Family]:
    head = AuditHead.objects.values_list("seq", flat=True).get()
    signed = AuditCheckpoint.objects.aggregate(at=Max("signed_at"))["at"]
    newest = AuditCheckpoint.objects.order_by("-signed_at").values_list("size", flat=True).first() or 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT FROM audit_pending LIMIT 100000) few")
        (pending,) = cursor.fetchone()
    yield Family("remit_trail_events", "Sealed events of the audit trail.").add(head)
    yield Family("remit_trail_pending", "Events that are written and not sealed.").add(pending)
    yield Family("remit_trail_unsigned", "Sealed events behind the newest checkpoint.").add(max(head - newest, 0))
    yield Family("remit_checkpoint_age_seconds", "Age of the newest checkpoint.").add(_age(signed, now))


def _events(now: datetime) -> Iterator[Family]:
    rows = AuditEvent.objects.filter(verb__in=COUNTED_EVENTS, occurred_at__gt=now - HOUR).order_by().values("verb")
    counted = {row["verb"]: row["count"] for row in rows.annotate(count=Count("pk"))}
    number = Family("remit_events_last_hour", "Events of the trail in the last hour, by verb.")
    for verb in COUNTED_EVENTS:
        number.add(counted.get(verb, 0), verb=verb.value)
    yield number


def _database(now: datetime) -> Iterator[Family]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database()), current_setting('max_connections')::int")
        size, most = cursor.fetchone()
        cursor.execute(
            "SELECT coalesce(state, 'unknown'), count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend' GROUP BY 1"
        )
        states = cursor.fetchall()
    yield Family("remit_database_bytes", "Size of the database.").add(size)
    yield Family("remit_database_connections_max", "Connections that the server allows in all.").add(most)
    number = Family("remit_database_connections", "Connections to this database by what they do.")
    for state, count in sorted(states):
        number.add(count, state=state)
    yield number


def _age(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else round(max((now - moment).total_seconds(), 0.0), 1)


def _webhooks(now: datetime) -> Iterator[Family]:
    found: dict[str, Any] = WebhookEndpoint.objects.filter(removed_at=None).aggregate(
        off=Count("pk", filter=Q(is_enabled=False)), failing=Count("pk", filter=Q(failing_since__isnull=False))
    )
    yield Family("remit_webhooks_failing", "Webhooks whose receiver takes nothing.").add(found["failing"])
    yield Family("remit_webhooks_off", "Webhooks that are switched off.").add(found["off"])


GROUPS: tuple[Group, ...] = (
    _build,
    _programs,
    _queue,
    _orders,
    _stopped,
    _sources,
    _campaigns,
    _mail,
    _webhooks,
    _trail,
    _events,
    _database,
)
