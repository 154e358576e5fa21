"""Queue background work by task name, after the transaction that caused it has committed.

Messages are hints: the row is the truth, and a periodic drain finds what a lost message left behind. So a broker
that is down costs time and never fails the use case.
"""

from typing import Any

import structlog
from celery import current_app
from django.db import transaction

logger = structlog.get_logger(__name__)


def after_commit(task_name: str, **kwargs: Any) -> None:
    """Queue `task_name` with keyword arguments (JSON values) once the current transaction commits."""
    transaction.on_commit(lambda: _send(task_name, kwargs), robust=True)


def _send(task_name: str, kwargs: dict[str, Any]) -> None:
    # `send_task` ignores eager mode, so go through the registered task.
    task = current_app.tasks[task_name]
    try:
        task.apply_async(kwargs=kwargs, retry=False)
    except Exception:
        logger.warning("dispatch.broker_unreachable", task=task_name, exc_info=True)
