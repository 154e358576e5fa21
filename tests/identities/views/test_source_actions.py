"""What can be done with a source from its page: try the connection, see what would change, take a file in."""

import gzip
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from identities.connectors import registry
from identities.connectors.contract import Check, Description, Setting
from identities.models import Identity, Source, SyncRun
from identities.sync import runs

CSV = b"identity,kind,dialect,actions,resources\netl,bot,aws,s3:GetObject,*\n"


class Gadget:
    """A connector whose settings have every kind there is, and whose system answers as the test says."""

    SETTINGS = (
        Setting("address", "Address", "Where it is.", required=True),
        Setting("timeout", "Timeout", "Seconds.", "integer", default=30),
        Setting("is_strict", "Strict", kind="flag", default=True),
        Setting("mode", "Mode", kind="choice", default="slow", choices=("slow", "fast")),
        Setting("shelves", "Shelves", "Which to read.", "list"),
        Setting("key", "Key", "Where the key is.", "reference"),
        Setting("name", "Own name", "A name that every source has as well."),
    )
    answers: list[Any] = []
    seen: list[Any] = []

    def __init__(self, settings: Any, secrets: Any) -> None:
        self.settings, self.secrets = settings, secrets

    def describe(self) -> Description:
        return Description("gadget", "Gadget", {"grants": True})

    def check(self) -> Iterator[Check]:
        Gadget.seen.append((self.settings, self.secrets))
        for answer in Gadget.answers:
            if isinstance(answer, Exception):
                raise answer
            yield answer

    def read(self) -> Iterator[Any]:
        yield {"type": "end", "records": 0}


@pytest.fixture(autouse=True)
def gadget(monkeypatch: pytest.MonkeyPatch) -> type[Gadget]:
    monkeypatch.setattr(registry, "_KINDS", {**registry._KINDS, "gadget": Gadget})
    monkeypatch.setattr(Gadget, "answers", [Check("Sign in", "ok")])
    monkeypatch.setattr(Gadget, "seen", [])
    return Gadget


FIELDS = {
    "slug": "box", "name": "The box", "environment": "production", "read_every_seconds": "300",
    "freshness_limit_seconds": "3600", "max_retire_percent": "20", "setting_address": "http://box",
    "setting_timeout": "5", "setting_mode": "fast", "setting_shelves": "left side\r\n\r\nright",
    "setting_key": "env:BOX_KEY", "setting_name": "inner",
}  # fmt: skip


def file_of(content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("access.csv", content)


def verbs() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("verb", flat=True))


def test_every_kind_is_offered_as_a_card_with_its_sentence(db: None, admin: Any) -> None:
    text = admin.get("/sources/new/").content.decode()

    for kind in registry.kinds():
        assert f'href="?kind={kind}"' in text and registry.about(kind).title in text
    assert "narrows and revokes them in SQL" in text


def test_the_form_is_made_from_what_the_connector_declares(db: None, admin: Any) -> None:
    response = admin.post("/sources/new/?kind=gadget", FIELDS)

    assert response.status_code == 302, response.context["form"].errors
    source = Source.objects.get()
    assert source.name == "The box" and source.settings == {
        "address": "http://box", "timeout": 5, "is_strict": False, "mode": "fast", "shelves": ["left side", "right"],
        "key": "env:BOX_KEY", "name": "inner",
    }  # fmt: skip
    shown = admin.get("/sources/box/edit/").context["form"]
    assert shown["setting_shelves"].value() == "left side\nright" and shown["setting_name"].value() == "inner"


@pytest.mark.parametrize(
    "fields", [{"setting_address": ""}, {"setting_timeout": "soon"}, {"setting_mode": "medium"}, {"setting_key": "hunter2-hunter2"}]
)  # fmt: skip
def test_a_setting_of_the_wrong_form_is_refused_beside_its_field(fields: Any, db: None, admin: Any) -> None:
    class Strict(Gadget):
        def __init__(self, settings: Any, secrets: Any) -> None:
            from identities.connectors.settings import read_settings

            read_settings(self.SETTINGS, settings, secrets)
            super().__init__(settings, secrets)

    registry._KINDS["gadget"] = Strict  # type: ignore[index]
    response = admin.post("/sources/new/?kind=gadget", FIELDS | fields)

    assert response.status_code == 422 and not Source.objects.exists()
    errors = response.context["form"].errors
    assert next(iter(fields)) in errors or "looks like a secret" in str(errors)


