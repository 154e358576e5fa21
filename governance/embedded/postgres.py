"""A PostgreSQL server that belongs to one folder and to nobody else on this machine.

It listens on a Unix socket in a folder only we may enter, on no network port. The superuser is let in only from our
own operating-system account (peer), every other role by password (SCRAM).
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from governance.embedded import processes
from governance.embedded.binaries import (
    SYSTEM_FOLDER,
    Account,
    StartError,
    choose_account,
    current_user_name,
    find_programs,
    first_closed,
)
from governance.embedded.supervisor import Program

SUPERUSER = "postgres"
SOCKET_PATH_LIMIT = 107  # bytes of sun_path on Linux, without the final NUL
START_SECONDS = 60.0
HOST_RULES = f"""# Written by Remit at every start.
local  all  {SUPERUSER}  peer map=keeper
local  all  all          scram-sha-256
"""
# Safe against killed processes, not against a power cut. (Without synchronous_commit a kill would lose commits.)
THROW_AWAY = {"fsync": "off", "full_page_writes": "off"}
# The limit of a container, where there is one; the machine says how much it has, not how much we may take.
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")


def shared_megabytes() -> int:
    """How much memory the server may share among its sessions: an eighth, from PostgreSQL's own default up to 1 GB.

    It is taken only as far as it is used.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no such file, or "max"
        memory = min(memory, int(MEMORY_LIMIT.read_text()))
    return max(128, min(memory // 8 // 2**20, 1024))


class Server:
    """One cluster below `home`. `durable=False` is for tests: nothing survives a power cut, all is faster."""

    def __init__(self, home: Path, *, log: Path, durable: bool = True, say: Callable[[str], None] = print) -> None:
        self._durable, self._log, self._say = durable, log, say
        self.home, self._account = _usable_home(home, say)
        self._data = self.home / "data"
        self._title = "remit-" + hashlib.sha256(str(self._data).encode()).hexdigest()[:12]
        self.socket_folder = _socket_folder(self.home, self._title, self._account)
        self._programs = find_programs(self._existing_major(), self._account, say)

    def url(self, role: str, database: str, password: str = "") -> str:
        """A libpq and Django URL; the host is the socket's folder."""
        secret = f":{quote(password, safe='')}" if password else ""
        return f"postgresql://{role}{secret}@/{database}?host={quote(str(self.socket_folder), safe='')}"

    def admin_url(self, database: str = "postgres") -> str:
        """For set-up only: the superuser, let in because the operating system vouches for who we are."""
        return self.url(SUPERUSER, database)

    def start(self) -> tuple[Program, subprocess.Popen[bytes]]:
        """Create the cluster if there is none, start it and wait until it answers.

        Raises `StartError` with the end of the server's log when it does not.
        """
        if not (self._data / "PG_VERSION").exists():
            self._create()
        self._write_rules()
        self.end_leftovers()
        program = self._program()
        return program, self._wait_until_it_answers(program)

    def make_database(self, role: str, password: str) -> bool:
        """An ordinary login role that owns a database of the same name. Safe to repeat; True when it is new."""
        name = sql.Identifier(role)
        with psycopg.connect(self.admin_url(), autocommit=True) as admin:
            if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
            admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(password)))
            exists = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [role]).fetchone()
            if not exists:
                admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
            return not exists

    def drop_database(self, name: str) -> None:
        """Remove a database with everything in it. Quiet where there is none."""
        with psycopg.connect(self.admin_url(), autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def version(self) -> str:
        """Such as `18.6`."""
        with psycopg.connect(self.admin_url()) as admin:
            number = admin.info.server_version
        return f"{number // 10000}.{number % 10000}"

    def _existing_major(self) -> int | None:
        mark = self._data / "PG_VERSION"
        if not mark.exists():
            if _holds_something(self._data):
                raise StartError(self._damaged("there is no PG_VERSION among its files"))
            return None
        text = mark.read_text(errors="replace").strip()
        if not (text.isascii() and text.isdigit()):
            raise StartError(self._damaged("its PG_VERSION names no version"))
        return int(text)

    def _damaged(self, why: str) -> str:
        return (
            f"The database in {self._data} is not whole: {why}.\nIt is left as it is. Move {self.home} away and "
            "restore a backup (make restore FROM=/some/file), or choose another folder: make run DATA=/some/folder"
        )

    def _create(self) -> None:
        # Built beside its final name: a half-made cluster must never be taken for a whole one.
        partial = self.home / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        command = [str(self._programs / "initdb"), "--pgdata", str(partial), "--username", SUPERUSER]
        command += ["--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--locale=C.UTF-8"]
        if not self._durable:
            command.append("--no-sync")
        outcome = subprocess.run(
            command,
            cwd="/",
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
            **(self._account.popen if self._account else {}),
        )
        if outcome.returncode != 0:
            raise StartError(f"PostgreSQL could not create its files in {self.home}:\n{outcome.stderr.strip()}")
        partial.rename(self._data)

    def _write_rules(self) -> None:
        keepers = {current_user_name()} | ({self._account.name} if self._account else set())
        lines = [f'keeper  "{name}"  {SUPERUSER}\n' for name in sorted(keepers)]
        self._write("pg_hba.conf", HOST_RULES)
        self._write("pg_ident.conf", "".join(lines))

    def _write(self, name: str, text: str) -> None:
        path = self._data / name
        path.write_text(text)
        path.chmod(0o600)
        if self._account:
            os.chown(path, self._account.uid, self._account.gid)

    def end_leftovers(self) -> None:
        """Nobody else may run a server here (the caller holds the folder's lock), so what runs is left over."""
        stale = self._data / "postmaster.pid"
        leftovers = self._running()
        if leftovers:
            self._say("ending a PostgreSQL server left over from an earlier start")
            leaders = [pid for pid in leftovers if pid == _first_number(stale)]
            processes.end(leaders, [(signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0)])
            processes.end(self._running(), [(signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)])
        # These files name a process id that may by now belong to somebody else; PostgreSQL would refuse to start.
        for path in (stale, *self.socket_folder.glob(".s.PGSQL.*")):
            path.unlink(missing_ok=True)

    def _running(self) -> list[int]:
        def ours(words: list[str]) -> bool:
            is_postmaster = words[1:3] == ["-D", str(self._data)]
            return is_postmaster or words[0].startswith(f"postgres: {self._title}:")

        return processes.with_title(ours)

    def _program(self) -> Program:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self.socket_folder}"',
            "unix_socket_permissions": "0700",
            "cluster_name": self._title,
            "shared_preload_libraries": "pg_stat_statements",
            # A database that is observed switches this on for itself; our own statements would only push its out.
            "pg_stat_statements.track": "none",
            "password_encryption": "scram-sha-256",
            "max_connections": "100",
            # A statement that fails holds the values it was to write; the error itself is enough for the log.
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
        }
        options |= {"shared_buffers": f"{shared_megabytes()}MB"} if self._durable else THROW_AWAY
        command = [str(self._programs / "postgres"), "-D", str(self._data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        return Program(
            name="PostgreSQL",
            command=command,
            log=self._log,
            environment=_environment(),
            folder=Path("/"),
            # SIGTERM would wait for every client to leave first.
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            popen=self._account.popen if self._account else {},
        )

    def _wait_until_it_answers(self, program: Program) -> subprocess.Popen[bytes]:
        deadline = time.monotonic() + START_SECONDS
        offset = self._log.stat().st_size if self._log.exists() else 0
        process = program.spawn()
        while time.monotonic() < deadline:
            if self._answers():
                return process
            if process.poll() is not None:
                # After a hard kill the old shared memory may outlive its server for a moment.
                if "pre-existing shared memory" not in self._log_since(offset):
                    break
                time.sleep(0.2)
                process = program.spawn()
            time.sleep(0.05)
        process.send_signal(signal.SIGQUIT)
        process.wait(10)
        raise StartError(f"PostgreSQL did not start. Its log ({self._log}) ends:\n{self._log_since(offset)[-2000:]}")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.admin_url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _log_since(self, offset: int) -> str:
        with self._log.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")


def substitute_home(home: Path) -> Path:
    """Where it lives otherwise (root, with the data below /root): one fixed place per folder."""
    return SYSTEM_FOLDER / ("data-" + hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12])


def _usable_home(home: Path, say: Callable[[str], None]) -> tuple[Path, Account | None]:
    """The folder, made and owned by the right account, and that account. Raises `StartError`.

    Where there is data already, it is this or nothing: an empty database elsewhere would look as if all were lost.
    """
    account = choose_account(home, say)
    if account is None:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_way_in(home)
        return home, None
    places = (home, substitute_home(home))
    used = next((folder for folder in places if _holds_something(folder / "data")), None)
    for folder in (used,) if used else places:
        _make_for(folder, account)
        if account.can("-w", folder) and account.can("-x", folder):
            if folder != home:
                say(f"the database lives in {folder}, because the account '{account.name}' could not enter {home}")
                if home.is_dir() and not _holds_something(home):
                    home.rmdir()
            return folder, account
    raise StartError(_closed_to(account, used or home, is_moving_possible=used == home))


def _closed_to(account: Account, home: Path, *, is_moving_possible: bool) -> str:
    blocked = first_closed(home, account)
    remedy = f"chown -R {account.name} {home}" if blocked == home else f"chmod o+x {blocked}"
    moving = ", or move the data folder to where it may go: make run DATA=/srv/remit" if is_moving_possible else ""
    return (
        f"PostgreSQL runs as the account '{account.name}', which may not enter {blocked}, and so cannot reach the "
        f"database in {home}.\nLet it in (do: {remedy}){moving}. Nothing was changed."
    )


def _require_way_in(home: Path) -> None:
    """Folders of our own that we were locked out of, or that were made by somebody else in the meantime."""
    for folder in (home, home / "data"):
        if not os.access(folder, os.F_OK) and os.access(folder.parent, os.X_OK):
            continue  # made later
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            owner = folder.stat().st_uid if os.access(folder.parent, os.X_OK) else None
            remedy = (
                f"chmod u+rwx {folder}" if owner == os.geteuid() else f"chown -R {current_user_name()} {home}, as root"
            )
            raise StartError(
                f"{current_user_name()} may not enter {folder}, where the database is.\n"
                f"Do: {remedy}; or choose another folder: make run DATA=/some/folder"
            )


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _make_for(folder: Path, account: Account) -> None:
    if not folder.parent.exists():
        folder.parent.mkdir(mode=0o755, parents=True)
        folder.parent.chmod(0o755)
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != account.uid:
        os.chown(folder, account.uid, account.gid)


def _socket_folder(home: Path, title: str, account: Account | None) -> Path:
    """Beside the data, or in a short private folder where the path would be too long for a Unix socket."""
    folder = home / "socket"
    name = str(folder / ".s.PGSQL.5432")
    # The queue's client writes the path into a connection string without quoting it.
    if len(name) > SOCKET_PATH_LIMIT or not re.fullmatch(r"[A-Za-z0-9/._+-]+", name):
        folder = Path(tempfile.gettempdir()) / f"{title}-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700)
        if account:
            os.chown(folder, account.uid, account.gid)
    except FileExistsError:
        pass  # ours from the last start, or somebody else's: looked at next
    stat = folder.lstat()
    owner = account.uid if account else os.geteuid()
    if folder.is_symlink() or stat.st_uid != owner or stat.st_mode & 0o077:
        raise StartError(f"{folder} belongs to somebody else or is open to others. Remove it and start again.")
    return folder


def _environment() -> dict[str, str]:
    """The server gets no secrets of ours, and no language settings that this machine may lack."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    return kept | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _first_number(path: Path) -> int | None:
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
