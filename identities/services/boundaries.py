"""Trust boundaries as people register them: whose word a source accepts, about whom, who answers for that."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Conflict, DomainError, Forbidden
from governance.people.access import require_role
from governance.people.models import User
from identities.models import Source, TrustBoundary

LONGEST_TIME = timedelta(days=366)
MOST_PATTERNS = 100
LONGEST_PATTERN = 512
LONGEST_PURPOSE = 2_000
CHANGEABLE = ("audiences", "subjects", "attributes_trusted", "purpose", "owner", "review_due")


class InvalidBoundary(DomainError):
    """A value that a record of a trust boundary cannot have; `field` names it."""

    code = "invalid-boundary"
    title = "The record can't be like this"


class BoundaryExists(Conflict):
    """The source has a record of this issuer already."""

    code = "boundary-exists"
    title = "This boundary is registered already"


class BoundaryChanged(Conflict):
    """Somebody else changed the record since it was read, or withdrew it."""

    code = "boundary-changed"
    title = "The record changed since you read it"


def register_boundary(
    *,
    source: Source,
    issuer: str,
    subjects: Sequence[str],
    audiences: Sequence[str],
    attributes_trusted: Sequence[str],
    purpose: str,
    owner: User,
    review_due: date,
    actor: Actor,
    now: datetime,
) -> TrustBoundary:
    """Say that a source may accept the word of an issuer. Raises Forbidden, InvalidBoundary, BoundaryExists."""
    require_role(actor, Role.ADMINISTRATOR, scope="inventory:write")
    issuer = issuer.strip()
    if not 1 <= len(issuer) <= LONGEST_PATTERN or not issuer.isprintable():
        raise InvalidBoundary("Name the issuer as the trust does, in at most 512 characters.", field="issuer")
    wish = {
        "subjects": subjects,
        "audiences": audiences,
        "attributes_trusted": attributes_trusted,
        "purpose": purpose,
        "owner": owner,
        "review_due": review_due,
    }
    values = {name: _checked(name, value, now) for name, value in wish.items()}
    boundary = TrustBoundary(source=source, issuer=issuer, created_at=now, reviewed_at=now, **values)
    with transaction.atomic(durable=True):
        try:
            with transaction.atomic():
                boundary.save(force_insert=True)
        except IntegrityError as error:
            if "identities_boundary_once" not in str(error):
                raise
            raise BoundaryExists(f"{source.name} has a record of {issuer} already.", field="issuer") from error
        _record(
            Verb.BOUNDARY_REGISTERED,
            boundary,
            actor,
            now,
            new={"source": source.slug, "issuer": issuer} | _loggable(values),
            personal={"purpose": boundary.purpose},
        )
    return boundary


def change_boundary(
    *, boundary: TrustBoundary, version: int, changes: Mapping[str, Any], actor: Actor, now: datetime
) -> TrustBoundary:
    """Change any of `CHANGEABLE`. version: the one that was seen.

    Raises Forbidden, InvalidBoundary, BoundaryChanged.
    """
    require_role(actor, Role.ADMINISTRATOR, scope="inventory:write")
    values = {name: _checked(name, value, now) for name, value in changes.items()}
    with transaction.atomic(durable=True):
        locked = _locked(boundary, version)
        old = {name: getattr(locked, name) for name in values if getattr(locked, name) != values[name]}
        if not old:
            return locked
        for name in old:
            setattr(locked, name, values[name])
        _save(locked)
        _record(
            Verb.BOUNDARY_CHANGED,
            locked,
            actor,
            now,
            old=_loggable(old),
            new=_loggable({name: values[name] for name in old}),
            personal={"old": old["purpose"], "new": locked.purpose} if "purpose" in old else None,
        )
    return locked


def review_boundary(
    *, boundary: TrustBoundary, version: int, review_due: date, reason: str, actor: Actor, now: datetime
) -> TrustBoundary:
    """Confirm that the boundary is still wanted as it is, until the next date.

    Whoever answers for it does not review it. Raises Forbidden, InvalidBoundary, BoundaryChanged.
    """
    require_role(actor, Role.ADMINISTRATOR, Role.AUDITOR, scope=None)
    if not reason.strip():
        raise InvalidBoundary("Say in a sentence what was looked at.", field="reason")
    due = _checked("review_due", review_due, now)
    with transaction.atomic(durable=True):
        locked = _locked(boundary, version)
        if locked.owner_id == actor.person_id:
            raise Forbidden("You answer for this boundary, so somebody else reviews it.")
        old = locked.review_due
        locked.review_due, locked.reviewed_at = due, now
        _save(locked)
        _record(
            Verb.BOUNDARY_REVIEWED,
            locked,
            actor,
            now,
            old={"review_due": old.isoformat()},
            new={"review_due": due.isoformat()},
            reason=reason.strip(),
        )
    return locked


def withdraw_boundary(*, boundary: TrustBoundary, version: int, reason: str, actor: Actor, now: datetime) -> None:
    """The record holds no longer; trusts that it covered are registered nowhere. Raises Forbidden, BoundaryChanged."""
    require_role(actor, Role.ADMINISTRATOR, scope="inventory:write")
    if not reason.strip():
        raise InvalidBoundary("Say why it is withdrawn.", field="reason")
    with transaction.atomic(durable=True):
        locked = _locked(boundary, version)
        locked.withdrawn_at = now
        _save(locked)
        _record(Verb.BOUNDARY_WITHDRAWN, locked, actor, now, reason=reason.strip())


def _locked(boundary: TrustBoundary, version: int) -> TrustBoundary:
    locked = TrustBoundary.objects.select_for_update(of=("self",)).select_related("source").get(pk=boundary.pk)
    if locked.version != version or locked.withdrawn_at is not None:
        raise BoundaryChanged("Somebody changed or withdrew this record since you opened it. Look again.")
    return locked


def _save(boundary: TrustBoundary) -> None:
    boundary.version += 1
    boundary.save()


def _checked(name: str, value: Any, now: datetime) -> Any:
    if name not in CHANGEABLE:
        raise InvalidBoundary(f"“{name}” is nothing that can be changed.", field=name)
    if name == "purpose":
        return _checked_purpose(value)
    if name == "review_due":
        if not now.date() < value <= (now + LONGEST_TIME).date():
            raise InvalidBoundary("The next review is within a year from today.", field=name)
        return value
    if name == "owner":
        if value is None or value.left_at is not None:
            raise InvalidBoundary("Name somebody who is here and answers for it.", field=name)
        return value
    return _checked_patterns(name, value)


def _checked_purpose(value: str) -> str:
    text = value.strip()
    if not 1 <= len(text) <= LONGEST_PURPOSE:
        raise InvalidBoundary("Say what this trust is for, in at most 2,000 characters.", field="purpose")
    return text


def _checked_patterns(name: str, value: Sequence[str]) -> list[str]:
    found = list(dict.fromkeys(text.strip() for text in value if text.strip()))
    if name == "subjects" and not found:
        raise InvalidBoundary("Name at least one subject pattern; * stands for everybody.", field=name)
    longest = 100 if name == "attributes_trusted" else LONGEST_PATTERN
    if len(found) > MOST_PATTERNS or any(len(text) > longest or not text.isprintable() for text in found):
        raise InvalidBoundary(f"At most {MOST_PATTERNS} lines of {longest} plain characters.", field=name)
    return found


def _loggable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without free text, people by their ids."""
    shown: dict[str, Any] = {name: value for name, value in values.items() if name != "purpose"}
    if "owner" in shown:
        shown["owner"] = str(shown["owner"].pk) if shown["owner"] else None
    if "review_due" in shown:
        shown["review_due"] = shown["review_due"].isoformat()
    return shown


def _record(verb: Verb, boundary: TrustBoundary, actor: Actor, now: datetime, **facts: Any) -> None:
    subject = log.Subject("boundary", str(boundary.pk), f"{boundary.issuer} → {boundary.source.slug}"[:200])
    log.record(verb=verb, actor=actor, subject=subject, now=now, **facts)
