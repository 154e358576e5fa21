"""Write one file from which an installation can be restored: the database at one moment, and what lies outside it.

It works while everything runs. The dump and every number in the manifest are taken under one exported snapshot. What is
about one running process or one visit is left out: sessions, the shared cache, messages of the queue.
"""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import psycopg
from django.conf import settings
from psycopg import sql

from governance.audit.keys import load_or_create_key
from governance.audit.lineage import current_epoch
from governance.audit.notes import read_checkpoint, verifier_key
from governance.operations import archive, sealed_keys
from governance.operations.problems import OperationFailed, explained
from governance.operations.programs import Programs, find_programs, open_session, server_version

DUMP = "database.dump"
KEYS = "keys.sealed"
SECRET_KEY = "SECRET_KEY"  # noqa: S105 - its name
VERIFIER_KEY = "verifier.key"
SAY_EVERY_SECONDS = 5.0
CHUNK = 1024 * 1024
# Rows of visits and of running processes, and messages whose work stands in other tables.
LEFT_OUT = ("public.django_session", "public.shared_cache", "pgmq.q_*", "pgmq.a_*")
# What a person recognises; the restored database must have as many.
COUNTED = (
    "people_user",
    "people_apitoken",
    "identities_source",
    "identities_identity",
    "identities_grant",
    "reviews_campaign",
    "reviews_reviewitem",
    "reviews_decision",
    "reviews_order",
    "audit_auditevent",
)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Written:
    """A complete, checked backup. keys: whether it holds the sealed keys."""

    path: Path
    size: int
    events: int
    files: int
    keys: bool


def write_backup(*, path: Path, now: datetime, say: Say = lambda text: None, passphrase: str = "") -> Written:
    """Back the installation up into the new file `path`, which exists afterwards only if all of it could be read back.

    passphrase: seals the keys into it; without one they are left out. say: is told how far it is. Raises
    OperationFailed; nothing is left then.
    """
    path = path.expanduser().absolute()
    with explained(path), archive.draft_of(path) as draft:
        programs = find_programs()
        with archive.writing(draft) as writer:
            facts = _write(writer, programs, now=now, say=say, passphrase=passphrase)
            writer.finish(facts)
        say("reading the file back")
        check_file(draft, programs)
        archive.publish(draft, path)
    return Written(path, path.stat().st_size, facts["trail"]["events"], len(writer.entries), bool(passphrase))


def check_file(path: Path, programs: Programs) -> dict[str, Any]:
    """Read the whole file: hashes against the manifest, and the dump's table of contents. Raises OperationFailed."""
    with archive.opened(path) as backup:
        backup.check()
        _require_readable_dump(backup, programs)
        return backup.manifest


def _write(writer: archive.Writer, programs: Programs, *, now: datetime, say: Say, passphrase: str) -> dict[str, Any]:
    # Listed before the snapshot: a checkpoint that is signed meanwhile would speak of events that the dump lacks.
    outside = _files_of(settings.AUDIT_CHECKPOINT_DIR)
    with open_session(autocommit=False) as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        (snapshot,) = session.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        facts = _facts(session, now)
        say(f"dumping the database ({_megabytes(facts['database_bytes'])} with its indexes)")
        command = programs.command("pg_dump", "--format=custom", f"--snapshot={snapshot}", "--no-password")
        command += ["--no-owner", "--no-acl", "--no-comments", *(f"--exclude-table-data={name}" for name in LEFT_OUT)]
        writer.add(DUMP, _output_of([*command, f"--dbname={programs.conninfo}"], programs), Progress(say))
    for name, found in {"checkpoints": outside, "evidence": _files_of(_evidence_folder())}.items():
        for relative, file in found:
            with suppress(FileNotFoundError):  # removed meanwhile by whoever keeps the folder small
                writer.add_file(f"{name}/{relative}", file)
    key = load_or_create_key(settings.AUDIT_KEY_FILE).public_key()
    writer.add(VERIFIER_KEY, [f"{verifier_key(current_epoch().origin, key)}\n".encode()])
    if passphrase:
        writer.add(KEYS, [sealed_keys.seal(_keys(), passphrase)])
    return facts | {"checkpoint": _newest(outside), "keys": "sealed" if passphrase else "left out"}


