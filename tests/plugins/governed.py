"""A PostgreSQL server to govern: real roles, real passwords, a connector without superuser rights.

It is not the server that the product keeps its own data in, so a test may stop it, lock it and kill its sessions.
"""

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from governance.embedded.postgres import Server

PASSWORD = "only-for-tests-4711"
CONNECTOR_PASSWORD = "Xq-connector-secret-93"
PASSWORD_FILE = "governed-password"


class Governed:
    """One database with its roles, fresh for a test: `app`, `group` (a role it may be put in), `keeper`, `connector`.

    Names carry a prefix of their own. `keeper` owns the tables `payments` and `refunds`, one row each.
    """

    def __init__(self, server: Server, secret: Path) -> None:
        self._server, self._secret = server, secret
        prefix = f"g{uuid.uuid4().hex[:8]}"
        self.database = f"{prefix}_ledger"
        self.app, self.group = f"{prefix}_app", f"{prefix}_group"
        self.keeper, self.connector = f"{prefix}_keeper", f"{prefix}_connector"

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a source row."""
        return {
            "host": str(self._server.socket_folder),
            "dbname": self.database,
            "user": self.connector,
            "password": f"file:{self._secret}",
            "lock_timeout": 1,
            "connect_timeout": 2,
        }

    @property
    def admin_url(self) -> str:
        """The superuser's, for locks."""
        return self._server.admin_url(self.database)

    def create(self) -> None:
        with self._connect("postgres") as admin:
            for role in (self.group, self.keeper):
                admin.execute(f"CREATE ROLE {role} NOLOGIN")
            for role, password in ((self.app, PASSWORD), (self.connector, CONNECTOR_PASSWORD)):
                admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
            admin.execute(f"ALTER ROLE {self.connector} CREATEROLE")
            admin.execute(f"GRANT pg_signal_backend, pg_read_all_stats TO {self.connector}")
            admin.execute(f"GRANT {self.keeper} TO {self.connector} WITH INHERIT FALSE, SET TRUE")
            for role in (self.app, self.group):
                admin.execute(f"GRANT {role} TO {self.connector} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
            admin.execute(f"CREATE DATABASE {self.database} OWNER {self.keeper}")
        self.run(
            f"SET ROLE {self.keeper}",
            "CREATE TABLE payments (id int PRIMARY KEY, amount int)",
            "CREATE TABLE refunds (id int PRIMARY KEY, amount int)",
            "INSERT INTO payments VALUES (1, 10)",
            "INSERT INTO refunds VALUES (1, 10)",
        )

    def drop(self) -> None:
        with self._connect("postgres") as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")
            admin.execute(f"DROP ROLE IF EXISTS {self.app}, {self.group}, {self.keeper}, {self.connector}")

    def run(self, *statements: str) -> None:
        """As the superuser, one connection, each statement by itself."""
        with self._connect() as admin:
            for statement in statements:
                admin.execute(statement)

    def give(self, *statements: str) -> None:
        """As the tables' owner, who then is the grantor."""
        self.run(f"SET ROLE {self.keeper}", *statements)

    def ask(self, query: str, *parameters: Any) -> Any:
        """The first column of the first row, asked by the superuser."""
        with self._connect() as admin:
            row = admin.execute(query, parameters or None).fetchone()
        return row[0] if row else None

    def acl(self, table: str = "payments") -> set[str]:
        """The table's access control list, as the server writes it."""
        return set(self.ask("SELECT coalesce(relacl::text[], '{}') FROM pg_class WHERE relname = %s", table))

    def sign_in(self, role: str = "", password: str = PASSWORD) -> psycopg.Connection[Any]:
        """A client's own session, with its password."""
        return psycopg.connect(
            host=str(self._server.socket_folder),
            dbname=self.database,
            user=role or self.app,
            password=password,
            autocommit=True,
            connect_timeout=5,
        )

    def can(self, statement: str, role: str = "") -> bool:
        """Whether the server lets a client of this role execute the statement (which leaves nothing behind)."""
        with self.sign_in(role) as client:
            try:
                with client.transaction(force_rollback=True):
                    client.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                return False
        return True

    def hold(self, *tables: str) -> psycopg.Connection[Any]:
        """Whoever wants to change these tables' rights waits until this connection is closed."""
        holder = psycopg.connect(self.admin_url)
        holder.execute("SELECT 1 FROM pg_class WHERE relname = ANY (%s) FOR UPDATE", [list(tables)])
        return holder

    def waiting(self) -> int:
        """How many sessions of the connector wait for somebody's lock right now."""
        return int(
            self.ask(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND wait_event_type = 'Lock'", self.connector
            )
        )

    def _connect(self, database: str = "") -> psycopg.Connection[Any]:
        return psycopg.connect(self._server.admin_url(database or self.database), autocommit=True)


@pytest.fixture(scope="session")
def governed_server() -> Iterator[Server]:
    """Passwords are asked for, nothing is durable, nobody else uses it."""
    folder = Path(os.environ["REMIT_TEST_SCRATCH"]) / f"governed-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    server = Server(folder, log=folder.with_suffix(".log"), durable=False)
    process = server.start()[1]
    yield server
    process.send_signal(signal.SIGINT)
    process.wait(30)


@pytest.fixture
def governed(governed_server: Server, tmp_path: Path) -> Iterator[Governed]:
    """A database with an application's role that holds nothing yet."""
    secret = tmp_path / PASSWORD_FILE
    secret.write_text(CONNECTOR_PASSWORD)
    place = Governed(governed_server, secret)
    place.create()
    yield place
    place.drop()
