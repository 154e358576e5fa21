"""The trail as pages: what happened, found by what, who, about what and when."""

import uuid
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from governance.audit.actions import Verb
from governance.audit.checkpoint import write_checkpoint
from governance.audit.log import Subject, record
from governance.audit.notes import read_checkpoint
from governance.audit.selectors import list_events
from governance.kernel.actors import Actor, Role, system_actor
from governance.kernel.merkle import leaf_hash, verify_inclusion
from tests.reviews import conftest as make

pytestmark = pytest.mark.django_db
MOST_QUERIES = 10


@pytest.fixture
def story(decided_item: Any, seal: Any) -> Any:
    """An owner answered a question, and it is sealed."""
    item = decided_item(make.make_person(Role.OWNER, name="Ada Ochieng"), reason="Nobody calls it.")
    seal()
    return item


@pytest.fixture
def checkpoints(settings: Any, tmp_path: Any) -> None:
    """A folder and a key for this test alone."""
    settings.AUDIT_CHECKPOINT_DIR = tmp_path / "checkpoints"
    settings.AUDIT_KEY_FILE = tmp_path / "keys" / "audit.pem"


@pytest.fixture
def auditor(signed_in: Callable[..., Client]) -> Client:
    return signed_in(make.make_person(Role.AUDITOR))


@pytest.fixture
def make_event(admin_actor: Actor) -> Callable[..., Any]:
    """One event by an administrator, with what the test wants to find."""

    def make_it(*, request_id: str = "", **facts: Any) -> Any:
        with transaction.atomic():
            return record(
                verb=Verb.TEAM_CHANGED,
                actor=replace(admin_actor, request_id=request_id),
                subject=Subject("team", str(uuid.uuid4())),
                now=timezone.now(),
                **facts,
            )

    return make_it


def verbs_shown(response: Any) -> set[str]:
    return {event.row.verb for event in response.context["events"]}


def test_the_trail_names_people_objects_and_reasons(auditor: Client, story: Any) -> None:
    response = auditor.get("/audit/", {"verb": "item.decided"})

    page = response.content.decode()
    assert verbs_shown(response) == {"item.decided"}
    assert "Ada Ochieng" in page and "Nobody calls it." in page
    assert f'href="/reviews/items/{story.pk}/"' in page


def test_what_an_event_is_about_is_called_by_its_name_while_it_has_one(
    auditor: Client, story: Any, seal: Any, make_token: Any
) -> None:
    person, gone = story.assignee, uuid.uuid4()
    for subject_id in (str(person.pk), str(gone)):
        subject = Subject("person", subject_id, "person")
        record(verb=Verb.MAIL_SENT, actor=system_actor("mailer"), subject=subject, now=timezone.now())
    subject = Subject("campaign", str(story.campaign_id), "campaign")
    record(verb=Verb.CAMPAIGN_OPENED, actor=system_actor("scheduler"), subject=subject, now=timezone.now())
    token, _ = make_token()  # which is on record too
    seal()

    events = auditor.get("/audit/").context["events"][:4]

    named = {person.name, f"Person {str(gone)[:8]}", story.campaign.name, token.name}
    assert {event.subject for event in events} == named
    page = auditor.get(f"/audit/of/campaign/{story.campaign_id}/").content.decode()
    assert f"Review {story.campaign.name}" in page


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"verb": "order"}, {"order.task_opened"}),
        ({"subject_kind": "item", "verb": "item.decided"}, {"item.decided"}),
        ({"verb": "item.decided", "actor": "nobody@example.org"}, set()),
        ({"verb": "item.decided", "until": "2020-01-01"}, set()),
    ],
    ids=["noun", "kind", "unknown person", "too early"],
)
def test_each_filter_narrows(auditor: Client, story: Any, filters: dict[str, str], expected: set[str]) -> None:
    assert verbs_shown(auditor.get("/audit/", filters)) == expected


def test_filtering_by_address_finds_that_person(auditor: Client, story: Any) -> None:
    response = auditor.get("/audit/", {"actor": story.assignee.email.upper()})

    assert {event.who for event in response.context["events"]} == {"Ada Ochieng"}


