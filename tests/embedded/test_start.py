"""The one-command start, tried for real: every claim of `make run` with processes that are really killed."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.plugins.tree import PROGRAMS

pytestmark = pytest.mark.slow


def test_everything_is_alive_and_ready(tree: Any, wait_for: Any) -> None:
    wait_for(lambda: tree.get("/healthz") == (200, {"status": "ok"}), 30, tree.diagnosis)
    ready = wait_for(lambda: (found := tree.get("/readyz"))[0] == 200 and found, 60, tree.diagnosis)

    assert {name: check["ok"] for name, check in ready[1]["checks"].items()} == dict.fromkeys(
        ("database", "broker", "worker", "beat", "gateway", "migrations", "trail"), True
    )


def test_the_gateway_of_agents_is_started_beside_the_rest(tree: Any, wait_for: Any) -> None:
    address = f"http://127.0.0.1:{tree.settings['MCP_GATEWAY_PORT']}"

    wait_for(lambda: _status(f"{address}/healthz") == 200, 30, tree.diagnosis)
    assert _status(f"{address}/mcp/anything") == 401


def _status(address: str) -> int:
    try:
        return httpx.get(address).status_code
    except httpx.TransportError:
        return 0


def test_the_product_runs_without_rights_of_the_superuser_and_the_server_opens_no_port(tree: Any) -> None:
    with psycopg.connect(tree.settings["DATABASE_URL"]) as connection:
        is_superuser = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        addresses = connection.execute("SHOW listen_addresses").fetchone()

    assert (is_superuser, addresses) == ((False,), ("",))


def test_a_wrong_password_does_not_open_the_database(tree: Any) -> None:
    url = tree.settings["DATABASE_URL"].replace(tree.settings["EMBEDDED_DATABASE_PASSWORD"], "guessed")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


def test_secrets_are_readable_by_their_owner_alone(tree: Any) -> None:
    modes = {name: stat.S_IMODE((tree.data / name).stat().st_mode) for name in ("settings.env", "postgres", "logs")}

    assert modes == {"settings.env": 0o600, "postgres": 0o700, "logs": 0o700}


def test_manage_py_means_the_running_database_without_further_settings(tree: Any) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "DATA_DIR": str(tree.data),
    }
    code = "from django.db import connection as c; print(c.cursor().execute('SELECT 1').fetchone(), c.settings_dict['USER'])"

    outcome = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.stdout.strip() == "(1,) remit", outcome.stderr


@pytest.mark.parametrize("program", ["worker", "beat", "web", "postgres"])
def test_a_killed_program_comes_back_by_itself(tree: Any, program: str, wait_for: Any) -> None:
    killed = tree.kill(program)
    killed_at = time.monotonic()

    wait_for(lambda: tree.pid_of(program) not in {0, killed}, 60, tree.diagnosis)

    def alive_again() -> bool:
        status, body = tree.get("/readyz")
        ages = [body["checks"][name].get("age_seconds", 999) for name in ("worker", "beat")] if status == 200 else [999]
        return max(ages) < time.monotonic() - killed_at - 1

    wait_for(alive_again, 90, tree.diagnosis)


def test_a_killed_web_worker_is_replaced_while_the_others_answer(tree: Any, wait_for: Any) -> None:
    main = tree.pid_of("web")
    children = Path(f"/proc/{main}/task/{main}/children")
    first = set(children.read_text().split())

    os.kill(int(min(first)), signal.SIGKILL)

    wait_for(lambda: len(now := set(children.read_text().split())) == len(first) and now != first, 60, tree.diagnosis)
    assert tree.pid_of("web") == main
    wait_for(lambda: tree.get("/healthz")[0] == 200, 60)


@pytest.mark.parametrize("broker", ["redis_broker_url", "rabbitmq_broker_url"])
def test_one_setting_changes_the_broker(
    broker: str, new_tree: Any, prepared_data: Any, request: pytest.FixtureRequest
) -> None:
    tree = new_tree(data=prepared_data(), CELERY_BROKER_URL=request.getfixturevalue(broker))

    tree.wait_until_ready()

    with psycopg.connect(tree.settings["DATABASE_URL"]) as connection:
        queues = connection.execute("SELECT count(*) FROM pgmq.meta").fetchone()
    assert queues == (0,)


def test_a_second_start_on_the_same_data_is_refused_and_harms_nothing(tree: Any, new_tree: Any) -> None:
    before = {program: tree.pid_of(program) for program in PROGRAMS}
    second = new_tree(data=tree.data)

    assert second.process.wait(60) == 1
    assert f"already running with the data folder {tree.data} (process {tree.process.pid})" in second.output
    tree.wait_until_ready()
    assert {program: tree.pid_of(program) for program in PROGRAMS} == before


def test_ctrl_c_leaves_no_process_and_the_next_start_has_all_data(new_tree: Any, prepared_data: Any) -> None:
    first = new_tree(data=prepared_data(), REMIT_EMBEDDED_DURABLE="yes")
    first.wait_until_ready()
    _write_row(first, "kept by ctrl-c")

    code, left = first.stop(), first.processes()

    assert (code, left) == (0, [])
    second = new_tree(data=first.data, REMIT_EMBEDDED_DURABLE="yes")
    second.wait_until_ready()
    assert _rows(second) == ["kept by ctrl-c"]

    # The hardest case for the same folder: the supervisor has no chance to do anything.
    _write_row(second, "kept by kill -9")
    os.kill(second.process.pid, signal.SIGKILL)
    second.process.wait()
    _wait_until_gone(second, seconds=60)

    third = new_tree(data=first.data, REMIT_EMBEDDED_DURABLE="yes")
    third.wait_until_ready()
    assert _rows(third) == ["kept by ctrl-c", "kept by kill -9"]

    # And the whole tree at once, in no particular order.
    _write_row(third, "kept by kill -9 of all")
    for pid in (third.process.pid, *third.processes()):
        with suppress(ProcessLookupError):  # those that end with their parent may be gone already
            os.kill(pid, signal.SIGKILL)
    third.process.wait()

    fourth = new_tree(data=first.data, REMIT_EMBEDDED_DURABLE="yes")
    fourth.wait_until_ready()
    assert _rows(fourth) == ["kept by ctrl-c", "kept by kill -9", "kept by kill -9 of all"]


def test_what_an_earlier_start_left_behind_is_ended_first(new_tree: Any, data_folder: Path) -> None:
    mark = {"REMIT_EMBEDDED_DATA": str(data_folder)}
    leftover = subprocess.Popen(["sleep", "300"], env=os.environ | mark)

    tree = new_tree(data=data_folder)

    assert leftover.wait(60) == -signal.SIGTERM
    assert tree.stop() in {0, 1}


def test_a_taken_port_is_named_with_a_way_out(new_tree: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        tree = new_tree(port=port)

        assert tree.process.wait(60) == 1
    assert f"Port {port} is taken by another program" in tree.output
    assert f"make run PORT={port + 1}" in tree.output
    assert not tree.data.exists()


@pytest.mark.parametrize("port", ["0", "70000", "http", "-1", "8000 "])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    code, output = _start_briefly("--port", port)

    assert code != 0
    assert "make run PORT=" in output or "expected one argument" in output


def test_a_folder_that_cannot_be_written_is_named_with_a_way_out(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()

    code, output = _start_briefly("--data", str(in_the_way / "data"))

    assert code == 1
    assert f"Cannot write to the data folder {in_the_way / 'data'} (Not a directory)" in output
    assert "make run DATA=/some/folder" in output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_somebody_else_is_named_with_a_way_out() -> None:
    code, output = _start_briefly("--data", "/usr/remit-data")

    assert code == 1
    assert "Cannot write to the data folder /usr/remit-data (Permission denied)" in output


def test_a_failed_step_says_which_and_ends_what_was_started(new_tree: Any) -> None:
    tree = new_tree(DJANGO_SETTINGS_MODULE="no_such_settings")

    assert tree.process.wait(60) == 1
    assert "Preparing database and static files failed" in tree.output
    assert "No module named 'no_such_settings'" in tree.output
    _wait_until_gone(tree, seconds=30)


def _start_briefly(*arguments: str) -> tuple[int, str]:
    outcome = subprocess.run(
        [sys.executable, "-m", "governance.embedded", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return outcome.returncode, outcome.stdout + outcome.stderr


def _write_row(tree: Any, text: str) -> None:
    with psycopg.connect(tree.settings["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (id serial, text text)")
        connection.execute("INSERT INTO kept (text) VALUES (%s)", [text])


def _rows(tree: Any) -> list[str]:
    with psycopg.connect(tree.settings["DATABASE_URL"]) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM kept ORDER BY id")]


def _wait_until_gone(tree: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while tree.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert tree.processes() == []
