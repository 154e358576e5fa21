"""Load a backup's dump into the database: all of it in one transaction, or nothing.

`pg_restore` writes the dump as SQL and `psql` runs it. What the restore must not forget afterwards is written in the
same transaction: a small table that says "not finished", which stops every sending of orders until it is removed
(reviews/remediation/restored.py).
"""

import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.db import connection
from psycopg import sql

from governance.operations.archive import Backup
from governance.operations.backup import CHUNK, DUMP, Overheard
from governance.operations.problems import OperationFailed
from governance.operations.programs import Programs
from reviews.remediation.restored import UNFINISHED

EMPTY_IT = "DROP SCHEMA IF EXISTS pgmq CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public;\n"


def is_empty() -> bool:
    """Whether the database holds no table of anybody."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast'))"
        )
        return bool(cursor.fetchone()[0])


def load(backup: Backup, programs: Programs, *, replace: bool, progress: Callable[[int], None]) -> None:
    """Write the dump and the mark of an unfinished restore. replace: empty the database first, in the same transaction.

    Raises OperationFailed; the database is as it was then.
    """
    reader = _start(programs.command("pg_restore", "--no-owner", "--no-acl", "--no-comments", "--file=-"), programs)
    arguments = ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--single-transaction", "--file=-"]
    runner = _start(programs.command("psql", *arguments, f"--dbname={programs.conninfo}"), programs, output=False)
    complaints = Overheard(reader.stderr), Overheard(runner.stderr)
    feeder = _Feeder(backup, reader, progress)
    try:
        with suppress(BrokenPipeError):  # psql says below why it left
            if replace:
                runner.stdin.write(EMPTY_IT.encode())
            while chunk := reader.stdout.read(CHUNK):
                runner.stdin.write(chunk)
        feeder.join()
        if reader.wait() != 0 and runner.poll() is None:
            raise OperationFailed(f"The dump cannot be read: {complaints[0].words()}. Nothing was changed.")
        with suppress(BrokenPipeError):
            runner.stdin.write(_mark(backup).encode())
            runner.stdin.close()
        if runner.wait() != 0:
            raise OperationFailed(f"The database refused the dump: {complaints[1].words()}. Nothing was changed.")
    finally:
        # Killed before the end of its input, psql leaves an open transaction behind, which the server undoes.
        for process in (runner, reader):
            if process.poll() is None:
                process.kill()
            process.wait()
        feeder.join_quietly()
        reader.stdout.close()
        with suppress(BrokenPipeError):
            runner.stdin.close()


def unfinished() -> dict[str, Any] | None:
    """What the mark of an unfinished restore says; None when there is none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [UNFINISHED])
        if not cursor.fetchone()[0]:
            return None
        cursor.execute(sql.SQL("SELECT backup, state_of FROM {}").format(sql.Identifier(UNFINISHED)))
        backup, state_of = cursor.fetchone()
    return {"backup": backup, "state_of": state_of}


def remove_mark() -> None:
    """The restore is finished."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(UNFINISHED)))


def _mark(backup: Backup) -> str:
    values = {"backup": backup.path.name, "state_of": backup.manifest["taken_at"]}
    statement = sql.SQL(
        "\nSET search_path = public;\nCREATE TABLE {table} (backup text, state_of timestamptz);\n"
        "INSERT INTO {table} VALUES ({backup}, {state_of});\n"
    ).format(table=sql.Identifier(UNFINISHED), **{name: sql.Literal(value) for name, value in values.items()})
    return statement.as_string(None)


def _start(command: list[str], programs: Programs, *, output: bool = True) -> Any:
    return subprocess.Popen(
        command,
        env=programs.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if output else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


class _Feeder:
    """Hands the dump to `pg_restore` while the main thread takes what comes out of it."""

    def __init__(self, backup: Backup, reader: Any, progress: Callable[[int], None]) -> None:
        self._problem: OperationFailed | None = None
        self._thread = threading.Thread(target=self._feed, args=(backup, reader.stdin, progress), daemon=True)
        self._thread.start()

    def _feed(self, backup: Backup, pipe: Any, progress: Callable[[int], None]) -> None:
        size = 0
        try:
            with pipe:
                for chunk in backup.chunks(DUMP):
                    pipe.write(chunk)
                    size += len(chunk)
                    progress(size)
        except BrokenPipeError:
            return
        except OperationFailed as problem:
            self._problem = problem

    def join_quietly(self) -> None:
        """Wait until nothing reads from the file any more; the program it feeds has ended."""
        self._thread.join()

    def join(self) -> None:
        """Wait for the end. Raises OperationFailed when the file could not be read to its end."""
        self._thread.join()
        if self._problem:
            raise self._problem
