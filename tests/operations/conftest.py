"""A second, empty place beside the test's database, and an installation with something in it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import connections, transaction
from django.utils import timezone
from psycopg import sql

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from tests.database import CommittedDatabase, _drop, _execute, _point_to
from tests.reviews import conftest as make


@pytest.fixture
def folders(settings: Any, tmp_path: Path) -> Callable[[str], SimpleNamespace]:
    """`folders("a")`: everything outside the database goes below a folder of this name from now on."""

    def use(name: str) -> SimpleNamespace:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        settings.DATA_DIR = root
        settings.AUDIT_CHECKPOINT_DIR = root / "checkpoints"
        settings.EVIDENCE_DIR = root / "evidence"
        settings.AUDIT_KEY_FILE = root / "keys" / "audit.pem"
        settings.WEBHOOK_KEY_FILE = root / "keys" / "webhook.key"
        settings.STATIC_ROOT = root / "static"
        return SimpleNamespace(root=root, checkpoints=root / "checkpoints", keys=root / "keys")

    use("first")
    return use


@pytest.fixture
def elsewhere(committed_db: CommittedDatabase) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """`with elsewhere():` works in a database that is empty the first time."""
    name = f"{committed_db.name[:50]}_else"
    _execute("CREATE DATABASE {name} TEMPLATE template0", name=sql.Identifier(name))

    @contextmanager
    def go() -> Iterator[None]:
        _point_to(name)
        try:
            yield
        finally:
            connections.close_all()
            _point_to(committed_db.name)

    yield go
    connections.close_all()
    assert django_settings.DATABASES["default"]["NAME"] == committed_db.name
    _drop(name)


@pytest.fixture(name="make")
def make_fixture() -> Any:
    """The factories of reviews, and `write_event`, `write_session`."""

    def write_event() -> None:
        with transaction.atomic():
            log.record(
                verb=Verb.USER_SIGNED_IN,
                actor=system_actor("test"),
                subject=log.Subject("user", "somebody"),
                now=timezone.now(),
            )

    def write_session(user: Any) -> None:
        store = SessionStore()
        store["user"] = str(user.pk)
        store.save()

    return SimpleNamespace(**vars(make), write_event=write_event, write_session=write_session)
