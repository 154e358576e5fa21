"""Background edges of the trail."""

from collections.abc import Callable
from typing import Any

import structlog
from celery import shared_task
from django.utils import timezone

from governance.audit import checkpoint, places, stream
from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError

logger = structlog.get_logger(__name__)
# A worker is kept for seconds, not for as long as writers write.
BATCHES_PER_TICK = 50


@shared_task(name="audit.write_due_checkpoint", soft_time_limit=600, time_limit=660)
def write_due_checkpoint(**kwargs: Any) -> None:
    """Every tick: sign when the interval has passed and something happened."""
    _sign(checkpoint.write_due_checkpoint)


@shared_task(name="audit.write_checkpoint", soft_time_limit=600, time_limit=660)
def write_checkpoint(**kwargs: Any) -> None:
    """Sign now; queued when a campaign opens or closes."""
    _sign(checkpoint.write_checkpoint)


@shared_task(name="audit.send_checkpoints", soft_time_limit=300, time_limit=330)
def send_checkpoints(**kwargs: Any) -> None:
    """Every tick: tell the further places outside what they do not hold yet."""
    places.send_checkpoints(now=timezone.now(), actor=system_actor("checkpoint"))


@shared_task(name="audit.seal_stream", soft_time_limit=60, time_limit=90)
def seal_stream(**kwargs: Any) -> None:
    """Every tick: chain and anchor the lines of the decision log, batch by batch, until none is waiting."""
    for _ in range(BATCHES_PER_TICK):
        batch = stream.seal_pending(now=timezone.now(), actor=system_actor("decision-log"))
        if batch is None or not batch.is_full:
            return


def _sign(write: Callable[..., Any]) -> None:
    # Refusals repeat until a person looks, so they are logged for alerting and do not fail the worker.
    try:
        write(now=timezone.now(), actor=system_actor("checkpoint"))
    except DomainError as error:
        logger.error("audit.checkpoint_refused", code=error.code, message=error.message, **error.details)
