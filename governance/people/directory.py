"""People and teams as a directory provisions them: one request of the directory, one transaction, one record.

The directory says who is here, under which name and address, and in which teams. It never gives roles, and it never
learns nor sets a password.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import DomainError, NotFound
from governance.people.access import require_role
from governance.people.accounts import (
    PersonRefused,
    check_version,
    checked_email,
    checked_manager,
    checked_name,
    end_access,
    keep_an_administrator,
    person_subject,
    roles_of,
)
from governance.people.models import Team, User
from governance.people.teams import checked_members, checked_team_name, ids_of, team_subject

SCOPE = "people:provision"
LONGEST_EXTERNAL_ID = 255


class ExternalIdTaken(DomainError):
    """The directory calls somebody or something else by this id already."""

    code = "external-id-taken"
    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonWish:
    """What a person shall be. is_here false: they left, with everything that follows."""

    email: str
    name: str
    external_id: str = ""
    manager_id: UUID | None = None
    is_here: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamWish:
    """What a team shall be; members by id, all of them."""

    name: str
    external_id: str = ""
    member_ids: Collection[UUID] = ()


def provision_person(
    *, wish: PersonWish, actor: Actor, now: datetime, user_id: UUID | None = None, expected_version: int | None = None
) -> User:
    """Make a person be as wished; without user_id a new one, or one again whom the directory had deleted.

    Raises `PersonRefused`, `ExternalIdTaken`, `LastAdministrator`, `StaleVersion`, `NotFound`, `Forbidden`.
    """
    require_role(actor, Role.ADMINISTRATOR, scope=SCOPE)
    with transaction.atomic(durable=True):
        user = _locked(user_id, expected_version) if user_id else _again(wish.email)
        is_new = user is None
        user = user or User(created_at=now)
        before = _facts(user)
        held = roles_of(user) if not is_new else set()
        user.email = checked_email(wish.email, but=None if is_new else user)
        user.name = checked_name(wish.name)
        user.external_id = _checked_external_id(wish.external_id, User, user.pk)
        user.manager_id = checked_manager(user, wish.manager_id)
        user.directory_removed_at = None
        _set_here(user, wish.is_here, is_new, now)
        _write(user, before, held, is_new, actor, now)
    return user


def remove_person(*, user_id: UUID, actor: Actor, now: datetime, expected_version: int | None = None) -> None:
    """The directory deleted them: they left, and are gone for the directory. Raises as `provision_person`."""
    require_role(actor, Role.ADMINISTRATOR, scope=SCOPE)
    with transaction.atomic(durable=True):
        user = _locked(user_id, expected_version)
        before, held = _facts(user), roles_of(user)
        user.external_id, user.directory_removed_at = "", now
        _set_here(user, False, False, now)
        _write(user, before, held, False, actor, now)


def provision_team(
    *, wish: TeamWish, actor: Actor, now: datetime, team_id: UUID | None = None, expected_version: int | None = None
) -> Team:
    """Make a team be as wished; without team_id a new one, or one again that the directory had deleted.

    Raises `TeamRefused`, `ExternalIdTaken`, `StaleVersion`, `NotFound`, `Forbidden`.
    """
    require_role(actor, Role.ADMINISTRATOR, scope=SCOPE)
    with transaction.atomic(durable=True):
        team = _locked_team(team_id, expected_version) if team_id else _team_again(wish.name)
        is_new = team is None
        team = team or Team(created_at=now)
        before = {} if is_new else _team_facts(team)
        team.name = checked_team_name(wish.name, but=None if is_new else team)
        team.external_id = _checked_external_id(wish.external_id, Team, team.pk)
        team.directory_removed_at = None
        _write_team(team, before, wish.member_ids, is_new, actor, now)
    return team


def remove_team(*, team_id: UUID, actor: Actor, now: datetime, expected_version: int | None = None) -> None:
    """The directory deleted it: nobody is in it any more. The team stays, because identities refer to it."""
    require_role(actor, Role.ADMINISTRATOR, scope=SCOPE)
    with transaction.atomic(durable=True):
        team = _locked_team(team_id, expected_version)
        before = _team_facts(team)
        team.external_id, team.directory_removed_at = "", now
        _write_team(team, before, [], False, actor, now)


def _locked(user_id: UUID, expected_version: int | None) -> User:
    user = User.objects.select_for_update().filter(pk=user_id, directory_removed_at=None).first()
    if user is None:
        raise NotFound("There is no such person.")
    check_version(user.version, expected_version)
    return user


def _again(email: str) -> User | None:
    """Somebody of this address whom the directory had deleted: for it they are new, here they come back."""
    return (
        User.objects.select_for_update().filter(email=email.strip().lower(), directory_removed_at__isnull=False).first()
    )


def _set_here(user: User, is_here: bool, is_new: bool, now: datetime) -> None:
    if is_here and user.left_at is not None:
        user.left_at = user.left_recorded_at = None
        user.is_active = True
    elif not is_here and user.left_at is None:
        if not is_new and Role.ADMINISTRATOR in roles_of(user):
            keep_an_administrator({user.pk})
        user.left_at = user.left_recorded_at = now
        user.is_active = False


def _write(user: User, before: dict[str, object], held: set[Role], is_new: bool, actor: Actor, now: datetime) -> None:
    after = _facts(user)
    changed = sorted(name for name, value in after.items() if is_new or before[name] != value)
    if not changed:
        return
    has_left = user.left_at is not None and (is_new or before["here"] is True)
    if is_new:
        user.set_unusable_password()
    else:
        user.version += 1
    if has_left and not is_new:
        user.role_assignments.all().delete()
        end_access(user, now)
        dispatch.after_commit("reviews.reroute_items")
    user.save()
    user.refresh_from_db(fields=["session_epoch"])
    personal = {"email", "name", "external_id"}
    log.record(
        verb=Verb.USER_CREATED if is_new else Verb.USER_LEFT if has_left else Verb.USER_CHANGED,
        actor=actor,
        subject=person_subject(user),
        now=now,
        old={name: before[name] for name in changed if name not in personal}
        | ({"roles": sorted(held)} if has_left else {}),
        new={name: after[name] for name in changed if name not in personal},
        context={"by": "directory", "changed": changed},
        personal={name: [None if is_new else before[name], after[name]] for name in changed if name in personal}
        or None,
    )


def _facts(user: User) -> dict[str, object]:
    return {
        "email": user.email,
        "name": user.name,
        "external_id": user.external_id,
        "manager": str(user.manager_id) if user.manager_id else None,
        "here": user.left_at is None,
        "in_directory": user.directory_removed_at is None,
    }


def _checked_external_id(given: str, kind: type[User] | type[Team], pk: UUID) -> str:
    text = given.strip()
    if len(text) > LONGEST_EXTERNAL_ID or not text.isprintable():
        raise PersonRefused(f"externalId has at most {LONGEST_EXTERNAL_ID} printable characters.", field="externalId")
    if text and kind._default_manager.filter(external_id=text).exclude(pk=pk).exists():
        raise ExternalIdTaken("The directory calls somebody or something else by this externalId.", field="externalId")
    return text


def _locked_team(team_id: UUID, expected_version: int | None) -> Team:
    team = Team.objects.select_for_update().filter(pk=team_id, directory_removed_at=None).first()
    if team is None:
        raise NotFound("There is no such team.")
    check_version(team.version, expected_version)
    return team


def _team_again(name: str) -> Team | None:
    words = " ".join(name.split())
    return Team.objects.select_for_update().filter(name__iexact=words, directory_removed_at__isnull=False).first()


def _write_team(
    team: Team, before: dict[str, object], member_ids: Collection[UUID], is_new: bool, actor: Actor, now: datetime
) -> None:
    members = checked_members(member_ids)
    if is_new:
        team.save()
    team.members.set(members)
    after = _team_facts(team)
    if after == before:
        return
    if not is_new:
        team.version += 1
        team.save()
    log.record(
        verb=Verb.TEAM_CREATED if is_new else Verb.TEAM_CHANGED,
        actor=actor,
        subject=team_subject(team),
        now=now,
        old=before or None,
        new=after,
        context={"by": "directory"},
    )


def _team_facts(team: Team) -> dict[str, object]:
    return {
        "name": team.name,
        "external_id": team.external_id,
        "members": ids_of(team.members.all()),
        "in_directory": team.directory_removed_at is None,
    }
