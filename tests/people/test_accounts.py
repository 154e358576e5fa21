from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from governance.audit.models import AuditDetail, AuditEvent
from governance.kernel.actors import Role
from governance.kernel.errors import Conflict, Forbidden, NotFound
from governance.people import accounts, teams
from governance.people.access import actor_for_token, actor_for_user, require_role
from governance.people.accounts import LastAdministrator, OwnAccount, PersonRefused, StaleVersion, roles_of
from governance.people.mail_links import make_link
from governance.people.models import MailLink, User
from governance.people.selectors import access_tokens, list_active_members, list_left_since

pytestmark = pytest.mark.django_db
A_UUID = "00000000-0000-0000-0000-000000000001"


@pytest.mark.parametrize(
    ("verb", "use_case"),
    [
        ("user.created", lambda p, a, n: accounts.create_user(email="n@x.org", name="N", actor=a, now=n)),
        ("user.changed", lambda p, a, n: accounts.change_user(user_id=p.pk, name="Other", actor=a, now=n)),
        (
            "user.roles_changed",
            lambda p, a, n: accounts.assign_roles(user_id=p.pk, roles=[Role.AUDITOR], actor=a, now=n),
        ),
        ("user.left", lambda p, a, n: accounts.mark_left(user_id=p.pk, left_at=n, actor=a, now=n)),
        ("user.changed", lambda p, a, n: accounts.end_sessions(user_id=p.pk, actor=a, now=n)),
        ("team.created", lambda p, a, n: teams.create_team(name="T", member_ids=[p.pk], actor=a, now=n)),
    ],
)
def test_each_use_case_leaves_exactly_its_record(make_user, admin_actor, verb, use_case):
    person = make_user(Role.REVIEWER)

    use_case(person, admin_actor, timezone.now())

    event = AuditEvent.objects.get()
    assert (event.verb, event.actor_id) == (verb, admin_actor.id)


def test_names_and_addresses_stay_outside_the_chain(admin_actor):
    accounts.create_user(email="Zoe.Quill@x.org", name="Zoe Quill", actor=admin_actor, now=timezone.now())

    payload = AuditEvent.objects.get().payload.lower()
    assert "quill" not in payload
    assert "zoe.quill@x.org" in AuditDetail.objects.get().text


def test_a_change_that_changes_nothing_leaves_no_record(make_user, admin_actor, verbs):
    person = make_user(Role.REVIEWER)

    accounts.change_user(user_id=person.pk, name=person.name, actor=admin_actor, now=timezone.now())
    accounts.assign_roles(user_id=person.pk, roles=[Role.REVIEWER], actor=admin_actor, now=timezone.now())

    assert verbs() == []


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMINISTRATOR])
def test_only_administrators_manage_people(make_user, actor_of, role):
    actor, other, now = actor_of(make_user(role)), make_user(), timezone.now()

    for refused in (
        lambda: accounts.create_user(email="n@x.org", name="N", actor=actor, now=now),
        lambda: accounts.change_user(user_id=other.pk, name="N", actor=actor, now=now),
        lambda: accounts.assign_roles(user_id=other.pk, roles=[role], actor=actor, now=now),
        lambda: accounts.mark_left(user_id=other.pk, left_at=now, actor=actor, now=now),
        lambda: accounts.end_sessions(user_id=other.pk, actor=actor, now=now),
        lambda: teams.create_team(name="T", member_ids=[], actor=actor, now=now),
    ):
        with pytest.raises(Forbidden):
            refused()


def test_a_program_manages_people_but_gives_no_roles(make_user, make_token):
    client = actor_for_token(make_token(["people:write"])[0])
    now = timezone.now()

    person = accounts.create_user(email="n@x.org", name="N", actor=client, now=now)

    with pytest.raises(Forbidden):
        accounts.assign_roles(user_id=person.pk, roles=[Role.ADMINISTRATOR], actor=client, now=now)
    with pytest.raises(Forbidden):
        accounts.create_user(email="m@x.org", name="M", roles=[Role.AUDITOR], actor=client, now=now)


