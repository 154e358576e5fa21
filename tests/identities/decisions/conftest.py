"""Fixtures of decisions: a small world, and a process that remembers nothing of other tests."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from identities.pdp import logging
from identities.pdp.deciding import decide
from identities.pdp.freshness import MEMORY
from identities.pdp.requests import Decision
from tests.identities.decisions.world import NOW, World, question


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """No test finds what another one remembered or gathered."""
    MEMORY.forget()
    yield
    MEMORY.forget()
    logging.RECORDER._gathered = logging._Gathered()
    logging.RECORDER._stop_waiting()


@pytest.fixture
def world(db: None) -> World:
    return World()


@pytest.fixture
def ask() -> Callable[..., Decision]:
    """`ask("agent", "read_file", "server:files")`: the decision as of NOW; keywords are parts of the request."""

    def go(*args: Any, now: datetime = NOW, **more: Any) -> Decision:
        return decide(question(*args, **more), now=now)

    return go
