"""Use cases on teams: groups of people who can stand in for each other."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import DomainError, NotFound
from governance.people.access import require_role
from governance.people.accounts import SCOPE, UNCHANGED, check_version
from governance.people.models import Team, User


class TeamRefused(DomainError):
    """The details don't make a team: no name, a taken name, somebody who is not there."""

    code = "team-refused"
    title = "This team can't be saved"


def create_team(*, name: str, member_ids: Iterable[UUID], actor: Actor, now: datetime) -> Team:
    """Add a team. Raises `TeamRefused`."""
    require_role(actor, Role.ADMINISTRATOR, scope=SCOPE)
    with transaction.atomic(durable=True):
        team = Team.objects.create(name=checked_team_name(name), created_at=now)
        members = checked_members(member_ids)
        team.members.set(members)
        log.record(
            verb=Verb.TEAM_CREATED,
            actor=actor,
            subject=team_subject(team),
            now=now,
            new={"name": team.name, "members": ids_of(members)},
        )
    return team


def change_team(
    *,
    team_id: UUID,
    actor: Actor,
    now: datetime,
    name: str = UNCHANGED,
    member_ids: Iterable[UUID] = UNCHANGED,
    expected_version: int | None = None,
) -> Team:
    """Rename a team or set its members. Raises `TeamRefused`, `StaleVersion`, `NotFound`."""
    require_role(actor, Role.ADMINISTRATOR, scope=SCOPE)
    with transaction.atomic(durable=True):
        team = Team.objects.select_for_update().filter(pk=team_id).first()
        if team is None:
            raise NotFound("There is no such team.")
        check_version(team.version, expected_version)
        old = {"name": team.name, "members": ids_of(team.members.all())}
        if name is not UNCHANGED:
            team.name = checked_team_name(name, but=team)
        if member_ids is not UNCHANGED:
            team.members.set(checked_members(member_ids))
        new = {"name": team.name, "members": ids_of(team.members.all())}
        if new != old:
            team.version += 1
            team.save(update_fields=["name", "version"])
            log.record(verb=Verb.TEAM_CHANGED, actor=actor, subject=team_subject(team), now=now, old=old, new=new)
    return team


def team_subject(team: Team) -> log.Subject:
    """How the trail names a team."""
    return log.Subject(kind="team", id=str(team.pk), label=team.name)


def checked_team_name(name: str, but: Team | None = None) -> str:
    """The name as it is stored. Raises `TeamRefused`."""
    words = " ".join(name.split())
    if not words or len(words) > 120 or not words.isprintable():
        raise TeamRefused("Give a name of 1 to 120 printable characters.", field="name")
    others = Team.objects.filter(name__iexact=words)
    if (others.exclude(pk=but.pk) if but else others).exists():
        raise TeamRefused("A team with this name is already here.", field="name")
    return words


def checked_members(member_ids: Iterable[UUID]) -> list[User]:
    """The people with these ids, all of them here. Raises `TeamRefused`."""
    wanted = set(member_ids)
    members = list(User.objects.filter(pk__in=wanted))
    if len(members) != len(wanted):
        raise TeamRefused("One of the members is not there.", field="members")
    if gone := [member for member in members if member.left_at is not None]:
        raise TeamRefused(f"{gone[0]} left and can't join a team.", field="members")
    return members


def ids_of(users: Iterable[User]) -> list[str]:
    return sorted(str(user.pk) for user in users)
