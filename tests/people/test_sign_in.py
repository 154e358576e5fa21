import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from governance.audit.models import AuditDetail, AuditEvent
from governance.console.people.trail import SEEN_AT, STARTED_AT
from governance.people import accounts
from governance.people.models import User
from tests.people_fixtures import KNOWN_PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shared_cache")]


def log_in(client, email, password=KNOWN_PASSWORD, **data):
    return client.post(reverse("account_login"), {"login": email, "password": password, **data})


def is_in(client) -> bool:
    return client.get("/inbox/").status_code == 200


def test_a_person_signs_in_by_address_in_any_case_and_the_trail_says_so(client, make_user, verbs):
    make_user(email="ada@example.org")

    response = log_in(client, "ADA@Example.org")

    assert response.status_code == 302
    assert is_in(client)
    assert verbs() == ["user.signed_in"]
    assert b" password " in client.get("/inbox/").content


def test_signing_in_changes_the_session_id(client, make_user):
    user = make_user()
    client.get(reverse("account_login"))
    session = client.session
    session["planted"] = "by an attacker"
    session.save()
    before = client.session.session_key

    log_in(client, user.email)

    assert client.session.session_key != before


def test_wrong_password_unknown_address_and_closed_account_get_the_same_answer(make_user):
    here, closed = make_user(), make_user(is_active=False)
    answers = {}
    for name, email, password in [
        ("wrong password", here.email, "wrong password!"),
        ("unknown", "nobody@example.org", KNOWN_PASSWORD),
        ("closed", closed.email, KNOWN_PASSWORD),
    ]:
        response = log_in(Client(), email, password)
        answers[name] = (response.status_code, str(response.context["form"].errors))

    assert len(set(answers.values())) == 1, answers
    assert AuditEvent.objects.filter(verb="user.sign_in_failed").count() == 3


def test_a_failed_sign_in_names_the_person_but_keeps_the_address_erasable(make_user):
    user = make_user(email="ada@example.org")

    log_in(Client(), user.email, "wrong")

    event = AuditEvent.objects.get()
    assert event.subject_id == str(user.pk)
    assert "ada@example.org" not in event.payload
    assert "ada@example.org" in AuditDetail.objects.get().text


def test_five_failures_close_an_account_to_guessing_even_with_the_right_password(make_user):
    user, other = make_user(), make_user()

    for _ in range(5):
        log_in(Client(), user.email, "wrong")

    throttled = Client()
    assert "Too many" in str(log_in(throttled, user.email).context["form"].errors)
    assert not is_in(throttled)
    untouched = Client()
    log_in(untouched, other.email)
    assert is_in(untouched)


def test_one_address_cannot_guess_at_many_accounts(make_user):
    user = make_user()
    for number in range(20):
        log_in(Client(), f"person{number}@example.org", "wrong")

    late = Client()
    log_in(late, user.email)

    assert not is_in(late)


def test_signing_up_is_closed(client):
    response = client.post(reverse("account_signup"), {"email": "new@example.org", "password1": KNOWN_PASSWORD})

    assert not User.objects.exists()
    assert response.status_code == 404


def test_nobody_changes_their_own_address(client, make_user, sign_in):
    sign_in(client, make_user())

    assert client.get("/accounts/email/").status_code == 404
    assert client.post("/accounts/email/", {"action_add": "", "email": "x@x.org"}).status_code == 404


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "https:evil.example",
        "http://testserver@evil.example/",
    ],
)
def test_next_never_leads_away(client, make_user, target):
    user = make_user()

    response = log_in(client, user.email, next=target)

    assert "evil" not in response["Location"]
    assert "javascript" not in response["Location"]


def test_next_leads_to_a_page_of_ours(client, make_user):
    assert log_in(client, make_user().email, next="/settings/people/")["Location"] == "/settings/people/"


def test_signing_out_needs_a_post_and_ends_the_session_on_the_server(client, make_user, verbs):
    log_in(client, make_user().email)
    stolen = Client()
    stolen.cookies = client.cookies.copy()

    client.get(reverse("account_logout"))
    assert is_in(client)
    client.post(reverse("account_logout"))

    assert not is_in(stolen)
    assert verbs() == ["user.signed_in", "user.signed_out"]


