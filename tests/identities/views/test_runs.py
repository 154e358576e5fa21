"""A reading's page while it runs, when it is held, and when only part of it was good."""

import gzip
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from identities.models import Change, Grant, SyncRun
from identities.views.run_lines import spoken_bytes, spoken_time

PROGRESS = {"phase": "reading", "records": 120_000, "bytes": 34_000_000, "of_bytes": 100_000_000, "at": "2026-11-23"}
POLL = {"HX-Request": "true", "HX-Target": "run-progress"}


@pytest.fixture
def running(inventory: Any) -> Callable[..., SyncRun]:
    def make(**facts: Any) -> SyncRun:
        begun = timezone.now() - timedelta(seconds=75)
        plain = {"mode": "snapshot", "origin": "api", "actor_id": "system:test", "progress": PROGRESS}
        return SyncRun.objects.create(source=inventory.payments, started_at=begun, observed_at=begun, **(plain | facts))

    return make


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (0.4, "0 s"), (59.9, "59 s"), (60, "1 min 00 s"), (185, "3 min 05 s"), (3720, "1 h 02 min")],
)
def test_how_long_it_has_taken_is_said_in_words(seconds: float, words: str) -> None:
    assert spoken_time(seconds) == words


@pytest.mark.parametrize(("size", "words"), [(0, "0 B"), (999, "999 B"), (3_400_000, "3.4 MB"), (2 * 10**9, "2.0 GB")])
def test_sizes_are_said_in_their_largest_unit(size: int, words: str) -> None:
    assert spoken_bytes(size) == words


def test_a_running_reading_says_how_far_it_is_and_asks_again(running: Any, admin: Client) -> None:
    run = running()

    page = admin.get(f"/runs/{run.pk}/").content.decode()
    part = admin.get(f"/runs/{run.pk}/", headers=POLL)

    for text in (page, part.content.decode()):
        assert "Reading and checking records" in text and "34 % read: 34.0 MB of 100.0 MB" in text
        assert "1 min 1" in text and 'hx-trigger="every 2s"' in text and f"/runs/{run.pk}/cancel/" in text
    assert "<html" in page and "<html" not in part.content.decode()


def test_when_it_is_over_the_page_comes_anew(running: Any, admin: Client) -> None:
    run = running(state="applied", finished_at=timezone.now())

    response = admin.get(f"/runs/{run.pk}/", headers=POLL)

    assert response["HX-Refresh"] == "true" and not response.content


def test_a_run_that_has_said_nothing_yet_is_shown_too(running: Any, admin: Client) -> None:
    text = admin.get(f"/runs/{running(progress=None).pk}/").content.decode()

    assert "Beginning" in text and "% read" not in text


def test_the_page_of_the_source_shows_it_as_well(running: Any, inventory: Any, admin: Client) -> None:
    running()

    text = admin.get("/sources/payments/", headers={"HX-Request": "true", "HX-Target": "run-table"}).content.decode()

    assert "Reading and checking records" in text and 'hx-trigger="every 2s"' in text
    assert 'hx-trigger="every 2s"' not in admin.get("/sources/lonely/").content.decode()


def test_an_administrator_cancels_a_running_reading_once(running: Any, admin: Client) -> None:
    run = running()

    assert admin.post(f"/runs/{run.pk}/cancel/").status_code == 302
    text = admin.get(f"/runs/{run.pk}/").content.decode()

    assert "Stopping at its next step" in text and f"/runs/{run.pk}/cancel/" not in text
    assert admin.post(f"/runs/{run.pk}/cancel/").status_code == 302
    assert AuditEvent.objects.filter(verb="sync.cancel_requested").count() == 1


def test_a_reading_that_is_over_cannot_be_cancelled(inventory: Any, admin: Client) -> None:
    response = admin.post(f"/runs/{inventory.run.pk}/cancel/")

    assert response.status_code == 409 and b"Nothing was changed." in response.content


@pytest.mark.parametrize("role", [Role.CAMPAIGN_MANAGER, Role.REVIEWER, Role.AUDITOR])
def test_only_an_administrator_cancels(role: Role, running: Any, make_user: Any, browse: Any) -> None:
    run, client = running(), browse(make_user(role))

    assert f"/runs/{run.pk}/cancel/" not in client.get(f"/runs/{run.pk}/").content.decode()
    assert client.post(f"/runs/{run.pk}/cancel/").status_code == 403
    run.refresh_from_db()
    assert run.cancel_requested_at is None


# --- held --------------------------------------------------------------------------------------------------------


@pytest.fixture
def held(inventory: Any, push_again: Any) -> SyncRun:
    return push_again(inventory.payments, [{"type": "identity", "id": "new", "kind": "bot"}], state="held")  # type: ignore[no-any-return]


