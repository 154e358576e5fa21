"""A PostgreSQL that may be killed and stopped, and the web server as `make run` starts it, for tests of one module."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from django.core.management import call_command
from django.db import connections

from governance.embedded.binaries import find_programs
from governance.embedded.postgres import Server
from governance.embedded.run import web_command
from tests import database

ROOT = Path(__file__).resolve().parents[2]
Made = TypeVar("Made")


class Cluster:
    """A PostgreSQL of one module alone, which may be killed and stopped."""

    def __init__(self, folder: Path) -> None:
        self.server = Server(folder, log=folder.with_suffix(".log"), durable=False)
        self.process = self.server.start()[1]

    def send(self, number: int) -> None:
        """To every process of it. Whoever would start others stands still meanwhile; who ended by itself needs nothing."""
        os.kill(self.process.pid, signal.SIGSTOP)
        wait_until(lambda: _state_of(self.process.pid) in "TZ")
        tree = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, check=False)
        for pid in (*map(int, tree.stdout.split()), self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.process.wait(20)

    def start(self) -> None:
        self.process = self.server.start()[1]

    def end(self) -> None:
        self.send(signal.SIGCONT)
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        # For root it may live outside the folders that pytest removes.
        shutil.rmtree(self.server.home, ignore_errors=True)

    def load(self, dump: Path) -> None:
        programs = find_programs(None, None, lambda _: None)
        subprocess.run([programs / "pg_restore", "--no-owner", "--dbname", self.server.admin_url(), dump], check=True)


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def dump_of(pristine: str, blocker: Any, dump: Path, fill: Callable[[], Made]) -> Made:
    """What `fill` returns after it has filled a database of its own, which is written to `dump`."""
    original = connections["default"].settings_dict["NAME"]
    name = f"{original}_{os.urandom(3).hex()}"[-63:]
    with blocker.unblock():
        database._copy(pristine, name)
        database._point_to(name)
        try:
            call_command("createcachetable", verbosity=0)
            made = fill()
            source = database._url(connections["default"].settings_dict)
            connections.close_all()
            programs = find_programs(None, None, lambda _: None)
            subprocess.run([programs / "pg_dump", "-Fc", "--no-privileges", "-f", dump, source], check=True)
        finally:
            connections.close_all()
            database._point_to(original)
            database._drop(name)
    return made


def start_web(port: int, url: str, log: Path, **settings: str) -> subprocess.Popen[bytes]:
    """The web server's two processes with four threads each, in front of this database."""
    more = {"DATABASE_URL": url, "HTTPS": "false", "ALLOWED_HOSTS": "127.0.0.1", **settings}
    with log.open("wb") as output:
        return subprocess.Popen(web_command(port), cwd=ROOT, env=os.environ | more, stdout=output, stderr=output)


def wait_until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true value of the condition."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    pytest.fail("did not happen in time")