def test_nobody_changes_their_own_roles_or_locks_themself_out(make_user, actor_of):
    admin = make_user(Role.ADMINISTRATOR)
    make_user(Role.ADMINISTRATOR)
    actor, now = actor_of(admin), timezone.now()

    for refused in (
        lambda: accounts.assign_roles(user_id=admin.pk, roles=list(Role), actor=actor, now=now),
        lambda: accounts.mark_left(user_id=admin.pk, left_at=now, actor=actor, now=now),
        lambda: accounts.change_user(user_id=admin.pk, may_sign_in=False, actor=actor, now=now),
    ):
        with pytest.raises(OwnAccount):
            refused()


def test_the_last_administrator_stays(make_user, actor_of):
    last, sleeping = make_user(Role.ADMINISTRATOR), make_user(Role.ADMINISTRATOR, is_active=False)
    actor, now = actor_of(sleeping), timezone.now()

    for refused in (
        lambda: accounts.assign_roles(user_id=last.pk, roles=[], actor=actor, now=now),
        lambda: accounts.mark_left(user_id=last.pk, left_at=now, actor=actor, now=now),
        lambda: accounts.change_user(user_id=last.pk, may_sign_in=False, actor=actor, now=now),
    ):
        with pytest.raises(LastAdministrator):
            refused()
    assert roles_of(last) == {Role.ADMINISTRATOR}


def test_roles_are_effective_with_the_next_actor(make_user, admin_actor):
    person = make_user()
    before = actor_for_user(person, auth_method="password")

    accounts.assign_roles(user_id=person.pk, roles=[Role.AUDITOR], actor=admin_actor, now=timezone.now())

    assert before.roles == frozenset()
    assert actor_for_user(person, auth_method="password").roles == {Role.AUDITOR}


def test_reading_roles_costs_one_query(make_user, django_assert_num_queries):
    person = make_user(*Role)

    with django_assert_num_queries(1):
        actor_for_user(person, auth_method="password")


@pytest.mark.parametrize("method", ["password", "session", ""])
def test_the_administrator_sleeps_without_a_second_factor_where_one_is_asked_for(make_user, settings, method):
    settings.REQUIRE_MFA_FOR_ADMINISTRATORS = True
    person = make_user(Role.ADMINISTRATOR, Role.AUDITOR)

    assert actor_for_user(person, auth_method=method).roles == {Role.AUDITOR}
    assert Role.ADMINISTRATOR in actor_for_user(person, auth_method="password+totp").roles


def test_a_mail_link_session_has_neither_administration_nor_a_way_around_it(make_user, actor_of):
    actor = actor_of(make_user(*Role), auth_method="mail_link")

    assert actor.roles == {Role.OWNER, Role.REVIEWER}
    require_role(actor, Role.OWNER)
    with pytest.raises(Forbidden):
        require_role(actor, Role.ADMINISTRATOR, Role.AUDITOR)


def test_whoever_leaves_loses_roles_links_and_sign_in(make_user, admin_actor):
    person, now = make_user(Role.REVIEWER), timezone.now()
    make_link(person, now=now)

    accounts.mark_left(user_id=person.pk, left_at=now - timedelta(days=2), actor=admin_actor, now=now)

    person.refresh_from_db()
    assert (person.is_active, person.session_epoch, roles_of(person)) == (False, 1, set())
    assert MailLink.objects.get().revoked_at == now
    assert list(list_left_since(now - timedelta(seconds=1))) == [person]
    assert list(list_left_since(now + timedelta(hours=1))) == []


def test_tokens_of_whoever_left_stay_and_are_shown_as_orphaned(make_user, actor_of, make_token, admin_actor):
    creator = make_user(Role.ADMINISTRATOR)
    token, _ = make_token(actor=actor_of(creator))

    accounts.mark_left(user_id=creator.pk, left_at=timezone.now(), actor=admin_actor, now=timezone.now())

    assert access_tokens(admin_actor).get(pk=token.pk).is_orphaned
    assert access_tokens(admin_actor).get(pk=token.pk).revoked_at is None


