"""An estate of a few identities, read like any other, and judged by the engine itself."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from governance.kernel.actors import Actor, system_actor
from identities.models import Identity, IdentityPosture, Source
from identities.posture.evaluate import evaluate_changes
from tests.identities.sync.conftest import NOW, Records, make_source, send  # noqa: F401 - fixtures

ADMIN = {"dialect": "aws", "statements": [{"actions": ["*"], "resources": ["*"]}]}
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def actor() -> Actor:
    return system_actor("test")


def estate() -> list[dict[str, Any]]:
    """Three identities: one may everything, one reads a queue, one holds nothing."""
    return [
        Records.identity("admin", created_at="2025-01-01T00:00:00Z"),
        Records.identity("reader"),
        Records.identity("idle"),
        Records.credential("AKIA1", "admin", created_at="2025-06-01T00:00:00Z", never_expires=True),
        Records.grant("all", "admin", permission=ADMIN),
        Records.grant("orders", "reader"),
    ]


@pytest.fixture
def source(db: None, make_source: Callable[..., Source]) -> Source:  # noqa: F811
    return make_source()


@pytest.fixture
def judged(source: Source, send: Callable[..., Any]) -> Source:  # noqa: F811
    """The estate, read and judged."""
    send(source, estate())
    evaluate_changes(now=LATER)
    return source


def posture(name: str) -> IdentityPosture:
    return IdentityPosture.objects.select_related("identity").get(identity__external_id=name)


def identity(name: str) -> Identity:
    return Identity.objects.get(external_id=name)
