"""Sources over REST."""

from typing import Any

import pytest

from governance.audit.models import AuditEvent
from identities import provisioning
from identities.connectors.contract import SourceUnreachable
from identities.models import Source

NEW = {"slug": "k8s-prod", "name": "Kubernetes", "kind": "push", "environment": "production", "owner": None}


def test_a_source_is_connected_read_and_changed(api: Any, db: None) -> None:
    client = api("inventory:read", "inventory:write")

    created = client.post("/api/v1/sources/", NEW, content_type="application/json")
    assert created.status_code == 201, created.json()
    assert created.json()["capabilities"] == ["read"]
    assert [source["slug"] for source in client.get("/api/v1/sources/").json()["results"]] == ["k8s-prod"]

    changed = client.patch(
        "/api/v1/sources/k8s-prod/",
        {"max_retire_percent": 5},
        content_type="application/json",
        headers={"If-Match": created["ETag"]},
    )
    assert changed.status_code == 200 and changed["ETag"] != created["ETag"]
    assert Source.objects.get().max_retire_percent == 5
    verbs = AuditEvent.objects.filter(subject_kind="source").order_by("occurred_at").values_list("verb", flat=True)
    assert list(verbs) == ["source.registered", "source.changed"]


def test_a_change_needs_the_version_that_was_seen(api: Any, source: Source) -> None:
    client = api()
    send = lambda **headers: client.patch(  # noqa: E731
        "/api/v1/sources/aws/", {"name": "New"}, content_type="application/json", headers=headers
    )

    assert send().status_code == 428
    assert send(**{"If-Match": '"v99"'}).status_code == 412


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"slug": "Not A Slug"}, "invalid-source"),
        ({"kind": "mainframe"}, "unknown-source-kind"),
        ({"environment": "mars"}, "invalid-input"),
        ({"max_retire_percent": 101}, "invalid-source"),
        ({"read_every_seconds": 0}, "invalid-source"),
        ({"settings": {"password": "hunter2"}}, "invalid-source"),
        ({"settings": {"dsn": "postgresql://u:pw@h/d"}}, "invalid-source"),
        ({"settings": {"password": "env:SECRET_KEY"}}, "secret-missing"),
        ({"settings": {"password": "file:relative"}}, "secret-missing"),
        ({"owner": "nobody@example.org"}, "invalid-source"),
        ({"name": "a\u0000b"}, "invalid-input"),
    ],
)
def test_a_source_that_cannot_be_is_refused(change: dict[str, Any], code: str, api: Any, db: None) -> None:
    response = api().post("/api/v1/sources/", NEW | change, content_type="application/json")

    assert (response.status_code, response.json()["code"]) == (422, code)
    assert "hunter2" not in response.content.decode() and not Source.objects.exists()


def test_a_taken_short_name_is_a_conflict(api: Any, source: Source) -> None:
    response = api().post("/api/v1/sources/", NEW | {"slug": "aws"}, content_type="application/json")

    assert (response.status_code, response.json()["code"]) == (409, "slug-taken")


def test_a_pushing_source_cannot_be_asked(api: Any, source: Source) -> None:
    assert api().post("/api/v1/sources/aws/read/").json()["code"] == "not-readable"


def test_a_reader_cannot_change_anything(api: Any, source: Source) -> None:
    client = api("inventory:read")

    assert client.post("/api/v1/sources/", NEW, content_type="application/json").status_code == 403
    assert client.patch("/api/v1/sources/aws/", {}, content_type="application/json").status_code == 403
    assert client.post("/api/v1/sources/aws/read/").status_code == 403


def test_a_source_is_switched_off_and_on_by_two_scopes_and_nothing_else_changes(api: Any, source: Source) -> None:
    taking, giving = api("clients:narrow"), api("clients:restore")

    assert giving.post("/api/v1/sources/aws/switch-off/").status_code == 403
    assert taking.post("/api/v1/sources/aws/switch-off/").json()["is_enabled"] is False
    assert taking.post("/api/v1/sources/aws/switch-off/").status_code == 200, "twice is once"
    assert taking.post("/api/v1/sources/aws/switch-on/").status_code == 403
    assert giving.post("/api/v1/sources/aws/switch-on/").json()["is_enabled"] is True
    verbs = AuditEvent.objects.filter(subject_id=str(source.pk)).values_list("verb", flat=True)
    assert list(verbs) == ["source.changed", "source.changed"]


def test_a_source_that_is_switched_off_is_not_changed_any_more(source: Source) -> None:
    source.is_enabled = False

    with pytest.raises(SourceUnreachable, match="switched off"):
        provisioning.connector_of(source)
