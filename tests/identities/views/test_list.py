"""The inventory list: who sees what, what filters mean, what bad input does, what a download holds."""

import csv
import io
import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from identities.models import Identity

LIST = "/identities/"
# Session, person, roles, sources of the filter, the page, the bounded count, saved views: whatever the number of rows.
LIST_QUERIES = 7


def names(response: Any) -> set[str]:
    return {row.name for row in response.context["page"].rows}


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER, Role.AUDITOR])
def test_whoever_governs_sees_everything(role: Role, inventory: Any, make_user: Any, browse: Any) -> None:
    assert names(browse(make_user(role)).get(LIST)) == {"etl nightly", "helper bot", "solo"}


@pytest.mark.parametrize("field", ["owner", "backup_owner", "sponsor"])
def test_an_owner_sees_only_their_own(field: str, inventory: Any, make_user: Any, browse: Any) -> None:
    owner = make_user(Role.OWNER)
    Identity.objects.filter(pk=inventory.etl.pk).update(**{field: owner})

    response = browse(owner).get(LIST)

    assert names(response) == {"etl nightly"}
    assert "hidden by your role" in response.content.decode()


def test_somebody_without_identities_is_told_how_they_would_come(inventory: Any, make_user: Any, browse: Any) -> None:
    text = browse(make_user(Role.OWNER)).get(LIST).content.decode()

    assert "You answer for no identity yet" in text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=ETL", {"etl nightly"}),
        ("q=bot", {"helper bot"}),
        ("source=lonely", {"solo"}),
        ("kind=ai_agent,workload", {"helper bot", "solo"}),
        ("environment=staging", {"etl nightly"}),
        ("owner=none", {"etl nightly", "helper bot", "solo"}),
        ("privileged=yes", {"etl nightly"}),
        ("privileged=no", {"helper bot", "solo"}),
        ("segment=databases,admin", {"etl nightly", "helper bot"}),
        ("retired=yes", set()),
        ("q=bot&privileged=yes", set()),
    ],
)
def test_filters_narrow_the_list(query: str, expected: set[str], inventory: Any, admin: Any) -> None:
    assert names(admin.get(f"{LIST}?{query}")) == expected


def test_disuse_counts_use_that_only_a_log_showed(inventory: Any, admin: Any) -> None:
    Identity.objects.filter(pk=inventory.etl.pk).update(last_used_at=timezone.now() - timedelta(days=400))

    assert names(admin.get(f"{LIST}?unused_days=90")) == set()


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("kind=nope", "nope"),
        ("colour=red", "colour"),
        ("unused_days=-1", "unused_days"),
        ("unused_days=٣", "unused_days"),
        ("team=x", "team"),
        ("privileged=maybe", "maybe"),
        (f"q={'x' * 300}", "q"),
    ],
)
def test_a_filter_that_nobody_could_mean_is_refused_by_name(query: str, named: str, inventory: Any, admin: Any) -> None:
    response = admin.get(f"{LIST}?{query}")

    assert response.status_code == 400
    assert response.context["page"].rows == []
    assert named in response.content.decode()
    assert "Nothing is listed." in response.content.decode()


@pytest.mark.parametrize(
    "text", ["%00", quote("💥"), quote("' OR 1=1 --"), quote("%_\\"), quote("\u202e"), "%ED%A0%80"]
)
def test_odd_characters_find_nothing_and_break_nothing(text: str, inventory: Any, admin: Any) -> None:
    response = admin.get(f"{LIST}?q={text}")

    assert response.status_code in (200, 400)
    assert "etl nightly" not in response.content.decode()


@pytest.mark.parametrize("query", ["cursor=nonsense", "sort=password", "sort=-", "cols=nothing"])
def test_what_is_no_filter_never_breaks_the_page(query: str, inventory: Any, admin: Any) -> None:
    assert admin.get(f"{LIST}?{query}").status_code in (200, 400)


