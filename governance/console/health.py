"""Health for operators: is the process alive, and could it do its work now?

`/healthz` asks nothing of anybody. `/readyz` asks the database, the broker, the worker, beat, the gateway of agents,
the migrations and the guards of the trail, and answers within about two seconds per question even when they do not: an
orchestrator must get an answer, not a time-out. Neither shows more than an age or a sentence, because both are open to
everybody who can reach the port.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import psycopg
from celery import current_app
from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from governance.audit.checks import find_drift
from identities.selectors.gateway import SIGN_OF_LIFE_LIMIT, gateway_seen_at, is_gateway_needed

HEARTBEATS = ("worker", "beat")
RECORDED = (*HEARTBEATS, "gateway", "migrations", "trail")
HEARTBEAT_LIMIT = timedelta(seconds=30)
PROBE_SECONDS = 2


@dataclass(frozen=True)
class Check:
    """One answer of `/readyz`: `detail` is a sentence for people, `age_seconds` only for signs of life."""

    ok: bool
    detail: str
    age_seconds: float | None = None


def record_heartbeat(name: str) -> None:
    """Note that `name` (one of `HEARTBEATS`) is alive now."""
    cache.set(_key(name), timezone.now(), timeout=int(timedelta(days=1).total_seconds()))


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 as long as this process answers at all."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when every check passes, otherwise 503; the body names each check either way."""
    checks = _probe.result()
    ready = all(check.ok for check in checks.values())
    body = {
        "status": "ready" if ready else "not ready",
        "checks": {
            name: {key: value for key, value in asdict(check).items() if value is not None}
            for name, check in checks.items()
        },
    }
    return JsonResponse(body, status=200 if ready else 503)


def run_checks() -> dict[str, Check]:
    """All checks, in the order in which one depends on the other."""
    database = check_database()
    checks = {"database": database, "broker": check_broker()}
    if not database.ok:
        unknown = Check(False, "not known while the database does not answer")
        return checks | dict.fromkeys(RECORDED, unknown)
    return checks | check_records()


def check_database() -> Check:
    """A new connection of its own: a pooled one could hang on a server that went away silently."""
    parameters = {
        key: value
        for key, value in connection.get_connection_params().items()
        if key not in {"cursor_factory", "context", "prepare_threshold"}
    }
    parameters["connect_timeout"] = PROBE_SECONDS
    parameters["options"] = "-c statement_timeout=1500"
    try:
        with psycopg.connect(**parameters) as probe:
            probe.execute("SELECT 1")
    except psycopg.Error as error:
        return Check(False, f"does not answer ({type(error).__name__})")
    return Check(True, "answers")


def check_broker() -> Check:
    """Connect as a publisher would, in a thread that may be left behind: not every client honours a time limit."""
    outcome: list[str] = []

    def connect() -> None:
        try:
            _reach_broker()
            outcome.append("")
        except Exception as error:
            outcome.append(f"does not answer ({type(error).__name__})")

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    problem = outcome[0] if outcome else f"no answer within {PROBE_SECONDS:g} s"
    return Check(not problem, problem or "answers")


def check_records() -> dict[str, Check]:
    """The signs of life and the migrations, read under a time limit of the database's own."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = '1500ms'")
            heartbeats = {name: _check_heartbeat(name) for name in HEARTBEATS}
            return heartbeats | {
                "gateway": _check_gateway(),
                "migrations": _check_migrations(),
                "trail": _check_trail(),
            }
    except Exception as error:
        failed = Check(False, f"cannot be read ({type(error).__name__})")
        return dict.fromkeys(RECORDED, failed)


def heartbeat_age(name: str, *, now: datetime) -> float | None:
    """Seconds since the last sign of life of one of `HEARTBEATS`; None when there was none."""
    seen_at = cache.get(_key(name))
    return None if seen_at is None else round((now - seen_at).total_seconds(), 1)


def _check_heartbeat(name: str) -> Check:
    seen_at = cache.get(_key(name))
    if seen_at is None:
        return Check(False, "no sign of life yet")
    age = timezone.now() - seen_at
    detail = "alive" if age <= HEARTBEAT_LIMIT else f"silent for more than {HEARTBEAT_LIMIT.seconds} s"
    return Check(age <= HEARTBEAT_LIMIT, detail, round(age.total_seconds(), 1))


def _check_gateway() -> Check:
    """The gateway's silence matters where something stands behind it; without it nothing is let through."""
    if not is_gateway_needed():
        return Check(True, "no server stands behind it")
    seen_at = gateway_seen_at()
    if seen_at is None:
        return Check(False, "no sign of life yet: run `manage.py mcp_gateway`")
    age = timezone.now() - seen_at
    is_alive = age <= SIGN_OF_LIFE_LIMIT
    detail = "alive" if is_alive else f"silent for more than {SIGN_OF_LIFE_LIMIT.seconds} s"
    return Check(is_alive, detail, round(age.total_seconds(), 1))


def _check_migrations() -> Check:
    executor = MigrationExecutor(connection)
    waiting = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    return Check(not waiting, f"{waiting} waiting: run `manage.py prepare`" if waiting else "all applied")


def _check_trail() -> Check:
    drifted = len(find_drift())
    detail = f"{drifted} guards of the audit trail are not as installed: run `manage.py check --database default`"
    return Check(not drifted, detail if drifted else "guarded")


def _reach_broker() -> None:
    """Raises whatever the client raises when the broker cannot be reached."""
    url, options = settings.CELERY_BROKER_URL, settings.CELERY_BROKER_TRANSPORT_OPTIONS
    seconds = PROBE_SECONDS // 2
    if url.startswith("pgmq"):
        # The queue is a table: asking it directly spares a pool of connections per question.
        with psycopg.connect(options["conn_string"], connect_timeout=PROBE_SECONDS) as queue:
            queue.execute("SELECT 1 FROM pgmq.meta LIMIT 1")
        return
    if url.startswith("redis"):
        options = options | {"socket_connect_timeout": seconds, "socket_timeout": seconds}
    with current_app.connection_for_write(url, connect_timeout=seconds, transport_options=options) as broker:
        broker.ensure_connection(max_retries=1, timeout=seconds)


def _key(name: str) -> str:
    return f"heartbeat.{name}"


class _SharedResult:
    """Let many callers share one probe per second, so that asking cannot wear the database out."""

    def __init__(self, probe: Callable[[], dict[str, Check]], keep_seconds: float) -> None:
        self._probe, self._keep_seconds = probe, keep_seconds
        self._lock = threading.Lock()
        self._checks: dict[str, Check] = {}
        self._taken_at = float("-inf")

    def result(self) -> dict[str, Check]:
        with self._lock:
            if time.monotonic() - self._taken_at >= self._keep_seconds:
                self._checks = self._probe()
                self._taken_at = time.monotonic()
            return self._checks


_probe = _SharedResult(run_checks, keep_seconds=1.0)
