"""What people do in the life of an identity: register it, and say how often it is used.

Locking out, restoring and removing are orders of reviews; that something is active, dormant or retired is observed.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from governance.kernel.errors import Conflict
from governance.people.models import User
from identities.models import Identity
from identities.services.identities import (
    IdentityChanged,
    InvalidEdit,
    NotAnOwner,
    checked,
    identity_subject,
    plain_facts,
    require_editor,
)
from identities.services.identity_versions import write_versions_of
from identities.services.posture_marks import mark_identities

LONGEST_CADENCE = 3_650


class AlreadyRegistered(Conflict):
    """Somebody registered the identity before."""

    code = "already-registered"
    title = "It is registered"


def register_identity(
    *, identity: Identity, version: int, owner: User | None, purpose: str, actor: Actor, now: datetime, reason: str = ""
) -> Identity:
    """Take an identity on: name who answers for it and what it is for, and mean it.

    purpose: may be what the source says already; it is never empty. Raises Forbidden, IdentityChanged, NotAnOwner,
    InvalidEdit, AlreadyRegistered.
    """
    if not purpose.strip():
        raise InvalidEdit("Say what it is for.", field="purpose")
    if owner is None:
        raise NotAnOwner("Name the person who answers for it.", field="owner")
    values = {"owner": checked("owner", owner), "purpose_edited": checked("purpose", purpose.strip())}
    with transaction.atomic(durable=True):
        locked = _lock(identity, version, actor)
        if locked.registered_at is not None:
            raise AlreadyRegistered("Somebody registered this identity already. Edit it instead.")
        if locked.effective_purpose == values["purpose_edited"]:
            # What the source says needs no repeating by a person; its next word should show.
            values["purpose_edited"] = locked.purpose_edited
        old = {"owner": locked.owner_id, "purpose": locked.effective_purpose}
        _write(locked, {**values, "registered_at": now, "registered_by_id": actor.person_id}, now)
        before, after, personal = plain_facts(old, {"owner": locked.owner_id, "purpose": purpose.strip()})
        log.record(
            verb=Verb.IDENTITY_REGISTERED,
            actor=actor,
            subject=identity_subject(locked),
            now=now,
            old=before,
            new=after,
            reason=reason,
            personal=personal,
        )
    return locked


def declare_cadence(
    *, identity: Identity, version: int, days: int | None, actor: Actor, now: datetime, reason: str
) -> Identity:
    """Say how rarely it is used, so that a yearly job or a standby is not called dormant; None takes that back.

    Raises Forbidden, IdentityChanged, InvalidEdit.
    """
    if days is not None and not 1 <= days <= LONGEST_CADENCE:
        raise InvalidEdit(f"The days lie between 1 and {LONGEST_CADENCE:,}.", field="days")
    if not reason.strip():
        raise InvalidEdit("Say why it is used so rarely: the next reviewer asks.", field="reason")
    with transaction.atomic(durable=True):
        locked = _lock(identity, version, actor)
        old = locked.expected_cadence_days
        if old == days:
            return locked
        _write(locked, {"expected_cadence_days": days}, now)
        log.record(
            verb=Verb.IDENTITY_CADENCE_DECLARED,
            actor=actor,
            subject=identity_subject(locked),
            now=now,
            old={"expected_cadence_days": old},
            new={"expected_cadence_days": days},
            reason=reason.strip(),
        )
    return locked


def _lock(identity: Identity, version: int, actor: Actor) -> Identity:
    locked = Identity.objects.select_for_update(of=("self",)).get(pk=identity.pk)
    require_editor(locked, actor)
    if locked.retired_at is not None:
        raise InvalidEdit("Its source no longer holds it, so there is nothing to declare.")
    if locked.version != version:
        raise IdentityChanged("Somebody changed this identity since you opened it. Look again.")
    return locked


def _write(locked: Identity, values: Mapping[str, Any], now: datetime) -> None:
    for name, value in values.items():
        setattr(locked, name, value)
    locked.version += 1
    columns = [name.removesuffix("_id") if name == "registered_by_id" else name for name in values]
    locked.save(update_fields=[*columns, "version"])
    write_versions_of([locked.pk], at=now)
    mark_identities([locked.pk])
