"""PostgreSQL's own programs `pg_dump`, `pg_restore` and `psql`, as seen from a Django connection.

A dump is read by a program of the server's version or a newer one, so the programs are looked for where `make run`
looks, and then on the path. The password goes through the environment: an argument would show in the list of
processes.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
from django.db import connection
from psycopg.conninfo import make_conninfo

from governance.embedded.binaries import program_folders
from governance.operations.problems import OperationFailed

# What Django's backend adds for itself; the rest is libpq's.
_NOT_LIBPQ = frozenset({"cursor_factory", "context", "prepare_threshold", "client_encoding", "password"})
NEEDED = ("pg_dump", "pg_restore", "psql")


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the programs are, and how they reach the database. version: their major version."""

    folder: Path
    version: int
    conninfo: str
    environment: dict[str, str]

    def command(self, name: str, *arguments: str) -> list[str]:
        """The command line of one program; it connects nowhere by itself."""
        return [str(self.folder / name), *arguments]


def find_programs() -> Programs:
    """Programs that understand the connected server. Raises OperationFailed, and what psycopg raises."""
    parameters = connection.get_connection_params()
    server = server_version()
    seen = []
    for folder in (*program_folders(), *_on_the_path()):
        version = _version(folder)
        if version is None:
            continue
        if version >= server:
            return Programs(folder, version, _conninfo(parameters), _environment(parameters))
        seen.append(f"{version} in {folder}")
    raise OperationFailed(
        f"The server is PostgreSQL {server}, and there is no pg_dump of that version or a newer one"
        f"{' (only ' + ', '.join(seen) + ')' if seen else ''}. Do: apt-get install postgresql-client-{server}, "
        "or set REMIT_PG_BINDIR to the folder that has it."
    )


def server_version() -> int:
    """The server's major version, such as 18."""
    connection.ensure_connection()
    version: int = connection.connection.info.server_version
    return version // 10000


def open_session(*, autocommit: bool = True) -> psycopg.Connection:
    """A connection of its own to the same database, for what must outlive or stand beside Django's."""
    parameters = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name not in {"cursor_factory", "context", "prepare_threshold"}
    }
    return psycopg.connect(**parameters, autocommit=autocommit)


def _conninfo(parameters: dict[str, object]) -> str:
    return make_conninfo(
        **{name: str(value) for name, value in parameters.items() if name not in _NOT_LIBPQ and value is not None}
    )


def _environment(parameters: dict[str, object]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith("PG") or name in _OF_THE_SYSTEM}
    if password := parameters.get("password"):
        kept["PGPASSWORD"] = str(password)
    return kept | {"LC_ALL": "C.UTF-8", "PGCONNECT_TIMEOUT": "10"}


_OF_THE_SYSTEM = frozenset({"PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR"})


def _on_the_path() -> list[Path]:
    found = shutil.which("pg_dump")
    return [Path(found).resolve().parent, Path(found).parent] if found else []


def _version(folder: Path) -> int | None:
    if not all(os.access(folder / name, os.X_OK) for name in NEEDED):
        return None
    outcome = subprocess.run([folder / "pg_dump", "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"(\d+)", outcome.stdout)
    return int(match.group(1)) if outcome.returncode == 0 and match else None
