"""Decision domains are kept by administrators, through the API and a page; registered resources come with readings."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from governance.kernel.actors import Role
from identities.models import Change, DecisionDomain, Resource, Source
from tests.identities.authzen.conftest import as_lines, post

WISH = {"slug": "files", "name": "Files", "sources": ["files"], "subject_types": {"user": []}}


@pytest.fixture
def source(db: None) -> Source:
    return Source.objects.create(slug="files", name="Files", kind="push", max_retire_percent=100)


def change(client: Client, body: dict[str, Any], etag: str = '"v1"') -> Any:
    return client.patch(
        "/api/v1/domains/files/", json.dumps(body), content_type="application/json", headers={"If-Match": etag}
    )


def test_a_domain_is_written_down_changed_and_read(manager: Client, source: Source) -> None:
    other = Source.objects.create(slug="other", name="Other", kind="push")
    Source.objects.filter(pk=source.pk).update(name=source.name)  # its row lies behind the other's now
    wish = WISH | {"request_properties": ["resource.ownerID", "subject.*"], "registered_types": ["record", "record"]}

    created = post(manager, "/api/v1/domains/", wish)
    changed = change(
        manager, {"sources": ["other", "files"], "subject_types": {"agent": ["ai_agent"]}}, created["ETag"]
    )

    assert (created.status_code, created["ETag"], changed["ETag"]) == (201, '"v1"', '"v2"')
    found = manager.get("/api/v1/domains/files/").json()
    assert found["sources"] == ["files", "other"]
    assert found["subject_types"] == {"agent": ["ai_agent"]}
    assert found["registered_types"] == ["record"]
    assert found["is_apart"] is True
    assert [each["slug"] for each in manager.get("/api/v1/domains/").json()["results"]] == ["files"]
    assert other.decision_domains.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {"slug": "Files"},
        {"slug": "new"},
        {"slug": "x" * 41},
        {"sources": []},
        {"sources": ["nowhere"]},
        {"subject_types": {}},
        {"subject_types": {"user": ["wizard"]}},
        {"subject_types": ["user"]},
        {"request_properties": ["action.soft"]},
        {"request_properties": ["resource"]},
        {"request_properties": ["resource.a.b"]},
        {"registered_types": ["a\u0007"]},
        {"registered_types": ["x"] * 101},
        {"name": " "},
        {"unheard": 1},
    ],
)
def test_a_domain_that_makes_no_sense_is_refused_with_its_field(manager: Client, source: Source, body: Any) -> None:
    refused = post(manager, "/api/v1/domains/", WISH | body)

    assert refused.status_code == 422, refused.content
    assert next(iter(body)) in refused.content.decode()
    assert not DecisionDomain.objects.exists()


def test_two_of_one_name_and_two_who_change_it_at_once(manager: Client, source: Source) -> None:
    post(manager, "/api/v1/domains/", WISH)

    assert post(manager, "/api/v1/domains/", WISH).json()["code"] == "domain-slug-taken"
    assert change(manager, {"name": "A"}).status_code == 200
    assert change(manager, {"name": "B"}).status_code == 412
    assert change(manager, {"name": "B"}, "").status_code == 428
    assert manager.get("/api/v1/domains/nowhere/").status_code == 404


def test_the_page_says_what_there_is_and_lets_administrators_change_it(
    make_user: Any, sign_in: Any, source: Source, django_assert_max_num_queries: Any
) -> None:
    admin = sign_in(Client(), make_user(Role.ADMINISTRATOR))
    auditor = sign_in(Client(), make_user(Role.AUDITOR))
    assert "No further domain" in admin.get(reverse("identities:domain_list")).content.decode()

    form = {
        "slug": "files",
        "name": "Files",
        "sources": [str(source.pk)],
        "subject_types": "user\nurn:x:agent: ai_agent, bot",
        "registered_types": "record\n\n",
        "request_properties": "resource.ownerID",
        "is_apart": "on",
    }
    created = admin.post(reverse("identities:domain_create"), form)
    domain = DecisionDomain.objects.get()
    edited = admin.post(
        reverse("identities:domain_edit", args=["files"]), form | {"name": "Papers", "version": "1", "is_apart": ""}
    )

    assert (created.status_code, edited.status_code) == (302, 302)
    assert domain.subject_types == {"user": [], "urn:x:agent": ["ai_agent", "bot"]}
    domain.refresh_from_db()
    assert (domain.name, domain.is_apart, domain.is_enabled, domain.version) == ("Papers", False, False, 2)
    with django_assert_max_num_queries(8):
        listed = auditor.get(reverse("identities:domain_list")).content.decode()
    assert "Papers" in listed and "Switched off" in listed and "urn:x:agent: ai_agent, bot" in listed
    assert reverse("identities:domain_create") not in listed
    shown = admin.get(reverse("identities:domain_edit", args=["files"])).content.decode()
    assert "urn:x:agent: ai_agent, bot" in shown


def test_the_page_says_what_is_wrong_beside_the_field(make_user: Any, sign_in: Any, source: Source) -> None:
    admin = sign_in(Client(), make_user(Role.ADMINISTRATOR))
    form = {"slug": "files", "name": "Files", "sources": [str(source.pk)], "subject_types": "user: wizard"}

    refused = admin.post(reverse("identities:domain_create"), form)

    assert refused.status_code == 422
    assert "The kinds of user must be a list of" in refused.content.decode()


class TestResources:
    def send(self, client: Client, *records: dict[str, Any], mode: str = "complete=true") -> Any:
        return client.post(
            f"/api/v1/sources/files/syncs/?{mode}", as_lines(list(records)), content_type="application/x-ndjson"
        )

    def test_readings_bring_change_and_retire_them(self, manager: Client, source: Source) -> None:
        first = {"type": "resource", "id": "record:1", "properties": {"owner": "ana", "tags": ["a"]}}
        second = {"type": "resource", "id": "folder:a:b/%2A", "name": "Odd one"}

        counts = [
            self.send(manager, first, second).json()["counts"]["resource"],
            self.send(manager, first, second).json()["counts"]["resource"],
            self.send(manager, first | {"properties": {"owner": "bo"}}, second).json()["counts"]["resource"],
            self.send(manager, first | {"properties": {"owner": "bo"}}).json()["counts"]["resource"],
            self.send(manager, {"type": "retire", "of": "resource", "id": "record:1"}, mode="mode=delta").json()["counts"]["resource"],
            self.send(manager, first, mode="mode=delta").json()["counts"]["resource"],
        ]  # fmt: skip

        said = [{name: number for name, number in each.items() if number} for each in counts]
        assert said == [
            {"added": 2},
            {"unchanged": 2},
            {"changed": 1, "unchanged": 1},
            {"retired": 1, "unchanged": 1},
            {"retired": 1},
            {"added": 1},
        ]
        kept = {each.external_id: each for each in Resource.objects.all()}
        assert (kept["folder:a:b/%2A"].resource_type, kept["folder:a:b/%2A"].name) == ("folder", "Odd one")
        assert kept["folder:a:b/%2A"].retired_at and not kept["record:1"].retired_at
        assert kept["record:1"].properties == {"owner": "ana", "tags": ["a"]}
        changed = Change.objects.get(object_kind="resource", action="changed")
        assert changed.old == {"properties": {"owner": "ana", "tags": ["a"]}}
        assert changed.new == {"properties": {"owner": "bo"}}

    @pytest.mark.parametrize(
        "record, pointer",
        [
            ({"id": "record"}, "/id"),
            ({"id": ":1"}, "/id"),
            ({"id": "record:"}, "/id"),
            ({"id": "record:*"}, "/id"),
            ({"id": "record:1?"}, "/id"),
            ({"id": "record:100%"}, "/id"),
            ({"id": "record:1", "properties": []}, "/properties"),
            ({"id": "record:1", "properties": {"password": "hunter2"}}, "/properties/password"),
            ({"id": "record:1", "owner": "x"}, "/owner"),
        ],
    )
    def test_what_is_no_resource_is_refused_at_its_place(
        self, manager: Client, source: Source, record: dict[str, Any], pointer: str
    ) -> None:
        refused = self.send(manager, {"type": "resource"} | record)

        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == pointer
        assert not Resource.objects.exists()

    def test_two_lines_of_one_resource_are_refused(self, manager: Client, source: Source) -> None:
        record = {"type": "resource", "id": "record:1"}

        assert self.send(manager, record, record).json()["errors"][0]["code"] == "duplicate"
