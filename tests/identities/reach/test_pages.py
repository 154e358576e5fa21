"""The pages and the API: what they say, what they refuse, and how many queries they take."""

import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from governance.kernel.actors import Role
from governance.web.flows import Node, flow
from identities.models import Authorization, Grant, Identity, Source, TrustBoundary
from tests.identities.reach.conftest import grant, identity, let_in, role_arn, root_of, trust

ISSUER = "https://token.actions.githubusercontent.com"
CI, DEPLOY = role_arn("ci"), role_arn("deploy")


@pytest.fixture
def estate(fill: Any) -> Source:
    return fill(
        "aws", "aws", identity(CI), identity(DEPLOY), let_in(DEPLOY, root_of()), trust(DEPLOY, ISSUER, "repo:acme/*"),
        grant(CI, "aws", ("s3:GetObject s3:DeleteObject", "arn:aws:s3:::invoices/*"), ("sts:AssumeRole iam:PutUserPolicy", "*")),
        grant(DEPLOY, "aws", ("s3:*", "*")),
    )  # fmt: skip


@pytest.fixture
def admin(make_user: Any, sign_in: Any) -> Client:
    return sign_in(Client(), make_user(Role.ADMINISTRATOR), method="password+totp")


@pytest.fixture
def program(make_token: Any) -> Any:
    """`program("get", path)`: a call with a token of all scopes."""
    _, plain = make_token()
    client = Client(headers={"Authorization": f"Bearer {plain}"})

    def go(method: str, path: str, body: Any = None, **headers: str) -> Any:
        more = {"data": json.dumps(body), "content_type": "application/json"} if body is not None else {}
        return getattr(client, method)(path, headers=headers, **more)

    return go


def reach(name: str = "ci", **query: str) -> str:
    path = reverse("identities:identity_reach", args=[Identity.objects.get(name=name).pk])
    return f"{path}?{urlencode(query)}" if query else path


def test_the_drawing_names_a_thing_whole_and_its_place_where_there_is_room() -> None:
    short = Node("a", "table public.payments", where="database ledger of the books")
    fits = Node("b", "role readers", where="the server")

    drawn = str(flow([[short, fits]], [], "it reaches two"))

    assert "<title>table public.payments, database ledger of the books</title>" in drawn
    assert re.findall(r"<text[^>]*>(.*?)</text>", drawn) == [
        "table public.payments",
        'role readers <tspan class="flow-note">the server</tspan>',
    ]


def test_the_page_draws_and_lists_what_is_reached(
    estate: Any, admin: Client, django_assert_max_num_queries: Any
) -> None:
    path = reach()
    admin.get(path)
    with django_assert_max_num_queries(22):
        page = admin.get(path).content.decode()

    assert (
        "Whoever takes ci over reaches 2 things in 2 segments by its own grants, and 1 other identity in one step."
        in page
    )
    assert '<svg class="flow"' in page and ">invoices/*, s3<" in page
    assert "May write policies into users, groups or roles" in page
    assert "may assume it (sts:AssumeRole)" in page


def test_a_narrowing_in_the_address_shows_before_and_after(estate: Any, admin: Client) -> None:
    held = Grant.objects.get(external_id=f"{CI}|1").pk
    left = grant("x", "aws", ("s3:GetObject", "arn:aws:s3:::invoices/*"))["permission"]

    page = admin.get(reach(grant=str(held), target=json.dumps(left))).content.decode()
    wider = admin.get(
        reach(grant=str(held), target=json.dumps(grant("x", "aws", ("*", "*"))["permission"]))
    ).content.decode()

    assert "Before and after." in page and "no longer: can destroy" in page and "Goes" in page
    assert "This is no narrowing." in wider and "Before and after." not in wider


@pytest.mark.parametrize("query", [{"grant": "x"}, {"grant": "00000000-0000-0000-0000-000000000000"}])
def test_a_narrowing_that_means_nothing_is_refused_and_the_page_stays(estate: Any, admin: Client, query: Any) -> None:
    response = admin.get(reach(**query))

    assert response.status_code == 400
    assert "Nothing is compared." in response.content.decode()


def test_an_identity_that_reaches_nothing_says_so(fill: Any, admin: Client) -> None:
    fill("empty", "push", identity("idle"))

    assert "It reaches nothing itself" in admin.get(reach("idle")).content.decode()


def test_the_file_holds_every_thing_step_and_escalation(estate: Any, admin: Client) -> None:
    path = reverse("identities:identity_reach_csv", args=[Identity.objects.get(name="ci").pk])
    lines = b"".join(admin.get(path).streaming_content).decode().splitlines()

    assert len(lines) == 1 + 2 + 2 + 1
    assert lines[0].startswith("step,identity,segment")


def test_the_api_says_the_same_and_answers_what_would_be(estate: Any, program: Any) -> None:
    path = f"/api/v1/identities/{Identity.objects.get(name='ci').pk}/reach/"
    held = Grant.objects.get(external_id=f"{CI}|1").pk
    now, then = program("get", path).json(), program("get", f"{path}?grant={held}").json()

    assert [each["name"] for each in now["reached"]] == ["invoices/*", "everything"]
    assert [each["name"] for each in now["steps"]] == ["deploy"]
    assert {each["name"] for each in now["escalation"]} == {"aws.inline-policy", "aws.assume-role"}
    assert then["reached"] == then["steps"] == []
    wide = json.dumps(grant("x", "aws", ("*", "*"))["permission"])
    assert program("get", f"{path}?{urlencode({'grant': held, 'target': wide})}").status_code == 400