def test_sign_out_without_the_token_is_refused(make_user):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(make_user(), backend="allauth.account.auth_backends.AuthenticationBackend")

    assert strict.post(reverse("account_logout")).status_code == 403


def test_a_session_ends_with_the_next_request_after_the_person_left(client, make_user, sign_in, admin_actor):
    person = make_user()
    sign_in(client, person)
    assert is_in(client)

    accounts.mark_left(user_id=person.pk, left_at=timezone.now(), actor=admin_actor, now=timezone.now())

    assert not is_in(client)
    accounts.bring_back(user_id=person.pk, actor=admin_actor, now=timezone.now())
    assert not is_in(client), "a session from before must not wake up again"


def test_ended_sessions_and_new_passwords_end_every_other_session(client, make_user, sign_in, admin_actor):
    person, elsewhere = make_user(), Client()
    sign_in(client, person)
    sign_in(elsewhere, person)

    accounts.end_sessions(user_id=person.pk, actor=admin_actor, now=timezone.now())

    assert not is_in(client)
    assert not is_in(elsewhere)


def test_a_changed_password_keeps_this_session_and_ends_the_others(client, make_user, verbs):
    person, elsewhere = make_user(), Client()
    log_in(client, person.email)
    log_in(elsewhere, person.email)
    new = "another quite long passphrase"

    client.post(
        reverse("account_change_password"),
        {"oldpassword": KNOWN_PASSWORD, "password1": new, "password2": new},
    )

    assert is_in(client)
    assert not is_in(elsewhere)
    assert verbs()[-1] == "user.changed"


@pytest.mark.parametrize(
    ("key", "hours", "method", "stays"),
    [
        (SEEN_AT, 1.9, "password", True),
        (SEEN_AT, 2.1, "password", False),
        (STARTED_AT, 11.9, "password", True),
        (STARTED_AT, 12.1, "password", False),
        (STARTED_AT, 4.1, "mail_link", False),
    ],
)
def test_a_session_ends_idle_or_old(client, make_user, sign_in, key, hours, method, stays):
    sign_in(client, make_user(), method)
    session = client.session
    now = timezone.now()
    session[STARTED_AT] = session[SEEN_AT] = int(now.timestamp())
    session[key] = int((now - timedelta(hours=hours)).timestamp())
    session.save()

    assert is_in(client) is stays


def test_a_password_reset_mail_says_nothing_about_who_is_here(client, make_user, mailoutbox):
    user, closed = make_user(), make_user(is_active=False)

    answers = {
        client.post(reverse("account_reset_password"), {"email": email})["Location"]
        for email in (user.email, closed.email, "nobody@example.org")
    }

    assert len(answers) == 1
    assert [mail.to for mail in mailoutbox if "password/reset/key" in mail.body] == [[user.email]]


def test_a_forgotten_password_leads_back_to_signing_in_and_a_used_link_to_a_new_one(client, make_user, mailoutbox):
    user = make_user()
    sent = client.post(reverse("account_reset_password"), {"email": user.email}, follow=True).content.decode()
    link = re.search(r"/accounts/password/reset/key/\S+", mailoutbox[-1].body)[0]
    form = client.get(link, follow=True)
    new = {"password1": "a new and long one 42", "password2": "a new and long one 42"}
    done = client.post(form.redirect_chain[-1][0], new, follow=True).content.decode()
    again = client.get(link, follow=True).content.decode()

    sign_in, ask_again = (f'href="{reverse(name)}"' for name in ("account_login", "account_reset_password"))
    assert "<h1>Look into your mail</h1>" in sent and sign_in in sent
    assert "<h1>Choose a new password</h1>" in form.content.decode()
    assert "<h1>The password is changed</h1>" in done and sign_in in done
    assert "<h1>This link no longer works</h1>" in again and ask_again in again
    assert sign_in in client.get(reverse("account_inactive")).content.decode()
    assert client.login(email=user.email, password=new["password1"])
