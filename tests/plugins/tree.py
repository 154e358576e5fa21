"""The whole product as `make run` starts it: PostgreSQL, web, worker and beat, in a folder of its own."""

import fcntl
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.brokers import free_port

ROOT = Path(__file__).resolve().parents[2]
# Set for the tests themselves; the product must make its own choices.
OF_THE_TESTS = (
    "DATABASE_URL",
    "SECRET_KEY",
    "DATA_DIR",
    "STATICFILES_BACKEND",
    "CELERY_BROKER_URL",
    "CELERY_TASK_ALWAYS_EAGER",
    "DJANGO_ALLOW_ASYNC_UNSAFE",
    "PORT",
    "DATA",
    "DEMO",
)
# The first step of a first start, by itself: the cluster, the database and its migrations, the static files.
PREPARE = """
import sys
from pathlib import Path
from governance.embedded.folder import DataFolder
from governance.embedded.run import Start
sys.exit(Start(DataFolder(Path(sys.argv[1])), port=0, with_demo=False).run_command(["prepare"]))
"""
PROGRAMS = {"web": "granian", "worker": "celery worker", "beat": "celery beat", "postgres": "postgres"}


class Tree:
    """A running product. `base_url` has no final slash; `data` is its data folder; `output` what it printed."""

    def __init__(self, data: Path, *, port: int, environment: dict[str, str]) -> None:
        self.data, self.port = data, port
        self.base_url = f"http://127.0.0.1:{port}"
        self.printed = data.parent / f"{data.name}.output"
        with self.printed.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "governance.embedded", "--data", str(data), "--port", str(port)],
                cwd=ROOT,
                env=_environment() | {"MCP_GATEWAY": "no"} | environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )

    @property
    def output(self) -> str:
        return self.printed.read_text(errors="replace")

    @property
    def settings(self) -> dict[str, str]:
        """What the running programs use: `DATABASE_URL`, `SECRET_KEY` …"""
        lines = (self.data / "settings.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if not line.startswith("#"))

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON body, or (0, None) when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            return 0, None
        finally:
            connection.close()

    def wait_until_ready(self, seconds: float = 120) -> None:
        """Until `/readyz` answers 200; fails with what the product printed."""
        wait_for(lambda: self.get("/readyz")[0] == 200 or self.process.poll() is not None, seconds, self.diagnosis)
        assert self.process.poll() is None, self.diagnosis()

    def diagnosis(self) -> str:
        """Everything a person would look at first."""
        logs = sorted((self.data / "logs").glob("*.log"))
        parts = [f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs]
        return f"{self.get('/readyz')}\n{self.output[-3000:]}\n" + "\n".join(parts)

    def pid_of(self, program: str) -> int:
        """The main process of `web`, `worker`, `beat` or `postgres`; 0 while it is not there."""
        words = PROGRAMS[program].split()
        for pid in _children(self.process.pid):
            command = _command(pid)
            if all(any(Path(part).name == word for part in command) for word in words):
                return pid
        return 0

    def kill(self, program: str) -> int:
        """kill -9 of one program's main process; returns its former id."""
        pid = self.pid_of(program)
        assert pid, f"{program} does not run\n{self.diagnosis()}"
        os.kill(pid, signal.SIGKILL)
        return pid

    def processes(self) -> list[int]:
        """Every process of this tree but the supervisor, including what a killed supervisor would leave behind."""
        mark = f"REMIT_EMBEDDED_DATA={self.data}".encode()
        found = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            command = " ".join(_command(pid))
            if mark in _read(pid, "environ").split(b"\0") or f"-D {self.data}/postgres/data" in command:
                found.append(pid)
        return [pid for pid in found if pid != self.process.pid]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """End it as Ctrl-C does; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(90)
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"the product did not end\n{self.diagnosis()}")


@pytest.fixture(scope="session")
def remit_tree() -> Iterator[Tree]:
    """The real product, ready, with its demo, started once for all of tests/journeys (they stay on one xdist worker).

    For journeys: `page.goto(remit_tree.base_url + "/")`. The demo's sign-in is what `load_demo` wrote to
    `remit_tree.data / "demo-signin.txt"`. `remit_tree.settings["DATABASE_URL"]` is the product's own database;
    `remit_tree.kill("worker")` kills a program, which comes back by itself; `remit_tree.wait_until_ready()` waits
    for that. Tests share it, so each works on objects of its own and leaves it running.
    """
    # Short waits keep the journeys short; nothing else differs from what a person starts.
    waits = {"ORDER_RECALL_SECONDS": "2", "ORDER_LEASE_SECONDS": "10"}
    tree = Tree(_open_folder() / "data", port=free_port(), environment=waits)
    try:
        tree.wait_until_ready(seconds=300)
        yield tree
    finally:
        tree.stop()


@pytest.fixture(scope="session")
def start_tree() -> Callable[..., Tree]:
    """`start_tree()`: for module fixtures, which then must call `stop()`; no demo, with the gateway."""

    def start() -> Tree:
        gateway = {"MCP_GATEWAY": "yes", "MCP_GATEWAY_PORT": str(free_port())}
        return Tree(_open_folder() / "data", port=free_port(), environment={"DEMO": "no"} | gateway)

    return start


@pytest.fixture
def new_tree() -> Iterator[Callable[..., Tree]]:
    """`new_tree(data=None, port=None, **environment)` starts a product of its own, without demo, and ends it after.

    It returns at once; call `wait_until_ready()`. Passing the `data` of an earlier tree starts again on its data.
    """
    started: list[Tree] = []

    def start(data: Path | None = None, port: int | None = None, **environment: str) -> Tree:
        folder = data or _open_folder() / "data"
        tree = Tree(folder, port=port or free_port(), environment={"DEMO": "no"} | environment)
        started.append(tree)
        return tree

    yield start
    for tree in started:
        tree.stop()


@pytest.fixture
def prepared_data() -> Callable[[], Path]:
    """`new_tree(data=prepared_data())`: a product that was prepared once, without demo, and never started.

    The migrations of a first start take longer than all the rest of it; they are made once for all who only need a
    product. First starts themselves are tried by `tree` and `remit_tree`.
    """

    def copy() -> Path:
        prepared = Path(os.environ["REMIT_TEST_SCRATCH"]) / "prepared"
        with prepared.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (prepared / "done").exists():
                command = [sys.executable, "-c", PREPARE, str(prepared / "data")]
                made = subprocess.run(
                    command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False
                )
                assert made.returncode == 0, made.stdout + made.stderr
                (prepared / "done").touch()
        data = _open_folder() / "data"
        subprocess.run(["cp", "-a", prepared / "data", data], check=True)  # owners are kept
        return data

    return copy


@pytest.fixture
def data_folder() -> Path:
    """Where a product could keep its data: not there yet, but PostgreSQL's account can reach the place."""
    return _open_folder() / "data"


def wait_for(condition: Callable[[], Any], seconds: float, explain: Callable[[], str] = lambda: "") -> Any:
    """Poll until the condition holds and return its value; fail with the explanation after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    pytest.fail(f"did not happen within {seconds:g} s\n{explain()}")


@pytest.fixture(name="wait_for")
def wait_for_fixture() -> Callable[..., Any]:
    """`wait_for(condition, seconds, explain=…)`: poll until it holds."""
    return wait_for


def _environment() -> dict[str, str]:
    """What a person's shell would hold."""
    kept = {name: value for name, value in os.environ.items() if name not in OF_THE_TESTS}
    return kept | {"REMIT_EMBEDDED_DURABLE": "no"}


def _open_folder() -> Path:
    """Root's PostgreSQL runs under another account, which must reach it: pytest's own folders are closed to others, and
    closed again by every other pytest that is started meanwhile.
    """
    folder = Path(tempfile.mkdtemp(prefix="tree-", dir=os.environ["REMIT_TEST_SCRATCH"]))
    folder.chmod(0o711)
    return folder


def _children(parent: int) -> list[int]:
    task = Path(f"/proc/{parent}/task/{parent}/children")
    try:
        return [int(pid) for pid in task.read_text().split()]
    except OSError:
        return []


def _command(pid: int) -> list[str]:
    return _read(pid, "cmdline").decode(errors="replace").split("\0")


def _read(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""
