"""Every settings page for every role, and what the forms answer."""

import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from governance.kernel.actors import Role
from governance.people import accounts, teams
from governance.people.models import ApiToken, PeopleFile, User
from tests.people_fixtures import KNOWN_PASSWORD

pytestmark = pytest.mark.django_db
ADMIN, AUDITOR = Role.ADMINISTRATOR, Role.AUDITOR
NOBODY = "no role"
READ, CHANGE, ALL = {ADMIN, AUDITOR}, {ADMIN}, {*Role, NOBODY}
SOME_ID = uuid.UUID(int=1)
PAGES = [
    ("get", "settings", [], ALL),
    ("get", "profile", [], ALL),
    ("get", "user_list", [], READ),
    ("get", "user_create", [], CHANGE),
    ("get", "user_detail", ["person"], READ),
    ("post", "user_detail", ["person"], CHANGE),
    ("post", "user_roles", ["person"], CHANGE),
    ("post", "user_leave", ["person"], CHANGE),
    ("post", "user_sessions", ["person"], CHANGE),
    ("post", "user_create", [], CHANGE),
    ("get", "import", [], CHANGE),
    ("get", "team_list", [], READ),
    ("get", "team_create", [], CHANGE),
    ("get", "team_detail", ["team"], READ),
    ("post", "team_detail", ["team"], CHANGE),
    ("get", "token_list", [], READ),
    ("post", "token_list", [], CHANGE),
    ("post", "token_revoke", ["token"], CHANGE),
]
GOOD = {
    "name": "Changed name",
    "email": "changed@example.org",
    "may_sign_in": "on",
    "left_on": "2026-01-01",
    "days": "30",
    "scopes": ["sync:write"],
    "roles": ["owner"],
}


@pytest.fixture
def things(make_user, make_token, admin_actor):
    team = teams.create_team(name="Platform", member_ids=[], actor=admin_actor, now=timezone.now())
    return {"person": make_user(name="Somebody").pk, "team": team.pk, "token": make_token()[0].pk}


@pytest.mark.parametrize("who", [*Role, NOBODY])
@pytest.mark.parametrize(("method", "name", "args", "allowed"), PAGES)
def test_each_page_opens_to_its_roles_only(things, make_user, sign_in, who, method, name, args, allowed):
    client = sign_in(Client(), make_user() if who is NOBODY else make_user(who))
    url = reverse(f"people:{name}", args=[things[arg] for arg in args])
    before = set(User.objects.values_list("name", flat=True))

    response = getattr(client, method)(url, GOOD if method == "post" else {})

    assert (response.status_code in (200, 302)) is (who in allowed), response.status_code
    if who not in allowed:
        assert response.status_code in (403, 422)
        assert set(User.objects.values_list("name", flat=True)) == before


@pytest.mark.parametrize(("method", "name", "args", "allowed"), PAGES)
def test_nobody_sees_a_page_without_signing_in(things, client, method, name, args, allowed):
    response = getattr(client, method)(reverse(f"people:{name}", args=[things[arg] for arg in args]))

    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/")


@pytest.fixture
def admin(client, make_user, sign_in):
    return sign_in(client, make_user(ADMIN))


def test_somebody_absent_is_404(admin):
    for name in ("user_detail", "team_detail", "import_preview"):
        assert admin.get(reverse(f"people:{name}", args=[SOME_ID])).status_code == 404


def test_people_are_found_by_part_of_name_or_address_and_by_role(admin, make_user):
    make_user(Role.OWNER, name="Ada Lovelace", email="countess@example.org")
    make_user(name="Grace Hopper")

    def names(**query):
        return [person.name for person in admin.get(reverse("people:user_list"), query).context["page"].rows]

    assert names(q="lovel") == ["Ada Lovelace"]
    assert names(q="COUNTESS") == ["Ada Lovelace"]
    assert names(only="owner") == ["Ada Lovelace"]
    assert names(q="100%' OR 1=1 --") == []


def test_a_long_list_is_paged_and_its_queries_do_not_grow(admin, make_user, django_assert_max_num_queries):
    for number in range(120):
        make_user(Role.OWNER, name=f"Person {number:03}")
    seen, cursor = [], ""
    with django_assert_max_num_queries(30):
        for _ in range(3):
            page = admin.get(reverse("people:user_list"), {"cursor": cursor}).context["page"]
            seen += [person.pk for person in page.rows]
            cursor = page.next_cursor

    assert len(seen) == len(set(seen)) == User.objects.count()


def test_names_are_escaped_where_they_are_shown(admin, make_user):
    person = make_user(name="<script>alert(1)</script>")

    for url in (reverse("people:user_list"), reverse("people:user_detail", args=[person.pk])):
        assert b"<script>alert(1)" not in admin.get(url).content


@pytest.mark.parametrize(("role", "shown"), [(ADMIN, True), (AUDITOR, True), (Role.OWNER, False)])
@pytest.mark.parametrize("name", ["settings", "profile", "user_list"])
def test_the_tabs_offer_only_what_opens(client, make_user, sign_in, name, role, shown):
    sign_in(client, make_user(role))

    response = client.get(reverse(f"people:{name}"))

    if response.status_code == 200:
        assert (reverse("people:token_list").encode() in response.content) is shown