def test_a_held_reading_shows_who_would_lose_what_before_anybody_decides(held: SyncRun, admin: Client) -> None:
    before = Change.objects.count()
    page = admin.get(f"/runs/{held.pk}/").content.decode()

    whole = admin.get(f"/runs/{held.pk}/would-change/")
    part = admin.get(f"/runs/{held.pk}/would-change/", headers={"HX-Request": "true"})

    assert f'hx-get="/runs/{held.pk}/would-change/"' in page
    assert b"<html" in whole.content and b"<html" not in part.content
    assert [(line.name, line.grants, line.of_grants, line.is_retired) for line in part.context["losers"]] == [
        ("etl nightly", 1, 1, True),
        ("helper bot", 1, 1, True),
    ]
    assert [(group["title"], group["total"]) for group in part.context["groups"]] == [
        ("Would go", 7),
        ("Would come", 1),
    ]
    assert b"ALL on payments" in part.content
    assert Change.objects.count() == before and Grant.objects.filter(retired_at=None).count() == 2


def test_a_held_reading_that_was_decided_meanwhile_says_so(held: SyncRun, admin: Client) -> None:
    admin.post(f"/runs/{held.pk}/reject/", {"reason": "broken export"})

    whole = admin.get(f"/runs/{held.pk}/would-change/")
    part = admin.get(f"/runs/{held.pk}/would-change/", headers={"HX-Request": "true"})

    assert whole.status_code == 409 and part.status_code == 200
    assert b"be said any more" in whole.content and b"be said any more" in part.content


# --- partial -----------------------------------------------------------------------------------------------------


def test_a_partial_reading_says_so_and_gives_the_refused_records(
    inventory: Any, push_again: Any, snapshot: Any, admin: Client
) -> None:
    run = push_again(inventory.payments, [*snapshot(), {"type": "identity", "id": "x", "kind": "human"}], skip_bad=True)

    text = admin.get(f"/runs/{run.pk}/").content.decode()
    file = admin.get(f"/runs/{run.pk}/refused/", headers={"Accept-Encoding": "gzip"})

    assert "Not everything was taken in." in text and "Partial" in text and f"/runs/{run.pk}/refused/" in text
    (line,) = [json.loads(each) for each in gzip.decompress(file.content).splitlines()]
    assert (line["line"], line["pointer"], json.loads(line["record"])["id"]) == (10, "/kind", "x")
    assert b"Partial" in admin.get("/sources/payments/").content


def test_the_errors_of_a_rejected_reading_can_be_downloaded(inventory: Any, push_again: Any, admin: Client) -> None:
    run = push_again(inventory.payments, [{"type": "identity", "id": "x", "kind": "human"}], state="rejected")

    file = admin.get(f"/runs/{run.pk}/refused/")

    (line,) = [json.loads(each) for each in b"".join(file).splitlines()]
    assert (line["line"], line["pointer"], line["code"], "record" in line) == (1, "/kind", "unknown-value", False)
    assert admin.get(f"/runs/{inventory.run.pk}/refused/").status_code == 404


def test_a_large_reading_is_paged_without_counting(
    inventory: Any, admin: Client, django_assert_max_num_queries: Any
) -> None:
    run = inventory.run
    Change.objects.bulk_create(
        Change(run=run, object_kind="grant", object_id=inventory.all_grant.pk, external_id=f"g{n}", action="added")
        for n in range(300)
    )
    with django_assert_max_num_queries(20) as queries:
        response = admin.get(f"/runs/{run.pk}/?action=added")

    assert len(response.context["page"].rows) == 50 and response.context["page"].next_cursor
    assert not any("COUNT(" in query["sql"].upper() for query in queries.captured_queries)


def test_an_action_that_the_numbers_do_not_know_is_not_looked_for(inventory: Any, admin: Client) -> None:
    response = admin.get(f"/runs/{inventory.run.pk}/?action=retired")

    assert response.context["page"].rows == []


USE = {"usage": {"changed": 66}, "usage_window": {"changed": 27}}


@pytest.mark.parametrize(
    ("counts", "where", "summary", "title"),
    [
        ({"grant": {"unchanged": 9}}, "", "nothing changed", "Nothing changed"),
        ({"grant": {"unchanged": 9}, **USE}, "", "only figures of use", "Nothing changed but figures of use"),
        ({"grant": {"added": 1200}, **USE}, "?action=retired", "1 200 added", "Nothing was retired"),
    ],
)
def test_what_a_reading_changed_is_the_same_in_the_list_and_on_its_page(
    running: Any, admin: Client, counts: dict[str, Any], where: str, summary: str, title: str
) -> None:
    run = running(state="applied", finished_at=timezone.now(), progress=None, counts=counts)

    rows = admin.get("/sources/payments/").context["page"].rows
    (listed,) = (row for row in rows if str(run.pk) in row.url)
    page = admin.get(f"/runs/{run.pk}/{where}").content.decode()

    assert " ".join(listed.summary.split()) == summary
    assert re.findall(r"<h[23][^>]*>(Nothing [^<]*)<", page) == [title]
