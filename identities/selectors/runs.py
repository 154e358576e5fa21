"""Who may see which reading, and the readings of a source."""

import gzip
import json
from uuid import UUID

from django.db.models import QuerySet

from governance.kernel.actors import Actor, ActorKind
from governance.kernel.errors import NotFound
from identities.models import Source, SyncRowError, SyncRun, SyncState
from identities.selectors.inventory import list_sources, sees_everything

# Bodies of readings: up to many megabytes, which only those who ask for them shall fetch.
PAYLOADS = ("held_payload", "refused_payload")


def list_runs(source: Source) -> QuerySet[SyncRun]:
    """The readings of a source, latest first."""
    return SyncRun.objects.filter(source=source).defer(*PAYLOADS).order_by("-started_at", "-pk")


def access_sync_run(*, actor: Actor, run_id: UUID | str, source: Source | None = None) -> SyncRun:
    """One run of a source that the actor may see, or NotFound. A program that may only send sees what it sent."""
    runs = SyncRun.objects.filter(pk=run_id, source__in=list_sources(actor=actor).values("pk"))
    if source is not None:
        runs = runs.filter(source=source)
    if _only_sends(actor):
        runs = runs.filter(actor_id=actor.id)
    run = runs.select_related("source").defer(*PAYLOADS).first()
    if run is None:
        raise NotFound("There is no such run, or it is not yours to see.")
    return run


def list_errors(run: SyncRun) -> QuerySet[SyncRowError]:
    """Why records of the run were refused, in the order of its lines; the first thousand are kept."""
    return run.row_errors.order_by("line", "pk")


def is_kept(run: SyncRun) -> bool:
    """Whether the run is a dry one that kept its reading, so that it can be taken in."""
    if run.state != SyncState.DRY_RUN:
        return False
    return SyncRun.objects.filter(pk=run.pk, held_payload__isnull=False).exists()


def refused_records(run: SyncRun) -> bytes:
    """Why records were refused, as packed NDJSON; of a partial run all of them, with what they were.

    Of a run that was refused as a whole the first thousand, without the records: who sent them has them still.
    Raises `NotFound` where nothing was refused.
    """
    found = SyncRun.objects.filter(pk=run.pk).values_list("refused_payload", flat=True).first()
    if found:
        return bytes(found)
    lines = [json.dumps(each) for each in list_errors(run).values("line", "pointer", "code", "reason")]
    if not lines:
        raise NotFound("No record of this run was refused.")
    return gzip.compress("\n".join([*lines, ""]).encode(), mtime=0)


def _only_sends(actor: Actor) -> bool:
    return actor.kind is ActorKind.API_CLIENT and not sees_everything(actor) and "inventory:write" not in actor.scopes
