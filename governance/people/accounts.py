"""Use cases on people. Each leaves one record; names and addresses stay outside the chain."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import F

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Conflict, DomainError, Forbidden, NotFound
from governance.people.access import person_label, require_role
from governance.people.models import MailLink, RoleAssignment, User

SCOPE = "people:write"
UNCHANGED: Any = object()


class PersonRefused(DomainError):
    """The details don't make a person: no name, a bad or taken address, a manager in a circle."""

    code = "person-refused"
    title = "These details can't be saved"


class OwnAccount(Forbidden):
    """Nobody raises or ends their own powers: a second administrator does."""

    code = "own-account"


class LastAdministrator(Conflict):
    """Without an administrator nobody could ever be one again."""

    code = "last-administrator"
    title = "Somebody has to stay administrator"


class StaleVersion(Conflict):
    """The object changed since the caller read it."""

    code = "stale-version"
    status = 412


def create_user(
    *,
    email: str,
    name: str,
    actor: Actor,
    now: datetime,
    roles: Iterable[Role] = (),
    password: str | None = None,
) -> User:
    """Add a person. Without a password they set one by mail ("forgot password").

    Roles can't be given by API clients. Raises `PersonRefused`, `Forbidden`.
    """
    require_role(actor, Role.ADMINISTRATOR, scope=SCOPE)
    wanted = {Role(role) for role in roles}
    if wanted:
        require_role(actor, Role.ADMINISTRATOR)
    with transaction.atomic(durable=True):
        user = User.objects.create_user(checked_email(email), password, name=checked_name(name), created_at=now)
        RoleAssignment.objects.bulk_create(RoleAssignment(user=user, role=role) for role in sorted(wanted))
        log.record(
            verb=Verb.USER_CREATED,
            actor=actor,
            subject=person_subject(user),
            now=now,
            new={"roles": sorted(wanted)},
            personal={"email": user.email, "name": user.name},
        )
    return user


def change_user(
    *,
    user_id: UUID,
    actor: Actor,
    now: datetime,
    email: str = UNCHANGED,
    name: str = UNCHANGED,
    manager_id: UUID | None = UNCHANGED,
    may_sign_in: bool = UNCHANGED,
    expected_version: int | None = None,
) -> User:
    """Change a person's details; what is not given stays. Taking `may_sign_in` away ends all sessions.

    Raises `PersonRefused`, `StaleVersion`, `LastAdministrator`, `OwnAccount`, `NotFound`.
    """
    require_role(actor, Role.ADMINISTRATOR, scope=SCOPE)
    with transaction.atomic(durable=True):
        user = _locked_user(user_id, expected_version)
        before = _details(user)
        if email is not UNCHANGED:
            user.email = checked_email(email, but=user)
        if name is not UNCHANGED:
            user.name = checked_name(name)
        if manager_id is not UNCHANGED:
            user.manager_id = checked_manager(user, manager_id)
        if may_sign_in is not UNCHANGED and may_sign_in != user.is_active:
            _set_sign_in(user, may_sign_in, actor, now)
        changed = sorted(key for key, value in _details(user).items() if before[key] != value)
        if changed:
            _save(user)
            _record_details(user, before, changed, actor, now)
    return user


def assign_roles(
    *, user_id: UUID, roles: Collection[Role], actor: Actor, now: datetime, expected_version: int | None = None
) -> User:
    """Give a person exactly these roles, effective with their next request.

    Raises `OwnAccount`, `LastAdministrator`, `PersonRefused` for somebody who left, `StaleVersion`,
    `NotFound`.
    """
    require_role(actor, Role.ADMINISTRATOR)
    _not_oneself(actor, user_id, "Nobody changes their own roles. Ask another administrator.")
    wanted = {Role(role) for role in roles}
    with transaction.atomic(durable=True):
        user = _locked_user(user_id, expected_version)
        if wanted and user.left_at is not None:
            raise PersonRefused(f"{user} left and can't have roles.")
        held = roles_of(user)
        if held == wanted:
            return user
        if Role.ADMINISTRATOR in held - wanted:
            keep_an_administrator({user.pk})
        user.role_assignments.filter(role__in=held - wanted).delete()
        RoleAssignment.objects.bulk_create(RoleAssignment(user=user, role=r) for r in sorted(wanted - held))
        _save(user)
        log.record(
            verb=Verb.USER_ROLES_CHANGED,
            actor=actor,
            subject=person_subject(user),
            now=now,
            old={"roles": sorted(held)},
            new={"roles": sorted(wanted)},
        )
    return user


