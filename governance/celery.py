"""The Celery application. Queues, routes and the beat entries live in settings (`CELERY_*`)."""

import os
from typing import Any

from celery import Celery
from celery.signals import after_task_publish, beat_init, worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "governance.settings")

app = Celery("remit")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.set_default()


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