def test_a_connection_is_tried_before_anything_is_stored(
    db: None, admin: Any, gadget: type[Gadget], monkeypatch: Any
) -> None:
    monkeypatch.setenv("BOX_KEY", "hunter2")
    gadget.answers = [Check("Sign in", "ok"), Check("See users", "failed", "Grant the right list_users.")]

    response = admin.post("/sources/new/check/?kind=gadget", FIELDS | {"slug": "", "name": ""})

    text = response.content.decode()
    assert response.status_code == 200 and not Source.objects.exists()
    assert "1 of 2 failed" in text and "Grant the right list_users." in text
    assert text.index("See users") < text.index("Sign in")
    assert gadget.seen[0][1] == {"key": "hunter2"} and "hunter2" not in text
    assert verbs() == ["source.checked"]
    assert "http://box" in text, "what was typed stays"


def test_a_connection_with_a_setting_missing_is_not_tried(db: None, admin: Any, gadget: type[Gadget]) -> None:
    response = admin.post("/sources/new/check/?kind=gadget", FIELDS | {"setting_address": ""})

    assert response.status_code == 422 and gadget.seen == [] and verbs() == []
    assert list(response.context["form"].errors) == ["setting_address"]


def test_whatever_a_connector_raises_is_a_failed_check_without_its_words(
    db: None, admin: Any, gadget: type[Gadget], monkeypatch: Any
) -> None:
    monkeypatch.setenv("BOX_KEY", "hunter2")
    gadget.answers = [KeyError("hunter2")]

    text = admin.post("/sources/new/check/?kind=gadget", FIELDS).content.decode()

    assert "stopped unexpectedly (KeyError)" in text and "hunter2" not in text


def test_remits_own_secrets_are_not_carried_out_by_a_check(db: None, admin: Any, gadget: type[Gadget]) -> None:
    response = admin.post("/sources/new/check/?kind=gadget", FIELDS | {"setting_key": "env:SECRET_KEY"})

    assert response.status_code == 422 and gadget.seen == []


def test_the_connection_of_a_source_is_tried_from_its_page_and_its_form(
    db: None, admin: Any, gadget: type[Gadget], monkeypatch: Any
) -> None:
    monkeypatch.setenv("BOX_KEY", "x")
    admin.post("/sources/new/?kind=gadget", FIELDS)

    page = admin.post("/sources/box/check/").content.decode()
    form = admin.post("/sources/box/edit/check/", FIELDS | {"setting_address": "http://other", "version": 1})

    assert "It works." in page and "It works." in form.content.decode()
    assert [settings["address"] for settings, _ in gadget.seen] == ["http://box", "http://other"]
    assert Source.objects.get().settings["address"] == "http://box"


@pytest.mark.parametrize("role", [Role.CAMPAIGN_MANAGER, Role.REVIEWER, Role.OWNER, Role.AUDITOR])
def test_only_administrators_try_connections_and_import(
    role: Role, inventory: Any, make_user: Any, browse: Any
) -> None:
    Source.objects.update(owner=None)
    client = browse(make_user(role))

    for path in ("/sources/new/check/?kind=push", "/sources/payments/check/", "/sources/payments/import/"):
        assert client.post(path, {}).status_code == 403, path


def test_what_would_change_is_asked_for_and_waited_for(
    db: None, admin: Any, gadget: type[Gadget], monkeypatch: Any
) -> None:
    admin.post("/sources/new/?kind=gadget", FIELDS)
    asked = admin.post("/sources/box/preview/")
    waiting = asked["Location"]

    assert "Waiting for a worker" in admin.get(waiting).content.decode()
    run_id = waiting.rstrip("/").rpartition("/")[2]
    source = Source.objects.get()
    runs.begin(
        source=source, mode="snapshot", origin="connector", is_complete=True, actor=_System(), now=source.created_at,
        observed_at=source.created_at, run_id=run_id,
    )  # fmt: skip

    assert admin.get(waiting)["Location"] == f"/runs/{run_id}/"
    assert admin.get(waiting, headers={"HX-Request": "true"})["HX-Redirect"] == f"/runs/{run_id}/"
    assert "source.preview_requested" in verbs()


