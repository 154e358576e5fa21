"""Builders for readings: a source that pushes, records, and a short way to send them."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from governance.kernel.actors import Actor, system_actor
from identities.models import Source, SyncMode, SyncOrigin, SyncRun
from identities.sync.receive import receive

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
READ_ORDERS = {
    "dialect": "aws",
    "statements": [{"actions": ["sqs:ReceiveMessage"], "resources": ["arn:aws:sqs:*:*:orders"]}],
}
ALL_OF_S3 = {"dialect": "aws", "statements": [{"actions": ["s3:*"], "resources": ["*"]}]}

INVENTORY_TABLES = (
    "identities_identity",
    "identities_credential",
    "identities_grant",
    "identities_grantversion",
    "identities_trustrelation",
    "identities_usage",
    "identities_usagewindow",
    "identities_change",
    "audit_auditevent",
)


class Records:
    """Records with the fewest members; keywords add or replace."""

    @staticmethod
    def identity(name: str, /, **more: Any) -> dict[str, Any]:
        return {"type": "identity", "id": name, "kind": "service_account", **more}

    @staticmethod
    def credential(name: str, identity: str, /, **more: Any) -> dict[str, Any]:
        return {"type": "credential", "id": name, "identity": identity, "kind": "access_key", **more}

    @staticmethod
    def grant(name: str, identity: str, /, **more: Any) -> dict[str, Any]:
        return {"type": "grant", "id": name, "identity": identity, "permission": READ_ORDERS, **more}

    @staticmethod
    def trust(name: str, identity: str, /, **more: Any) -> dict[str, Any]:
        return {"type": "trust", "id": name, "identity": identity, "issuer": "https://issuer.example.org", **more}

    @staticmethod
    def usage(identity: str, /, **more: Any) -> dict[str, Any]:
        seen = {"last_seen_at": "2026-11-20T08:00:00Z", "count": 3}
        return {
            "type": "usage",
            "identity": identity,
            "action": "sqs:ReceiveMessage",
            "resource": "orders",
            **seen,
            **more,
        }

    @staticmethod
    def window(**more: Any) -> dict[str, Any]:
        span = {"from": "2026-08-01T00:00:00Z", "until": "2026-11-23T00:00:00Z"}
        return {
            "type": "usage_window",
            "log": "cloudtrail",
            **span,
            "observable": {"actions": ["*"], "resources": ["*"]},
            **more,
        }

    @staticmethod
    def retire(of: str, name: str) -> dict[str, Any]:
        return {"type": "retire", "of": of, "id": name}


@pytest.fixture
def records() -> type[Records]:
    return Records


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def actor() -> Actor:
    return system_actor("test")


@pytest.fixture
def make_source() -> Callable[..., Source]:
    """A source that pushes. Needs a database fixture of the test's own choice."""

    def make(slug: str = "aws-production", **fields: Any) -> Source:
        facts = {"name": "AWS production", "kind": "push", "environment": "production", "max_retire_percent": 100}
        return Source.objects.create(slug=slug, **(facts | fields))

    return make


def lines_of(records: Iterable[dict[str, Any]], *, end: bool = True) -> list[bytes]:
    lines = [json.dumps(record).encode() for record in records]
    return [*lines, b'{"type":"end","records":%d}' % len(lines)] if end else lines


@pytest.fixture
def as_lines() -> Callable[..., list[bytes]]:
    return lines_of


@pytest.fixture
def send(actor: Actor) -> Callable[..., SyncRun]:
    """`send(source, records)`: a complete snapshot, one minute after the one before; keywords override."""
    clock = {"now": NOW}

    def go(source: Source, records: Iterable[Any], *, end: bool = True, **request: Any) -> SyncRun:
        clock["now"] += timedelta(minutes=1)
        listed = list(records)
        lines = request.pop("lines", None) or (
            listed if listed and isinstance(listed[0], bytes) else lines_of(listed, end=end)
        )
        wish = {"mode": SyncMode.SNAPSHOT, "origin": SyncOrigin.API, "actor": actor, "now": clock["now"]}
        wish |= {"is_complete": request.get("mode") != SyncMode.DELTA} | request
        return receive(source=source, lines=lines, **wish)

    return go


@pytest.fixture
def checksums() -> Callable[[], dict[str, str]]:
    """The content of every table that a reading may change, as one checksum per table."""

    def compute() -> dict[str, str]:
        found = {}
        with connection.cursor() as cursor:
            for table in INVENTORY_TABLES:
                cursor.execute(f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t")
                found[table] = cursor.fetchone()[0]
        return found

    return compute