@pytest.mark.parametrize("sort", ["name", "-name", "-privileged", "grants", "credentials", "last_use", "-last_use"])
def test_every_order_pages_through_all_rows_once_and_back(
    sort: str, inventory: Any, admin: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("identities.views.lists.PAGE_SIZE", 1)
    seen: list[str] = []
    url = f"{LIST}?sort={sort}"
    while True:
        page = admin.get(url).context["page"]
        seen += [row.name for row in page.rows]
        if not page.next_cursor:
            break
        url = f"{LIST}?sort={sort}&cursor={page.next_cursor}"
    back = [row.name for row in admin.get(f"{LIST}?sort={sort}&cursor={page.previous_cursor}").context["page"].rows]

    assert sorted(seen) == ["etl nightly", "helper bot", "solo"]
    assert back == [seen[1]]


def test_a_fragment_holds_the_same_rows_as_the_page_and_no_shell(inventory: Any, admin: Any) -> None:
    rows = re.compile(r"<tbody>.*</tbody>", re.DOTALL)
    whole = admin.get(f"{LIST}?q=bot").content.decode()
    part = admin.get(f"{LIST}?q=bot&kind=", headers={"HX-Request": "true"})

    assert rows.search(whole).group() == rows.search(part.content.decode()).group()
    assert "<html" not in part.content.decode()
    assert part["HX-Push-Url"] == "/identities/?q=bot"


def test_what_is_not_known_is_said(inventory: Any, admin: Any) -> None:
    rows = {row.name: row for row in admin.get(LIST).context["page"].rows}

    assert rows["etl nightly"].last_use.state == "used"
    assert rows["helper bot"].last_use.state == "not_observable"
    assert rows["etl nightly"].owner == ""
    assert rows["etl nightly"].owner_note == "source says somebody.else@example.org"


def test_a_persons_word_on_the_environment_is_marked(inventory: Any, admin: Any) -> None:
    Identity.objects.filter(pk=inventory.etl.pk).update(environment_edited="production")

    rows = {row.name: row for row in admin.get(LIST).context["page"].rows}

    assert (rows["etl nightly"].environment, rows["etl nightly"].is_environment_edited) == ("production", True)
    assert not rows["solo"].is_environment_edited


def test_the_list_costs_the_same_for_three_rows_and_for_fifty(inventory: Any, admin: Any) -> None:
    admin.get(LIST)
    with CaptureQueriesContext(connection) as few:
        admin.get(LIST)
    Identity.objects.bulk_create(
        Identity(
            source=inventory.lonely, external_id=f"x{n}", name=f"x{n}", kind="bot", owner=None,
            first_seen_at=timezone.now(), last_changed_at=timezone.now(), content_hash=b"x",
        )
        for n in range(60)
    )  # fmt: skip
    with CaptureQueriesContext(connection) as many:
        admin.get(LIST)

    assert (len(few), len(many)) == (LIST_QUERIES, LIST_QUERIES), [query["sql"][:120] for query in many]


def test_the_number_of_rows_is_counted_no_further_than_needed(inventory: Any, admin: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("identities.views.lists.COUNTED_UP_TO", 1)
    monkeypatch.setattr("identities.views.lists.PAGE_SIZE", 1)

    assert admin.get(LIST).context["summary"] == "3 identities"
    assert admin.get(f"{LIST}?privileged=no").context["summary"] == "1+ identities"


def read_csv(response: Any) -> list[dict[str, str]]:
    text = b"".join(response.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_download_holds_the_filtered_list_and_leaves_a_record(inventory: Any, admin: Any) -> None:
    rows = read_csv(admin.get("/identities.csv?q=etl"))

    assert [(row["id"], row["environment"], row["privileged_grants"], row["use"]) for row in rows] == [
        ("etl", "staging", "1", "used")
    ]
    event = AuditEvent.objects.get(verb="inventory.exported")
    assert event.subject_kind == "inventory"


def test_a_download_cannot_run_a_formula(inventory: Any, admin: Any) -> None:
    Identity.objects.filter(pk=inventory.etl.pk).update(name="=cmd|'/c calc'!A1", purpose_edited="@SUM(A1)")

    row = read_csv(admin.get("/identities.csv?kind=database_user"))[0]

    assert row["name"].startswith("'=")
    assert row["purpose"].startswith("'@")


def test_a_download_of_an_owner_holds_only_their_own(inventory: Any, make_user: Any, browse: Any) -> None:
    owner = make_user(Role.OWNER)
    Identity.objects.filter(pk=inventory.bot.pk).update(owner=owner)

    assert [row["id"] for row in read_csv(browse(owner).get("/identities.csv"))] == ["bot-7"]


def test_a_download_with_a_bad_filter_is_refused_and_leaves_no_record(inventory: Any, admin: Any) -> None:
    assert admin.get("/identities.csv?kind=nope").status_code == 400
    assert not AuditEvent.objects.filter(verb="inventory.exported").exists()


def test_the_panel_of_a_person_lists_what_they_answer_for(inventory: Any, make_user: Any, admin: Any) -> None:
    owner = make_user(Role.OWNER)
    Identity.objects.filter(pk=inventory.bot.pk).update(owner=owner)

    text = admin.get(f"/identities/of-person/{owner.pk}/", headers={"HX-Request": "true"}).content.decode()

    assert "helper bot" in text and "etl nightly" not in text


def test_the_panel_of_another_person_is_closed_to_owners(inventory: Any, make_user: Any, browse: Any) -> None:
    response = browse(make_user(Role.OWNER)).get(f"/identities/of-person/{make_user().pk}/")

    assert response.status_code in (403, 404)
