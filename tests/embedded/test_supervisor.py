"""The supervisor with small programs: back-off, order, and programs that do not want to end."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from governance.embedded.supervisor import Program, Supervisor


@pytest.fixture
def said() -> list[str]:
    return []


def make_program(folder: Path, name: str, code: str, **options: object) -> Program:
    command = [sys.executable, "-c", code]
    log = folder / f"{name}.log"
    return Program(name=name, command=command, log=log, environment=dict(os.environ), folder=folder, **options)


def test_a_program_that_always_fails_is_started_again_ever_more_slowly(tmp_path: Path, said: list[str]) -> None:
    supervisor = Supervisor(said.append)
    supervisor.start(make_program(tmp_path, "broken", "raise SystemExit(3)"))

    tend_until(supervisor, lambda: len(said) == 3)
    supervisor.stop()

    pauses = [line.split("again in ")[1].split(" s")[0] for line in said]
    assert pauses == ["0.2", "0.4", "0.8"]
    assert "exit code 3" in said[0]


def test_the_first_program_ends_after_all_others(tmp_path: Path, said: list[str]) -> None:
    ends = "import signal, sys, time\ndef end(*_):\n    time.sleep({pause}); print(time.monotonic(), flush=True); sys.exit()\n"
    ends += "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\nwhile True: time.sleep(1)"
    supervisor = Supervisor(said.append)
    for name, pause in (("database", 0), ("web", 0.3), ("worker", 0.2)):
        supervisor.start(make_program(tmp_path, name, ends.format(pause=pause)))
    wait_until_up(tmp_path, "database", "web", "worker")

    supervisor.stop()

    ended = {name: float((tmp_path / f"{name}.log").read_text().split()[1]) for name in ("database", "web", "worker")}
    assert max(ended, key=lambda name: ended[name]) == "database"


def test_a_program_that_ignores_the_end_is_ended_hard(tmp_path: Path, said: list[str]) -> None:
    stubborn = "import signal, time\nfor n in (signal.SIGTERM, signal.SIGQUIT): signal.signal(n, signal.SIG_IGN)\n"
    stubborn += "print('up', flush=True)\nwhile True: time.sleep(1)"
    supervisor = Supervisor(said.append)
    supervisor.start(make_program(tmp_path, "stubborn", stubborn, stop_seconds=0.3))
    wait_until_up(tmp_path, "stubborn")
    began = time.monotonic()

    supervisor.stop()

    assert time.monotonic() - began < 6
    assert said == ["stubborn does not end by itself; ending it hard"]


def test_what_a_dead_program_had_started_does_not_outlive_it(tmp_path: Path, said: list[str]) -> None:
    parent = "import subprocess, time\nchild = subprocess.Popen(['sleep', '300'])\nprint('up', child.pid, flush=True)\n"
    parent += "time.sleep(300)"
    supervisor = Supervisor(said.append)
    supervisor.start(make_program(tmp_path, "parent", parent))
    wait_until_up(tmp_path, "parent")
    child = int((tmp_path / "parent.log").read_text().split()[1])
    leader = os.getpgid(child)

    os.kill(leader, signal.SIGKILL)

    tend_until(supervisor, lambda: has_ended(child))
    assert "signal SIGKILL" in said[0]
    supervisor.stop()


def tend_until(supervisor: Supervisor, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        supervisor.tend(0.1)


def has_ended(pid: int) -> bool:
    """Also where nobody has taken note of its end yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except OSError:
        return True


def wait_until_up(folder: Path, *names: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        logs = [folder / f"{name}.log" for name in names]
        if all(log.exists() and "up" in log.read_text() for log in logs):
            return
        time.sleep(0.02)
    pytest.fail(f"{names} did not come up")
