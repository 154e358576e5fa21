"""A governed database of its own for every test, on the real server of the test run.

Roles belong to the whole server, so every name here begins with a random prefix, and everything with that prefix is
removed afterwards. The connector works as an ordinary role with just the rights that docs/connectors.md asks for.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings
from psycopg import sql

from governance.kernel.permissions import Permission
from identities.connectors.contract import GrantRef
from identities.connectors.postgresql import PostgreSQL

PASSWORD = "only-for-this-test"


def server_address() -> dict[str, Any]:
    database = django_settings.DATABASES["default"]
    host = database.get("HOST") or database.get("OPTIONS", {}).get("host") or "/var/run/postgresql"
    return {
        "host": host,
        "port": int(database.get("PORT") or 5432),
        "user": database.get("USER") or "postgres",
        "password": database.get("PASSWORD") or "",
    }


@dataclass
class Governed:
    """One governed database: set it up with `run`, act in it with `sign_in`, look at it through `connector`."""

    prefix: str
    address: dict[str, Any]
    version: int = 0
    admin: psycopg.Connection[Any] = field(init=False)

    def name(self, short: str) -> str:
        return f"{self.prefix}{short}"

    @property
    def database(self) -> str:
        return self.name("db")

    def run(self, text: str, *, acting: str = "owner") -> list[Any]:
        """Run SQL in the governed database. `{word}` stands for the quoted, prefixed role of that name."""
        self.admin.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(self.name(acting))) if acting else "RESET ROLE")
        try:
            cursor = self.admin.execute(self.fill(text).encode())
            return cursor.fetchall() if cursor.description else []
        finally:
            self.admin.execute("RESET ROLE")

    def fill(self, text: str) -> str:
        def quoted(match: re.Match[str]) -> str:
            return sql.Identifier(self.name(match.group(1))).as_string(None)

        return re.sub(r"\{([^{}]+)\}", quoted, text)

    def make_role(self, short: str, options: str = "LOGIN") -> str:
        """A service account (or, NOLOGIN, a group), made by the administrator as it would be in production."""
        password = f" PASSWORD '{PASSWORD}'" if " LOGIN" in f" {options}" else ""
        self.run(f"CREATE ROLE {{{short}}} {options}{password}", acting="administrator")
        return self.name(short)

    def sign_in(self, short: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=self.address["host"], port=self.address["port"], dbname=self.database, user=self.name(short),
            password=PASSWORD, autocommit=True,
        )  # fmt: skip

    def can(self, short: str, statement: str) -> bool:
        """Whether a real connection as this role may run the statement."""
        with self.sign_in(short) as connection:
            try:
                connection.execute(self.fill(statement).encode())
            except psycopg.errors.InsufficientPrivilege:
                return False
            return True

    def connector(self, **changes: Any) -> PostgreSQL:
        values = {
            "host": self.address["host"], "port": self.address["port"], "dbname": [self.database],
            "user": self.name("connector"), "sslmode": "prefer", "lock_timeout": 2,
        }  # fmt: skip
        return PostgreSQL(values | changes, {"password": PASSWORD})

    def records(self, kind: str, short: str | None = None) -> list[dict[str, Any]]:
        """What the connector reads: of one identity, or of every role with this test's prefix."""
        found = [record for record in self.connector().read() if record["type"] == kind]
        key = "id" if kind == "identity" else "identity"
        if short is not None:
            return [record for record in found if record[key] == self.name(short)]
        return [record for record in found if record[key].startswith(self.prefix)]

    def grant(self, short: str, kind: str, having: str = "", *, by: str = "") -> GrantRef:
        """The one grant of this kind that the inventory would show (whose label holds `having`, granted by `by`)."""
        found = [
            record
            for record in self.records("grant", short)
            if record["native_ref"]["kind"] == kind
            and having in record["label"]
            and (not by or record["native_ref"]["grantor"]["name"] == self.name(by))
        ]
        assert len(found) == 1, [record["label"] for record in found]
        record = found[0]
        return GrantRef(
            identity=record["identity"],
            external_id=record["id"],
            permission=Permission.from_json(record["permission"]),
            path=record["path"],
            native_ref=record["native_ref"],
        )

    def permission(self, *statements: tuple[list[str], list[str]]) -> Permission:
        """A target. `db` in a resource stands for this database."""
        return Permission.from_json({
            "dialect": "postgresql",
            "statements": [
                {"actions": actions, "resources": [name.replace(":db/", f":{self.database}/") for name in resources]}
                for actions, resources in statements
            ],
        })  # fmt: skip

    def resource(self, text: str) -> str:
        return text.replace(":db/", f":{self.database}/")

    def acl(self, kind: str = "pg_class", column: str = "relacl", where: str = "") -> set[tuple[Any, ...]]:
        """The meaning of every access control list of one catalogue, in a comparable form."""
        rows = self.admin.execute(
            f"SELECT c.oid, a.grantor, a.grantee, a.privilege_type, a.is_grantable FROM {kind} c,"
            f" aclexplode(c.{column}) a {where}".encode()
        )
        return set(rows.fetchall())


