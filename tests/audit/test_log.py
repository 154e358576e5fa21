"""What a record holds, and what is refused."""

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from governance.audit.actions import Verb
from governance.audit.canonical import LARGEST_INTEGER, NotCanonical, canonical, rfc3339
from governance.audit.log import RecordOutsideTransaction, Subject, UnknownVerb, record, record_many
from governance.audit.models import AuditDetail, AuditEvent
from governance.kernel.actors import Actor, system_actor

MakeEvent = Callable[..., UUID]


def payload_of(event_id: UUID) -> dict[str, Any]:
    return json.loads(AuditEvent.objects.get(id=event_id).payload)


def test_a_record_says_who_did_what_to_what_when(db: None, make_event: MakeEvent) -> None:
    event = make_event(old={"answer": None}, context={"run": UUID(int=7)})

    assert payload_of(event) == {
        "v": 1,
        "id": str(event),
        "at": "2026-03-02T09:30:00.000000Z",
        "verb": "item.decided",
        "actor": {
            "kind": "person",
            "id": "7f1f4a52-6f0e-4b0d-9b1c-0d8a3f7f0001",
            "label": "a person",
            "auth": "password+totp",
        },
        "subject": {"kind": "item", "id": "item-1", "label": "Item 1"},
        "request": "req-1",
        "outcome": "success",
        "old": {"answer": None},
        "new": {"answer": "revoke"},
        "context": {"run": "00000000-0000-0000-0000-000000000007"},
        "detail": None,
    }


def test_free_text_and_personal_data_stay_out_of_the_payload(db: None, make_event: MakeEvent) -> None:
    event = make_event(reason="Ask Ada Lovelace", personal={"ip": "192.0.2.7"})

    payload = AuditEvent.objects.get(id=event).payload
    detail = AuditDetail.objects.get(event_id=event)
    assert "Ada" not in payload and "192.0.2.7" not in payload
    assert json.loads(detail.text) == {"reason": "Ask Ada Lovelace", "personal": {"ip": "192.0.2.7"}}
    assert payload_of(event)["detail"] == sha256(bytes(detail.salt) + detail.text.encode()).hexdigest()


def test_equal_texts_have_different_commitments(db: None, make_event: MakeEvent) -> None:
    first, second = make_event(reason="same"), make_event(reason="same")

    assert payload_of(first)["detail"] != payload_of(second)["detail"]


def test_a_record_outside_a_transaction_is_refused(committed_db: Any, actor: Actor, now: datetime) -> None:
    with pytest.raises(RecordOutsideTransaction):
        record(verb=Verb.ITEM_DECIDED, actor=actor, subject=Subject("item", "1"), now=now)

    assert AuditEvent.objects.count() == 0


@pytest.mark.parametrize("verb", ["item.obliterated", "item.decided", "", None])
def test_only_verbs_of_the_vocabulary_are_written(db: None, make_event: MakeEvent, verb: Any) -> None:
    with pytest.raises(UnknownVerb):
        make_event(verb=verb)


@pytest.mark.parametrize(
    "value",
    [
        {"score": 0.5},
        {"at": datetime(2026, 1, 1)},
        {"n": 2**53},
        {"schlüssel": 1},
        {1: "number as key"},
        {"deep": [{"set": {1}}]},
        {"bytes": b"x"},
        {"half": "\ud800"},
        {"nan": float("nan")},
    ],
)
def test_values_without_a_canonical_text_are_refused(db: None, make_event: MakeEvent, value: Any) -> None:
    with pytest.raises(NotCanonical):
        make_event(new=value)

    assert AuditEvent.objects.count() == 0


def test_an_outcome_is_one_word(db: None, make_event: MakeEvent) -> None:
    with pytest.raises(ValueError, match="outcome"):
        make_event(outcome="Did not work!")


def test_many_records_are_written_as_one_would_be(db: None, actor: Actor, now: datetime) -> None:
    from governance.audit.log import Record

    awkward = 'tab\t backslash \\ "quote" NUL \x00 🦆 \u2028 \\N'
    facts: dict[str, Any] = {
        "verb": Verb.ITEM_DECIDED,
        "actor": actor,
        "subject": Subject("item", "a\\b\tc\\N", awkward),
        "now": now,
        "old": {"text": awkward, "list": [1, None, {"b": 2, "a": True}]},
        "reason": awkward,
        "personal": {"ip": "192.0.2.7"},
    }
    many = record_many([Record(**facts), Record(**facts | {"reason": "", "personal": None})])
    alone = record(**facts)

    without_ids = [payload_of(event) | {"id": "", "detail": ""} for event in (many[0], alone)]
    assert without_ids[0] == without_ids[1]
    assert payload_of(many[1])["detail"] is None
    for event in (many[0], alone):
        row, detail = AuditEvent.objects.get(id=event), AuditDetail.objects.get(event_id=event)
        assert row.payload == canonical(json.loads(row.payload))
        assert (row.subject_id, row.occurred_at, row.actor_id) == ("a\\b\tc\\N", now, actor.id)
        assert payload_of(event)["detail"] == sha256(bytes(detail.salt) + detail.text.encode()).hexdigest()
    assert not AuditDetail.objects.filter(event_id=many[1]).exists()


