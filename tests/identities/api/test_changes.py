"""The change feed as clients follow it."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from identities.models import Change, Source

URL = "/api/v1/changes/"
ETL = {"type": "identity", "id": "etl", "kind": "service_account", "name": "etl"}
PERMISSION = {"dialect": "aws", "statements": [{"actions": ["sqs:*"], "resources": ["*"]}]}
GRANT = {"type": "grant", "id": "g", "identity": "etl", "permission": PERMISSION}


@pytest.fixture
def client(api: Any) -> Client:
    return api()


def names(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(row["external_id"], row["action"]) for row in document["results"]]


def test_a_client_follows_what_readings_change(client: Client, push: Any, source: Source) -> None:
    push(client, [ETL, GRANT])
    first = client.get(URL).json()
    nothing = client.get(first["next"]).json()
    push(client, [ETL | {"name": "Nightly"}])
    Source.objects.update(max_retire_percent=100)
    push(client, [{"type": "retire", "of": "grant", "id": "g"}], mode="delta")
    later = client.get(nothing["next"]).json()

    assert names(first) == [("etl", "added"), ("g", "added")] and not first["has_more"]
    assert names(nothing) == [] and nothing["next"] == first["next"]
    assert names(later) == [("etl", "changed"), ("g", "retired")]
    change, gone = later["results"]
    assert (change["old"], change["new"]) == ({"name": "etl"}, {"name": "Nightly"})
    assert (change["source"], change["object_kind"]) == ("aws", "identity")
    assert (gone["old"]["identity"], gone["new"]) == ("etl", None)
    assert client.get(URL, {"cursor": later["cursor"]}).json()["results"] == []


def test_the_pages_of_a_feed_join_without_gap_or_repetition(client: Client, push: Any, source: Source) -> None:
    push(client, [ETL | {"id": f"i{n}"} for n in range(5)])
    push(client, [ETL | {"id": f"j{n}"} for n in range(4)])
    url, seen = f"{URL}?limit=2", []
    while True:
        page = client.get(url).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
        if not page["has_more"]:
            break

    assert seen == list(Change.objects.order_by("pk").values_list("pk", flat=True))


def test_an_empty_feed_has_a_next_that_works_later(client: Client, push: Any, source: Source) -> None:
    empty = client.get(URL).json()
    push(client, [ETL])

    assert (empty["results"], empty["has_more"]) == ([], False)
    assert names(client.get(empty["next"]).json()) == [("etl", "added")]


def test_now_begins_at_the_end(client: Client, push: Any, source: Source) -> None:
    push(client, [ETL])
    now = client.get(URL, {"cursor": "now"}).json()
    push(client, [ETL | {"id": "later"}])

    assert now["results"] == []
    assert names(client.get(now["next"]).json()) == [("later", "added")]


def test_since_begins_at_a_time_and_next_goes_on_from_there(client: Client, push: Any, source: Source) -> None:
    push(client, [ETL])
    now = timezone.now()

    found = client.get(URL, {"since": (now - timedelta(hours=1)).isoformat()}).json()
    late = client.get(URL, {"since": (now + timedelta(hours=1)).isoformat()}).json()

    assert names(found) == [("etl", "added")] and "since" not in found["next"]
    assert names(late) == []
    assert client.get(found["next"]).status_code == 200


def test_filters_narrow_the_feed_and_stay_in_next(client: Client, push: Any, source: Source) -> None:
    Source.objects.create(slug="gcp", name="GCP", kind="push")
    push(client, [ETL, GRANT])
    push(client, [ETL], slug="gcp")

    grants = client.get(URL, {"source": "aws", "kind": "grant", "action": "added"}).json()

    assert names(grants) == [("g", "added")]
    assert "kind=grant" in grants["next"] and client.get(grants["next"]).json()["results"] == []
    assert [row["source"] for row in client.get(URL, {"source": "gcp"}).json()["results"]] == ["gcp"]


def test_nothing_of_a_held_rejected_or_dry_run_is_in_the_feed(client: Client, push: Any, source: Source) -> None:
    push(client, [ETL, GRANT], complete="true")
    end = client.get(URL, {"cursor": "now"}).json()

    assert push(client, [ETL], complete="true").status_code == 202
    assert push(client, [ETL | {"kind": "human"}]).status_code == 422
    assert push(client, [ETL | {"name": "x"}], dry_run="true").status_code == 200
    assert client.get(end["next"]).json()["results"] == []


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"cursor": "x"}, 400, "bad-feed-position"),
        ({"cursor": "7-end-0123456789ab"}, 400, "bad-feed-position"),
        ({"cursor": "7-12-0123456789ab"}, 400, "bad-feed-position"),
        ({"cursor": "WyIuMSIsMCwiYSJd:1uX:sig"}, 400, "bad-feed-position"),
        ({"cursor": "now", "since": "2026-01-01T00:00:00Z"}, 400, "invalid-parameter"),
        ({"since": "yesterday"}, 400, "invalid-parameter"),
        ({"since": "2026-01-01"}, 400, "invalid-parameter"),
        ({"since": "0001-01-01T00:00:00Z"}, 400, "invalid-parameter"),
        ({"since": "9999-12-31T23:59:59-23:59"}, 400, "invalid-parameter"),
        ({"kind": "planet"}, 400, "invalid-parameter"),
        ({"action": "eaten"}, 400, "invalid-parameter"),
        ({"limit": "1001"}, 400, "bad-limit"),
        ({"after": "7"}, 400, "unknown-parameter"),
        ({"source": "nowhere"}, 404, "not-found"),
    ],
)
def test_what_cannot_be_meant_is_refused(query: dict[str, str], status: int, code: str, client: Client) -> None:
    response = client.get(URL, query)

    assert (response.status_code, response.json()["code"]) == (status, code)


def test_a_page_of_the_feed_costs_the_same_for_one_change_and_for_many(
    client: Client, push: Any, source: Source, django_assert_max_num_queries: Any
) -> None:
    push(client, [ETL | {"id": f"i{n}"} for n in range(60)])
    cursor = client.get(URL, {"limit": 1}).json()["cursor"]

    for limit in (1, 50):
        with django_assert_max_num_queries(16):
            assert len(client.get(URL, {"cursor": cursor, "limit": limit}).json()["results"]) == limit


def test_the_feed_needs_the_right_to_read_the_inventory(api: Any) -> None:
    assert api("sync:write").get(URL).status_code == 403