def _facts(session: psycopg.Connection, now: datetime) -> dict[str, Any]:
    row = session.execute(
        "SELECT pg_database_size(current_database()), current_database(), current_setting('server_version')"
    ).fetchone()
    head = session.execute("SELECT seq, encode(entry_hash, 'hex') FROM audit_audithead").fetchone()
    if row is None or head is None:
        raise OperationFailed("This database holds no installation of Remit.")
    migrations = session.execute("SELECT app, name FROM django_migrations ORDER BY app, name").fetchall()
    counts = {}
    for table in COUNTED:
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
        counts[table] = (session.execute(query).fetchone() or (0,))[0]
    return {
        "taken_at": now.isoformat(),
        "product": product_version(),
        "server": row[2],
        "server_major": server_version(),
        "database": row[1],
        "database_bytes": row[0],
        "migrations": [list(each) for each in migrations],
        "trail": {"events": head[0], "head": head[1]},
        "counts": counts,
    }


def product_version() -> str:
    """The version of the code, from its metadata or its project file."""
    with suppress(PackageNotFoundError):
        return version("remit")
    for line in (settings.BASE_DIR / "pyproject.toml").read_text().splitlines():
        if line.startswith("version = "):
            return line.split('"')[1]
    return "unknown"


def _output_of(command: list[str], programs: Programs) -> Iterator[bytes]:
    """What a program writes; raises OperationFailed with its own words when it fails."""
    process = subprocess.Popen(
        command,
        env=programs.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None  # noqa: S101 - both are pipes
    said = Overheard(process.stderr)
    try:
        while chunk := process.stdout.read(CHUNK):
            yield chunk
        if process.wait() != 0:
            raise OperationFailed(f"{Path(command[0]).name} failed: {said.words()}")
    finally:
        process.stdout.close()
        if process.poll() is None:
            process.kill()
        process.wait()


class Overheard:
    """Reads a program's complaints beside its output, so that neither pipe fills up. Keeps the last lines."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._lines = pipe, list[str]()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._pipe:
            for line in self._pipe:
                self._lines = [*self._lines[-4:], line.decode(errors="replace").strip()]

    def words(self) -> str:
        """The complaint in one line."""
        self._thread.join(2)
        return " ".join(line for line in self._lines if line) or "it did not say why"


def _require_readable_dump(backup: archive.Backup, programs: Programs) -> None:
    process = subprocess.Popen(
        programs.command("pg_restore", "--list"),
        env=programs.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stderr is not None  # noqa: S101 - both are pipes
    said = Overheard(process.stderr)
    # The table of contents stands at the front; the program leaves when it has read it.
    with suppress(BrokenPipeError):
        for chunk in backup.chunks(DUMP):
            process.stdin.write(chunk)
    with suppress(BrokenPipeError):
        process.stdin.close()
    if process.wait() != 0:
        raise OperationFailed(f"The dump in {backup.path} cannot be read back: {said.words()}")


def _files_of(folder: Path) -> list[tuple[str, Path]]:
    """(path below the folder, file) of every complete file in it."""
    if not folder.is_dir():
        return []
    found = [file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".")]
    return sorted((file.relative_to(folder).as_posix(), file) for file in found)


def _evidence_folder() -> Path:
    return Path(getattr(settings, "EVIDENCE_DIR", settings.DATA_DIR / "evidence"))


def _newest(files: list[tuple[str, Path]]) -> dict[str, Any] | None:
    """What the newest checkpoint outside says, for people; nothing relies on it."""
    notes = []
    for name, path in files:
        if name.endswith(".checkpoint"):
            with suppress(ValueError, OSError):
                notes.append(read_checkpoint(path.read_text(encoding="utf-8")))
    if not notes:
        return None
    newest = max(notes, key=lambda note: note.size)
    return {"origin": newest.origin, "size": newest.size, "root": newest.root.hex()}


def _keys() -> dict[str, bytes]:
    found = {
        name: path.read_bytes()
        for name, path in {"audit": settings.AUDIT_KEY_FILE, "webhook": settings.WEBHOOK_KEY_FILE}.items()
        if path.is_file()
    }
    return found | {SECRET_KEY: settings.SECRET_KEY.encode()}


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:,.1f} MB"


class Progress:
    """Says how much of a dump was written or read, not more often than people look."""

    def __init__(self, say: Say, done: str = "written") -> None:
        self._say, self._done, self._said_at = say, done, time.monotonic()

    def __call__(self, size: int) -> None:
        if time.monotonic() - self._said_at >= SAY_EVERY_SECONDS:
            self._said_at = time.monotonic()
            self._say(f"{_megabytes(size)} of the dump are {self._done}")
