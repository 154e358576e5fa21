"""The console's background work: one tick that proves beat, broker and worker are connected."""

from typing import Any

from celery import shared_task

from governance.console import health


@shared_task(name="console.tick", soft_time_limit=5, time_limit=10)
def tick(**kwargs: Any) -> None:
    """Leave the worker's sign of life. Beat sends it every five seconds."""
    health.record_heartbeat("worker")
