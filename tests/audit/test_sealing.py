"""The database seals at commit: one chain, no forks, no gaps, nothing from transactions that did not commit."""

import hashlib
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import InternalError, OperationalError, ProgrammingError, connection, connections, transaction

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


def test_a_table_owner_without_superuser_rights_can_write_and_seal(committed_db: Any, make_event: MakeEvent) -> None:
    role = f"{committed_db.name}_app"[-63:]
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE ROLE "{role}" NOSUPERUSER')
        try:
            for table in ("event", "link", "head", "checkpoint", "detail"):
                cursor.execute(f'ALTER TABLE audit_audit{table} OWNER TO "{role}"')
            cursor.execute(f'ALTER FUNCTION audit_seal() OWNER TO "{role}"')
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


def connection_parameters() -> dict[str, Any]:
    parameters = connection.get_connection_params()
    return {key: parameters[key] for key in ("dbname", "user", "password", "host", "port") if parameters.get(key)}
