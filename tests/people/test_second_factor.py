"""The whole way of a second factor, with real commits: allauth mails and signals after them."""

import time

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from governance.audit.models import AuditEvent
from governance.people.models import User
from tests.people_fixtures import KNOWN_PASSWORD


def code_from(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def log_in(client: Client, user: User) -> Client:
    client.post(reverse("account_login"), {"login": user.email, "password": KNOWN_PASSWORD})
    return client


def is_in(client: Client) -> bool:
    return client.get("/inbox/").status_code == 200


def last_verb() -> str:
    return AuditEvent.objects.latest("occurred_at").verb


@pytest.fixture(autouse=True)
def begun_step():
    """The half minute that a code is good for begins with the test, so that none runs out on its way."""
    with time_machine.travel(time.time() // 30 * 30, tick=True):
        yield


@pytest.fixture
def person(committed_db):
    call_command("createcachetable", verbosity=0)
    return User.objects.create_user("ada@x.org", KNOWN_PASSWORD, name="Ada")


@pytest.fixture
def secret(person):
    """The key of a second factor that the person just turned on."""
    client = log_in(Client(), person)
    client.post(reverse("account_reauthenticate"), {"password": KNOWN_PASSWORD})
    key = client.get(reverse("mfa_activate_totp")).context["form"].secret
    client.post(reverse("mfa_activate_totp"), {"code": code_from(key)})
    return key


def test_turning_it_on_asks_for_the_password_again(person):
    client = log_in(Client(), person)

    assert "reauthenticate" in client.get(reverse("mfa_activate_totp"))["Location"]


def test_turning_it_on_is_recorded_and_mailed_and_the_key_is_encrypted(person, secret, mailoutbox):
    stored = Authenticator.objects.get(user=person, type="totp").data["secret"]

    assert secret not in stored
    assert last_verb() == "mfa.enabled"


def test_turning_it_on_ends_the_sessions_that_proved_less(person):
    here, elsewhere = log_in(Client(), person), log_in(Client(), person)
    here.post(reverse("account_reauthenticate"), {"password": KNOWN_PASSWORD})
    key = here.get(reverse("mfa_activate_totp")).context["form"].secret

    here.post(reverse("mfa_activate_totp"), {"code": code_from(key)})

    assert is_in(here)
    assert not is_in(elsewhere)


def test_the_password_alone_no_longer_opens(person, secret):
    client = log_in(Client(), person)

    assert not is_in(client)
    client.post(reverse("mfa_authenticate"), {"code": "000000"})
    assert not is_in(client)
    assert last_verb() == "user.sign_in_failed"


def test_a_code_opens_and_the_session_says_so(person, secret):
    client = log_in(Client(), person)

    client.post(reverse("mfa_authenticate"), {"code": code_from(secret)})

    assert b" password+totp " in client.get("/inbox/").content
    assert last_verb() == "user.signed_in"


def test_a_code_works_once(person, secret):
    code = code_from(secret)
    log_in(Client(), person).post(reverse("mfa_authenticate"), {"code": code})
    second = log_in(Client(), person)

    second.post(reverse("mfa_authenticate"), {"code": code})

    assert not is_in(second)


def test_codes_cannot_be_guessed_at_length(person, secret):
    client = log_in(Client(), person)
    for number in range(5):
        client.post(reverse("mfa_authenticate"), {"code": f"{number:06}"})

    client.post(reverse("mfa_authenticate"), {"code": code_from(secret)})

    assert not is_in(client)


def test_turning_it_off_is_recorded(person, secret):
    client = log_in(Client(), person)
    client.post(reverse("mfa_authenticate"), {"code": code_from(secret)})
    client.post(reverse("account_reauthenticate"), {"password": KNOWN_PASSWORD})

    client.post(reverse("mfa_deactivate_totp"))

    assert not Authenticator.objects.exists()
    assert last_verb() == "mfa.disabled"
    assert is_in(client)