def test_a_day_ends_at_midnight(auditor: Client, story: Any) -> None:
    today = timezone.now().date()

    assert verbs_shown(auditor.get("/audit/", {"since": today, "until": today}))
    assert not verbs_shown(auditor.get("/audit/", {"since": today + timedelta(days=1)}))


@pytest.mark.parametrize(
    "filters",
    [
        {"verb": "no.such_verb"},
        {"subject_kind": "unicorn"},
        {"since": "yesterday"},
        {"until": "2026-02-30"},
        {"before": "0"},
        {"before": "x"},
        {"before": "9" * 40},
        {"actor": "a" * 300},
        {"since": "2026-03-02", "until": "2026-03-01"},
    ],
    ids=str,
)
def test_a_filter_that_nobody_could_mean_is_said_to_be_wrong(
    auditor: Client, story: Any, filters: dict[str, str]
) -> None:
    response = auditor.get("/audit/", filters)

    assert response.status_code == 400
    assert response.context["events"] == []
    assert 'data-tone="danger"' in response.content.decode()


def test_a_wrong_date_is_named_as_the_form_names_it_and_nothing_claims_to_have_been_searched(
    auditor: Client, story: Any
) -> None:
    page = auditor.get("/audit/", {"since": "yesterday"}).content.decode()

    assert "From: Enter a valid date." in page and "since:" not in page
    assert "Nothing matches" not in page and "Nothing is listed" in page


def test_an_empty_answer_says_so_instead_of_pretending_an_empty_trail(auditor: Client, story: Any) -> None:
    page = auditor.get("/audit/", {"actor": "nobody@example.org"}).content.decode()

    assert "Nothing matches" in page


