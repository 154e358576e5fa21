import io
from datetime import date

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance.kernel.actors import Role, system_actor
from governance.kernel.errors import Forbidden
from governance.people import people_csv
from governance.people.accounts import LastAdministrator, roles_of
from governance.people.importer import import_people
from governance.people.mail_links import make_link
from governance.people.models import MailLink, Team, User
from governance.people.people_csv import FileRefused

pytestmark = pytest.mark.django_db


@pytest.fixture
def bring(admin_actor):
    """Import text or bytes as an administrator."""

    def run(content, *, actor=None, dry_run=False):
        data = content.encode() if isinstance(content, str) else content
        return import_people(file=io.BytesIO(data), actor=actor or admin_actor, now=timezone.now(), dry_run=dry_run)

    return run


def test_people_teams_managers_and_roles_come_from_one_file(bring, verbs):
    report = bring(
        "email,name,manager_email,team,roles\n"
        "ada@x.org,Ada,grace@x.org,Platform|Security,reviewer|owner\n"
        "grace@x.org,Grace,,Platform,campaign_manager\n"
    )

    ada = User.objects.get(email="ada@x.org")
    assert (report.is_applied, report.created, report.new_teams) == (True, 2, ["Platform", "Security"])
    assert ada.manager.email == "grace@x.org"
    assert {team.name for team in ada.teams.all()} == {"Platform", "Security"}
    assert roles_of(ada) == {Role.REVIEWER, Role.OWNER}
    assert not ada.has_usable_password()
    assert sorted(verbs()) == ["people.imported", "user.roles_changed", "user.roles_changed"]


def test_the_same_file_again_changes_nothing(bring):
    content = "email,name,manager_email,team,roles\nada@x.org,Ada,,Platform,owner\nbob@x.org,Bob,ada@x.org,,\n"
    bring(content)
    versions = dict(User.objects.values_list("email", "version"))

    again = bring(content)

    assert (again.total_changes, again.unchanged) == (0, 2)
    assert dict(User.objects.values_list("email", "version")) == versions


def test_a_dry_run_says_what_would_change_and_writes_nothing(bring, make_user, verbs):
    make_user(email="ada@x.org", name="Ada")

    report = bring("email,name\nada@x.org,Ada Lovelace\nbob@x.org,Bob\n", dry_run=True)

    assert (report.is_applied, report.created, report.changed) == (False, 1, 1)
    assert [change.what for change in report.changes] == ["name becomes Ada Lovelace", "added"]
    assert User.objects.get(email="ada@x.org").name == "Ada"
    assert not User.objects.filter(email="bob@x.org").exists()
    assert verbs() == []


def test_whoever_left_is_signed_out_and_loses_roles_and_links(bring, make_user, verbs):
    ada, bob = make_user(Role.REVIEWER, email="ada@x.org"), make_user(email="bob@x.org")
    make_link(ada, now=timezone.now())

    report = bring("email,name,active,left_on\nada@x.org,,,2026-01-31\nbob@x.org,,no,\n")

    ada.refresh_from_db()
    bob.refresh_from_db()
    assert report.left == 2
    assert (ada.left_at.date(), ada.is_active, ada.session_epoch) == (date(2026, 1, 31), False, 1)
    assert (roles_of(ada), bob.is_active) == (set(), False)
    assert MailLink.objects.get().revoked_at is not None
    assert verbs().count("user.left") == 2


def test_a_departure_to_come_is_noted_and_not_carried_out(bring, make_user):
    make_user(email="ada@x.org")

    report = bring("email,name,left_on\nada@x.org,,2999-01-01\n")

    assert (report.left, len(report.notes)) == (0, 1)


def test_active_brings_somebody_back(bring, make_user):
    make_user(email="ada@x.org", is_active=False, left_at=timezone.now(), left_recorded_at=timezone.now())

    assert bring("email,name,active\nada@x.org,,yes\n").returned == 1
    assert User.objects.get(email="ada@x.org").is_active


