"""Downloads of the trail, from its page and by the API: who may, what arrives, where the next one goes on."""

import csv
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from governance.audit.selectors import list_events
from governance.kernel.actors import Role
from tests.reviews import conftest as make

pytestmark = pytest.mark.django_db
API = "/api/v1/audit/export/"


@pytest.fixture
def story(decided_item: Any, seal: Any) -> Any:
    """An owner answered a question, and it is sealed."""
    item = decided_item(make.make_person(Role.OWNER, name="Ada Ochieng"), reason="=1+1")
    seal()
    return item


@pytest.fixture
def program(make_token: Any) -> Client:
    _, secret = make_token(scopes=["audit:read"])
    return Client(headers={"Authorization": f"Bearer {secret}"})


def seqs_of(response: Any) -> list[int]:
    return [json.loads(line)["seq"] for line in response.getvalue().decode().splitlines()]


def test_a_program_gets_every_event_and_the_place_to_go_on(program: Client, story: Any) -> None:
    first = program.get(API)
    connection.check_constraints()
    second = program.get(API, {"after": first["Trail-Through"]})

    assert first["Content-Type"] == "application/x-ndjson"
    through = int(first["Trail-Through"])
    assert seqs_of(first) == list(range(1, through + 1))
    assert first["Link"] == f'<http://testserver{API}?after={through}>; rel="next"'
    assert seqs_of(second) == [through + 1]  # the record of the first download
    (row,) = list_events(verb="audit.exported").rows
    assert (row.actor_kind, row.new["through"]) == ("api_client", through)


def test_the_accept_header_chooses_a_table(program: Client, story: Any) -> None:
    response = program.get(API, headers={"Accept": "text/csv"})

    rows = list(csv.DictReader(response.getvalue().decode().splitlines()))
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert [row["reason"] for row in rows if row["verb"] == "item.decided"] == ["'=1+1"]


def test_what_cannot_be_served_or_read_is_refused_in_the_usual_form(program: Client, story: Any) -> None:
    answers = {
        406: program.get(API, headers={"Accept": "image/png"}),
        400: program.get(API, {"after": "-1"}),
    }

    for status, answer in answers.items():
        assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert program.get(API, {"atfer": "1"}).json()["code"] == "unknown-parameter"
    assert list_events(verb="audit.exported").rows == []


def test_the_page_exports_what_it_lists(signed_in: Callable[..., Client], story: Any) -> None:
    auditor = signed_in(make.make_person(Role.AUDITOR))
    page = auditor.get("/audit/", {"verb": "item"})

    response = auditor.get("/audit/export/", {"verb": "item", "format": "ndjson"})

    assert "/audit/export/?format=csv&amp;verb=item" in page.content.decode()
    verbs = {json.loads(json.loads(line)["payload"])["verb"] for line in response.getvalue().decode().splitlines()}
    assert verbs and all(verb.startswith("item.") for verb in verbs)
    assert response["Content-Disposition"].startswith('attachment; filename="trail-1-')


def test_campaign_managers_read_the_trail_but_do_not_take_it_out(signed_in: Callable[..., Client], story: Any) -> None:
    manager = signed_in(make.make_person(Role.CAMPAIGN_MANAGER))

    assert "/audit/export/" not in manager.get("/audit/").content.decode()
    assert manager.get("/audit/export/").status_code == 403


def test_a_filter_that_nobody_could_mean_exports_nothing(signed_in: Callable[..., Client], story: Any) -> None:
    auditor = signed_in(make.make_person(Role.AUDITOR))

    response = auditor.get("/audit/export/", {"since": "yesterday"})

    assert response.status_code == 400 and 'data-tone="danger"' in response.content.decode()
    assert list_events(verb="audit.exported").rows == []
