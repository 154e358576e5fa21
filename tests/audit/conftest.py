"""Builders for the trail's tests."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from governance.audit.actions import Verb
from governance.audit.log import Subject, record
from governance.kernel.actors import Actor, ActorKind, Role

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def actor() -> Actor:
    return Actor(
        kind=ActorKind.PERSON,
        id="7f1f4a52-6f0e-4b0d-9b1c-0d8a3f7f0001",
        label="a person",
        roles=frozenset({Role.ADMINISTRATOR}),
        auth_method="password+totp",
        request_id="req-1",
    )


@pytest.fixture
def make_event(actor: Actor) -> Callable[..., UUID]:
    """Record one event in a transaction of its own and return its id; keywords override."""

    def make(**overrides: Any) -> UUID:
        facts: dict[str, Any] = {
            "verb": Verb.ITEM_DECIDED,
            "actor": actor,
            "subject": Subject("item", "item-1", "Item 1"),
            "now": NOW,
            "new": {"answer": "revoke"},
        }
        with transaction.atomic():
            return record(**facts | overrides)

    return make


@pytest.fixture
def outside(settings: Any, tmp_path: Path) -> Path:
    """The folder for checkpoints, and a key, for this test alone."""
    settings.AUDIT_CHECKPOINT_DIR = tmp_path / "checkpoints"
    settings.AUDIT_KEY_FILE = tmp_path / "keys" / "audit.pem"
    settings.AUDIT_ORIGIN = "test.example/audit/1"
    return settings.AUDIT_CHECKPOINT_DIR


@pytest.fixture
def tamper(committed_db: Any) -> Callable[..., None]:
    """Run SQL as somebody who owns the tables and switched the triggers off for the moment."""

    def run(statement: str, parameters: list[Any] | None = None) -> None:
        tables = (
            "audit_auditevent",
            "audit_auditlink",
            "audit_audithead",
            "audit_auditcheckpoint",
            "audit_auditdetail",
        )
        with transaction.atomic(), connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            cursor.execute(statement, parameters)
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
                cursor.execute(
                    "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", [table]
                )
                for (name,) in cursor.fetchall():
                    cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")

    return run
