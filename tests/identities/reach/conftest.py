"""Sources filled through the real engine, a few records each."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from governance.kernel.actors import system_actor
from identities.models import Identity, Source, SyncMode, SyncOrigin
from identities.sync.receive import receive

ACCOUNT = "123456789012"


def role_arn(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:role/{name}"


def root_of(account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:root"


def identity(external_id: str, kind: str = "workload", **more: Any) -> dict[str, Any]:
    return {"type": "identity", "id": external_id, "kind": kind, "name": external_id.rpartition("/")[2], **more}


def grant(holder: str, dialect: str, *statements: tuple[Any, ...], number: int = 1) -> dict[str, Any]:
    """`grant("a", "aws", ("sts:AssumeRole", "*"))`; a third entry adds further fields of the statement."""
    written = [
        {"actions": each[0].split(), "resources": each[1].split(), **(each[2] if len(each) > 2 else {})}
        for each in statements
    ]
    permission = {"dialect": dialect, "statements": written}
    return {
        "type": "grant",
        "id": f"{holder}|{number}",
        "identity": holder,
        "label": f"policy {number}",
        "permission": permission,
    }


def trust(holder: str, issuer: str, subject: str = "", **more: Any) -> dict[str, Any]:
    return {
        "type": "trust",
        "id": f"{holder}|{issuer}|{subject}",
        "identity": holder,
        "issuer": issuer,
        "subject": subject,
        **more,
    }


def let_in(holder: str, principal: str, **more: Any) -> dict[str, Any]:
    """A role that trusts a principal of AWS, without further conditions unless some are given."""
    return trust(holder, f"AWS account {principal.split(':')[4]}", principal, **({"conditions": {}} | more))


@pytest.fixture
def fill(db: None) -> Callable[..., Source]:
    """`fill("prod", kind, *records)`: a source that holds just these."""

    def go(slug: str, kind: str, *records: dict[str, Any]) -> Source:
        source, _ = Source.objects.get_or_create(
            slug=slug, defaults={"name": slug, "kind": kind, "max_retire_percent": 100}
        )
        lines = [json.dumps(record).encode() for record in records]
        run = receive(
            source=source, lines=[*lines, b'{"type":"end","records":%d}' % len(lines)], actor=system_actor("test"),
            now=timezone.now(), mode=SyncMode.SNAPSHOT, is_complete=True,
            origin=SyncOrigin.API if kind == "push" else SyncOrigin.CONNECTOR,
        )  # fmt: skip
        assert run.state == "applied", run.problem
        return source

    return go


@pytest.fixture
def named() -> Callable[[str], Identity]:
    """The identity of this name."""
    return lambda name: Identity.objects.get(name=name)
