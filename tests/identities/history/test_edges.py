"""Pages and endpoints of the past: what they say, whom they let in, how they refuse."""

import json
from collections.abc import Callable

import pytest
from django.core.management import call_command
from django.test import Client

from governance.kernel.actors import Role
from identities.models import Identity, Source, SyncRun

READ = {"actions": ["SELECT"], "resources": ["table:l/public/t"]}
PAGES = ("/history/", "/history/?view=access", "/history/who-could/?action=SELECT&resource=table:l/public/t")


@pytest.fixture
def estate(source, read_at, day, identity, grant):
    read_at(source, day(3), [identity("etl"), identity("web"), grant("g", "etl", "postgresql", READ, label="Reads")])
    read_at(source, day(5), [identity("etl"), identity("web", name="web front")])
    return source


@pytest.fixture
def api(db: None, make_token: Callable) -> Callable[..., Client]:
    call_command("createcachetable", verbosity=0)

    def make(*scopes: str) -> Client:
        _, plain = make_token(scopes or ("inventory:read",))
        return Client(headers={"Authorization": f"Bearer {plain}"}, raise_request_exception=True)

    return make


def get(client, path, **given):
    response = client.get(f"/api/v1/history/{path}/", given)
    return response.status_code, json.loads(response.content)


def test_the_inventory_page_shows_the_date_that_was_asked_for(estate, admin):
    then, now = admin.get("/history/?at=2026-03-04"), admin.get("/history/?at=2026-03-05")

    assert "As of 4 March 2026, end of the day UTC" in then.content.decode()
    assert "now called web front" in then.content.decode()
    assert "web front" in now.content.decode()
    assert "now called" not in now.content.decode()


def test_before_the_first_complete_reading_the_page_says_since_when_it_is_known(estate, admin):
    Source.objects.create(slug="never", name="Never", kind="push")

    said = admin.get("/history/?at=2026-03-02").content.decode()

    assert "Nothing is known of that date" in said
    assert "Not known before 3 March 2026" in said
    assert "Never read completely" in said


def test_access_of_a_date_is_listed_with_its_holder(estate, admin):
    then, later = (admin.get(f"/history/?view=access&at=2026-03-0{day}").content.decode() for day in (4, 6))

    assert "Read every row of table t" in then
    assert "etl" in then
    assert "Nothing is known of that date" in later


def test_the_question_is_answered_with_identity_and_grant(estate, admin):
    page = "/history/who-could/?action=select&resource=table:l/public/t"

    then, later = (
        admin.get(f"{page}&at=2026-03-04").content.decode(),
        admin.get(f"{page}&at=2026-03-06").content.decode(),
    )

    assert "Read as PostgreSQL" in then
    assert ">etl</a>" in then
    assert "Nobody that is known could, for certain" in later


def test_of_a_role_with_many_rights_the_answer_names_the_one_that_was_asked_about(
    source, read_at, day, identity, grant, admin
):
    rights = [{"actions": ["INSERT"], "resources": [f"table:l/public/{name}"]} for name in ("a", "b", "c")]
    role = grant("g", "etl", "postgresql", *rights, READ, label="Member of role analysts")
    read_at(source, day(3), [identity("etl"), role])

    page = admin.get("/history/who-could/?action=SELECT&resource=table:l/public/t&at=2026-03-04")

    ((_, what, _, _),) = page.context["page"].rows[0].reasons
    assert what == "Read every row of table t in database l"


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/history/?at=soon",
            "/history/?at=2099-01-01",
            "/history/?kind=nope",
            "/history/?view=access&privileged=maybe",
        ),
        "/history/?view=access&cursor=x",
        "/history/?cursor=x",
        *("/history/who-could/?action=s3:*&resource=arn:aws:s3:::x", "/history/who-could/?action=x&resource=y"),
        "/history/who-could/?action=SELECT&resource=table:l/public/t&at=2026-02-30",
        "/history/who-could/?action=SELECT&resource=table:l/public/t&cursor=x",
    ],
)
def test_what_nobody_could_mean_is_refused_with_the_reason(estate, admin, path):
    response = admin.get(path)

    assert response.status_code == 400
    assert "<table" not in response.content.decode()


def test_one_identity_as_it_was(estate, admin):
    etl = Identity.objects.get(external_id="etl")
    page = f"/identities/{etl.pk}/as-of/"

    assert "It was not there" in admin.get(f"{page}?at=2026-03-02").content.decode()
    assert "Read every row of table t" in admin.get(f"{page}?at=2026-03-04").content.decode()
    assert "Nothing that its source showed" in admin.get(f"{page}?at=2026-03-06").content.decode()
    assert admin.get(f"{page}?at=2026-02-30").status_code == 400