def test_empty_cells_and_absent_people_stay_as_they_are(bring, make_user):
    ada = make_user(Role.REVIEWER, email="ada@x.org", name="Ada")
    absent = make_user(Role.OWNER)

    bring("email,name,roles,active\nada@x.org,,,\n")

    ada.refresh_from_db()
    assert (ada.name, roles_of(ada), roles_of(absent)) == ("Ada", {Role.REVIEWER}, {Role.OWNER})


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("not-an-address,Ada,,,,,", "email"),
        (",Ada,,,,,", "email"),
        ("new@x.org,,,,,,", "name"),
        ("new@x.org,Ada,perhaps,,,,", "active"),
        ("new@x.org,Ada,,31.01.2026,,,", "left_on"),
        ("new@x.org,Ada,,2026-02-30,,,", "left_on"),
        ("new@x.org,Ada,yes,2026-01-01,,,", "left_on"),
        ("new@x.org,Ada,,,nobody@x.org,,", "manager_email"),
        ("new@x.org,Ada,,,new@x.org,,", "manager_email"),
        ("new@x.org,Ada,,,,,emperor", "roles"),
        ("new@x.org,=cmd|' /C calc'!A0,,,,,", "name"),
        ("new@x.org,+1234,,,,,", "name"),
        ("new@x.org,Ada,,,,@SUM(A1),", "team"),
        ("new@x.org,Ada\u202egro.x,,,,,", "name"),
        ("new@x.org," + "x" * 201 + ",,,,,", "name"),
        ("good@x.org,Again,,,,,", "email"),
        ("new@x.org,Ada,,,,,,,,", ""),
    ],
)
def test_one_bad_row_is_named_and_nothing_is_applied(bring, row, column, verbs):
    header = "email,name,active,left_on,manager_email,team,roles\n"

    report = bring(header + "good@x.org,Good,,,,,\n" + row + "\n")

    assert [(error.line, error.column) for error in report.errors] == [(3, column)]
    assert report.errors[0].reason
    assert not report.is_applied
    assert not User.objects.filter(email="good@x.org").exists()
    assert verbs() == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xef\xbb\xbf",
        b"email\nada@x.org\n",
        b"name\nAda\n",
        b"email,name\n",
        b"email,email,name\na@x.org,b@x.org,A\n",
        b"email,name\nada@x.org,Jos\xe9\n",
        b"email,name\nada@x.org,A\x00da\n",
        b'email,name\nada@x.org,"never closed\nbob@x.org,Bob\n',
        b"PK\x03\x04\x14\x00\x06\x00zip",
        b"\x89PNG\r\n\x1a\n\x00\x00",
        b"email,name\nada@x.org," + b"x" * 200_000 + b"\n",
    ],
)
def test_what_is_no_list_of_people_is_refused_as_a_whole(bring, content, verbs):
    with pytest.raises(FileRefused) as refusal:
        bring(content)

    assert refusal.value.message
    assert verbs() == []


@pytest.mark.parametrize(
    "content",
    [
        "email,name\r\nada@x.org,José\r\n".encode("utf-8-sig"),
        "email\tname\nada@x.org\tJosé\n".encode("utf-16"),
        b"E-Mail;x\n"[:0] + "email;name;Cost Centre\nada@x.org;José;77\n".encode(),
        "Name,EMAIL\nJosé,ADA@X.ORG".encode(),
        '\ufeffemail,name\n\n"ada@x.org","José"\n\n'.encode(),
    ],
)
def test_files_as_spreadsheets_write_them_are_understood(bring, content):
    bring(content)

    assert User.objects.get(email="ada@x.org").name == "José"


def test_too_large_a_file_is_refused_before_it_is_all_read(bring, monkeypatch):
    monkeypatch.setattr(people_csv, "LARGEST_FILE", 100_000)

    class Endless(io.RawIOBase):
        given = 0

        def read(self, size=-1):
            self.given += 65536
            return b"email,name\n" + b"a" * 65536

    source = Endless()
    with pytest.raises(FileRefused, match="larger"):
        import_people(file=source, actor=system_actor("test"), now=timezone.now())
    assert source.given < 1_000_000


def test_managers_in_a_circle_are_refused(bring, make_user):
    top = make_user(email="top@x.org")
    make_user(email="low@x.org", manager=top)

    report = bring("email,name,manager_email\ntop@x.org,,low@x.org\n")

    assert report.errors[0].column == "manager_email"


def test_the_importer_keeps_an_administrator_and_nobody_changes_themself(bring, admin_actor):
    me = User.objects.get(pk=admin_actor.id)

    with pytest.raises(LastAdministrator):
        bring(f"email,name,roles\n{me.email},,auditor\n", actor=system_actor("import"))
    assert bring(f"email,name,roles\nbob@x.org,Bob,administrator\n{me.email},,auditor\n").error_count == 1
    assert bring(f"email,name,left_on\nbob@x.org,Bob,\n{me.email},,\n").error_count == 0


def test_only_administrators_import(bring, make_user, actor_of, make_token):
    with pytest.raises(Forbidden):
        bring("email,name\na@x.org,A\n", actor=actor_of(make_user(Role.AUDITOR)))


def test_a_hundred_thousand_people_come_in_with_a_thousandth_of_as_many_statements(bring):
    lines = "".join(f"p{n}@x.org,Person {n},p{n // 10}@x.org,Team {n % 50}\n" for n in range(1, 100_000))
    content = "email,name,manager_email,team\np0@x.org,Top,,\n" + lines

    with CaptureQueriesContext(connection) as captured:
        report = bring(content)

    assert (report.created, Team.objects.count()) == (100_000, 50)
    assert len(report.changes) == 200
    assert len(captured) < 100, len(captured)


def test_the_command_previews_and_imports(tmp_path, capsys):
    file = tmp_path / "people.csv"
    file.write_text("email,name\nada@x.org,Ada\n")

    call_command("import_people", str(file), "--dry-run")
    assert not User.objects.exists()
    call_command("import_people", str(file))

    assert User.objects.get().name == "Ada"
    assert "1 added" in capsys.readouterr().out


def test_the_command_names_bad_rows_and_fails(tmp_path):
    from django.core.management import CommandError

    file = tmp_path / "people.csv"
    file.write_text("email,name\nnot-an-address,Ada\n")

    with pytest.raises(CommandError, match="line 2, email"):
        call_command("import_people", str(file))