def _set_up(governed: Governed) -> None:
    root = {**governed.address, "dbname": "postgres", "autocommit": True}
    with psycopg.connect(**root) as server:
        governed.version = server.info.server_version // 10_000
        server.execute(
            governed.fill("CREATE ROLE {owner} NOLOGIN; CREATE ROLE {administrator} NOLOGIN CREATEROLE").encode()
        )
        server.execute(governed.fill(f"CREATE ROLE {{connector}} LOGIN PASSWORD '{PASSWORD}'").encode())
        server.execute(governed.fill("CREATE DATABASE {db} OWNER {owner}").encode())
        acting = " WITH INHERIT FALSE, SET TRUE" if governed.version >= 16 else ""
        for group in ("owner", "administrator"):
            server.execute(governed.fill(f"GRANT {{{group}}} TO {{connector}}{acting}").encode())
        server.execute(governed.fill("GRANT pg_read_all_stats, pg_signal_backend TO {connector}").encode())
    governed.admin = psycopg.connect(**{**root, "dbname": governed.database})
    governed.admin.execute("SET client_min_messages = error")


def _tear_down(governed: Governed) -> None:
    governed.admin.close()
    with psycopg.connect(**governed.address, dbname="postgres", autocommit=True) as server:
        names = server.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [governed.prefix])
        for (name,) in names.fetchall():
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        query = "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s) ORDER BY oid DESC"
        left = [name for (name,) in server.execute(query, [governed.prefix])]
        for _ in range(len(left)):
            # Whoever granted a membership goes after those it granted to, which oids do not always tell.
            for name in left[:]:
                try:
                    server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
                    left.remove(name)
                except psycopg.errors.DependentObjectsStillExist:
                    continue
        assert not left


@pytest.fixture
def governed() -> Iterator[Governed]:
    """A governed database with an owner, an administrator of roles, and the connector's own role."""
    made = Governed(f"h3t{secrets.token_hex(4)}_", server_address())
    _set_up(made)
    try:
        yield made
    finally:
        _tear_down(made)


@pytest.fixture
def alone(governed_server: Any) -> Iterator[Governed]:
    """`payments` on a server that no other test uses: for changes that reach every role of a server."""
    address = {"host": str(governed_server.socket_folder), "port": 5432, "user": "postgres", "password": ""}
    made = Governed(f"h3t{secrets.token_hex(4)}_", address)
    _set_up(made)
    try:
        yield _with_payments(made)
    finally:
        _tear_down(made)


@pytest.fixture
def payments(governed: Governed) -> Governed:
    """A table of payments and one of refunds, a service account `bi`, and the group `writers` (SELECT, INSERT, UPDATE)."""
    return _with_payments(governed)


def _with_payments(governed: Governed) -> Governed:
    governed.run("CREATE TABLE public.payments (id int PRIMARY KEY, amount int, iban text)")
    governed.run("CREATE TABLE public.refunds (id int PRIMARY KEY, amount int)")
    governed.run("INSERT INTO public.payments VALUES (1, 10, 'x'); INSERT INTO public.refunds VALUES (1, 5)")
    governed.make_role("bi")
    governed.make_role("writers", "NOLOGIN")
    governed.run("GRANT SELECT, INSERT, UPDATE ON public.payments TO {writers}")
    return governed


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Wait for something that another connection or thread brings about; fail after a minute."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "did not happen within a minute"
            time.sleep(0.02)

    return wait
