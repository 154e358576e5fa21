"""Background edges of the trail."""

from collections.abc import Callable
from typing import Any

import structlog
from celery import shared_task
from django.utils import timezone

from governance.audit import checkpoint
from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError

logger = structlog.get_logger(__name__)


@shared_task(name="audit.write_due_checkpoint", soft_time_limit=600, time_limit=660)
def write_due_checkpoint(**kwargs: Any) -> None:
    """Every tick: sign when the interval has passed and something happened."""
    _sign(checkpoint.write_due_checkpoint)


@shared_task(name="audit.write_checkpoint", soft_time_limit=600, time_limit=660)
def write_checkpoint(**kwargs: Any) -> None:
    """Sign now; queued when a campaign opens or closes."""
    _sign(checkpoint.write_checkpoint)


def _sign(write: Callable[..., Any]) -> None:
    # Refusals repeat until a person looks, so they are logged for alerting and do not fail the worker.
    try:
        write(now=timezone.now(), actor=system_actor("checkpoint"))
    except DomainError as error:
        logger.error("audit.checkpoint_refused", code=error.code, message=error.message, **error.details)
