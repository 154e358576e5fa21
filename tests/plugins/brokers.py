"""Real message brokers on loopback, started for the session and ended with it."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@pytest.fixture(scope="session")
def redis_broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`redis://…` of a server that keeps nothing. Skips where redis-server is not installed, fails in CI."""
    program = shutil.which("redis-server") or missing("redis-server")
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


@dataclass(frozen=True)
class Node:
    """A running node. `url` is for clients (guest, virtual host /), `management` the address of its HTTP API."""

    url: str
    port: int
    management: str = ""


@pytest.fixture(scope="session")
def rabbitmq_broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`amqp://…` of a node of our own. Skips where rabbitmq-server is not installed, fails in CI."""
    with _rabbitmq_node(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node.url


@pytest.fixture(scope="session")
def rabbitmq_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with the management API, which tells for each channel what it publishes to."""
    with _rabbitmq_node(tmp_path_factory.mktemp("rabbitmq-managed"), has_management=True) as node:
        yield node


@contextmanager
def _rabbitmq_node(folder: Path, *, has_management: bool = False) -> Iterator[Node]:
    if not RABBITMQ.exists():
        missing("rabbitmq-server")
    port, http_port, distribution_port, name_port = (free_port() for _ in range(4))
    configuration = folder / "rabbitmq.conf"
    configuration.write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {http_port}\n"
        "collect_statistics_interval = 500\nmanagement.rates_mode = detailed\n"
        if has_management
        else f"listeners.tcp.1 = 127.0.0.1:{port}\n"
    )
    (folder / "enabled_plugins").write_text("[rabbitmq_management]." if has_management else "[].")
    environment = os.environ | {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"remit{port}@localhost",
        "RABBITMQ_CONFIG_FILE": str(configuration),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none.conf"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_DIST_PORT": str(distribution_port),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(name_port),
    }
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [str(RABBITMQ)], env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_for_port(port, process, seconds=60)
        if has_management:
            wait_for_port(http_port, process, seconds=60)
        yield Node(f"amqp://guest:guest@127.0.0.1:{port}//", port, f"http://127.0.0.1:{http_port}")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        subprocess.run(["epmd", "-port", str(name_port), "-kill"], capture_output=True, check=False)


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def missing(package: str) -> str:
    message = f"{package} is not installed: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, "the broker ended by itself"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"the broker did not open port {port} within {seconds:g} s")
