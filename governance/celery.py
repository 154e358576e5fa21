"""The Celery application. Queues, routes and the beat entries live in settings (`CELERY_*`)."""

import os
import time
from typing import Any

import structlog
from celery import Celery
from celery.signals import (
    after_task_publish,
    beat_init,
    before_task_publish,
    task_postrun,
    task_prerun,
    worker_init,
)

from governance.measuring import note_task, note_wait

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "governance.settings")

app = Celery("remit")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.set_default()
log = structlog.get_logger(__name__)
SENT_AT = "sent_at"
_began: dict[str, float] = {}


@before_task_publish.connect
def note_when_sent(headers: dict[str, Any] | None = None, **kwargs: Any) -> None:
    """A message says when it was sent, so that the worker knows how long it waited."""
    if headers is not None:
        headers[SENT_AT] = time.time()


@after_task_publish.connect(sender="console.tick")
def record_beat(**kwargs: Any) -> None:
    """Beat has no task of its own, so a tick that reached the broker is its sign of life."""
    from django.db import close_old_connections

    from governance.console import health

    close_old_connections()  # nothing else in beat notices that the database was restarted
    health.record_heartbeat("beat")


@worker_init.connect
@beat_init.connect
def look_at_the_guards(**kwargs: Any) -> None:
    """Worker and beat say at their start when the database no longer guards the audit trail."""
    from governance.audit.checks import report_drift

    report_drift()


@beat_init.connect
def tick_at_once(**kwargs: Any) -> None:
    """Beat waits a whole interval before it sends anything; readiness need not."""
    app.send_task("console.tick", expires=15)


@task_prerun.connect
def begin_task(task_id: str, task: Any, **kwargs: Any) -> None:
    """Every line that a task writes carries its id and name."""
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id)
    _began[task_id] = time.perf_counter()
    sent_at = getattr(task.request, SENT_AT, None)
    # What was to be done later did not wait for a worker alone.
    if isinstance(sent_at, int | float) and not task.request.eta:
        queue = (task.request.delivery_info or {}).get("routing_key") or "unknown"
        note_wait(queue=queue, seconds=time.time() - sent_at)


@task_postrun.connect
def end_task(task_id: str, task: Any, state: str | None = None, **kwargs: Any) -> None:
    """One line per task: its end and how long it took, never its arguments. Ticks that did nothing wrong are quiet."""
    seconds = time.perf_counter() - _began.pop(task_id, time.perf_counter())
    is_tick = task.name in app.conf.beat_schedule
    say = log.error if state == "FAILURE" else log.debug if is_tick else log.info
    note_task(task=task.name, state=state or "unknown", seconds=seconds)
    say("task", state=state or "unknown", ms=round(seconds * 1000, 1))
    structlog.contextvars.unbind_contextvars("task", "task_id")
