"""The database seals at commit: one chain, no forks, no gaps, nothing from transactions that did not commit."""

import hashlib
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import (
    IntegrityError,
    InternalError,
    OperationalError,
    ProgrammingError,
    connection,
    connections,
    transaction,
)

from governance.audit.actions import Verb
from governance.audit.log import Record, Subject, record, record_many
from governance.audit.models import AuditEvent, AuditHead, AuditLink
from governance.kernel.actors import Actor

pytestmark = pytest.mark.usefixtures("committed_db")

MakeEvent = Callable[..., UUID]


def chain_from(links: list[AuditLink]) -> bytes:
    """The last entry hash, computed as the docs say and independently of the database."""
    entry = bytes(32)
    for link in links:
        payload = AuditEvent.objects.get(id=link.event_id).payload.encode()
        assert bytes(link.prev_hash) == entry
        assert bytes(link.payload_hash) == hashlib.sha256(payload).digest()
        assert bytes(link.leaf_hash) == hashlib.sha256(b"\0" + payload).digest()
        entry = hashlib.sha256(b"chain.v1\0" + entry + link.seq.to_bytes(8, "big") + bytes(link.payload_hash)).digest()
        assert bytes(link.entry_hash) == entry
    return entry


def all_links() -> list[AuditLink]:
    return list(AuditLink.objects.order_by("seq"))


def test_a_committed_record_is_sealed(make_event: MakeEvent) -> None:
    event = make_event()

    (link,) = all_links()
    assert (link.seq, link.event_id) == (1, event)


def test_records_of_one_transaction_are_sealed_in_the_order_of_writing(actor: Actor, now: datetime) -> None:
    with transaction.atomic():
        first = record(verb=Verb.ORDER_SENT, actor=actor, subject=Subject("order", "1"), now=now)
        second = record(verb=Verb.ORDER_APPLIED, actor=actor, subject=Subject("order", "1"), now=now)

    assert [link.event_id for link in all_links()] == [first, second]


def test_the_chain_is_the_documented_one(make_event: MakeEvent, actor: Actor, now: datetime) -> None:
    make_event()
    with transaction.atomic():
        record_many(
            Record(verb=Verb.ITEM_ASSIGNED, actor=actor, subject=Subject("item", str(n), "Ünïcode ✓"), now=now)
            for n in range(5)
        )
    make_event()

    head = AuditHead.objects.get()

    links = all_links()
    assert [link.seq for link in links] == [1, 2, 3, 4, 5, 6, 7]
    assert chain_from(links) == bytes(head.entry_hash)
    assert head.seq == 7


def test_a_rollback_leaves_nothing_and_no_gap(make_event: MakeEvent) -> None:
    make_event()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        make_event()
        raise ZeroDivisionError
    make_event()

    assert AuditEvent.objects.count() == 2
    assert [link.seq for link in all_links()] == [1, 2]


def test_a_rolled_back_savepoint_leaves_nothing_and_no_gap(make_event: MakeEvent) -> None:
    with transaction.atomic():
        kept = make_event()
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            make_event()
            raise ZeroDivisionError
        also_kept = make_event()

    assert [link.event_id for link in all_links()] == [kept, also_kept]


def test_a_savepoint_that_was_rolled_back_first_does_not_take_the_seal_with_it(make_event: MakeEvent) -> None:
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            make_event()
            raise ZeroDivisionError
        kept = make_event()

    assert [link.event_id for link in all_links()] == [kept]


def test_the_seal_fires_once_for_all_statements_of_a_transaction(make_event: MakeEvent) -> None:
    with transaction.atomic():
        for _ in range(5):
            make_event()
        assert pending() == 1

    assert pending() == 0
    assert len(all_links()) == 5


