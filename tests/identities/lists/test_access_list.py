"""All grants as one list: who sees what, orders, depth, sizes in words, downloads."""

import csv
import io
import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role, system_actor
from governance.web.filtered import UNSORTED
from identities.models import Grant, Identity, Source
from identities.selectors.access import list_grants
from identities.selectors.filters import InventoryFilter

pytestmark = pytest.mark.django_db
LIST = "/access/"
# Session, person, roles, saved views, totals, sources of the filter, the page, what its grants say.
LIST_QUERIES = 8


def labels(response: Any) -> list[str]:
    return [row.label for row in response.context["page"].rows]


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: Any) -> None:
    monkeypatch.setattr("identities.views.lists.PAGE_SIZE", 20)


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER, Role.AUDITOR])
def test_whoever_governs_sees_every_present_grant(role: Role, population: Any, make_user: Any, browse: Any) -> None:
    response = browse(make_user(role)).get(LIST)

    assert response.context["summary"] == "120 grants"
    assert len(labels(response)) == 20


def test_an_owner_sees_only_what_their_own_hold(population: Any, make_user: Any, browse: Any) -> None:
    owner = make_user(Role.OWNER)
    Identity.objects.filter(pk=next(iter(population.identities)).pk).update(owner=owner)

    response = browse(owner).get(LIST)

    assert len(labels(response)) == 3
    assert response.context["summary"] == "3 grants"
    assert "hidden by your role" in response.content.decode()


def test_empty_lists_say_why(db: None, make_user: Any, browse: Any, reader: Any) -> None:
    assert "No access is known yet" in reader.get(LIST).content.decode()
    assert "You answer for no access yet" in browse(make_user(Role.OWNER)).get(LIST).content.decode()
    assert "No grant matches" in reader.get(f"{LIST}?access=nothing").content.decode()


@pytest.mark.parametrize("text", ["kind=nope", "q=ab", "colour=red", "standing=x"])
def test_a_filter_that_nobody_could_mean_lists_nothing_and_says_so(text: str, population: Any, reader: Any) -> None:
    response = reader.get(f"{LIST}?{text}")

    assert response.status_code == 400
    assert "Nothing is listed." in response.content.decode()
    assert labels(response) == []


@pytest.mark.parametrize("text", ["", "segment=-admin", "privileged=no"])
@pytest.mark.parametrize("sort", ["access", "-access", "first_seen", "-first_seen"])
def test_every_order_shows_each_grant_once_forth_and_back(sort: str, text: str, population: Any, reader: Any) -> None:
    forth, response = walk(reader, f"{LIST}?sort={sort}&{text}", "next")
    back, _ = walk(reader, f"{LIST}?sort={sort}&{text}&cursor=last", "prev")

    key = "first_seen_at" if "first" in sort else "label"
    values = [getattr(row, key) for row in forth]
    assert values == sorted(values, reverse=sort.startswith("-"))
    assert len({row.url for row in forth}) == len(forth)
    assert {row.url for row in back} == {row.url for row in forth}
    assert [row.url for row in response.context["page"].rows][-1] == forth[-1].url


def test_the_first_page_leads_to_the_last_and_back_to_the_first(population: Any, reader: Any) -> None:
    text = reader.get(LIST).content.decode()
    last = reader.get(f"{LIST}?cursor=last").content.decode()

    assert 'aria-label="Last page"' in text and 'aria-label="First page"' not in text
    assert 'aria-label="First page"' in last and 'aria-label="Last page"' not in last


def test_grants_that_come_in_between_move_no_page(population: Any, reader: Any) -> None:
    url = LIST + following(reader.get(LIST), "next")
    expected = labels(reader.get(url))
    first = population.grants[0]
    Grant.objects.create(
        source=first.source, identity=first.identity, external_id="early", label="A first one",
        first_seen_at=timezone.now(), last_changed_at=timezone.now(), content_hash=b"x",
    )  # fmt: skip

    assert labels(reader.get(url)) == expected
    assert labels(reader.get(LIST))[0] == "A first one"