def test_the_list_of_boundaries_names_what_to_look_at(
    estate: Any, admin: Client, django_assert_max_num_queries: Any
) -> None:
    path = reverse("identities:boundary_list")
    admin.get(path)
    with django_assert_max_num_queries(10):
        page = admin.get(path).content.decode()

    assert "Strangers may fit" in page and "Nobody registered it" in page and "No audience is asked for" in page


def test_a_boundary_is_registered_from_what_is_seen_reviewed_and_withdrawn(
    estate: Any, admin: Client, make_user: Any, sign_in: Any
) -> None:
    owner = make_user(Role.OWNER)
    where = urlencode({"source": "aws", "issuer": ISSUER})
    create = f"{reverse('identities:boundary_create')}?{where}"
    due = (timezone.now() + timedelta(days=30)).date().isoformat()
    assert "repo:acme/*" in admin.get(create).content.decode()
    filled = {
        "source": "aws", "issuer": ISSUER, "subjects": "repo:acme/app:*\nrepo:acme/web:*", "purpose": "Builds",
        "owner": owner.email, "review_due": due,
    }  # fmt: skip

    refused = admin.post(create, filled | {"owner": "nobody@example.org"})
    assert refused.status_code == 422 and "repo:acme/web:*" in refused.content.decode()
    admin.post(create, filled)
    record = TrustBoundary.objects.get()
    assert record.subjects == ["repo:acme/app:*", "repo:acme/web:*"]
    shown = admin.get(reverse("identities:boundary_detail", args=[record.pk])).content.decode()
    assert "Trusts lie outside this record." in shown

    review = {"review_due": due, "reason": "Read them.", "version": 1}
    assert admin.post(reverse("identities:boundary_review", args=[record.pk]), review).status_code == 302
    stale = admin.post(reverse("identities:boundary_withdraw", args=[record.pk]), {"reason": "moved", "version": 1})
    assert stale.status_code == 409
    admin.post(reverse("identities:boundary_withdraw", args=[record.pk]), {"reason": "moved", "version": 2})
    record.refresh_from_db()
    assert record.withdrawn_at is not None


def test_one_boundary_lists_its_patterns_and_its_identities(estate: Any, admin: Client) -> None:
    path = f"{reverse('identities:boundary_of', args=['aws'])}?{urlencode({'issuer': ISSUER})}"

    page = admin.get(path).content.decode()

    assert "repo:acme/*" in page and "deploy" in page and "several projects or workloads fit" in page
    assert admin.get(path + "x").status_code == 404


def test_a_program_registers_changes_and_withdraws(estate: Any, program: Any, make_user: Any) -> None:
    due = (timezone.now() + timedelta(days=30)).date().isoformat()
    wish = {"source": "aws", "issuer": ISSUER, "subjects": ["repo:acme/*"], "purpose": "Builds", "review_due": due}
    made = program("post", "/api/v1/boundaries/", wish | {"owner": make_user(Role.OWNER).email})
    path = f"/api/v1/boundaries/{made.json()['id']}/"

    changed = program("patch", path, {"audiences": ["sts.amazonaws.com"]}, **{"If-Match": made["ETag"]})
    late = program("patch", path, {"purpose": "Other"}, **{"If-Match": made["ETag"]})
    (trusted,) = program("get", "/api/v1/trusted-issuers/?registered=yes").json()["results"]

    assert (made.status_code, changed.status_code, late.status_code) == (201, 200, 412)
    assert trusted["record"] == made.json()["id"]
    assert trusted["subjects"][0]["is_registered"] is False  # its tokens need no audience, the record's do
    assert program("post", f"{path}withdraw/", {"reason": "moved"}, **{"If-Match": changed["ETag"]}).status_code == 204


def test_how_the_application_decides_stands_on_the_identity_page(estate: Any, admin: Client) -> None:
    ci = Identity.objects.get(name="ci")
    form = reverse("identities:identity_authorization", args=[ci.pk])
    before = admin.get(reverse("identities:identity_detail", args=[ci.pk])).content.decode()

    bad = admin.post(form, {"model": "", "classes": ["write"], "version": 0})
    good = admin.post(
        form, {"model": "login_implies_all", "classes": ["write", "admin"], "breadth": "service", "version": 0}
    )
    after = admin.get(reverse("identities:identity_detail", args=[ci.pk])).content.decode()

    assert "not declared: how the application decides" in before
    assert (bad.status_code, good.status_code) == (422, 302)
    assert Authorization.objects.get().classes == ["write", "admin"]
    assert "Whoever is signed in may do everything" in after and "administers, writes" in after
    assert "Noted of ci: “Whoever is signed in may do everything”." in after


def test_taking_back_how_the_application_decides_is_not_called_a_declaration(estate: Any, admin: Client) -> None:
    ci = Identity.objects.get(name="ci")

    done = admin.post(reverse("identities:identity_authorization", args=[ci.pk]), {"model": "", "version": 0})

    assert done.status_code == 302
    said = admin.get(done["Location"]).content.decode()
    assert "Noted of ci: that nobody has said how it decides." in said