def mark_left(*, user_id: UUID, left_at: datetime, actor: Actor, now: datetime, reason: str = "") -> User:
    """The person left: sessions and mail links end at once, roles go, owned things are handed over by
    reviews.

    API tokens they created stay, because programs that others rely on use them; they are shown as orphaned.
    Raises `OwnAccount`, `LastAdministrator`, `Conflict` when they had left before, `PersonRefused`,
    `NotFound`.
    """
    require_role(actor, Role.ADMINISTRATOR, scope=SCOPE)
    _not_oneself(actor, user_id, "You can't mark yourself as gone. Ask another administrator.")
    if left_at > now:
        raise PersonRefused("The day they leave is still to come; mark them on that day.", field="left_at")
    with transaction.atomic(durable=True):
        user = _locked_user(user_id, None)
        if user.left_at is not None:
            raise Conflict(f"{user} was already marked as gone.")
        held = roles_of(user)
        if Role.ADMINISTRATOR in held:
            keep_an_administrator({user.pk})
        user.role_assignments.all().delete()
        _set_sign_in(user, False, actor, now)
        user.left_at, user.left_recorded_at = left_at, now
        _save(user)
        log.record(
            verb=Verb.USER_LEFT,
            actor=actor,
            subject=person_subject(user),
            now=now,
            old={"roles": sorted(held)},
            new={"left_at": left_at.isoformat()},
            reason=reason,
        )
        # A periodic look finds it too; their questions need not wait for it.
        dispatch.after_commit("reviews.reroute_items")
    return user


def bring_back(*, user_id: UUID, actor: Actor, now: datetime) -> User:
    """Somebody who left is here again: they may sign in, without any role. Raises `Conflict`, `NotFound`."""
    require_role(actor, Role.ADMINISTRATOR, scope=SCOPE)
    with transaction.atomic(durable=True):
        user = _locked_user(user_id, None)
        if user.left_at is None:
            raise Conflict(f"{user} is not marked as gone.")
        before = user.left_at
        user.left_at = user.left_recorded_at = None
        user.is_active = True
        _save(user)
        log.record(
            verb=Verb.USER_CHANGED,
            actor=actor,
            subject=person_subject(user),
            now=now,
            old={"left_at": before.isoformat()},
            new={"left_at": None},
        )
    return user


def end_sessions(*, user_id: UUID, actor: Actor, now: datetime) -> User:
    """Sign a person out everywhere. Administrators may do it for all, everybody for themselves."""
    if actor.person_id != user_id:
        require_role(actor, Role.ADMINISTRATOR)
    with transaction.atomic(durable=True):
        user = _locked_user(user_id, None)
        end_access(user, now)
        _save(user)
        log.record(
            verb=Verb.USER_CHANGED,
            actor=actor,
            subject=person_subject(user),
            now=now,
            context={"changed": ["sessions_ended"]},
        )
    return user


# --- shared by the use cases here and by the importer
# ------------------------------------------------------------


def person_subject(user: User) -> log.Subject:
    """How the trail names a person."""
    return log.Subject(kind="person", id=str(user.pk), label=person_label(user.pk))


def roles_of(user: User) -> set[Role]:
    return {Role(role) for role in user.role_assignments.values_list("role", flat=True)}


