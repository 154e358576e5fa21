"""Debian's PostgreSQL with pgaudit, writing jsonlog and csvlog files, on a Unix socket."""

import os
import pwd
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
LIBRARY = Path("/usr/lib/postgresql/15/lib/pgaudit.so")
CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{socket}'
fsync = off
shared_preload_libraries = 'pgaudit,pg_stat_statements'
pg_stat_statements.track = none
pgaudit.log = 'read,write,function,role'
pgaudit.log_relation = on
pgaudit.log_catalog = off
logging_collector = on
log_directory = '{log}'
log_filename = 'server.log'
log_file_mode = 0644
log_rotation_age = 0
log_destination = 'jsonlog,csvlog'
log_timezone = 'UTC'
"""


class AuditedServer:
    """`connect(role)` signs in, `log("json")` is the path of the log with everything said so far."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.socket, self.logs = folder, folder / "socket", folder / "log"
        self._account = "postgres" if os.geteuid() == 0 else None

    def start(self) -> None:
        for folder in (self.socket, self.logs):
            folder.mkdir()
            self._give(folder)
        self._give(self.folder)
        self._run("initdb", "--pgdata", f"{self.folder}/data", "--no-sync", "--auth=trust", "--username=postgres")
        with (self.folder / "data/postgresql.conf").open("a") as file:
            file.write(CONFIGURATION.format(socket=self.socket, log=self.logs))
        self._run("pg_ctl", "--pgdata", f"{self.folder}/data", "--wait", "--log", f"{self.folder}/start.log", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "--pgdata", f"{self.folder}/data", "--wait", "--mode=immediate", "stop")

    def connect(self, role: str = "postgres", database: str = "ledger") -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(self.socket), dbname=database, user=role, autocommit=True)

    def run(self, role: str, *statements: str) -> None:
        """Run statements in one session. Whatever the server refuses is refused silently."""
        with self.connect(role) as connection:
            for statement in statements:
                try:
                    connection.execute(statement.encode())
                except psycopg.Error:
                    continue

    def log(self, kind: str = "json") -> Path:
        """The log in this format, once it holds everything that happened before."""
        mark = f"mark-{time.monotonic_ns()}"
        with self.connect(database="postgres") as connection:
            connection.execute(f"DO $$ BEGIN RAISE LOG '{mark}'; END $$".encode())
        path = self.logs / f"server.{kind}"
        for _ in range(1500):
            if mark in path.read_text():
                return path
            time.sleep(0.02)
        raise AssertionError("the log was not written")

    def _give(self, folder: Path) -> None:
        if self._account:
            entry = pwd.getpwnam(self._account)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        folder.chmod(0o700 if folder == self.folder else 0o755)

    def _run(self, program: str, *arguments: str) -> None:
        user = {"user": self._account, "group": self._account} if self._account else {}
        done = subprocess.run(
            [str(PROGRAMS / program), *arguments], cwd="/", capture_output=True, check=False, timeout=60,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, **user,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()


@pytest.fixture(scope="session")
def audited_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedServer]:
    """Skips where postgresql-15-pgaudit is not installed, fails in CI."""
    if not (LIBRARY.exists() and (PROGRAMS / "initdb").exists()):
        message = "pgaudit is not installed: apt-get install postgresql-15 postgresql-15-pgaudit"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    # A short path that the server's own account can enter: a socket's name has room for 107 bytes.
    folder = Path(os.environ["REMIT_TEST_SCRATCH"]) / f"audited-{os.getpid()}"
    folder.mkdir(mode=0o700)
    server = AuditedServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
