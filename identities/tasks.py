"""Background work of the inventory. Beat only ticks; which source is due stands in its row."""

from typing import Any
from uuid import UUID

import structlog
from celery import shared_task
from django.utils import timezone

from governance.kernel.actors import system_actor
from identities.models import SyncRun
from identities.pdp import usage as decided
from identities.posture.evaluate import Busy, evaluate_changes
from identities.posture.findings.settling import close_gone_findings as close_gone
from identities.posture.findings.settling import settle_findings as settle
from identities.services.gateway_calls import forget_calls
from identities.services.sources import NotReadable
from identities.sync.locks import SyncInProgress
from identities.sync.read import queue_due_sources, read_again
from identities.sync.read import read_source as read
from identities.sync.runs import fail_abandoned_runs, forget_kept

logger = structlog.get_logger(__name__)
# A person waits for the answer, and most readings take less.
PATIENCE_SECONDS = 60


@shared_task(name="identities.read_due_sources", soft_time_limit=30, time_limit=45)
def read_due_sources(**kwargs: Any) -> None:
    """End what dead processes left behind, then queue one reading per source that is due."""
    now = timezone.now()
    fail_abandoned_runs(now=now)
    forget_kept(now=now)
    queue_due_sources(now=now)


@shared_task(name="identities.read_source", soft_time_limit=1800, time_limit=1860)
def read_source(*, source_id: str, **kwargs: Any) -> None:
    """Read one source. A message that finds another one at work leaves, and has the source read once more."""
    try:
        read(source_id=source_id, actor=system_actor("sync"), now=timezone.now())
    except SyncInProgress:
        read_again(source_id=source_id, now=timezone.now())
    except NotReadable as reason:
        logger.info("sync.not_read", source=source_id, reason=reason.code)


@shared_task(name="identities.preview_source", soft_time_limit=1800, time_limit=1860)
def preview_source(*, source_id: str, run_id: str, **kwargs: Any) -> None:
    """Read one source without applying it. A message that comes twice finds the run of the first."""
    if SyncRun.objects.filter(pk=run_id).exists():
        return
    try:
        read(
            source_id=source_id,
            actor=system_actor("sync"),
            now=timezone.now(),
            dry_run=True,
            run_id=UUID(run_id),
            wait_seconds=PATIENCE_SECONDS,
        )
    except (NotReadable, SyncInProgress) as reason:
        logger.info("sync.not_previewed", source=source_id, reason=reason.code)


@shared_task(name="identities.settle_findings", soft_time_limit=120, time_limit=150)
def settle_findings(**kwargs: Any) -> None:
    """End the exceptions whose time is over, and open again what people who left were to see to."""
    settle(now=timezone.now())


@shared_task(name="identities.close_gone_findings", soft_time_limit=300, time_limit=360)
def close_gone_findings(**kwargs: Any) -> None:
    """End the findings of what no source holds any more."""
    close_gone(now=timezone.now())


@shared_task(name="identities.fold_decisions", soft_time_limit=120, time_limit=150)
def fold_decisions(**kwargs: Any) -> None:
    """Add what was decided to what is known of use, and remove what is only kept for a while."""
    decided.fold_decisions(now=timezone.now())
    decided.forget_notes()
    forget_calls(now=timezone.now())


@shared_task(name="identities.evaluate_posture", soft_time_limit=1800, time_limit=1860)
def evaluate_posture(**kwargs: Any) -> None:
    """Judge what changed, what time has changed, and everything after a new policy. One worker at a time is enough."""
    try:
        evaluate_changes(now=timezone.now(), patience=False)
    except Busy:
        logger.debug("posture.busy")
