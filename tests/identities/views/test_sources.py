"""Sources as pages: freshness in words, what can and cannot be reported, secrets only as references."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance.kernel.actors import Role
from identities.models import Source
from identities.selectors.sources import freshness_of

# Session, person, roles, sources with their facts.
LIST_QUERIES = 4
SERVER = {
    "slug": "erp", "name": "ERP database", "environment": "production", "freshness_limit_seconds": "3600",
    "max_retire_percent": "20", "read_every_seconds": "300", "setting_host": "db.example.org",
    "setting_port": "5432", "setting_databases": "erp\nbilling", "setting_user": "remit",
    "setting_password": "env:ERP_PASSWORD", "setting_sslmode": "verify-full",
}  # fmt: skip


def make(**fields: Any) -> Source:
    return Source(slug="x", name="X", kind="push", freshness_limit_seconds=60, **fields)


@pytest.mark.parametrize(
    ("seconds_ago", "error", "word"),
    [(None, "", "never_read"), (None, "no route", "failed"), (10, "", "fresh"), (100, "", "stale"), (10, "no route", "failed"), (100, "no route", "stale")],
)  # fmt: skip
def test_how_far_a_picture_can_be_trusted_is_one_of_four_words(seconds_ago: int | None, error: str, word: str) -> None:
    now = timezone.now()
    seen = now - timedelta(seconds=seconds_ago) if seconds_ago is not None else None

    assert freshness_of(make(last_success_at=seen, last_error=error), now) == word


def test_the_list_shows_freshness_and_numbers(inventory: Any, admin: Any) -> None:
    rows = {row.slug: row for row in admin.get("/sources/").context["rows"]}

    assert (rows["payments"].identities, rows["lonely"].identities) == (2, 1)
    assert rows["payments"].freshness == "fresh"
    assert rows["payments"].last_run_state == "applied"


def test_the_list_costs_the_same_for_two_sources_and_for_thirty(inventory: Any, admin: Any) -> None:
    Source.objects.bulk_create(Source(slug=f"s{n}", name=f"S{n}", kind="push") for n in range(30))
    admin.get("/sources/")

    with CaptureQueriesContext(connection) as queries:
        admin.get("/sources/")

    assert len(queries) == LIST_QUERIES, [query["sql"][:120] for query in queries]


def test_an_owner_sees_only_the_sources_they_answer_for(inventory: Any, make_user: Any, browse: Any) -> None:
    owner = make_user(Role.OWNER)
    Source.objects.filter(slug="lonely").update(owner=owner)
    client = browse(owner)

    assert [row.slug for row in client.get("/sources/").context["rows"]] == ["lonely"]
    assert client.get("/sources/payments/").status_code == 404
    assert client.get("/sources/nowhere/").status_code == 404


def test_the_page_says_what_cannot_be_observed_and_how_to_push(inventory: Any, admin: Any) -> None:
    text = admin.get("/sources/payments/").content.decode()

    assert "When a credential was last used" in text
    assert "becomes a task for a person" in text
    assert "/api/v1/sources/payments/syncs/" in text and "sync:write" in text


def test_a_server_is_connected_with_a_reference_to_its_secret(db: None, admin: Any) -> None:
    response = admin.post("/sources/new/?kind=postgresql", SERVER)

    assert response.status_code == 302, response.context["form"].errors
    source = Source.objects.get(slug="erp")
    assert source.settings["password"] == "env:ERP_PASSWORD"
    assert source.settings["databases"] == ["erp", "billing"]
    text = admin.get("/sources/erp/").content.decode()
    assert "env:ERP_PASSWORD" in text and "the value is not stored here" in text
    assert "It has not been read yet" in text


@pytest.mark.parametrize(
    "fields",
    [
        {"setting_password": "hunter2-hunter2"},
        {"slug": "Not A Slug"},
        {"setting_databases": " \n "},
        {"setting_databases": "erp\nerp"},
        {"setting_sslmode": "sometimes"},
        {"setting_port": "0"},
        {"owner": "nobody@example.org"},
        {"max_retire_percent": "400"},
        {"name": "a\x00b"},
        {"setting_host": ""},
    ],
)
def test_a_bad_setting_is_refused_and_what_was_typed_stays(fields: dict[str, str], db: None, admin: Any) -> None:
    response = admin.post("/sources/new/?kind=postgresql", SERVER | fields)

    assert response.status_code == 422
    assert response.context["form"].errors
    assert b"ERP database" in response.content or "name" in fields
    assert not Source.objects.exists()


def test_a_secret_in_the_place_of_its_reference_is_not_shown_again(db: None, admin: Any) -> None:
    response = admin.post("/sources/new/?kind=postgresql", SERVER | {"setting_password": "hunter2-hunter2"})
    kept = admin.post("/sources/new/?kind=postgresql", SERVER | {"setting_host": ""})

    assert response.status_code == kept.status_code == 422
    assert b"hunter2" not in response.content
    assert b"env:ERP_PASSWORD" in kept.content


def test_lengths_of_time_are_chosen_in_words_and_an_unusual_one_stays(inventory: Any, admin: Any) -> None:
    Source.objects.filter(slug="payments").update(freshness_limit_seconds=5_400)
    unusual = edit_data(inventory.payments, freshness_limit_seconds=5_400, name="Payments, new")

    page = admin.get("/sources/payments/edit/").content.decode()
    response = admin.post("/sources/payments/edit/", unusual)

    assert '<option value="5400" selected>90 minutes</option>' in page and "seconds)" not in page
    assert response.status_code == 302
    assert Source.objects.get(slug="payments").freshness_limit_seconds == 5_400


def test_a_short_name_that_cannot_be_one_is_told_which_signs_it_may_have(inventory: Any, admin: Any) -> None:
    page = admin.post("/sources/new/?kind=push", SERVER | {"slug": "my erp"}).content.decode()

    assert "no spaces" in page and "slug”" not in page and 'value="my erp"' in page


def test_a_short_name_is_taken_once(inventory: Any, admin: Any) -> None:
    response = admin.post("/sources/new/?kind=push", SERVER | {"slug": "payments"})

    assert response.status_code == 422
    assert "already a source called payments" in response.content.decode()


def edit_data(source: Source, **fields: Any) -> dict[str, Any]:
    return {
        "name": source.name, "environment": source.environment, "freshness_limit_seconds": 60,
        "max_retire_percent": 20, "is_enabled": "on", "version": source.version,
    } | fields  # fmt: skip


def test_a_source_is_changed_and_a_stale_form_is_refused(inventory: Any, admin: Any) -> None:
    first = admin.post("/sources/payments/edit/", edit_data(inventory.payments, name="Payments, new"))
    second = admin.post("/sources/payments/edit/", edit_data(inventory.payments, name="Payments, old"))

    assert (first.status_code, second.status_code) == (302, 409)
    assert Source.objects.get(slug="payments").name == "Payments, new"
    assert b"Payments, old" in second.content


@pytest.mark.parametrize("path", ["/sources/new/", "/sources/payments/edit/"])
@pytest.mark.parametrize("role", [Role.CAMPAIGN_MANAGER, Role.REVIEWER, Role.OWNER, Role.AUDITOR])
def test_only_administrators_connect_and_change(
    role: Role, path: str, inventory: Any, make_user: Any, browse: Any
) -> None:
    client = browse(make_user(role))

    assert client.get(path).status_code == 403
    assert client.post(path, SERVER).status_code == 403


def test_a_source_that_pushes_cannot_be_read_from_here(inventory: Any, admin: Any) -> None:
    response = admin.post("/sources/payments/read/")

    assert response.status_code == 409
    assert "sends its data itself" in response.content.decode()
    assert b"Read now" not in response.content


def test_a_readable_source_is_asked_for_at_once(inventory: Any, admin: Any) -> None:
    Source.objects.filter(slug="payments").update(kind="postgresql", next_read_at=None)

    assert admin.post("/sources/payments/read/").status_code == 302
    assert Source.objects.get(slug="payments").next_read_at <= timezone.now()


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.OWNER, Role.AUDITOR])
def test_who_only_reads_cannot_have_it_read(role: Role, inventory: Any, make_user: Any, browse: Any) -> None:
    assert browse(make_user(role)).post("/sources/payments/read/").status_code == 403
