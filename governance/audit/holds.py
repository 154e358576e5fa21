"""Legal holds: what they are on may be neither erased nor retired until a person lifts them.

A hold on a review, a person or an identity covers every event whose record names its id, a hold on a time every event
that occurred then. Reviewers' answers name the review and the identity, so a hold on a review covers its answers too.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from governance.audit.actions import Verb
from governance.audit.log import Subject, record
from governance.audit.models import LegalHold
from governance.audit.retirement_triggers import HELD, LOCK
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, DomainError, Forbidden, NotFound

MANAGE_SCOPE = "audit:write"


class UnderHold(Conflict):
    """A legal hold is on what should be erased or retired."""

    code = "under-legal-hold"
    title = "A legal hold is on this"


class HoldRefused(DomainError):
    """The hold is on nothing, or gives no reason."""

    code = "hold-refused"
    title = "The hold was not placed"


def require_custodian(actor: Actor) -> None:
    """Administrators, programs with the scope for it, and commands on the server itself. Raises Forbidden."""
    if actor.kind is ActorKind.SYSTEM or actor.has_role(Role.ADMINISTRATOR) or MANAGE_SCOPE in actor.scopes:
        return
    raise Forbidden("Only administrators place and lift holds, erase details or retire events.")


def place_hold(
    *,
    kind: str,
    reason: str,
    actor: Actor,
    now: datetime,
    subject_id: str = "",
    label: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> LegalHold:
    """Keep everything about a review, a person, an identity (`subject_id`), or of a time, until the hold is lifted.

    label: what the subject is called in lists; not personal. Raises HoldRefused and Forbidden.
    """
    require_custodian(actor)
    _refuse_empty_hold(kind, subject_id, since, until, reason)
    with transaction.atomic(durable=True):
        hold = LegalHold.objects.create(
            kind=kind,
            subject_id=subject_id,
            label=label[:200],
            since=since,
            until=until,
            reason=reason.strip(),
            placed_by=actor.id,
            placed_at=now,
        )
        record(
            verb=Verb.HOLD_PLACED,
            actor=actor,
            subject=Subject("hold", str(hold.pk), f"Hold on a {kind}"),
            now=now,
            reason=hold.reason,
            new={"kind": kind, "subject_id": subject_id, "since": since, "until": until},
        )
    return hold


def lift_hold(*, hold_id: UUID, reason: str, actor: Actor, now: datetime) -> LegalHold:
    """End a hold. Raises HoldRefused without a reason, NotFound, Conflict when it was lifted, Forbidden."""
    require_custodian(actor)
    if not reason.strip() or "\x00" in reason:
        raise HoldRefused("Say why the hold ends, in readable characters.")
    with transaction.atomic(durable=True):
        hold = LegalHold.objects.select_for_update().filter(pk=hold_id).first()
        if hold is None:
            raise NotFound("There is no such hold.")
        if hold.lifted_at:
            raise Conflict("This hold was lifted before.")
        hold.lifted_by, hold.lifted_at, hold.lifted_reason = actor.id, now, reason.strip()[:1000]
        hold.save(update_fields=["lifted_by", "lifted_at", "lifted_reason"])
        record(
            verb=Verb.HOLD_LIFTED,
            actor=actor,
            subject=Subject("hold", str(hold.pk), f"Hold on a {hold.kind}"),
            now=now,
            reason=hold.lifted_reason,
            old={"kind": hold.kind, "subject_id": hold.subject_id, "since": hold.since, "until": hold.until},
        )
    return hold


def _refuse_empty_hold(kind: str, subject_id: str, since: datetime | None, until: datetime | None, reason: str) -> None:
    if kind not in LegalHold.Kind.values:
        raise HoldRefused(f"A hold is on one of: {', '.join(LegalHold.Kind.values)}.")
    if not reason.strip() or len(reason) > 1000:
        raise HoldRefused("Say why, in at most a thousand characters.")
    if kind == LegalHold.Kind.PERIOD:
        if since is None or until is None or since >= until or subject_id:
            raise HoldRefused("A hold on a time needs a beginning and a later end, and nothing else.")
        return
    if since or until:
        raise HoldRefused("Only a hold on a time has a beginning and an end.")
    try:
        UUID(subject_id)
    except ValueError:
        raise HoldRefused("The id of a review, a person or an identity is a UUID.") from None


def list_holds() -> list[LegalHold]:
    """Holds, those in force first, each group newest first."""
    found = LegalHold.objects.order_by("-placed_at")
    return sorted(found, key=lambda hold: hold.lifted_at is not None)


def wait_for_holds() -> None:
    """Until the transaction ends, no hold is placed and nothing is retired: what was asked about stays so."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def holds_on_events(event_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Of these events, those under a hold in force: the event's id and the hold's."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT DISTINCT ON (e.id) e.id, h.id FROM audit_auditevent e JOIN audit_legalhold h ON {HELD}
            WHERE h.lifted_at IS NULL AND e.id = ANY (%s) ORDER BY e.id, h.placed_at
            """,  # noqa: S608 - a constant
            [list(event_ids)],
        )
        return dict(cursor.fetchall())


def first_held(*, after: int, until: int) -> tuple[int, UUID] | None:
    """The first seal with `after < seq <= until` whose event is under a hold in force, and the hold's id."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT l.seq, h.id FROM audit_auditlink l
            JOIN audit_auditevent e ON e.id = l.event_id JOIN audit_legalhold h ON {HELD}
            WHERE h.lifted_at IS NULL AND l.seq > %s AND l.seq <= %s ORDER BY l.seq, h.placed_at LIMIT 1
            """,  # noqa: S608 - a constant
            [after, until],
        )
        found: tuple[int, UUID] | None = cursor.fetchone()
        return found


def name_holds(ids: set[UUID]) -> str:
    """The holds as they are named in a sentence."""
    return "; ".join(f"{hold} ({hold.reason})" for hold in LegalHold.objects.filter(pk__in=ids).order_by("placed_at"))
