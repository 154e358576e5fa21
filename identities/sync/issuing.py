"""Grants that Remit itself keeps: made on request, for a time, and held by its own decision point.

No other system knows them, so no reading brings or retires them. They stand in a source of their own, as grants with
versions, changes and a place in the feed like all others. Inner steps: the caller's use case owns the transaction and
its audit record.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max
from django.db.models.functions import Greatest

from governance.kernel.actors import Actor
from governance.kernel.permissions import Permission, describe
from governance.kernel.privileges import (
    CATALOGUE_VERSION,
    classes_of,
    further_segments_of,
    is_privileged,
    segment_of,
)
from identities.diff import content_hash, moment_text
from identities.models import (
    Change,
    ChangeAction,
    Grant,
    GrantVersion,
    Identity,
    Revocability,
    Source,
    SyncMode,
    SyncOrigin,
    SyncRun,
    SyncState,
)
from identities.models.source import ON_REQUEST
from identities.services.decision_notes import note_identities, own_notes
from identities.sync.feed import take_feed_number
from identities.sync.known import find_unknown, known_row, write_known_permissions

SLUG = ON_REQUEST
NAME = "Granted on request"
LOOKED_AT_EVERY = timedelta(minutes=1)


def issue_grant(
    *,
    identity: Identity,
    permission: Permission,
    until: datetime,
    label: str,
    reference: UUID,
    issued_by: UUID | None,
    actor: Actor,
    now: datetime,
) -> Grant:
    """Let this identity do what the permission says until then. `reference`: the request, which names the grant."""
    source = _own_source(now)
    content = _content(identity, permission, label, until, now)
    run = _begin_run(source, actor, now, added=1)
    with own_notes():
        grant = _write(source, identity, permission, until, label, reference, issued_by, content, now)
        note_identities([identity.pk])
    _remember(permission)
    _note(run, grant, ChangeAction.ADDED, now, new=content)
    _count(identity, 1, grant.is_privileged)
    take_feed_number(run)
    return grant


def _write(
    source: Source,
    identity: Identity,
    permission: Permission,
    until: datetime,
    label: str,
    reference: UUID,
    issued_by: UUID | None,
    content: Mapping[str, Any],
    now: datetime,
) -> Grant:
    facts: dict[str, Any] = {
        "segment": segment_of(permission),
        "further_segments": list(further_segments_of(permission)),
        "is_privileged": is_privileged(permission),
    }
    grant = Grant.objects.create(
        source=source,
        identity=identity,
        external_id=str(reference),
        label=label,
        revocability=Revocability.HERE,
        path=[{"kind": "direct", "id": str(reference), "label": "granted on request"}],
        created_by_id=issued_by,
        first_seen_at=now,
        last_changed_at=now,
        content_hash=content_hash(content),
        **facts,
    )
    GrantVersion.objects.create(
        grant=grant,
        number=1,
        permission=permission.to_json(),
        digest=permission.digest(),
        valid_from=now,
        valid_until=until,
        plain=list(describe(permission)),
        privilege_classes=sorted(each.value for each in classes_of(permission)),
        catalogue_version=CATALOGUE_VERSION,
        seen_from=now,
        **facts,
    )
    return grant


def end_grant(*, grant: Grant, actor: Actor, now: datetime) -> bool:
    """Take it away again; False where it is gone already. The caller has locked the grant."""
    if grant.retired_at is not None:
        return False
    version = grant.versions.get(seen_until=None)
    run = _begin_run(grant.source, actor, now, retired=1)
    with own_notes():
        GrantVersion.objects.filter(pk=version.pk).update(seen_until=Greatest(F("seen_from"), now))
        grant.retired_at = grant.last_changed_at = now
        grant.save(update_fields=["retired_at", "last_changed_at"])
        note_identities([grant.identity_id])
    old = _content(grant.identity, Permission.from_json(version.permission), grant.label, version.valid_until, now)
    _note(run, grant, ChangeAction.RETIRED, now, old=old)
    _count(grant.identity, -1, grant.is_privileged)
    take_feed_number(run)
    return True


def look_at_own_source(*, now: datetime) -> None:
    """What stands there is what Remit decides by, so looking is reading: the source is as fresh as the last look.

    No identity belongs to it, so no decision asks how fresh it is, and nothing has to be noted.
    """
    with transaction.atomic(), own_notes():
        due = Source.objects.filter(slug=SLUG, last_success_at__lte=now - LOOKED_AT_EVERY)
        due.update(last_success_at=now, last_complete_at=now)


def _own_source(now: datetime) -> Source:
    source, _ = Source.objects.get_or_create(
        slug=SLUG,
        defaults={"name": NAME, "kind": "push", "last_success_at": now, "last_complete_at": now, "totals": {}},
    )
    return source


def _content(
    identity: Identity, permission: Permission, label: str, until: datetime | None, since: datetime
) -> dict[str, Any]:
    return {
        "identity": identity.external_id,
        "label": label,
        "permission": permission.to_json(),
        "valid_from": moment_text(since),
        "valid_until": moment_text(until) if until else None,
    }


def _begin_run(source: Source, actor: Actor, now: datetime, *, added: int = 0, retired: int = 0) -> SyncRun:
    """Applied as soon as the transaction is. Runs of a source never go back in time."""
    latest = SyncRun.objects.filter(source=source).aggregate(latest=Max("observed_at"))["latest"]
    return SyncRun.objects.create(
        source=source,
        mode=SyncMode.DELTA,
        origin=SyncOrigin.API,
        state=SyncState.APPLIED,
        actor_id=actor.id,
        started_at=now,
        observed_at=max(now, latest) if latest else now,
        finished_at=now,
        records=1,
        counts={"grant": {"added": added, "changed": 0, "retired": retired, "unchanged": 0}},
    )


def _remember(permission: Permission) -> None:
    """For “who could”: the permission is known from now on."""
    digest = permission.digest()
    if find_unknown([digest]):
        write_known_permissions([known_row(digest, permission)])


def _note(
    run: SyncRun,
    grant: Grant,
    action: ChangeAction,
    now: datetime,
    *,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
) -> None:
    Change.objects.create(
        run=run,
        object_kind="grant",
        object_id=grant.pk,
        external_id=grant.external_id,
        action=action,
        old=old,
        new=new,
        created_at=now,
    )


def _count(identity: Identity, step: int, privileged: bool) -> None:
    Identity.objects.filter(pk=identity.pk).update(
        grant_count=F("grant_count") + step,
        privileged_count=F("privileged_count") + (step if privileged else 0),
    )