def test_a_search_that_paused_says_so_and_leads_on(
    auditor: Client, story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("governance.audit.selectors.LOOKED_THROUGH", 1)

    response = auditor.get("/audit/", {"verb": "token", "subject_kind": "item"})

    page = response.content.decode()
    assert response.context["events"] == []
    assert "Nothing found yet" in page and "Search older" in page
    assert f"before={response.context['next_before']}" in page


def test_older_pages_follow_without_gap_or_repetition(auditor: Client, decided_item: Any, seal: Any) -> None:
    for _ in range(20):
        decided_item(make.make_person(Role.OWNER))
    seal()
    everything = [row.seq for row in list_events(limit=1000).rows]
    assert len(everything) > 50

    seen, before = [], ""
    while True:
        response = auditor.get("/audit/", {"before": before} if before else {})
        seen += [event.row.seq for event in response.context["events"]]
        before = response.context["next_before"]
        if not before:
            break

    assert seen == everything


def test_the_way_back_to_newer_pages_shows_the_same_rows(auditor: Client, decided_item: Any, seal: Any) -> None:
    for _ in range(20):
        decided_item(make.make_person(Role.OWNER))
    seal()
    first = auditor.get("/audit/")
    second = auditor.get(f"/audit/{first.context['way'].older}")

    back = auditor.get(f"/audit/{second.context['way'].newer}")

    def shown(response: Any) -> list[int]:
        return [event.row.seq for event in response.context["events"]]

    assert shown(back) == shown(first) and not first.context["way"].newer
    assert shown(auditor.get(f"/audit/{back.context['way'].older}")) == shown(second)
    assert auditor.get(f"/audit/?after={max(shown(first))}").context["way"].newer == ""


def test_words_of_a_reason_a_request_and_what_was_not_done_are_found(
    auditor: Client, story: Any, seal: Any, make_event: Callable[..., Any]
) -> None:
    refused = make_event(outcome="refused", reason="Ask Bo first", request_id="req-00000042")
    seal()

    for filters in ({"outcome": "not_done"}, {"reason": "ask bo"}, {"request": "req-00000042"}):
        response = auditor.get("/audit/", filters)
        assert [event.row.event_id for event in response.context["events"]] == [refused], filters
    assert auditor.get("/audit/", {"outcome": "not_done", "reason": "no longer"}).context["events"] == []


def test_one_person_and_one_object_together_narrow_to_both(auditor: Client, story: Any) -> None:
    by_both = {"actor": story.assignee.email, "subject_kind": "item", "subject": str(story.pk)}

    events = auditor.get("/audit/", by_both).context["events"]

    assert {(event.row.subject_id, event.who) for event in events} == {(str(story.pk), "Ada Ochieng")}
    assert auditor.get("/audit/", by_both | {"subject": str(uuid.uuid4())}).context["events"] == []


def test_an_event_shows_what_was_sealed(auditor: Client, story: Any) -> None:
    (row,) = list_events(verb="item.decided").rows

    page = auditor.get(f"/audit/events/{row.event_id}/").content.decode()

    assert row.hash in page
    assert "item.decided" in page and "Nobody calls it." in page
    assert auditor.get(f"/audit/events/{uuid.uuid4()}/").status_code == 404


def test_the_proof_of_an_event_leads_from_its_sealed_text_to_the_signed_root(
    auditor: Client, story: Any, checkpoints: Any
) -> None:
    (row,) = list_events(verb="item.decided").rows
    assert auditor.get(f"/audit/events/{row.event_id}/proof/").status_code == 409
    write_checkpoint(now=timezone.now(), actor=system_actor("test"))

    text = auditor.get(f"/audit/events/{row.event_id}/proof/").content.decode()
    payload = auditor.get(f"/audit/events/{row.event_id}/payload/").content

    head, _, note = text.partition("\n\n")
    first, index, *path = head.split("\n")
    signed = read_checkpoint(note)
    assert (first, index) == ("c2sp.org/tlog-proof@v1", f"index {row.seq - 1}")
    assert verify_inclusion(
        leaf=leaf_hash(payload),
        index=row.seq - 1,
        size=signed.size,
        proof=[b64decode(node) for node in path],
        expected_root=signed.root,
    )
    page = auditor.get(f"/audit/events/{row.event_id}/").content.decode()
    assert "Verify yourself" in page and f"/audit/events/{row.event_id}/proof/" in page


def test_the_trail_says_how_far_it_is_sealed_and_signed(
    auditor: Client, story: Any, checkpoints: Any, seal: Any, make_event: Callable[..., Any]
) -> None:
    assert "No checkpoint has been signed yet" in auditor.get("/audit/").content.decode()
    signed = write_checkpoint(now=timezone.now(), actor=system_actor("test"))
    make_event()
    seal()

    page = auditor.get("/audit/")

    assert signed and page.context["sealing"].signed_size == signed.size
    assert page.context["sealing"].unsigned == 2  # the record of the signing, and one more
    assert "2 events pending" in page.content.decode() and signed.note in page.content.decode()


def test_the_panel_of_an_object_holds_its_events_only(auditor: Client, story: Any) -> None:
    response = auditor.get(f"/audit/of/item/{story.pk}/", headers={"HX-Request": "true"})

    assert {event.row.subject_id for event in response.context["events"]} == {str(story.pk)}
    assert b"<html" not in response.content


def test_owners_are_told_that_the_panel_is_hidden(signed_in: Callable[..., Client], story: Any) -> None:
    response = signed_in(story.assignee).get(f"/audit/of/item/{story.pk}/")

    assert "Hidden by your role" in response.content.decode()
    assert response.context["events"] == []


def test_reviewers_read_about_what_they_review_and_not_about_people(
    signed_in: Callable[..., Client], story: Any
) -> None:
    client = signed_in(make.make_person(Role.REVIEWER))

    assert client.get(f"/audit/of/item/{story.pk}/").context["may_read"]
    assert not client.get(f"/audit/of/person/{story.assignee.pk}/").context["may_read"]


def test_the_number_of_queries_does_not_grow_with_the_rows(
    auditor: Client, decided_item: Any, seal: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        decided_item(make.make_person(Role.OWNER))
    seal()

    with django_assert_max_num_queries(MOST_QUERIES):
        auditor.get("/audit/")
