"""Connections to the governed server: settings, opening, and errors in plain words."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from identities.connectors.contract import Setting, SourceUnreachable
from identities.connectors.settings import BadSettings, by_name

Row = tuple[Any, ...]
Connection = psycopg.Connection[Row]

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SETTINGS = (
    Setting("host", "Host", "Name, address, or the folder of its socket.", required=True),
    Setting("port", "Port", kind="integer", default=5432),
    Setting("databases", "Databases", "Which to govern.", "list", required=True, also="dbname"),
    Setting("user", "Sign in as role", "A role of its own for Remit, not a superuser.", required=True),
    Setting("password", "Password", "Where the password is, never the password itself.", "reference"),
    Setting("sslmode", "TLS", "Over a network use verify-full.", "choice", default="prefer", choices=_SSL_MODES),
    Setting("sslrootcert", "Root certificate", "The path of a file that holds it."),
    Setting("connect_timeout", "Connect within", "Seconds, 1 to 300.", "integer", default=10),
    Setting("statement_timeout", "Longest statement", "Seconds, 1 to 3600.", "integer", default=60),
    Setting("lock_timeout", "Wait for locks", "Seconds, 1 to 300.", "integer", default=5),
    Setting(
        "pgaudit_logs", "Folders of pgaudit logs", "Read with the source, where this machine can see them.", "list"
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the server is and as whom to connect. Times are in seconds; `databases` are the governed ones.

    pgaudit_logs: folders of the server's jsonlog or csvlog files, where they can be read from here.
    """

    host: str
    port: int
    databases: tuple[str, ...]
    user: str
    password: str = field(default="", repr=False)
    sslmode: str = "prefer"
    sslrootcert: str = ""
    connect_timeout: int = 10
    statement_timeout: int = 60
    lock_timeout: int = 5
    pgaudit_logs: tuple[str, ...] = ()

    @property
    def first_database(self) -> str:
        return self.databases[0]


def parse_settings(settings: Mapping[str, Any], secrets: Mapping[str, str]) -> Settings:
    """Check a source's settings; `secrets` holds the resolved value of `password`.

    Raises BadSettings for an unknown key, a missing one or a value of the wrong form.
    """
    settings = by_name(SETTINGS, settings)
    known = {each.name for each in SETTINGS}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise BadSettings(f"Unknown setting {unknown[0]!r}. Known are {', '.join(sorted(known))}.", setting=unknown[0])
    sslmode = settings.get("sslmode", "prefer")
    if sslmode not in _SSL_MODES:
        raise BadSettings(f"sslmode must be one of {', '.join(_SSL_MODES)}.", setting="sslmode")
    return Settings(
        host=_text(settings, "host"),
        port=_number(settings, "port", 5432, 65_535),
        databases=_databases(settings.get("databases")),
        user=_text(settings, "user"),
        password=secrets.get("password", ""),
        sslmode=sslmode,
        sslrootcert=str(settings.get("sslrootcert", "")),
        connect_timeout=_number(settings, "connect_timeout", 10, 300),
        statement_timeout=_number(settings, "statement_timeout", 60, 3600),
        lock_timeout=_number(settings, "lock_timeout", 5, 300),
        pgaudit_logs=_folders(settings.get("pgaudit_logs")),
    )


def _text(settings: Mapping[str, Any], name: str) -> str:
    value = settings.get(name)
    if not isinstance(value, str) or not value or "\0" in value:
        raise BadSettings(f"The setting {name!r} is missing or not a text.", setting=name)
    return value


def _number(settings: Mapping[str, Any], name: str, default: int, highest: int) -> int:
    try:
        value = int(settings.get(name, default))
    except (TypeError, ValueError):
        value = 0
    if not 1 <= value <= highest:
        raise BadSettings(f"The setting {name!r} must be a whole number from 1 to {highest}.", setting=name)
    return value


def _databases(value: object) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        told = "The setting 'databases' (or 'dbname') must be the name of a database, or a list of names."
        raise BadSettings(told, setting="databases")
    if not all(isinstance(name, str) and name and "\0" not in name for name in names):
        told = "The setting 'databases' (or 'dbname') holds something that is not the name of a database."
        raise BadSettings(told, setting="databases")
    if len(set(names)) != len(names):
        raise BadSettings("The setting 'databases' (or 'dbname') names a database twice.", setting="databases")
    return tuple(names)


def _folders(value: object) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) and value else value or []
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and "\0" not in name for name in names):
        raise BadSettings("The setting 'pgaudit_logs' must be a list of folders.")
    if not all(name.startswith("/") for name in names):
        raise BadSettings("The folders of the setting 'pgaudit_logs' must be written in full, from / on.")
    return tuple(names)


@contextmanager
def connect(settings: Settings, database: str) -> Iterator[Connection]:
    """An autocommit connection to one governed database. Raises SourceUnreachable when it cannot be opened."""
    connection = _open(settings, database)
    try:
        yield connection
    finally:
        connection.close()


def _open(settings: Settings, database: str) -> Connection:
    options: dict[str, Any] = {"sslmode": settings.sslmode}
    if settings.sslrootcert:
        options["sslrootcert"] = settings.sslrootcert
    if settings.password:
        options["password"] = settings.password
    try:
        connection = psycopg.connect(
            host=settings.host,
            port=settings.port,
            dbname=database,
            user=settings.user,
            connect_timeout=settings.connect_timeout,
            application_name="remit",
            autocommit=True,
            **options,
        )
        # Names are always written out in full; nothing of the server's own search path may shadow the catalogues.
        connection.execute(
            "SELECT set_config('search_path', '', false), set_config('statement_timeout', %s, false),"
            " set_config('TimeZone', 'UTC', false)",
            [f"{settings.statement_timeout}s"],
        )
    except psycopg.Error as error:
        raise SourceUnreachable(f"Could not connect to database {database!r}: {plain_error(error)}") from error
    return connection


def plain_error(error: psycopg.Error) -> str:
    """One line for a person: the server's message with its detail, without the statement or any value of ours."""
    diag = error.diag
    parts = [diag.message_primary, diag.message_detail] if diag.message_primary else [str(error)]
    return " ".join(" ".join(part.split()) for part in parts if part)[:600]