def test_the_history_is_a_page_and_a_panel(estate, admin):
    etl = Identity.objects.get(external_id="etl")
    page = f"/identities/{etl.pk}/history/"

    whole = admin.get(page).content.decode()
    panel = admin.get(f"{page}?panel=yes", headers={"HX-Request": "true"}).content.decode()

    for said in (whole, panel):
        assert "Grant retired: Reads" in said
    assert "<html" in whole
    assert "<html" not in panel
    assert admin.get(f"{page}?before=1.1").status_code == 200
    assert admin.get(f"{page}?before=9{'9' * 60}.x").status_code == 200
    assert f"{page}?panel=yes" in admin.get(f"/identities/{etl.pk}/").content.decode()


def test_owners_see_the_past_of_what_they_answer_for_and_nothing_else(estate, make_user, browse):
    owner = make_user(Role.OWNER)
    Identity.objects.filter(external_id="web").update(owner=owner)
    etl, web = Identity.objects.get(external_id="etl"), Identity.objects.get(external_id="web")
    client = browse(owner)

    for page in PAGES:
        assert "etl" not in client.get(f"{page}{'&' if '?' in page else '?'}at=2026-03-04").content.decode()
    assert "web" in client.get("/history/?at=2026-03-04").content.decode()
    for page in ("history", "as-of"):
        assert client.get(f"/identities/{etl.pk}/{page}/").status_code == 404
        assert client.get(f"/identities/{web.pk}/{page}/").status_code == 200


def test_the_endpoints_say_what_the_pages_say(estate, api):
    client = api()

    _, identities = get(client, "identities", at="2026-03-04")
    _, access = get(client, "access", at="2026-03-04T12:00:00Z")
    _, could = get(client, "who-could", action="SELECT", resource="table:l/public/t", at="2026-03-04")

    assert [row["name"] for row in identities["results"]] == ["etl", "web"]
    [source] = identities["sources"]
    assert SyncRun.objects.filter(pk=source.pop("run"), source__slug="ledger").exists()
    assert source == {
        "source": "ledger",
        "known_since": "2026-03-03T12:00:00Z",
        "read_at": "2026-03-03T12:00:00Z",
        "is_known": True,
    }
    assert [(row["identity_name"], row["label"], row["is_in_force"]) for row in access["results"]] == [
        ("etl", "Reads", True)
    ]
    assert could["question"]["dialect"] == "postgresql"
    assert could["permissions"] == {"judged": 1, "allow": 1, "depend": 0, "deny": 0}
    assert [(row["identity"]["name"], row["answer"], row["reasons"][0]["says"]) for row in could["results"]] == [
        ("etl", "yes", "allows")
    ]


def test_pages_of_the_endpoints_join_and_keep_their_moment(source, read_at, day, identity, grant, api):
    names = [f"id{n}" for n in range(5)]
    read_at(source, day(1), [r for n in names for r in (identity(n), grant(f"g-{n}", n, "postgresql", READ))])
    client = api()
    question = {"action": "SELECT", "resource": "table:l/public/t"}

    for path, given, name in (
        ("identities", {}, lambda row: row["name"]),
        ("access", {}, lambda row: row["identity_name"]),
        ("who-could", question, lambda row: row["identity"]["name"]),
    ):
        _, page = get(client, path, limit=2, **given)
        found = [name(row) for row in page["results"]]
        while page["next"]:
            assert "at=" in page["next"]
            page = json.loads(client.get(page["next"]).content)
            found += [name(row) for row in page["results"]]
        assert found == names, path
        if path != "who-could":
            back = json.loads(client.get(page["previous"]).content)
            assert [name(row) for row in back["results"]] == names[2:4]


@pytest.mark.parametrize(
    ("path", "given"),
    [
        *[(path, {"at": at, "action": "SELECT", "resource": "table:l/public/t"} if path == "who-could" else {"at": at})
          for path in ("identities", "access", "who-could") for at in ("soon", "2026-03-04T12:00:00", "2999-01-01")],
        ("identities", {"cursor": "x"}), ("access", {"cursor": "x"}), ("access", {"limit": "0"}),
        ("identities", {"privileged": "yes"}), ("access", {"identity": "x"}), ("access", {"kind": "x"}),
        ("who-could", {}), ("who-could", {"action": "a", "resource": "b", "dialect": "c"}),
        ("who-could", {"action": "a", "resource": "b", "dialect": "tools", "answer": "no"}),
        ("who-could", {"action": "a\x00", "resource": "b", "dialect": "tools"}),
    ],
)  # fmt: skip
def test_the_endpoints_refuse_what_nobody_could_mean(estate, api, path, given):
    status, problem = get(api(), path, **given)

    assert status == 400, problem
    assert problem["detail"]


def test_the_endpoints_need_their_scope(estate, api):
    for path in ("identities", "access", "who-could"):
        assert get(api("sync:write"), path)[0] == 403


@pytest.mark.parametrize("path", PAGES)
def test_pages_cost_the_same_for_one_row_and_for_many(
    source, read_at, day, identity, grant, admin, path, django_assert_max_num_queries
):
    records = [r for n in range(30) for r in (identity(f"i{n}"), grant(f"g{n}", f"i{n}", "postgresql", READ))]
    read_at(source, day(1), records)
    admin.get(path)

    with django_assert_max_num_queries(15):
        assert admin.get(path).content.decode().count("<tr data-row") == 30
