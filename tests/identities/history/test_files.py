"""The answer to "who could" as a file: both kinds of answers, and the reading of each source that they rest on."""

import csv
import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from governance.audit.selectors import list_events
from governance.kernel.actors import Role
from identities.models import Source, SyncRun

pytestmark = pytest.mark.django_db
WHO = {"action": "SELECT", "resource": "table:ledger/public/payments", "dialect": "postgresql"}
READ = {"actions": ["SELECT"], "resources": ["table:ledger/public/payments"]}


@pytest.fixture
def estate(source: Source, read_at: Any, day: Any, identity: Any, grant: Any) -> SyncRun:
    """Two that could, in a source that one complete reading has seen."""
    records = [
        each for name in ("=app", "batch") for each in (identity(name), grant(f"g-{name}", name, "postgresql", READ))
    ]
    return read_at(source, day(2), records)


def test_both_files_name_the_answer_and_its_reading(sign_in: Any, make_user: Any, estate: SyncRun, day: Any) -> None:
    client = sign_in(Client(), make_user(Role.AUDITOR))
    at = {"at": (day(3)).isoformat()}

    table = client.get("/history/who-could.csv", WHO | at).getvalue().decode()
    document = json.loads(client.get("/history/who-could.json", WHO | at).getvalue())

    rows = list(csv.DictReader(table.splitlines()))
    assert [row["identity"] for row in rows] == ["'=app", "batch"]
    assert {row["source_run"] for row in rows} == {str(estate.pk)} and {row["answer"] for row in rows} == {"yes"}
    assert document["question"] == WHO and document["sources"][0]["run"] == str(estate.pk)
    assert [each["identity"] for each in document["results"]] == ["=app", "batch"]
    assert document["results"][0]["reasons"][0]["version"] == 1


def test_a_file_leaves_a_record_without_the_question(sign_in: Any, make_user: Any, estate: SyncRun) -> None:
    client = sign_in(Client(), make_user(Role.AUDITOR))
    client.get("/history/who-could.csv", WHO).getvalue()
    connection.check_constraints()

    (row,) = list_events(verb="inventory.exported").rows

    assert row.new == {"filtered_by": ["action", "resource"], "format": "csv"} and row.subject_id == "who_could"


def test_a_question_that_nobody_could_mean_sends_and_records_nothing(sign_in: Any, make_user: Any) -> None:
    client = sign_in(Client(), make_user(Role.AUDITOR))

    assert client.get("/history/who-could.csv", WHO | {"at": "soon"}).status_code in (400, 422)
    assert client.get("/history/who-could.json").status_code in (400, 422)
    connection.check_constraints()
    assert list_events(verb="inventory.exported").rows == []


def test_owners_get_what_they_answer_for(sign_in: Any, make_user: Any, estate: SyncRun) -> None:
    table = sign_in(Client(), make_user(Role.OWNER)).get("/history/who-could.csv", WHO).getvalue().decode()

    assert len(table.splitlines()) == 1


def test_the_page_links_to_the_same_answer_later(sign_in: Any, make_user: Any, estate: SyncRun) -> None:
    client = sign_in(Client(), make_user(Role.AUDITOR))

    page = client.get("/history/who-could/", WHO)

    link = page.context["permalink"]
    again = client.get(f"/history/who-could/{link}")
    assert "at=20" in link and again.status_code == 200
    assert [line.row.name for line in again.context["page"].rows] == [
        line.row.name for line in page.context["page"].rows
    ]
    assert f"/runs/{estate.pk}/" in page.content.decode()