def test_somebody_who_left_comes_back_without_roles(make_user, admin_actor):
    person, now = make_user(Role.REVIEWER), timezone.now()
    accounts.mark_left(user_id=person.pk, left_at=now, actor=admin_actor, now=now)
    with pytest.raises(Conflict):
        accounts.mark_left(user_id=person.pk, left_at=now, actor=admin_actor, now=now)
    with pytest.raises(PersonRefused):
        accounts.assign_roles(user_id=person.pk, roles=[Role.REVIEWER], actor=admin_actor, now=now)

    accounts.bring_back(user_id=person.pk, actor=admin_actor, now=now)

    person.refresh_from_db()
    assert (person.is_active, person.left_at, roles_of(person)) == (True, None, set())


def test_a_stale_version_is_refused(make_user, admin_actor):
    person, now = make_user(), timezone.now()
    accounts.change_user(user_id=person.pk, name="First", expected_version=1, actor=admin_actor, now=now)

    with pytest.raises(StaleVersion):
        accounts.change_user(user_id=person.pk, name="Second", expected_version=1, actor=admin_actor, now=now)

    assert User.objects.get(pk=person.pk).name == "First"


@pytest.mark.parametrize(
    "wish",
    [{"email": "no address"}, {"email": "TAKEN@x.org"}, {"name": " "}, {"name": "a\x00b"}, {"name": "x" * 201}],
)
def test_bad_details_are_refused(make_user, admin_actor, wish):
    make_user(email="taken@x.org")
    person = make_user()

    with pytest.raises(PersonRefused):
        accounts.change_user(user_id=person.pk, actor=admin_actor, now=timezone.now(), **wish)


def test_nobody_manages_themself_in_a_circle(make_user, admin_actor):
    top, middle = make_user(), make_user()
    now = timezone.now()
    accounts.change_user(user_id=middle.pk, manager_id=top.pk, actor=admin_actor, now=now)

    with pytest.raises(PersonRefused):
        accounts.change_user(user_id=top.pk, manager_id=middle.pk, actor=admin_actor, now=now)
    with pytest.raises(PersonRefused):
        accounts.change_user(user_id=top.pk, manager_id=top.pk, actor=admin_actor, now=now)


def test_absent_people_and_teams_are_named_absent(admin_actor):
    with pytest.raises(NotFound):
        accounts.change_user(user_id=A_UUID, name="N", actor=admin_actor, now=timezone.now())
    with pytest.raises(NotFound):
        teams.change_team(team_id=A_UUID, name="N", actor=admin_actor, now=timezone.now())


def test_a_team_records_who_came_and_went_and_asks_only_those_here(make_user, admin_actor, verbs):
    stays, leaves, now = make_user(), make_user(), timezone.now()
    team = teams.create_team(name="Platform", member_ids=[stays.pk], actor=admin_actor, now=now)
    teams.change_team(team_id=team.pk, member_ids=[stays.pk, leaves.pk], actor=admin_actor, now=now)
    accounts.mark_left(user_id=leaves.pk, left_at=now, actor=admin_actor, now=now)

    assert list(list_active_members(team)) == [stays]
    assert sorted(verbs()) == ["team.changed", "team.created", "user.left"]
    with pytest.raises(teams.TeamRefused):
        teams.create_team(name="PLATFORM", member_ids=[], actor=admin_actor, now=now)
    with pytest.raises(teams.TeamRefused):
        teams.create_team(name="Other", member_ids=[leaves.pk], actor=admin_actor, now=now)


@pytest.mark.parametrize(
    "row",
    [
        {"email": "Upper@x.org"},
        {"email": "gone@x.org", "left_at": timezone.now(), "is_active": True},
    ],
)
def test_the_database_itself_refuses_impossible_people(row):
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(name="N", **row)