def test_a_new_person_gets_roles_and_no_password(admin):
    admin.post(reverse("people:user_create"), {"name": "Ada", "email": "ada@x.org", "roles": ["owner"]})

    person = User.objects.get(email="ada@x.org")
    assert not person.has_usable_password()
    assert accounts.roles_of(person) == {Role.OWNER}


def test_a_taken_address_comes_back_beside_its_field_with_what_was_typed(admin, make_user):
    make_user(email="taken@x.org")

    response = admin.post(reverse("people:user_create"), {"name": "Typed name", "email": "taken@x.org"})

    assert response.status_code == 422
    assert "already here" in str(response.context["form"].errors["email"])
    assert b"Typed name" in response.content


def test_two_administrators_do_not_overwrite_each_other(admin, make_user):
    person = make_user(name="Before", email="p@x.org")
    url = reverse("people:user_detail", args=[person.pk])
    seen = {"email": "p@x.org", "may_sign_in": "on", "version": person.version}

    first = admin.post(url, seen | {"name": "First"})
    second = admin.post(url, seen | {"name": "Second"})

    assert (first.status_code, second.status_code) == (302, 422)
    assert User.objects.get(pk=person.pk).name == "First"


def test_a_token_is_shown_once(admin):
    url = reverse("people:token_list")

    created = admin.post(url, {"name": "sync", "days": "30", "scopes": ["sync:write"]})

    secret = created.context["secret"]
    assert secret in created.content.decode()
    assert "no-store" in created["Cache-Control"]
    assert secret not in admin.get(url).content.decode()


def test_a_reload_of_the_page_with_the_secret_makes_no_second_token(admin):
    url = reverse("people:token_list")
    copy = admin.get(url).context["form"]["copy"].value()
    wanted = {"name": "sync", "days": "30", "scopes": ["sync:write"]}

    admin.post(url, wanted | {"copy": copy})
    again = admin.post(url, wanted | {"copy": copy}, follow=True)

    assert ApiToken.objects.filter(name="sync").count() == 1
    assert "No second one was made" in again.content.decode()
    other = admin.get(url).context["form"]["copy"].value()
    assert admin.post(url, wanted | {"copy": other}).context["secret"]


def test_a_token_without_scopes_is_refused(admin):
    assert admin.post(reverse("people:token_list"), {"name": "x", "days": "30"}).status_code == 422
    assert not ApiToken.objects.exists()


def test_a_forged_lifetime_is_refused(admin):
    data = {"name": "x", "days": "99999", "scopes": ["sync:write"]}

    assert admin.post(reverse("people:token_list"), data).status_code == 422


def test_an_import_is_previewed_and_then_applied_once(admin):
    file = SimpleUploadedFile("people.csv", b"email,name\nada@x.org,Ada\n", "text/csv")

    uploaded = admin.post(reverse("people:import"), {"file": file})
    shown = admin.get(uploaded["Location"])
    assert b"ada@x.org" in shown.content
    assert not User.objects.filter(email="ada@x.org").exists()

    applied = admin.post(uploaded["Location"])
    assert applied.status_code == 302
    assert User.objects.get(email="ada@x.org").name == "Ada"
    assert admin.post(uploaded["Location"]).status_code == 404
    assert not PeopleFile.objects.exists()


def test_an_import_with_bad_rows_names_them_and_cannot_be_applied(admin):
    file = SimpleUploadedFile("people.csv", b"email,name\nada@x.org,Ada\nbad,Bob\n", "text/csv")
    preview = admin.post(reverse("people:import"), {"file": file})["Location"]

    assert "is not an e-mail address" in admin.get(preview).content.decode()
    assert admin.post(preview).status_code == 422
    assert not User.objects.filter(email="ada@x.org").exists()


def test_an_unreadable_upload_is_refused_beside_the_field(admin):
    file = SimpleUploadedFile("people.csv", b"\x89PNG\r\n\x1a\n\x00", "text/csv")

    response = admin.post(reverse("people:import"), {"file": file})

    assert response.status_code == 422
    assert response.context["form"].errors["file"]


def test_nobody_sees_the_upload_of_another(admin, make_user, sign_in):
    file = SimpleUploadedFile("people.csv", b"email,name\nada@x.org,Ada\n", "text/csv")
    preview = admin.post(reverse("people:import"), {"file": file})["Location"]

    other = sign_in(Client(), make_user(ADMIN))
    assert other.get(preview).status_code == 404


def test_everybody_signs_themself_out_everywhere(client, make_user, sign_in):
    person, elsewhere = make_user(), Client()
    sign_in(client, person)
    sign_in(elsewhere, person)

    client.post(reverse("people:end_own_sessions"))

    assert elsewhere.get(reverse("people:profile")).status_code == 302


def test_a_list_that_fits_on_one_page_offers_no_other_pages(admin, make_user):
    assert 'aria-label="Pages"' not in admin.get(reverse("people:user_list")).content.decode()


def test_the_ways_in_are_worded_like_all_other_forms(client, make_user):
    user = make_user()
    for name in ("account_login", "account_reset_password"):
        assert ">E-mail address</label>" in client.get(reverse(name)).content.decode()
    client.post(reverse("account_login"), {"login": user.email, "password": KNOWN_PASSWORD})

    page = client.get(reverse("account_change_password")).content.decode()

    assert "Current password" in page and "New password (again)" in page and "New Password" not in page
