from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from governance.kernel.actors import Role
from governance.people import accounts, mail_links
from governance.people.mail_links import MailLinkInvalid, make_link
from governance.people.models import MailLink

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shared_cache")]


@pytest.fixture
def owner(make_user):
    return make_user(*Role)


@pytest.fixture
def path(owner):
    return make_link(owner, now=timezone.now())


def token_in(path):
    return path.split("/")[2]


def test_the_token_is_nowhere_in_the_database(path):
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM people_maillink l WHERE l::text LIKE %s", [f"%{token_in(path)}%"])
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_a_scanner_that_opens_the_link_changes_nothing(client, path, method, verbs):
    for _ in range(20):
        getattr(client, method)(path)

    assert MailLink.objects.get().uses_left == mail_links.USES
    assert not Session.objects.exists()
    assert verbs() == []


def test_the_button_opens_the_inbox_with_little_power(client, path, owner, verbs):
    page = client.get(path)
    response = client.post(path)

    assert owner.name in page.content.decode()
    assert (response.status_code, response["Location"]) == (302, "/inbox/")
    assert client.get("/inbox/").content.decode() == f"{owner.pk} mail_link owner,reviewer"
    assert verbs() == ["user.signed_in"]


def test_the_button_needs_its_csrf_token(path):
    strict = Client(enforce_csrf_checks=True)

    assert strict.post(path).status_code == 403
    assert MailLink.objects.get().uses_left == mail_links.USES


def test_the_address_of_the_link_does_not_travel(client, path):
    response = client.get(path)

    assert response["Referrer-Policy"] == "no-referrer"
    assert "no-store" in response["Cache-Control"]


def test_administration_stays_closed_behind_a_link(client, path):
    client.post(path)

    for name in ("people:user_list", "people:token_list", "people:team_list", "people:import"):
        assert client.get(reverse(name)).status_code == 403


@pytest.mark.parametrize(
    "name",
    [
        "account_change_password",
        "account_set_password",
        "account_reauthenticate",
        "mfa_index",
        "mfa_activate_totp",
        "mfa_generate_recovery_codes",
    ],
)
def test_a_link_leads_to_no_account_page(client, path, owner, name):
    owner.set_unusable_password()
    owner.save()
    client.post(make_link(owner, now=timezone.now()))
    assert client.get("/inbox/").status_code == 200

    got = client.get(reverse(name))
    posted = client.post(reverse(name), {"password1": "x" * 20, "password2": "x" * 20, "code": "1"})

    assert (got.status_code, posted.status_code) == (302, 302)
    assert "/accounts/login/" in got["Location"]
    owner.refresh_from_db()
    assert not owner.has_usable_password()


def test_signing_in_fully_from_a_link_session_gives_full_power(client, path, owner):
    from tests.people_fixtures import KNOWN_PASSWORD

    client.post(path)
    client.post(reverse("account_login"), {"login": owner.email, "password": KNOWN_PASSWORD})

    assert client.get(reverse("people:user_list")).status_code == 200


def test_a_link_does_not_carry_over_who_was_signed_in_before(client, path, make_user, sign_in):
    sign_in(client, make_user(Role.ADMINISTRATOR), method="password+totp")

    client.post(path)

    assert client.get(reverse("people:user_list")).status_code == 403


def test_a_link_lives_seven_days(path):
    now = timezone.now()

    mail_links.redeem(token_in(path), now=now + timedelta(days=6, hours=23))
    with pytest.raises(MailLinkInvalid):
        mail_links.redeem(token_in(path), now=now + timedelta(days=7, seconds=1))


def test_a_link_is_used_up(client, path):
    answers = [Client().post(path).status_code for _ in range(mail_links.USES + 1)]

    assert answers == [302] * mail_links.USES + [410]
    assert client.get(path).status_code == 410


def test_a_link_dies_with_the_departure_of_its_person(client, path, owner, make_user, admin_actor):
    client.post(path)
    accounts.mark_left(user_id=owner.pk, left_at=timezone.now(), actor=admin_actor, now=timezone.now())

    assert client.get("/inbox/").status_code == 302
    assert Client().post(path).status_code == 410
    with pytest.raises(MailLinkInvalid):
        owner.refresh_from_db()
        make_link(owner, now=timezone.now())


@pytest.mark.parametrize("token", ["guess", "x" * 5000, "%F0%9F%98%80", "..%2f"])
def test_guessed_links_are_gone(client, token):
    assert client.get(f"/m/{token}/").status_code in (404, 410)
    assert client.post(f"/m/{token}/").status_code in (404, 410)