def keep_an_administrator(losing: Collection[UUID]) -> None:
    """Refuse when nobody but `losing` could administer. Locks, so that two at once can't both be the last
    but one.

    Raises `LastAdministrator`.
    """
    administrators = RoleAssignment.objects.filter(role=Role.ADMINISTRATOR)
    list(administrators.select_for_update().order_by("pk"))
    others = administrators.filter(user__is_active=True).exclude(user_id__in=list(losing))
    if not others.exists():
        raise LastAdministrator("This is the last administrator. Make somebody else administrator first.")


def end_access(user: User, now: datetime) -> None:
    """End sessions and mail links; the caller saves the user."""
    user.session_epoch = F("session_epoch") + 1
    MailLink.objects.filter(user=user, revoked_at__isnull=True).update(revoked_at=now)


def checked_email(email: str, but: User | None = None) -> str:
    """The address as it is stored. Raises `PersonRefused`."""
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError as error:
        raise PersonRefused("This is not an e-mail address.", field="email") from error
    if len(address) > 254:
        raise PersonRefused("This e-mail address is too long.", field="email")
    others = User.objects.filter(email=address)
    if (others.exclude(pk=but.pk) if but else others).exists():
        raise PersonRefused("Somebody with this e-mail address is already here.", field="email")
    return address


def checked_name(name: str) -> str:
    """The name as it is stored. Raises `PersonRefused`."""
    words = " ".join(name.split())
    if not words or len(words) > 200 or not words.isprintable():
        raise PersonRefused("Give a name of 1 to 200 printable characters.", field="name")
    return words


def _locked_user(user_id: UUID, expected_version: int | None) -> User:
    user = User.objects.select_for_update().filter(pk=user_id).first()
    if user is None:
        raise NotFound("There is no such person.")
    check_version(user.version, expected_version)
    return user


def check_version(version: int, expected: int | None) -> None:
    if expected is not None and version != expected:
        raise StaleVersion("This changed since you read it. Read it again and repeat your change.")


def _save(user: User) -> None:
    user.version += 1
    user.save()
    # The epoch may be an expression until it is written.
    user.refresh_from_db(fields=["session_epoch"])


def _set_sign_in(user: User, allowed: bool, actor: Actor, now: datetime) -> None:
    if allowed:
        if user.left_at is not None:
            raise PersonRefused(f"{user} left. Bring them back first.")
        user.is_active = True
        return
    _not_oneself(actor, user.pk, "You can't lock yourself out. Ask another administrator.")
    if Role.ADMINISTRATOR in roles_of(user):
        keep_an_administrator({user.pk})
    user.is_active = False
    end_access(user, now)


def _not_oneself(actor: Actor, user_id: UUID, sentence: str) -> None:
    if actor.person_id == user_id:
        raise OwnAccount(sentence)


def _details(user: User) -> dict[str, Any]:
    manager = str(user.manager_id) if user.manager_id else None
    return {"email": user.email, "name": user.name, "manager": manager, "may_sign_in": user.is_active}


def _record_details(user: User, before: dict[str, Any], changed: list[str], actor: Actor, now: datetime) -> None:
    after = _details(user)
    personal = {"email", "name"}
    log.record(
        verb=Verb.USER_CHANGED,
        actor=actor,
        subject=person_subject(user),
        now=now,
        old={key: before[key] for key in changed if key not in personal},
        new={key: after[key] for key in changed if key not in personal},
        context={"changed": changed},
        personal={key: [before[key], after[key]] for key in changed if key in personal},
    )


def checked_manager(user: User, manager_id: UUID | None) -> UUID | None:
    """The manager as they are stored. Raises `PersonRefused` for nobody and for a circle."""
    seen = {user.pk}
    above = manager_id
    while above is not None:
        if above in seen:
            raise PersonRefused("Somebody can't be their own manager, not even in a circle.", field="manager")
        seen.add(above)
        row = User.objects.filter(pk=above).values_list("manager_id").first()
        if row is None:
            raise PersonRefused("There is no such manager.", field="manager")
        above = row[0]
    return manager_id
