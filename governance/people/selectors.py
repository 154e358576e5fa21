"""Reading people. Lists are querysets in no particular order; edges add search, order and pages."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import BooleanField, Case, Count, Prefetch, Q, QuerySet, Value, When

from governance.kernel.actors import Actor, Role
from governance.kernel.errors import NotFound
from governance.people.access import require_role
from governance.people.models import ApiToken, RoleAssignment, Team, User

READERS = (Role.ADMINISTRATOR, Role.AUDITOR)
# A transaction that recorded a departure may commit after a later one; reading this far back finds it all
# the same.
COMMIT_LAG = timedelta(minutes=5)


def access_people(actor: Actor, *, search: str = "", only: str = "") -> QuerySet[User]:
    """People as administrators and auditors see them. `only`: "", "here", "left" or a role. Raises
    `Forbidden`.
    """
    _require_reader(actor)
    people = User.objects.prefetch_related(
        Prefetch("role_assignments", RoleAssignment.objects.order_by("role")),
        Prefetch("teams", Team.objects.order_by("name")),
    ).select_related("manager")
    if search:
        people = people.filter(Q(name__icontains=search) | Q(email__icontains=search))
    if only == "here":
        people = people.filter(left_at__isnull=True)
    elif only == "left":
        people = people.filter(left_at__isnull=False)
    elif only in {role.value for role in Role}:
        people = people.filter(role_assignments__role=only)
    return people


def access_person(actor: Actor, user_id: UUID) -> User:
    """One person: for administrators and auditors, and everybody for themselves. Raises `NotFound`."""
    if actor.person_id == user_id:
        person = User.objects.select_related("manager").filter(pk=user_id).first()
    else:
        person = access_people(actor).filter(pk=user_id).first()
    if person is None:
        raise NotFound("There is no such person.")
    return person


def access_teams(actor: Actor) -> QuerySet[Team]:
    """Teams with `active_members`, the number of people who can stand in. Raises `Forbidden`."""
    _require_reader(actor)
    here = Count("members", filter=Q(members__is_active=True, members__left_at__isnull=True))
    return Team.objects.annotate(active_members=here)


def access_team(actor: Actor, team_id: UUID) -> Team:
    """One team. Raises `Forbidden`, `NotFound`."""
    team = access_teams(actor).filter(pk=team_id).first()
    if team is None:
        raise NotFound("There is no such team.")
    return team


def access_tokens(actor: Actor) -> QuerySet[ApiToken]:
    """API tokens with `is_orphaned`: whether the person who answers for it left. Raises `Forbidden`."""
    _require_reader(actor)
    gone = When(created_by__left_at__isnull=False, then=Value(True))
    orphaned = Case(gone, default=Value(False), output_field=BooleanField())
    return ApiToken.objects.select_related("created_by").annotate(is_orphaned=orphaned)


def list_active_members(team: Team) -> QuerySet[User]:
    """Who of a team can be asked now."""
    return team.members.filter(is_active=True, left_at__isnull=True)


def list_left_since(recorded_after: datetime | None) -> QuerySet[User]:
    """People whose departure Remit learnt after `recorded_after`, oldest first.

    Looks `COMMIT_LAG` further back than asked, so the caller must be able to see one person twice. The next
    cursor is the largest `left_recorded_at` seen.
    """
    left = User.objects.filter(left_recorded_at__isnull=False)
    if recorded_after is not None:
        left = left.filter(left_recorded_at__gt=recorded_after - COMMIT_LAG)
    return left.order_by("left_recorded_at", "pk")


def list_people_with_role(role: Role) -> QuerySet[User]:
    """Active people who hold `role`."""
    return User.objects.filter(role_assignments__role=role, is_active=True)


def _require_reader(actor: Actor) -> None:
    # A program that may write gets back what it wrote; the lists stay behind people:read at the edge.
    if "people:write" not in actor.scopes:
        require_role(actor, *READERS, scope="people:read")