@pytest.mark.parametrize(
    ("cursor", "said"),
    [("nonsense", "damaged"), ("{other}", "another order"), ("LAST", "damaged"), ("a:b:c", "damaged")],
)
def test_a_place_that_is_none_is_refused_with_the_reason(
    cursor: str, said: str, population: Any, reader: Any, program: Any
) -> None:
    other = re.search(r"cursor=([^&]+)", following(reader.get(f"{LIST}?sort=-first_seen"), "next"))
    assert other is not None
    cursor = cursor.replace("{other}", other.group(1))

    assert reader.get(f"{LIST}?cursor={cursor}").status_code == 400
    response = program(f"/api/v1/grants/?cursor={cursor}")
    assert (response.status_code, response.json()["code"]) == (400, "bad-cursor")
    assert said in response.json()["detail"]


def test_over_the_api_pages_lead_both_ways(population: Any, program: Any) -> None:
    first = program("/api/v1/grants/?limit=50&retired=no").json()
    second = program(first["next"]).json()
    third = program(second["next"]).json()

    assert [len(each["results"]) for each in (first, second, third)] == [50, 50, 20]
    assert third["next"] is None
    assert program(second["previous"]).json()["results"] == first["results"]
    assert first["results"][0]["plain"] == ["may read a table"]


def test_what_cannot_be_sorted_in_time_is_listed_all_the_same_and_said(
    population: Any, reader: Any, monkeypatch: Any
) -> None:
    # No time for sorting, and none for walking along the order.
    monkeypatch.setattr("governance.web.filtered._attempts", lambda rows, keys: [(UNSORTED, False, 10_000)])

    rows, response = walk(reader, f"{LIST}?access=table", "next")

    assert "In no particular order." in response.content.decode()
    assert len({row.url for row in rows}) == len(rows) == 120


def test_the_list_costs_the_same_for_a_few_rows_and_for_many(population: Any, reader: Any, monkeypatch: Any) -> None:
    Source.objects.update(totals={"grants": 60})
    reader.get(LIST)
    with CaptureQueriesContext(connection) as many:
        reader.get(LIST)
    monkeypatch.setattr("identities.views.lists.PAGE_SIZE", 2)
    with CaptureQueriesContext(connection) as few:
        reader.get(LIST)

    assert len(many) == len(few) <= LIST_QUERIES, [query["sql"][:100] for query in many]
    assert not any("COUNT(" in query["sql"] for query in many)


def test_the_size_is_what_the_readings_counted(population: Any, reader: Any) -> None:
    Source.objects.update(totals={"grants": 500_000})

    assert reader.get(LIST).context["summary"] == "1\u202f000\u202f000 grants"


def test_the_size_of_a_part_is_counted_no_further_than_a_thousand(
    population: Any, reader: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("identities.views.lists.COUNTED_UP_TO", 50)

    assert reader.get(f"{LIST}?access=table").context["summary"] == "50+ grants"
    assert reader.get(f"{LIST}?privileged=yes").context["summary"] == "10 grants"


def test_columns_can_be_chosen(population: Any, reader: Any) -> None:
    text = reader.get(f"{LIST}?cols=ends").content.decode()

    assert 'data-label="Ends"' in text
    assert 'data-label="Source"' not in text


def test_a_fragment_holds_the_same_rows_as_the_page_and_no_shell(population: Any, reader: Any) -> None:
    rows = re.compile(r"<tbody>.*</tbody>", re.DOTALL)
    whole = reader.get(f"{LIST}?access=READ").content.decode()
    part = reader.get(f"{LIST}?access=READ&kind=&source=", headers={"HX-Request": "true"})

    assert rows.search(whole).group() == rows.search(part.content.decode()).group()  # type: ignore[union-attr]
    assert "<html" not in part.content.decode()
    assert part["HX-Push-Url"] == "/access/?access=READ"


def read(response: Any) -> str:
    return b"".join(response.streaming_content).decode()


def test_downloads_hold_the_filtered_list_and_leave_a_record_each(population: Any, reader: Any) -> None:
    rows = list(csv.DictReader(io.StringIO(read(reader.get("/access.csv?segment=queues")), newline="")))
    lines = [json.loads(line) for line in read(reader.get("/access.ndjson?segment=queues")).splitlines()]

    assert {row["id"] for row in rows} == {
        g.external_id for g in population.grants if "queues" in (g.segment, *g.further_segments) and not g.retired_at
    }
    assert [row["id"] for row in rows] == [line["id"] for line in lines]
    assert rows[0]["may"] == "May read a table"
    events = AuditEvent.objects.filter(verb="inventory.exported")
    facts = [(event.subject_id, json.loads(event.payload)["new"]) for event in events]
    assert sorted((what, new["format"], new["filtered_by"]) for what, new in facts) == [
        ("grants", "csv", ["segment"]),
        ("grants", "ndjson", ["segment"]),
    ]


def test_what_reaches_several_segments_says_so_wherever_it_is_shown(population: Any, reader: Any, program: Any) -> None:
    several = {g.external_id: g for g in population.grants if g.further_segments and not g.retired_at}
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(read(reader.get("/access.csv")), newline=""))}
    listed = {each["external_id"]: each for each in program("/api/v1/grants/?segment=storage").json()["results"]}
    (first, grant), *_ = several.items()
    page = reader.get("/access/?segment=storage").content.decode()

    assert {row["further_segments"] for name, row in rows.items() if name in several} == {"queues storage"}
    assert {row["further_segments"] for name, row in rows.items() if name not in several} == {""}
    assert (listed[first]["segment"], listed[first]["further_segments"]) == ("databases", ["queues", "storage"])
    assert set(listed) == set(several)
    assert "Databases, also Queues, Storage" in page
    assert "Databases, also Queues, Storage" in reader.get(f"/grants/{grant.pk}/").content.decode()