class _System:
    id = "system:test"


def test_a_source_that_pushes_has_nothing_to_preview(inventory: Any, admin: Any) -> None:
    response = admin.post("/sources/payments/preview/")

    assert response.status_code == 409 and "sends its data itself" in response.content.decode()


@pytest.mark.parametrize("content", [CSV, gzip.compress(CSV)], ids=["plain", "gzip"])
def test_a_file_is_looked_at_first_and_then_taken_in(content: bytes, inventory: Any, admin: Any) -> None:
    Source.objects.update(max_retire_percent=100)
    response = admin.post("/sources/lonely/import/", {"file": file_of(content), "format": "auto"})

    run = SyncRun.objects.latest("started_at")
    text = admin.get(response["Location"]).content.decode()
    assert run.state == "dry_run" and "Take it in" in text and "CSV, one row per grant" in text
    assert "solo" in admin.get(f"/runs/{run.pk}/would-change/").content.decode()
    assert Identity.objects.filter(source=inventory.lonely, retired_at=None).get().external_id == "solo"

    admin.post(f"/runs/{run.pk}/take-in/")

    assert Identity.objects.filter(source=inventory.lonely, retired_at=None).get().external_id == "etl"
    again = admin.post(f"/runs/{run.pk}/take-in/")
    assert again.status_code == 409 and "Nothing was kept" in again.content.decode()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"file": file_of(b"\x89PNG")}, "Nobody here knows what this file is"),
        ({"file": file_of(b"")}, "empty"),
        ({}, "required"),
        ({"file": file_of(CSV), "format": "excel"}, "not one of the available choices"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_beside_it(fields: Any, told: str, inventory: Any, admin: Any) -> None:
    before = SyncRun.objects.count()
    response = admin.post("/sources/payments/import/", {"format": "auto"} | fields)

    assert response.status_code == 422 and told in response.content.decode()
    assert SyncRun.objects.count() == before


def test_a_file_with_a_mistake_shows_its_line_on_the_page_of_the_run(inventory: Any, admin: Any) -> None:
    data = {"file": file_of(CSV + b"x,spaceship,,,\n"), "format": "auto"}
    response = admin.post("/sources/payments/import/", data)

    text = admin.get(response["Location"]).content.decode()
    assert "Nothing was applied" in text and "Take it in" not in text
    assert '<td class="num">3</td>' in text


def test_a_file_beyond_the_limit_is_sent_elsewhere(inventory: Any, admin: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("identities.forms.sources.LARGEST_UPLOAD", 10)

    response = admin.post("/sources/payments/import/", {"file": file_of(CSV), "format": "auto"})

    assert response.status_code == 422 and "manage.py import" in response.content.decode()


def test_what_a_log_brings_has_no_form_where_no_log_can_be_read(inventory: Any, admin: Any) -> None:
    Source.objects.filter(slug="payments").update(kind="redis")

    assert b"There is nothing to import here" in admin.get("/sources/payments/import/").content


def test_abilities_stand_in_one_table_with_a_sentence_each(inventory: Any, admin: Any) -> None:
    Source.objects.filter(slug="lonely").update(kind="gadget", capabilities=["read", "revoke"])

    rows = {row.name: row for row in admin.get("/sources/").context["ability_rows"]}

    assert [can for _, _, can in rows["Lonely"].cells] == [True, True, False, False, False, False, False]
    assert "every change becomes a task" in rows["Payments"].sentence
    assert rows["Payments"].cells[0][1] == "by the sender" and "but for narrow" in rows["Lonely"].sentence


def test_the_page_of_a_dry_run_costs_a_fixed_number_of_queries(inventory: Any, admin: Any) -> None:
    rows = b"".join(b"bot-%d,bot,aws,s3:GetObject,*\n" % number for number in range(40))
    counts = []
    for content in (CSV, CSV + rows):
        admin.post("/sources/payments/import/", {"file": file_of(content), "format": "auto"})
        run = SyncRun.objects.latest("started_at")
        with CaptureQueriesContext(connection) as queries:
            admin.get(f"/runs/{run.pk}/")
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 12, counts


def test_no_run_is_promised_twice(db: None, admin: Any) -> None:
    admin.post("/sources/new/?kind=gadget", FIELDS)

    assert admin.get(f"/sources/box/preview/{uuid4()}/").status_code == 200
