"""What a legal hold is on cannot be erased; a person's details go on request and the proof stays."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.db.utils import Error

from governance.audit.erasure import ErasureRefused, erase_details, erase_person, preview_erasure
from governance.audit.holds import HoldRefused, UnderHold, lift_hold, list_holds, place_hold
from governance.audit.log import Subject
from governance.audit.models import AuditDetail, AuditEvent, LegalHold
from governance.audit.retirement_triggers import NAMES
from governance.audit.verify import verify
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, Forbidden

pytestmark = pytest.mark.usefixtures("committed_db", "outside")

MakeEvent = Callable[..., UUID]
SOMEBODY = UUID("7f1f4a52-6f0e-4b0d-9b1c-0d8a3f7f0002")
CAMPAIGN = UUID("7f1f4a52-6f0e-4b0d-9b1c-0d8a3f7f0003")


@pytest.fixture
def person() -> Actor:
    return Actor(kind=ActorKind.PERSON, id=str(SOMEBODY), label="a person")


@pytest.fixture
def story(make_event: MakeEvent, person: Actor) -> dict[str, UUID]:
    """Somebody signed in, decided with a reason, and was changed by somebody else."""
    return {
        "sign-in": make_event(actor=person, personal={"ip": "192.0.2.7"}),
        "decision": make_event(actor=person, reason="Nobody calls it.", context={"campaign": str(CAMPAIGN)}),
        "change": make_event(subject=Subject("user", str(SOMEBODY)), personal={"email": "a@example.org"}, reason="x"),
        "other": make_event(personal={"ip": "192.0.2.8"}),
    }


def erase(actor: Actor, now: datetime, *, include_reasons: bool = False) -> int:
    return erase_person(
        person_id=SOMEBODY, include_reasons=include_reasons, actor=actor, now=now, reason="Request 12, kept in file 7."
    )


def kept() -> set[UUID]:
    return set(AuditDetail.objects.filter(erased_at=None).values_list("event_id", flat=True))


def hold_on(actor: Actor, now: datetime, kind: str = "person", subject: UUID = SOMEBODY) -> LegalHold:
    return place_hold(kind=kind, subject_id=str(subject), reason="Case 4 C 12/26", actor=actor, now=now)


def test_the_preview_says_what_would_go_and_what_stays(story: dict[str, UUID]) -> None:
    few, all_of_it = (preview_erasure(person_id=SOMEBODY, include_reasons=each) for each in (False, True))

    assert (few.going, few.with_personal_data, few.staying, few.erased_before) == (2, 2, 1, 0)
    assert (all_of_it.going, all_of_it.with_personal_data, all_of_it.staying) == (3, 2, 0)
    assert few.events == 3
    assert len(kept()) == 4


def test_personal_data_of_one_person_goes_and_reasons_and_others_stay(
    story: dict[str, UUID], actor: Actor, now: datetime
) -> None:
    assert erase(actor, now) == 2

    assert {story["decision"], story["other"]} <= kept()
    assert not {story["sign-in"], story["change"]} & kept()
    records = AuditEvent.objects.filter(verb="detail.erased", actor_id=actor.id).values_list("subject_id", flat=True)
    assert set(records) == {str(story["sign-in"]), str(story["change"])}
    report = verify()
    assert (report.is_intact, report.details_erased) == (True, 2)
    assert preview_erasure(person_id=SOMEBODY, include_reasons=True).erased_before == 2


def test_reasons_go_only_when_they_are_asked_for(story: dict[str, UUID], actor: Actor, now: datetime) -> None:
    assert erase(actor, now, include_reasons=True) == 3


def test_erasing_again_leaves_no_further_record_of_it(story: dict[str, UUID], actor: Actor, now: datetime) -> None:
    erase(actor, now)
    records = AuditEvent.objects.count()

    assert erase(actor, now) == 0
    assert AuditEvent.objects.count() == records


@pytest.mark.parametrize(
    ("kind", "subject"),
    [("person", SOMEBODY), ("campaign", CAMPAIGN), ("period", None)],
    ids=lambda each: str(each)[:8],
)
def test_a_hold_refuses_the_erasure_as_a_whole_and_is_named(
    kind: str, subject: UUID | None, story: dict[str, UUID], actor: Actor, now: datetime
) -> None:
    times = {} if subject else {"since": now - timedelta(days=1), "until": now + timedelta(days=1)}
    hold = place_hold(
        kind=kind,
        subject_id=str(subject or ""),
        reason="Case 4 C 12/26",
        actor=actor,
        now=now,
        **times,  # type: ignore[arg-type]
    )
    preview = preview_erasure(person_id=SOMEBODY, include_reasons=True)

    with pytest.raises(UnderHold, match="Case 4 C 12/26") as refusal:
        erase(actor, now, include_reasons=True)

    assert preview.held >= 1 and "Case 4 C 12/26" in preview.holds
    assert refusal.value.details["holds"] == [str(hold.pk)]
    assert len(kept() & set(story.values())) == 4


def test_a_hold_on_something_else_holds_nothing(story: dict[str, UUID], actor: Actor, now: datetime) -> None:
    hold_on(actor, now, "identity", uuid4())

    assert erase(actor, now) == 2


def test_after_lifting_the_erasure_goes_through_and_both_are_recorded(
    story: dict[str, UUID], actor: Actor, now: datetime
) -> None:
    hold = hold_on(actor, now)
    with pytest.raises(UnderHold):
        erase_details(event_ids=list(story.values()), actor=actor, now=now, reason="Request 12")

    lift_hold(hold_id=hold.pk, reason="The case is closed.", actor=actor, now=now)

    assert erase_details(event_ids=list(story.values()), actor=actor, now=now, reason="Request 12") == 4
    assert [each.is_lifted for each in list_holds()] == [True]
    records = AuditEvent.objects.filter(subject_id=str(hold.pk)).order_by("occurred_at", "id")
    assert {each.verb for each in records} == {"hold.placed", "hold.lifted"}
    assert len(records) == 2
    with pytest.raises(Conflict):
        lift_hold(hold_id=hold.pk, reason="Again.", actor=actor, now=now)


@pytest.mark.parametrize(
    "facts",
    [
        {"kind": "planet", "subject_id": str(SOMEBODY)},
        {"kind": "person", "subject_id": ""},
        {"kind": "person", "subject_id": "%"},
        {"kind": "person", "subject_id": str(SOMEBODY), "reason": "  "},
        {"kind": "person", "subject_id": str(SOMEBODY), "reason": "x" * 1001},
        {"kind": "period"},
        {"kind": "period", "since": datetime(2026, 1, 2).astimezone(), "until": datetime(2026, 1, 1).astimezone()},
        {"kind": "person", "subject_id": str(SOMEBODY), "until": datetime(2026, 1, 1).astimezone()},
    ],
)
def test_a_hold_on_nothing_is_refused(facts: dict[str, Any], actor: Actor, now: datetime) -> None:
    with pytest.raises(HoldRefused):
        place_hold(actor=actor, now=now, **{"reason": "Because.", **facts})

    assert not LegalHold.objects.exists()
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("roles", [{Role.AUDITOR}, {Role.CAMPAIGN_MANAGER}, {Role.REVIEWER, Role.OWNER}, set()])
def test_only_administrators_hold_and_erase(roles: set[Role], story: dict[str, UUID], now: datetime) -> None:
    somebody = Actor(kind=ActorKind.PERSON, id=str(uuid4()), label="a person", roles=frozenset(roles))

    with pytest.raises(Forbidden):
        erase(somebody, now)
    with pytest.raises(Forbidden):
        hold_on(somebody, now)
    with pytest.raises(Forbidden):
        lift_hold(hold_id=uuid4(), reason="x", actor=somebody, now=now)


@pytest.mark.parametrize("reason", ["", "   "])
def test_an_erasure_without_a_reason_is_refused(
    reason: str, story: dict[str, UUID], actor: Actor, now: datetime
) -> None:
    with pytest.raises(ErasureRefused):
        erase_details(event_ids=list(story.values()), actor=actor, now=now, reason=reason)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_legalhold",
        "UPDATE audit_legalhold SET subject_id = 'x', lifted_at = now()",
        "UPDATE audit_legalhold SET reason = 'x'",
        "UPDATE audit_legalhold SET kind = 'period', lifted_at = now()",
        "TRUNCATE audit_legalhold",
    ],
)
def test_the_database_lets_a_hold_be_lifted_and_nothing_else(statement: str, actor: Actor, now: datetime) -> None:
    hold_on(actor, now)

    with pytest.raises(Error, match=r"only be lifted|append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("table", NAMES)
def test_the_models_have_the_columns_that_the_database_has(table: str) -> None:
    from django.apps import apps

    (model,) = (each for each in apps.get_app_config("audit").get_models() if each._meta.db_table == table)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull FROM pg_attribute
            WHERE attrelid = to_regclass(%s) AND attnum > 0 ORDER BY attnum
            """,
            [table],
        )
        found = cursor.fetchall()

    kinds = {"varchar": "character varying", "timestamptz": "timestamp with time zone"}
    expected = []
    for field in model._meta.fields:
        kind = field.db_type(connection) or ""
        name, bracket, size = kind.partition("(")
        expected.append((field.column, kinds.get(name, name) + bracket + size, field.null))
    assert found == expected