RAW = """
    {verb} audit_auditevent (id, occurred_at, verb, actor_kind, actor_id, subject_kind, subject_id, payload)
    {rows}
"""
ROW = "gen_random_uuid(), now(), 'item.decided', 'system', 'x', 'item', '1', '{}'"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (RAW.format(verb="INSERT INTO", rows=f"VALUES ({ROW})"), 1),
        (RAW.format(verb="INSERT INTO", rows=f"SELECT {ROW} FROM generate_series(1, 30)"), 30),
        (RAW.format(verb="INSERT INTO", rows=f"SELECT {ROW} WHERE false"), 0),
        (f"WITH made AS (INSERT INTO audit_auditevent VALUES ({ROW}) RETURNING id) SELECT FROM made", 1),
        (
            "MERGE INTO audit_auditevent e USING (SELECT gen_random_uuid() AS id) n ON e.id = n.id "
            f"WHEN NOT MATCHED THEN INSERT VALUES ({ROW})",
            1,
        ),
        (f"DO $$ BEGIN FOR i IN 1..3 LOOP INSERT INTO audit_auditevent VALUES ({ROW}); END LOOP; END $$", 3),
    ],
    ids=["one row", "many rows", "no row", "in a WITH", "merge", "in a block"],
)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_rows_that_did_not_come_through_the_application_are_sealed_too(
    make_event: MakeEvent, statement: str, expected: int, role: str
) -> None:
    make_event()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL session_replication_role = {role}")
        cursor.execute(statement)

    links = all_links()
    assert len(links) == expected + 1 == AuditEvent.objects.count()
    assert chain_from(links) == bytes(AuditHead.objects.get().entry_hash)


def test_rows_that_were_copied_in_are_sealed_too(make_event: MakeEvent) -> None:
    make_event()
    with connection.cursor() as cursor, cursor.copy(RAW.format(verb="COPY", rows="FROM STDIN")) as copy:
        for number in range(200):
            copy.write_row((UUID(int=number), "2026-03-02", "item.decided", "system", "x", "item", "1", "{}"))

    assert len(all_links()) == 201


def test_rows_are_sealed_when_only_row_triggers_fire(make_event: MakeEvent) -> None:
    # As when logical replication applies rows: statement triggers do not fire, and the role is "replica".
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER audit_event_seal")
        cursor.execute("SET LOCAL session_replication_role = replica")
        make_event()

    assert len(all_links()) == 1


def test_sealing_early_and_writing_on_keeps_one_chain(make_event: MakeEvent) -> None:
    with transaction.atomic():
        make_event()
        connection.check_constraints()  # fires what is deferred, as some tools do in the middle
        make_event()
        make_event()

    links = all_links()
    assert [link.seq for link in links] == [1, 2, 3]
    assert chain_from(links) == bytes(AuditHead.objects.get().entry_hash)


def test_a_connection_that_dies_before_commit_leaves_nothing(make_event: MakeEvent, committed_db: Any) -> None:
    make_event()
    with pytest.raises(OperationalError), transaction.atomic():
        make_event()
        with psycopg.connect(**connection_parameters(), autocommit=True) as other:
            pid = connection.connection.info.backend_pid
            other.execute("SELECT pg_terminate_backend(%s)", [pid])
        make_event()
    connection.close()

    make_event()

    assert [link.seq for link in all_links()] == [1, 2]
    assert AuditEvent.objects.count() == 2


def test_eight_writers_at_once_make_one_chain_without_gaps(make_event: MakeEvent) -> None:
    errors: list[Exception] = []

    def write() -> None:
        try:
            for number in range(12):
                with transaction.atomic():
                    make_event()
                    if number % 3 == 0:
                        make_event()
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    links = all_links()
    assert errors == []
    assert [link.seq for link in links] == list(range(1, 8 * 16 + 1))
    assert chain_from(links) == bytes(AuditHead.objects.get().entry_hash)


def test_an_event_that_claims_another_transaction_cannot_commit(make_event: MakeEvent) -> None:
    refused = pytest.raises(ProgrammingError, match="another transaction")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO audit_auditevent (id, occurred_at, verb, actor_kind, actor_id, subject_kind, subject_id,
                                          payload, xact)
            VALUES (gen_random_uuid(), now(), 'item.decided', 'system', 'x', 'item', '1', '{}', '3')
            """
        )


def test_one_event_of_many_that_claims_another_transaction_stops_them_all(make_event: MakeEvent) -> None:
    with pytest.raises(ProgrammingError, match="another transaction"), connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO audit_auditevent (id, occurred_at, verb, actor_kind, actor_id, subject_kind, subject_id,
                                          payload, xact)
            SELECT gen_random_uuid(), now(), 'item.decided', 'system', 'x', 'item', '1', '{}',
                   CASE WHEN n = 7 THEN '3'::xid8 ELSE pg_current_xact_id() END
            FROM generate_series(1, 9) n
            """
        )

    assert AuditEvent.objects.count() == 0


