"""Every use case about people leaves exactly its own record, written with the rights of production's programs."""

import io
from datetime import timedelta

import pytest
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.console.people import trail
from governance.kernel.actors import Role
from governance.people import accounts, directory, importer, mail_links, teams, tokens
from governance.people.models import Team

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def cases(admin_actor, make_user, make_token):
    """Verb by verb: something to do that leaves it alone in the trail."""
    at = {"actor": admin_actor, "now": NOW}
    person, other = make_user(Role.REVIEWER, name="Ada Lovelace"), make_user(name="Bob Byron")
    team = Team.objects.create(name="Payments")
    token, _ = make_token(["sync:write", "audit:read"])
    narrowed, _ = make_token(["sync:write", "audit:read"])
    tokens.withhold_scopes(token_id=narrowed.pk, scopes=["audit:read"], **at)
    link = mail_links.make_link(person, now=NOW).split("/")[2]
    new = {"email": "new@example.org", "name": "New One"}
    ends = NOW + timedelta(days=3)
    file = b"email,name\ncleo@example.org,Cleo Person\n"
    return {
        "user.signed_in": [
            lambda: trail.signed_in(person, auth_method="password", ip="192.0.2.7", now=NOW),
            lambda: mail_links.redeem(link, now=NOW),
        ],
        "user.sign_in_failed": [lambda: trail.sign_in_failed(email="ada@example.org", ip="192.0.2.7", now=NOW)],
        "user.signed_out": [lambda: trail.signed_out(person, auth_method="password", now=NOW)],
        "user.created": [
            lambda: accounts.create_user(**new, **at),
            lambda: directory.provision_person(wish=directory.PersonWish(**new), **at),
        ],
        "user.changed": [
            lambda: accounts.change_user(user_id=person.pk, name="Ada Byron", **at),
            lambda: accounts.end_sessions(user_id=person.pk, **at),
        ],
        "user.left": [
            lambda: accounts.mark_left(user_id=other.pk, left_at=NOW, reason="Ada said so.", **at),
            lambda: directory.remove_person(user_id=other.pk, **at),
        ],
        "user.roles_changed": [lambda: accounts.assign_roles(user_id=person.pk, roles=[Role.AUDITOR], **at)],
        "team.created": [
            lambda: teams.create_team(name="Cards", member_ids=[person.pk], **at),
            lambda: directory.provision_team(wish=directory.TeamWish(name="Cards"), **at),
        ],
        "team.changed": [
            lambda: teams.change_team(team_id=team.pk, member_ids=[other.pk], **at),
            lambda: directory.remove_team(team_id=team.pk, **at),
        ],
        "people.imported": [lambda: importer.import_people(file=io.BytesIO(file), **at)],
        "token.created": [lambda: tokens.create_token(name="Bot", scopes=["sync:write"], expires_at=ends, **at)],
        "token.revoked": [lambda: tokens.revoke_token(token_id=token.pk, **at)],
        "token.narrowed": [lambda: tokens.withhold_scopes(token_id=token.pk, scopes=["audit:read"], **at)],
        "token.restored": [lambda: tokens.give_scopes_back(token_id=narrowed.pk, scopes=["audit:read"], **at)],
    }


@pytest.mark.parametrize(
    ("verb", "number"),
    [
        *(("user.signed_in", 0), ("user.signed_in", 1), ("user.sign_in_failed", 0), ("user.signed_out", 0)),
        *(("user.created", 0), ("user.created", 1), ("user.changed", 0), ("user.changed", 1), ("user.left", 0)),
        *(("user.left", 1), ("team.created", 1)),
        *(("user.roles_changed", 0), ("team.created", 0), ("team.changed", 0), ("team.changed", 1)),
        *(("people.imported", 0), ("token.created", 0), ("token.revoked", 0)),
        *(("token.narrowed", 0), ("token.restored", 0)),
    ],
)
def test_a_use_case_leaves_exactly_its_record(cases, as_writer, verb, number):
    before = set(AuditEvent.objects.values_list("pk", flat=True))
    with as_writer():
        cases[verb][number]()
    left = AuditEvent.objects.exclude(pk__in=before)
    assert sorted(left.values_list("verb", flat=True)) == verb.split()
    written = "".join(left.values_list("payload", flat=True))
    for personal in ("@example.org", "192.0.2.7", "Ada", "Bob", "Cleo"):
        assert personal not in written
