"""The first page: everybody's own part, counted right, in a fixed number of queries."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Role, system_actor
from tests.reviews import conftest as make

pytestmark = pytest.mark.django_db
# Session, person and roles, then one query per panel; never one per row.
MOST_QUERIES = 28


def test_an_empty_installation_says_what_to_do_first(signed_in: Callable[..., Client]) -> None:
    page = signed_in(make.make_person(Role.ADMINISTRATOR)).get("/").content.decode()

    assert "No identities yet" in page
    assert 'href="/sources/"' in page


def test_an_owner_sees_only_their_own_part(signed_in: Callable[..., Client], decided_item: Any, seal: Any) -> None:
    owner, somebody = make.make_person(Role.OWNER), make.make_person(Role.OWNER)
    decided_item(owner)
    theirs = decided_item(somebody)
    seal()

    response = signed_in(owner).get("/")

    tiles = {tile["label"]: tile["value"] for tile in response.context["tiles"]}
    assert tiles["Identities"] == 1
    assert tiles["Waiting for you"] == 1
    assert "Orders under way" not in tiles
    assert theirs.identity.source.slug not in response.content.decode()
    assert "What happened last" not in response.content.decode()
    assert "hidden by your role" in response.content.decode()


def test_reviewers_see_the_inventory_but_not_who_signed_in(
    signed_in: Callable[..., Client], decided_item: Any, seal: Any
) -> None:
    decided_item(make.make_person(Role.OWNER))
    seal()

    response = signed_in(make.make_person(Role.REVIEWER)).get("/")

    assert {tile["label"]: tile["value"] for tile in response.context["tiles"]}["Identities"] == 1
    assert response.context["events"] == []


def test_auditors_see_progress_orders_and_the_last_events(
    signed_in: Callable[..., Client], decided_item: Any, seal: Any
) -> None:
    decided_item(make.make_person(Role.OWNER))
    seal()

    response = signed_in(make.make_person(Role.AUDITOR)).get("/")

    (campaign,) = response.context["campaigns"]
    assert (campaign.decided, campaign.total) == (1, 2)
    assert {tile["label"]: tile["value"] for tile in response.context["tiles"]}["Orders under way"] == 1
    assert response.context["events"]


def test_progress_seen_by_an_owner_counts_the_whole_review(signed_in: Callable[..., Client], decided_item: Any) -> None:
    """A join with one's own questions must not shrink or multiply the counts."""
    owner = make.make_person(Role.OWNER)
    decided_item(owner)

    (campaign,) = signed_in(owner).get("/").context["campaigns"]

    assert (campaign.decided, campaign.total) == (1, 2)


def test_use_that_nobody_can_observe_is_counted_apart(signed_in: Callable[..., Client]) -> None:
    make.make_identity(name="used", last_seen_at=make.datetime.now(make.UTC))
    make.make_identity(name="unwatched")
    silent = make.make_identity(name="silent while watched")
    make.make_window(silent.source, silent, days=400)

    use = {
        segment.label: segment.value
        for segment in signed_in(make.make_person(Role.AUDITOR)).get("/").context["estate"].use
    }

    assert use == {"Used in the last 90 days": 1, "Not seen for 90 days": 1, "Use not observable": 1}


def test_the_number_of_queries_does_not_grow_with_the_data(
    signed_in: Callable[..., Client], decided_item: Any, seal: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(4):
        decided_item(make.make_person(Role.OWNER))
    seal()
    client = signed_in(make.make_person(Role.ADMINISTRATOR))

    with django_assert_max_num_queries(MOST_QUERIES):
        client.get("/")


def test_a_large_inventory_is_not_counted_by_the_page(
    signed_in: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Totals come from the readings, tiles stop counting, and the charts look at a part and say so."""
    monkeypatch.setattr("governance.console.estate.MOST_COUNTED", 2)
    monkeypatch.setattr("governance.console.estate.SAMPLED", 3)
    source = make.make_source(totals={"identities": 4_000, "grants": 90_000})
    for _ in range(5):
        make.make_identity(source, privileged_count=1)

    response = signed_in(make.make_person(Role.AUDITOR)).get("/")

    shown = {tile["label"]: (tile["shown"], tile.get("note", "")) for tile in response.context["tiles"]}
    assert shown["Identities"] == ("4\u202f000", "hold 90\u202f000 grants")
    assert shown["With privileged access"] == shown["Nobody accountable"] == ("2+", "")
    looked_at = sum(segment.value for segment in response.context["estate"].use)
    assert looked_at < 4_000
    assert f"Of {looked_at} identities, chosen at random." in response.content.decode()


def test_a_large_estate_is_counted_once_a_minute_and_only_for_those_who_see_all_of_it(
    signed_in: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr("governance.console.estate.MANY", 2)
    owner = make.make_person(Role.OWNER)
    source = make.make_source(totals={"identities": 2, "grants": 3})
    make.make_identity(source, name="theirs", owner=owner)
    make.make_identity(source, name="ownerless")
    client = signed_in(make.make_person(Role.ADMINISTRATOR))

    def unaccountable(page: Any) -> int:
        return next(tile["value"] for tile in page.context["tiles"] if tile["label"] == "Nobody accountable")

    assert unaccountable(client.get("/")) == 1
    make.make_identity(source, name="another without an owner")
    with django_assert_max_num_queries(11):
        page = client.get("/")
    assert unaccountable(page) == 1 and "Nothing is assessed yet" in page.content.decode()
    assert page.context["estate"].picture in page.content.decode()
    theirs = signed_in(owner).get("/")
    assert theirs.context["estate"].total == 1 and unaccountable(theirs) == 0
    cache.clear()
    assert unaccountable(client.get("/")) == 2


def test_a_small_estate_is_counted_at_every_look(signed_in: Callable[..., Client]) -> None:
    client = signed_in(make.make_person(Role.ADMINISTRATOR))
    for number in range(2):
        make.make_identity(name=f"identity {number}")
        assert client.get("/").context["estate"].total == number + 1


def test_what_happened_several_times_in_a_row_is_said_once(
    signed_in: Callable[..., Client], seal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in(make.make_person(Role.AUDITOR))
    began = timezone.now() + timedelta(hours=1)  # after the signing in
    told = [Verb.SOURCE_CHANGED, *[Verb.MAIL_SENT] * 4, Verb.SOURCE_CHANGED]
    for minute, verb in enumerate(told):
        subject = log.Subject("source", str(uuid4()), f"the {minute}th")
        log.record(verb=verb, actor=system_actor("test"), subject=subject, now=began + timedelta(minutes=minute))
    seal()

    def lines() -> list[tuple[str, str]]:
        return [(each.detail, each.url.partition("?")[2]) for each in client.get("/").context["events"]]

    assert lines()[:3] == [("the 5th", ""), ("4 times", "verb=mail.sent"), ("the 0th", "")]

    monkeypatch.setattr("governance.console.overview.MOST_EVENTS", 3)
    assert lines() == [("the 5th", ""), ("2 times or more", "verb=mail.sent")]