def test_nobody_can_plant_a_pending_row_that_would_keep_a_later_transaction_unsealed(make_event: MakeEvent) -> None:
    later = "((pg_current_xact_id()::text::bigint + 1)::text::xid8)"
    with pytest.raises(ProgrammingError, match="only sealing"), connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO audit_pending VALUES ({later})")

    # From inside a trigger of one's own the first guard does not see it; the second does.
    refused = pytest.raises(ProgrammingError, match="another transaction")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE decoy (x int)")
        cursor.execute(
            "CREATE FUNCTION pg_temp.plant() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN INSERT INTO audit_pending VALUES ({later}); RETURN NEW; END $$"
        )
        cursor.execute("CREATE TRIGGER t BEFORE INSERT ON decoy FOR EACH ROW EXECUTE FUNCTION pg_temp.plant()")
        cursor.execute("INSERT INTO decoy VALUES (1)")

    make_event()
    assert len(all_links()) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_pending",
        "UPDATE audit_pending SET xact = '3'",
        "INSERT INTO audit_pending VALUES (pg_current_xact_id())",
    ],
)
def test_the_call_for_the_seal_cannot_be_taken_back(make_event: MakeEvent, statement: str) -> None:
    with pytest.raises(ProgrammingError, match=r"only sealing|append-only"), transaction.atomic():
        make_event()
        with connection.cursor() as cursor:
            cursor.execute(statement)

    assert AuditEvent.objects.count() == 0


def test_a_forged_order_of_writing_cannot_slip_past_the_seal(make_event: MakeEvent) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        make_event()
        connection.check_constraints()  # sealed half-way
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO audit_auditevent (id, occurred_at, verb, actor_kind, actor_id, subject_kind, subject_id, "
                f"payload, ordinal) OVERRIDING SYSTEM VALUE VALUES ({ROW}, -5)"
            )

    assert AuditEvent.objects.count() == len(all_links()) == 0


def test_a_table_owner_without_superuser_rights_can_write_and_seal(committed_db: Any, make_event: MakeEvent) -> None:
    role = f"{committed_db.name}_app"[-63:]
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE ROLE "{role}" NOSUPERUSER')
        try:
            for table in ("event", "link", "head", "checkpoint", "detail"):
                cursor.execute(f'ALTER TABLE audit_audit{table} OWNER TO "{role}"')
            cursor.execute(f'ALTER TABLE audit_pending OWNER TO "{role}"')
            for function in ("audit_seal", "audit_call_seal"):
                cursor.execute(f'ALTER FUNCTION {function}() OWNER TO "{role}"')
            cursor.execute(f'SET ROLE "{role}"')
            make_event(reason="because")
            with pytest.raises((ProgrammingError, InternalError)), transaction.atomic():
                cursor.execute("DELETE FROM audit_auditevent")
            cursor.execute("RESET ROLE")
        finally:
            cursor.execute("RESET ROLE")
            cursor.execute(f'REASSIGN OWNED BY "{role}" TO CURRENT_USER; DROP OWNED BY "{role}"; DROP ROLE "{role}"')

    assert AuditLink.objects.count() == 1


def test_a_writer_needs_only_insert_on_events_and_details(committed_db: Any, make_event: MakeEvent) -> None:
    role = f"{committed_db.name}_writer"[-63:]
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE ROLE "{role}" NOSUPERUSER')
        try:
            cursor.execute(f'GRANT INSERT ON audit_auditevent, audit_auditdetail TO "{role}"')
            cursor.execute(f'SET ROLE "{role}"')
            make_event(reason="because")
        finally:
            cursor.execute("RESET ROLE")
            cursor.execute(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')

    assert AuditLink.objects.count() == 1


def pending() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_pending")
        return cursor.fetchone()[0]


def connection_parameters() -> dict[str, Any]:
    parameters = connection.get_connection_params()
    return {key: parameters[key] for key in ("dbname", "user", "password", "host", "port") if parameters.get(key)}
