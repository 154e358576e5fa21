"""An estate with a past: readings at chosen moments through the real engine."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from governance.kernel.actors import Role, system_actor
from governance.people.models import User
from identities.models import Identity, Source, SyncMode, SyncOrigin, SyncRun
from identities.sync.receive import receive


@pytest.fixture
def source(db: None) -> Source:
    return Source.objects.create(
        slug="ledger", name="Ledger", kind="push", environment="production", max_retire_percent=100
    )


@pytest.fixture
def read_at() -> Callable[..., SyncRun]:
    """`read_at(source, day(1), records)`: a complete snapshot that was made at that moment."""

    def go(source: Source, at: datetime, records: list[dict[str, Any]], **more: Any) -> SyncRun:
        lines = [json.dumps(record).encode() for record in records]
        wish = {"mode": SyncMode.SNAPSHOT, "is_complete": True, "origin": SyncOrigin.API} | more
        run = receive(
            source=source,
            lines=[*lines, b'{"type":"end","records":%d}' % len(lines)],
            actor=system_actor("test"),
            now=at,
            observed_at=at,
            **wish,
        )
        assert run.state == "applied", run.problem
        return run

    return go


@pytest.fixture
def day() -> Callable[..., datetime]:
    """`day(3)`: noon of the third of March 2026, UTC."""
    return lambda number, hour=12: datetime(2026, 3, number, hour, tzinfo=UTC)


@pytest.fixture
def identity() -> Callable[..., dict[str, Any]]:
    return lambda id_, **more: {"type": "identity", "id": id_, "name": id_, "kind": "workload", **more}


@pytest.fixture
def grant() -> Callable[..., dict[str, Any]]:
    """`grant("g", "etl", permission, label="…")`; a permission is given as its dialect and statements."""

    def make(name: str, holder: str, dialect: str, *statements: dict[str, Any], **more: Any) -> dict[str, Any]:
        permission = {"dialect": dialect, "statements": list(statements)}
        return {"type": "grant", "id": name, "identity": holder, "permission": permission, **more}

    return make


@pytest.fixture
def find() -> Callable[[str], Identity]:
    return lambda name: Identity.objects.get(external_id=name)


@pytest.fixture
def browse(sign_in: Callable[..., Client]) -> Callable[[User], Client]:
    return lambda user: sign_in(Client(), user, method="password+totp")


@pytest.fixture
def admin(make_user: Callable[..., User], browse: Callable[..., Client]) -> Client:
    return browse(make_user(Role.ADMINISTRATOR))
