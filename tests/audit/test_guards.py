"""The database refuses to change the trail, whoever asks."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import ProgrammingError, connection, transaction

from governance.audit import drift, triggers
from governance.audit.models import AuditDetail, AuditEvent, AuditLink
from governance.kernel.actors import Actor

MakeEvent = Callable[..., UUID]

STATEMENTS = [
    "UPDATE audit_auditevent SET verb = 'item.recalled'",
    "DELETE FROM audit_auditevent",
    "TRUNCATE audit_auditevent",
    "UPDATE audit_auditlink SET seq = seq + 1",
    "DELETE FROM audit_auditlink",
    "TRUNCATE audit_auditlink",
    "INSERT INTO audit_auditlink SELECT seq + 1, gen_random_uuid(), payload_hash, prev_hash, entry_hash, leaf_hash FROM audit_auditlink",
    "UPDATE audit_audithead SET seq = 0",
    "DELETE FROM audit_audithead",
    "TRUNCATE audit_audithead",
    "UPDATE audit_auditcheckpoint SET size = 2",
    "DELETE FROM audit_auditcheckpoint",
    "TRUNCATE audit_auditcheckpoint",
    "UPDATE audit_auditdetail SET text = '{}'",
    "UPDATE audit_auditdetail SET salt = '\\x00'",
    "DELETE FROM audit_auditdetail",
    "TRUNCATE audit_auditdetail",
    "TRUNCATE audit_auditevent CASCADE",
    "INSERT INTO audit_pending VALUES (pg_current_xact_id())",
    "TRUNCATE audit_pending",
]


def fill(make_event: MakeEvent) -> None:
    make_event(reason="because")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_auditcheckpoint (id, origin, size, root, note, frontier, signed_at) "
            "VALUES (gen_random_uuid(), 'o', 1, '', '', '', now())"
        )


@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_database_refuses(committed_db: Any, make_event: MakeEvent, statement: str) -> None:
    fill(make_event)

    with pytest.raises(ProgrammingError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert refusal.value.__cause__.sqlstate == "42501"


@pytest.mark.parametrize("statement", STATEMENTS)
def test_pretending_to_be_a_replica_does_not_help(committed_db: Any, make_event: MakeEvent, statement: str) -> None:
    fill(make_event)

    refused = pytest.raises(ProgrammingError, match=r"append-only|only sealing|only be erased")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement)


def test_rows_are_sealed_even_when_pretending_to_be_a_replica(committed_db: Any, make_event: MakeEvent) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        make_event()

    assert AuditLink.objects.count() == 1


def test_an_erased_detail_cannot_be_written_again(committed_db: Any, make_event: MakeEvent, now: datetime) -> None:
    make_event(reason="because")
    AuditDetail.objects.update(salt=None, text=None, erased_at=now)

    with pytest.raises(ProgrammingError, match="only be erased"):
        AuditDetail.objects.update(salt=b"0", text="{}", erased_at=None)


def test_the_orm_is_refused_too(db: None, make_event: MakeEvent) -> None:
    make_event()

    with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic():
        AuditEvent.objects.all().delete()


def test_installed_guards_are_intact(db: None) -> None:
    assert drift.broken_guards() == []
    assert drift.guards_intact()


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("ALTER TABLE audit_auditevent DISABLE TRIGGER audit_event_no_change", "switched off"),
        ("ALTER TABLE audit_auditevent ENABLE TRIGGER audit_event_seal", "switched off"),
        ("DROP TRIGGER audit_link_no_truncate ON audit_auditlink", "missing"),
        (
            "CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
            "not the one",
        ),
        (
            "CREATE OR REPLACE FUNCTION audit_chain_step(state bytea, start bytea, seq bigint, payload_hash bytea) "
            "RETURNS bytea LANGUAGE sql IMMUTABLE AS 'SELECT start'",
            "not the one",
        ),
        (
            "DROP TRIGGER audit_event_own_transaction ON audit_auditevent; CREATE TRIGGER audit_event_own_transaction "
            "AFTER INSERT ON audit_auditevent FOR EACH ROW WHEN (new.xact < pg_current_xact_id()) EXECUTE FUNCTION "
            "audit_own_transaction(); ALTER TABLE audit_auditevent ENABLE ALWAYS TRIGGER audit_event_own_transaction",
            "not the one",
        ),
        (
            "DROP TRIGGER audit_pending_seal ON audit_pending; CREATE CONSTRAINT TRIGGER audit_pending_seal AFTER INSERT "
            "ON audit_pending DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (false) EXECUTE FUNCTION audit_seal(); "
            "ALTER TABLE audit_pending ENABLE ALWAYS TRIGGER audit_pending_seal",
            "not the one",
        ),
        ("ALTER TABLE audit_pending DISABLE TRIGGER audit_pending_seal", "switched off"),
        ("ALTER TABLE audit_pending DISABLE TRIGGER audit_pending_own_transaction", "switched off"),
        ("DROP TABLE audit_pending", "missing"),
        (
            "ALTER TABLE audit_pending RENAME TO elsewhere; CREATE VIEW audit_pending AS SELECT * FROM elsewhere",
            "missing",
        ),
        (
            "DROP TRIGGER audit_event_no_change ON audit_auditevent; CREATE TRIGGER audit_event_no_change BEFORE UPDATE "
            "OR DELETE ON audit_auditevent FOR EACH ROW WHEN (false) EXECUTE FUNCTION audit_refuse_change(); "
            "ALTER TABLE audit_auditevent ENABLE ALWAYS TRIGGER audit_event_no_change",
            "not the one",
        ),
    ],
)
def test_a_guard_that_was_tampered_with_is_found(db: None, statement: str, found: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)

    assert not drift.guards_intact()
    assert any(found in sentence for sentence in drift.broken_guards())


def test_the_system_check_speaks_of_a_broken_guard(db: None) -> None:
    from governance.audit.checks import check_guards

    assert check_guards(databases=["default"]) == []
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER audit_event_seal ON audit_auditevent")

    (error,) = check_guards(databases=["default"])
    assert "audit_event_seal" in error.msg


def test_the_system_check_lets_migrate_install_what_is_new(db: None) -> None:
    from governance.audit.checks import check_guards

    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE audit_pending")
        cursor.execute("DELETE FROM django_migrations WHERE app = 'audit' AND name LIKE '0003%'")

    assert check_guards(databases=["default"]) == []


@pytest.mark.parametrize("damage", ["DROP TRIGGER audit_event_seal ON audit_auditevent", "DROP TABLE audit_pending"])
def test_installing_the_guards_again_mends_them(db: None, damage: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(damage)
        cursor.execute(triggers.install_sql())

    assert drift.guards_intact()


def test_nothing_in_the_trail_has_a_foreign_key(db: None, actor: Actor) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text FROM pg_constraint "
            "WHERE contype = 'f' AND conrelid::regclass::text LIKE 'audit\\_%'"
        )
        assert cursor.fetchall() == []