def test_records_may_ask_the_database_while_they_are_made(db: None, actor: Actor, now: datetime) -> None:
    from governance.audit.log import Record

    def made() -> Any:
        for _ in range(3):
            yield Record(
                verb=Verb.ITEM_ASSIGNED,
                actor=actor,
                subject=Subject("item", str(AuditEvent.objects.count())),
                now=now,
            )

    assert len(record_many(made())) == 3


def test_many_records_with_one_that_is_wrong_write_nothing(db: None, actor: Actor, now: datetime) -> None:
    from governance.audit.log import Record

    right, wrong = ({"n": 1}, {"n": 0.5})
    with pytest.raises(NotCanonical, match="/new/n"), transaction.atomic():
        record_many(
            Record(verb=Verb.ITEM_DECIDED, actor=actor, subject=Subject("item", "1"), now=now, new=new)
            for new in (right, wrong)
        )

    assert AuditEvent.objects.count() == 0


def test_ids_are_in_order_of_time(db: None, make_event: MakeEvent) -> None:
    first = make_event()
    time.sleep(0.002)
    second = make_event()

    assert first < second
    assert (first.version, first.variant) == (7, uuid.RFC_4122)


def test_many_records_come_back_in_the_order_given(db: None, actor: Actor, now: datetime) -> None:
    from governance.audit.log import Record

    ids = record_many(
        Record(verb=Verb.ITEM_ASSIGNED, actor=actor, subject=Subject("item", str(n)), now=now) for n in range(50)
    )

    assert [payload_of(event)["subject"]["id"] for event in ids] == [str(n) for n in range(50)]


def test_no_records_write_nothing(db: None) -> None:
    assert record_many([]) == []


def test_a_program_can_act(db: None, make_event: MakeEvent) -> None:
    event = make_event(actor=system_actor("scheduler"))

    assert payload_of(event)["actor"]["id"] == "system:scheduler"


def test_awkward_text_survives(db: None, make_event: MakeEvent) -> None:
    text = 'tab\t backslash \\ quote " NUL \x00 🦆 \u2028 \\N'
    event = make_event(new={"text": text}, reason=text)

    assert payload_of(event)["new"]["text"] == text
    assert json.loads(AuditDetail.objects.get(event_id=event).text)["reason"] == text


KEYS = st.text(st.characters(codec="ascii"), max_size=8)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LEAVES = st.none() | st.booleans() | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER) | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


@given(VALUES)
def test_canonical_text_keeps_the_value_and_is_its_own_canonical_text(value: Any) -> None:
    text = canonical(value)

    assert json.loads(text) == value
    assert canonical(json.loads(text)) == text


@given(st.dictionaries(KEYS, LEAVES, min_size=2, max_size=6))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    assert canonical(dict(reversed(value.items()))) == canonical(value)


@given(VALUES)
def test_the_text_is_that_of_any_sorting_json_writer(value: Any) -> None:
    # The profile is RFC 8785's, so that an auditor can check a payload with other tools.
    assert canonical(value) == json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def test_equal_times_are_equal_texts_whatever_their_zone_or_fold() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    summer, winter = (datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold) for fold in (0, 1))

    assert rfc3339(summer) == rfc3339(datetime(2026, 10, 25, 0, 30, tzinfo=UTC)) == "2026-10-25T00:30:00.000000Z"
    assert rfc3339(winter) == "2026-10-25T01:30:00.000000Z"


def test_control_characters_and_unicode_are_written_as_rfc_8785_says() -> None:
    assert canonical('\x00\x1f\b\t\n\f\r"\\/€\u2028\x7f') == '"\\u0000\\u001f\\b\\t\\n\\f\\r\\"\\\\/€\u2028\x7f"'


def test_typed_values_become_strings() -> None:
    cet = timezone(timedelta(hours=1))
    value = {
        "at": datetime(2026, 1, 1, 1, tzinfo=cet),
        "day": datetime(2026, 1, 1, tzinfo=UTC).date(),
        "id": uuid.UUID(int=1),
        "sum": Decimal("1.50"),
        "verb": Verb.ITEM_DECIDED,
        "pair": (1, 2),
    }

    assert json.loads(canonical(value)) == {
        "at": "2026-01-01T00:00:00.000000Z",
        "day": "2026-01-01",
        "id": "00000000-0000-0000-0000-000000000001",
        "sum": "1.50",
        "verb": "item.decided",
        "pair": [1, 2],
    }
