"""Pages: signed in, with a role, and said aloud where a role is missing."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_htmx.middleware import HtmxDetails

from governance.kernel.actors import ActorKind, Role
from governance.people.models import User
from governance.web import navigation
from governance.web.access import RoleNeeded, page

pytestmark = pytest.mark.django_db


@page(roles=[Role.ADMINISTRATOR, Role.AUDITOR])
def for_auditors(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.actor.id)


def request_of(rf: RequestFactory, user: User, method: str = "password+totp", **headers: str) -> HttpRequest:
    request = rf.get("/audit/", headers=headers)
    request.user, request.session, request.htmx = user, {"auth_method": method}, HtmxDetails(request)
    return request


def test_a_role_opens_the_page_and_the_view_gets_the_actor(rf: RequestFactory, make_user: Callable[..., User]) -> None:
    auditor = make_user(Role.AUDITOR)
    request = request_of(rf, auditor)

    response = for_auditors(request)

    assert response.content.decode() == str(auditor.pk)
    assert (request.actor.kind, request.actor.auth_method) == (ActorKind.PERSON, "password+totp")


def test_a_missing_role_is_refused_with_the_roles_that_would_open_it(
    rf: RequestFactory, make_user: Callable[..., User]
) -> None:
    with pytest.raises(RoleNeeded, match="administrators and auditors"):
        for_auditors(request_of(rf, make_user(Role.OWNER)))


def test_a_role_that_was_taken_away_is_gone_at_the_next_request(
    rf: RequestFactory, make_user: Callable[..., User]
) -> None:
    auditor = make_user(Role.AUDITOR)
    for_auditors(request_of(rf, auditor))

    auditor.role_assignments.all().delete()

    with pytest.raises(RoleNeeded):
        for_auditors(request_of(rf, auditor))


def test_signed_out_people_sign_in_and_come_back(client: Client) -> None:
    response = client.get("/styleguide/?sort=name")

    assert response.status_code == 302
    assert response["Location"] == "/accounts/login/?next=/styleguide/%3Fsort%3Dname"


def test_a_signed_out_fragment_makes_the_browser_itself_go_and_sign_in(client: Client) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/identities/"}

    response = client.get("/styleguide/", headers=headers)

    assert response["HX-Redirect"] == "/accounts/login/?next=/identities/"
    assert b"<form" not in response.content


def test_a_place_that_the_role_does_not_open_is_shown_closed_with_the_reason(
    client: Client, make_user: Callable[..., User], sign_in: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = navigation.Place("People", "people:user_list", "/settings/people/", "users", "p")
    monkeypatch.setattr(navigation, "PLACES", (place,))

    closed = sign_in(client, make_user(Role.OWNER), method="password+totp").get("/styleguide/").content.decode()
    opened = (
        sign_in(Client(), make_user(Role.ADMINISTRATOR), method="password+totp").get("/styleguide/").content.decode()
    )

    assert "Hidden by your role" in closed and 'data-go="p"' not in closed
    assert "Hidden by your role" not in opened and 'data-go="p"' in opened


def test_the_shell_marks_the_place_one_is_in(
    client: Client, make_user: Callable[..., User], sign_in: Callable[..., Client]
) -> None:
    html = sign_in(client, make_user()).get(reverse("people:settings")).content.decode()

    assert html.count('data-go="e" aria-current="page"') == 1
    assert 'data-go="o" aria-current' not in html


def test_the_roles_are_read_once_per_request(
    client: Client, make_user: Callable[..., User], sign_in: Callable[..., Client]
) -> None:
    sign_in(client, make_user(Role.REVIEWER))

    with CaptureQueriesContext(connection) as queries:
        client.get("/styleguide/")

    assert sum("people_roleassignment" in query["sql"] for query in queries) == 1


@pytest.mark.parametrize(
    ("cookie", "shown"), [("dark", "dark"), ("light", "light"), ('"><script>', "system"), ("", "system")]
)
def test_the_first_byte_already_has_the_chosen_theme(client: Client, cookie: str, shown: str) -> None:
    client.cookies["theme"] = cookie

    assert f'data-theme="{shown}"' in client.get("/accounts/login/").content.decode()


def test_the_theme_is_kept_in_a_cookie_and_one_returns_to_the_page(client: Client) -> None:
    response = client.post("/theme/", {"theme": "dark", "next": "/accounts/login/"})

    assert response["Location"] == "/accounts/login/"
    assert (response.cookies["theme"].value, response.cookies["theme"]["samesite"]) == ("dark", "Lax")


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil.example"]
)
def test_the_theme_form_leads_nowhere_else(client: Client, target: str) -> None:
    assert client.post("/theme/", {"theme": "dark", "next": target})["Location"] == "/"


def test_an_unknown_theme_becomes_the_systems(client: Client) -> None:
    assert client.post("/theme/", {"theme": "neon"}).cookies["theme"].value == "system"


def test_whoever_signs_in_again_after_sending_a_form_comes_back_to_the_page_with_the_form(client: Client) -> None:
    sent_to = reverse("people:end_own_sessions")

    from_ours = client.post(sent_to, headers={"referer": "http://testserver/settings/profile/?tab=1"})
    from_others = client.post(sent_to, headers={"referer": "https://evil.example.org/settings/"})

    assert from_ours["Location"].endswith("?next=/settings/profile/%3Ftab%3D1")
    assert from_others["Location"].endswith("?next=/")
