"""Whatever keeps the database from starting is said in a sentence that tells what to do; nothing of the data is touched."""

import errno
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from governance.embedded import command
from governance.embedded.binaries import StartError
from governance.embedded.postgres import Server, substitute_home

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL under another account")


@contextmanager
def _running(home: Path) -> Iterator[Server]:
    server = Server(home, log=home.parent / "log", durable=False, say=lambda _: None)
    _, process = server.start()
    try:
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _keep(server: Server) -> None:
    with psycopg.connect(server.admin_url()) as connection:
        connection.execute("CREATE TABLE kept (id int)")


def _is_kept(server: Server) -> bool:
    with psycopg.connect(server.admin_url()) as connection:
        return connection.execute("SELECT to_regclass('kept')").fetchone() != (None,)


@as_root
def test_a_database_that_its_account_can_no_longer_reach_is_neither_replaced_nor_moved(place: Path) -> None:
    home = place / "postgres"
    with _running(home) as server:
        _keep(server)

    place.chmod(0o700)
    with pytest.raises(StartError) as refused:
        Server(home, log=place / "log")

    assert f"may not enter {place}" in str(refused.value) and f"chmod o+x {place}" in str(refused.value)
    assert not substitute_home(home).exists()
    place.chmod(0o711)  # as the sentence says
    with _running(home) as server:
        assert _is_kept(server)


@as_root
def test_the_whole_start_says_it_too_without_a_traceback(place: Path) -> None:
    with _running(place / "postgres"):
        pass
    place.chmod(0o700)

    code, output = _start(place)

    assert (code, "Traceback" in output) == (1, False)
    assert f"chmod o+x {place}" in output


@as_root
def test_a_database_that_lives_elsewhere_stays_the_one_when_the_folder_opens(place: Path) -> None:
    home = place / "postgres"
    place.chmod(0o700)
    with _running(home) as server:
        _keep(server)
    assert (server.home, home.exists()) == (substitute_home(home), False)

    place.chmod(0o755)

    with _running(home) as server:
        assert _is_kept(server)


@as_root
def test_what_lies_in_a_closed_folder_does_not_keep_a_first_start_from_going_elsewhere(place: Path) -> None:
    home = place / "postgres"
    (home / "socket").mkdir(parents=True)
    place.chmod(0o700)

    server = Server(home, log=place / "log", say=lambda _: None)

    assert server.home == substitute_home(home)


@as_root
def test_a_folder_of_nobody_known_is_named(place: Path) -> None:
    home = place / "postgres"
    home.mkdir()
    os.chown(home, 61234, 61234)

    with pytest.raises(StartError, match=f"{home} belongs to user id 61234"):
        Server(home, log=place / "log")


@pytest.mark.parametrize("closed", ["postgres", "postgres/data"])
def test_a_folder_that_its_own_user_may_not_enter_is_named(place: Path, closed: str) -> None:
    user = pwd.getpwuid(os.geteuid()) if os.geteuid() else pwd.getpwnam("nobody")
    home = place / "postgres"
    (home / "data").mkdir(parents=True)
    for folder in (home / "data", home):
        os.chown(folder, user.pw_uid, user.pw_gid)
    (place / closed).chmod(0)

    said = _said_to(user, home)
    (place / closed).chmod(0o700)

    assert said.startswith(f"StartError: {user.pw_name} may not enter {place / closed}")
    assert f"chmod u+rwx {place / closed}" in said


@as_root
def test_a_folder_that_somebody_else_made_is_named_to_a_plain_user(place: Path) -> None:
    (place / "postgres").mkdir(mode=0o700)

    said = _said_to(pwd.getpwnam("nobody"), place / "postgres")

    assert said.startswith(f"StartError: nobody may not enter {place / 'postgres'}")
    assert f"chown -R nobody {place / 'postgres'}, as root" in said


@pytest.mark.parametrize(
    ("version", "why"), [(None, "no PG_VERSION"), ("", "names no version"), ("18x", "names no version")]
)
def test_a_half_made_database_is_left_as_it_is(place: Path, version: str | None, why: str) -> None:
    data = place / "postgres" / "data"
    (data / "base").mkdir(parents=True)
    if version is not None:
        (data / "PG_VERSION").write_text(version)

    code, output = _start(place)

    assert (code, "Traceback" in output) == (1, False)
    assert why in output and "make restore" in output
    assert (data / "base").is_dir()


def test_what_a_dead_server_and_a_broken_off_creation_left_is_no_hindrance(place: Path) -> None:
    (place / "postgres" / "data.partial" / "base").mkdir(parents=True)
    with _running(place / "postgres") as server:
        _keep(server)
    (place / "postgres" / "data" / "postmaster.pid").write_text("1\n/somewhere\n")

    with _running(place / "postgres") as server:
        assert _is_kept(server)


def test_a_database_without_its_files_says_what_postgresql_said(place: Path) -> None:
    with _running(place / "postgres"):
        pass
    (place / "postgres" / "data" / "global" / "pg_control").unlink()

    code, output = _start(place)

    assert (code, "Traceback" in output) == (1, False)
    assert "PostgreSQL did not start" in output and "pg_control" in output


def test_a_full_disk_is_called_so(place: Path) -> None:
    (place / "settings.env.partial").symlink_to("/dev/full")

    code, output = _start(place)

    assert (code, "Traceback" in output) == (1, False)
    assert "No space left on device. The disk is full. Make room" in output


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.EROFS, "mounted read-only"), (errno.EACCES, "Give the data folder"), (errno.EIO, "mend")],
)
def test_whatever_the_system_refuses_becomes_a_sentence(
    number: int, remedy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(command, "DataFolder", refuse)

    code = command.main(["--data", str(tmp_path), "--port", "18999"])

    said = capsys.readouterr().err
    assert code == 1
    assert f"{tmp_path}: {os.strerror(number)}. " in said and remedy in said


def _said_to(user: pwd.struct_passwd, home: Path) -> str:
    """What whoever starts as this user is told. In a child of ours: root's interpreter may be closed to others."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
                os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
            Server(home, log=home.parent / "log", say=lambda _: None)
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        return said.read()


def _start(data: Path) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    outcome = subprocess.run(
        [sys.executable, "-m", "governance.embedded", "--data", str(data), "--port", "18999", "--no-demo"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return outcome.returncode, outcome.stdout + outcome.stderr