def test_a_filter_by_segment_asks_two_indexes(population: Any) -> None:
    filters = InventoryFilter.parse("segment=storage")
    found = list_grants(actor=system_actor("test"), filters=filters, now=timezone.now())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ANALYZE identities_grant")
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off")
        plan = found.explain()

    assert "identities_grant_segment" in plan and "identities_grant_further" in plan, plan


def test_identities_are_downloaded_as_lines_too(population: Any, reader: Any) -> None:
    lines = [json.loads(line) for line in read(reader.get("/identities.ndjson?kind=bot")).splitlines()]

    assert {line["name"] for line in lines} == {
        i.name for i in population.identities if i.kind == "bot" and not i.retired_at
    }


def test_a_download_goes_through_the_list_in_chunks_and_asks_nothing_per_row(
    population: Any, reader: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("governance.web.pagination.CHUNK", 50)
    response = reader.get("/access.csv")

    with CaptureQueriesContext(connection) as queries:
        text = read(response)

    # Three chunks of grants with what they say, and the empty rest is not asked for twice.
    assert len(text.splitlines()) == 121
    assert len(queries) == 6


def test_a_download_cannot_run_a_formula(population: Any, reader: Any) -> None:
    Grant.objects.filter(external_id="grant-001").update(label="=HYPERLINK(1)")

    assert "'=HYPERLINK" in read(reader.get("/access.csv"))


def test_a_download_with_a_bad_filter_is_refused_and_leaves_no_record(population: Any, reader: Any) -> None:
    assert reader.get("/access.ndjson?kind=nope").status_code == 400
    assert not AuditEvent.objects.filter(verb="inventory.exported").exists()


def test_a_download_of_an_owner_holds_only_their_own(population: Any, make_user: Any, browse: Any) -> None:
    assert len(read(browse(make_user(Role.OWNER)).get("/access.csv")).splitlines()) == 1


def test_grants_seen_lately_come_first_when_asked(population: Any, reader: Any) -> None:
    newest = population.grants[7]
    Grant.objects.filter(pk=newest.pk).update(first_seen_at=timezone.now() + timedelta(seconds=1))

    assert reader.get(f"{LIST}?sort=-first_seen").context["page"].rows[0].url == f"/grants/{newest.pk}/"


def walk(reader: Any, url: str, rel: str) -> tuple[list[Any], Any]:
    """All rows from the page at `url` on, and the last answer."""
    rows: list[Any] = []
    for _ in range(50):
        response = reader.get(url)
        assert response.status_code == 200, response.content
        rows += response.context["page"].rows
        if not (more := following(response, rel)):
            return rows, response
        url = LIST + more
    raise AssertionError("the list never ends")


def following(response: Any, rel: str) -> str:
    found = re.search(rf'rel="{rel}" href="([^"]+)"', response.content.decode())
    return unescape(found.group(1)) if found else ""
