"""A database of its own for a test that must really commit.

The trail refuses TRUNCATE, so Django's `transaction=True`, which empties tables afterwards, cannot be used. Instead
the migrated test database is copied once per worker, and each such test works in a fresh copy of that copy
(about 0.1 s) that is dropped afterwards. Works the same under xdist.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from django.test.utils import setup_databases
from psycopg import sql


@dataclass(frozen=True, slots=True)
class CommittedDatabase:
    """`url` is a DATABASE_URL for child processes (workers, servers) that shall see the same data."""

    name: str
    url: str


@pytest.fixture(scope="session")
def django_db_setup(
    request: pytest.FixtureRequest,
    django_test_environment: None,
    django_db_modify_db_settings: None,
    django_db_blocker: Any,
    django_db_keepdb: bool,
    django_db_createdb: bool,
) -> Iterator[None]:
    """The migrated test database, as pytest-django makes it, but also when only `committed_db` asks for it.

    Migrating takes much longer than copying, so xdist workers after the first copy what that one has migrated.
    """
    keep = django_db_keepdb
    with django_db_blocker.unblock(), _in_turn() as migrated:
        if migrated.exists() and not keep:
            made = _copy_of(migrated.read_text())
        else:
            made = setup_databases(
                verbosity=request.config.option.verbose,
                interactive=False,
                aliases={"default"},
                serialized_aliases=set(),
                keepdb=keep and not django_db_createdb,
            )
            if "PYTEST_XDIST_WORKER" in os.environ and not keep:
                migrated.write_text(_make_pristine())
    yield
    if not keep:
        with django_db_blocker.unblock():
            _drop_pristine(_pristine_name())
            _remove(made)


@pytest.fixture(scope="session")
def pristine_database(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """A copy of the freshly migrated test database that nobody ever connects to, so it can be copied at any time."""
    name = _pristine_name()
    with django_db_blocker.unblock(), _in_turn() as migrated:
        if not (migrated.exists() and migrated.read_text() == name):
            _make_pristine()
    yield name
    with django_db_blocker.unblock():
        _drop_pristine(name)


@pytest.fixture
def committed_db(pristine_database: str, django_db_blocker: Any) -> Iterator[CommittedDatabase]:
    """Commits, several connections and threads: everything works as in production, in a copy for this test alone.

    Use it instead of the `db` fixture and of `django_db` marks, never together with them.
    """
    connection = connections["default"]
    if connection.in_atomic_block:
        pytest.fail("committed_db cannot be combined with db or django_db: those wrap the test in a transaction")
    original = connection.settings_dict["NAME"]
    name = f"{original}_{os.urandom(3).hex()}"[-63:]
    with django_db_blocker.unblock():
        _copy(pristine_database, name)
        _point_to(name)
        try:
            yield CommittedDatabase(name, _url(connection.settings_dict))
        finally:
            connections.close_all()
            _point_to(original)
            _drop(name)


@contextmanager
def _in_turn() -> Iterator[Path]:
    """One xdist worker after the other; the file names the pristine database of the one that migrated."""
    place = Path(os.environ["REMIT_TEST_SCRATCH"]) / "migrated"
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place


def _copy_of(pristine: str) -> list[tuple[Any, str, bool]]:
    """This worker's test database, copied; what `setup_databases` would return."""
    connection = connections["default"]
    original = connection.settings_dict["NAME"]
    name = connection.creation._get_test_db_name()
    _drop(name)
    _copy(pristine, name)
    _point_to(name)
    return [(connection, original, True)]


def _pristine_name() -> str:
    return f"{connections['default'].settings_dict['NAME']}_pristine"[-63:]


def _make_pristine() -> str:
    connection, name = connections["default"], _pristine_name()
    connection.close()
    _drop(name)
    _copy_alone(connection.settings_dict["NAME"], name)
    return name


def _drop_pristine(name: str) -> None:
    with _in_turn() as migrated:
        if migrated.exists() and migrated.read_text() == name:
            migrated.unlink()
        _drop(name)


def _point_to(name: str) -> None:
    # Every thread's connection object shares this dictionary.
    connections["default"].close()
    connections["default"].settings_dict["NAME"] = name
    settings.DATABASES["default"]["NAME"] = name


def _remove(made: list[tuple[Any, str, bool]]) -> None:
    """Drop what `setup_databases` made, by force: a live server's thread may still hold a session at the very end."""
    for connection, original, is_ours in made:
        name = connection.settings_dict["NAME"]
        connection.close()
        if is_ours:
            _drop(name)
        connection.settings_dict["NAME"] = original


def _copy_alone(source: str, name: str) -> None:
    """A copy of a database that others may still be leaving: threads of a live server close late."""
    for attempt in range(50):
        _execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {source}",
            source=sql.Literal(source),
        )
        try:
            _copy(source, name)
        except psycopg.errors.ObjectInUse:
            if attempt == 49:
                raise
            time.sleep(0.1)
        else:
            return


def _copy(source: str, name: str) -> None:
    # In memory, copying files is cheaper than writing every page to the log first, which is the server's own choice.
    in_memory = os.environ["REMIT_TEST_SCRATCH"].startswith("/dev/shm/")
    _execute(
        "CREATE DATABASE {name} TEMPLATE {source} STRATEGY {how}",
        name=sql.Identifier(name),
        source=sql.Identifier(source),
        how=sql.SQL("FILE_COPY" if in_memory else "WAL_LOG"),
    )


def _drop(name: str) -> None:
    _execute("DROP DATABASE IF EXISTS {name} WITH (FORCE)", name=sql.Identifier(name))


def _execute(statement: str, **parts: sql.Composable) -> None:
    parameters = connections["default"].get_connection_params() | {"dbname": "postgres"}
    known = {key: value for key, value in parameters.items() if key in {"dbname", "user", "password", "host", "port"}}
    with psycopg.connect(**known, autocommit=True) as admin:
        admin.execute(sql.SQL(statement).format(**parts))


def _url(database: dict[str, Any]) -> str:
    user = quote(database["USER"] or "", safe="")
    password = f":{quote(database['PASSWORD'], safe='')}" if database["PASSWORD"] else ""
    port = f":{database['PORT']}" if database["PORT"] else ""
    host = str(database["HOST"] or "")
    options = {
        key: value
        for key, value in database["OPTIONS"].items()
        if isinstance(value, str | int) and key != "isolation_level"
    }
    if host.startswith("/"):
        host, options = "", options | {"host": host}
    query = f"?{urlencode(options)}" if options else ""
    return f"postgresql://{user}{password}@{host}{port}/{quote(database['NAME'], safe='')}{query}"
