"""The one-command start: database, web, worker, beat and gateway as one foreground process tree.

Meant for trying Remit and for small installations on one machine. Nothing else in the product imports this package;
an installation with its own PostgreSQL and broker runs the same commands (docs/operations.md).
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from governance.embedded import processes
from governance.embedded.binaries import StartError
from governance.embedded.folder import DataFolder
from governance.embedded.postgres import Server
from governance.embedded.supervisor import Program, Supervisor

ROOT = Path(__file__).resolve().parent.parent.parent
MARK = "REMIT_EMBEDDED_DATA"
ADMIN = "REMIT_EMBEDDED_ADMIN_DSN"
ROLE = "remit"
READY_SECONDS = 120.0
HIGHEST_PORT = 65535


def reset(path: Path) -> int:
    """Forget the embedded database and everything beside it; the next start begins afresh."""
    folder = DataFolder(path)
    _end_leftovers(folder)
    Server(folder.database, log=folder.log("postgres"), say=print).end_leftovers()
    folder.wipe()
    print(f"Removed the data in {folder.path}. The next `make run` begins afresh, with a new demo.")
    return 0


class Start:
    """One start, from an empty or a used data folder to the clean end."""

    def __init__(self, folder: DataFolder, *, port: int, with_demo: bool) -> None:
        self._folder, self._port, self._with_demo = folder, port, with_demo
        self._began = time.monotonic()
        self._supervisor = Supervisor(self._say)
        self._server: Server | None = None
        self._environment: dict[str, str] = {}

    def run(self) -> int:
        """Blocks until told to stop. Raises `StartError` when the start fails; ends what it started in any case."""
        self._supervisor.listen()
        try:
            self._say(f"data folder {self._folder.path}")
            _end_leftovers(self._folder)
            self._start_database()
            self._prepare()
            self._load_demo()
            self._start_programs()
            if self._wait_until_ready():
                self._introduce()
            while not self._supervisor.stopping:
                self._supervisor.tend(3600)
            print(flush=True)
        finally:
            self._say("stopping")
            self._supervisor.stop()
        self._say(f"stopped; the data is kept in {self._folder.path}")
        return 0

    def run_command(self, arguments: list[str]) -> int:
        """Start the database alone, run one management command in this terminal, and end. Its exit code."""
        self._supervisor.listen()
        try:
            _end_leftovers(self._folder)
            self._start_database()
            command = [sys.executable, "manage.py", *arguments]
            process = subprocess.Popen(command, cwd=ROOT, env=self._environment)
            while process.poll() is None:
                if self._supervisor.stopping:
                    process.terminate()
                    process.wait()
                self._supervisor.tend(0.1)
            return process.returncode
        finally:
            self._supervisor.stop()

    def _say(self, text: str) -> None:
        print(f"  {time.monotonic() - self._began:6.1f} s  {text}", flush=True)

    def _start_database(self) -> None:
        settings = self._folder.read_settings()
        given = os.environ.get("DATABASE_URL")
        if given:
            self._say("database: the server that DATABASE_URL names")
            url = given
        else:
            url = self._start_server(settings["EMBEDDED_DATABASE_PASSWORD"])
        settings |= {"DATABASE_URL": url, "DATA_DIR": str(self._folder.path)}
        if self._port:
            settings["PUBLIC_URL"] = os.environ.get("PUBLIC_URL") or f"http://127.0.0.1:{self._port}"
            settings["MCP_GATEWAY_PORT"] = os.environ.get("MCP_GATEWAY_PORT") or str(self._port + 1)
        if not given:
            self._folder.write_settings(settings)
        # What the operator set wins; the superuser's way in never reaches a long-running program.
        self._environment = settings | os.environ | {"DATABASE_URL": url, MARK: str(self._folder.path)}
        self._environment |= {"DATA_DIR": str(self._folder.path), "PYTHONUNBUFFERED": "1"}
        self._environment.pop("EMBEDDED_DATABASE_PASSWORD")
        self._environment.pop(ADMIN, None)

    def _start_server(self, password: str) -> str:
        durable = os.environ.get("REMIT_EMBEDDED_DURABLE") != "no"
        log = self._folder.log("postgres")
        self._server = Server(self._folder.database, log=log, durable=durable, say=self._say)
        self._supervisor.adopt(*self._server.start())
        if self._demo_is("wanted"):
            # An earlier start was interrupted while it loaded the demo: half of it is worth nothing.
            self._server.drop_database(ROLE)
        is_new = self._server.make_database(ROLE, password)
        if is_new and self._with_demo:
            self._folder.demo_state.write_text("wanted")
        self._say(f"PostgreSQL {self._server.version()} answers")
        return self._server.url(ROLE, ROLE, password)

    def _prepare(self) -> None:
        self._step("prepare", [], {}, "database and static files")
        self._say("database migrated, static files collected")

    def _load_demo(self) -> None:
        """The demo is loaded into a database made by this or an interrupted start, never into one in use."""
        if not (self._demo_is("wanted") and self._server):
            return
        self._say("loading the demo, once")
        self._step("load_demo", [], {ADMIN: self._server.admin_url()}, "the demo")
        self._folder.demo_state.write_text("loaded")
        self._say("demo loaded")

    def _demo_is(self, state: str) -> bool:
        return self._folder.demo_state.exists() and self._folder.demo_state.read_text() == state

    def _step(self, command: str, arguments: list[str], extra: dict[str, str], what: str) -> None:
        """Run one management command to its end, looking after the database meanwhile."""
        program = self._program(command, [sys.executable, "manage.py", command, *arguments], extra=extra)
        offset = program.log.stat().st_size if program.log.exists() else 0
        process = program.spawn()
        while process.poll() is None:
            if self._supervisor.stopping:
                process.terminate()
                process.wait()
                raise StartError("Interrupted. What was done is kept; start again to go on.")
            self._supervisor.tend(0.1)
        if process.returncode != 0:
            with program.log.open("rb") as log:
                log.seek(offset)
                output = log.read().decode(errors="replace")[-3000:]
            raise StartError(f"Preparing {what} failed:\n{output}\nThe whole output is in {program.log}")

    def _start_programs(self) -> None:
        python = [sys.executable, "-m"]
        celery = ["celery", "--app", "governance.celery"]
        worker = [*celery, "worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "WARNING"]
        worker += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        beat = [*celery, "beat", "--scheduler", "celery.beat:Scheduler", "--pidfile=", "--loglevel", "WARNING"]
        self._supervisor.start(self._program("web", web_command(self._port)))
        self._supervisor.start(self._program("worker", python + worker, death_signal=signal.SIGQUIT))
        self._supervisor.start(self._program("beat", python + beat))
        self._start_gateway()
        if self._demo_is("loaded"):
            traffic = [sys.executable, "manage.py", "demo_traffic"]
            self._supervisor.start(self._program("demo traffic", traffic))
        self._say("web, worker and beat started")

    def _start_gateway(self) -> None:
        """The MCP gateway, beside the web server; a port that is taken costs the gateway and nothing else."""
        port = self._environment["MCP_GATEWAY_PORT"]
        if self._environment.get("MCP_GATEWAY") == "no":
            return
        try:
            free_port(port)
        except StartError as problem:
            self._say(f"without the MCP gateway: {str(problem).partition('.')[0]}; MCP_GATEWAY_PORT chooses another")
            return
        command = [sys.executable, "manage.py", "mcp_gateway", "--port", port]
        self._supervisor.start(self._program("gateway", command))

    def _program(
        self,
        name: str,
        command: list[str],
        *,
        extra: dict[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGTERM,
    ) -> Program:
        return Program(
            name=name,
            command=command,
            log=self._folder.log(name.replace(" ", "-")),
            environment=self._environment | (extra or {}),
            folder=ROOT,
            death_signal=death_signal,
        )

    def _wait_until_ready(self) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        missing = "nothing answers yet"
        while not self._supervisor.stopping and time.monotonic() < deadline:
            missing = _not_ready(self._port)
            if not missing:
                self._say("ready")
                return True
            self._supervisor.tend(0.3)
        if not self._supervisor.stopping:
            self._say(f"not everything is ready: {missing}; going on, see the logs in {self._folder.logs}")
        return not self._supervisor.stopping

    def _introduce(self) -> None:
        lines = ["", f"  Remit runs at {self._environment['PUBLIC_URL']}", ""]
        if self._folder.demo_sign_in.exists():
            lines += [f"  {line}" for line in self._folder.demo_sign_in.read_text().splitlines()]
        else:
            lines.append("  First account: .venv/bin/python manage.py createsuperuser")
        lines += ["", f"  Logs: {self._folder.logs}", "  Ctrl-C ends everything; the data stays.", ""]
        print("\n".join(lines), flush=True)


def web_command(port: int, application: str = "governance.wsgi:application") -> list[str]:
    """The web server with its settings; what is measured elsewhere is started by the same line."""
    web = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    web += ["--workers", "2", "--blocking-threads", "4", "--no-ws", "--respawn-failed-workers"]
    return [*web, "--workers-kill-timeout", "5", "--log-level", "warning", application]


def _end_leftovers(folder: DataFolder) -> None:
    """We hold the folder's lock, so whatever still carries its mark outlived a start that was killed."""
    leftovers = processes.with_environment(MARK, str(folder.path))
    if not leftovers:
        return
    print(f"  ending {len(leftovers)} processes left over from an earlier start", flush=True)
    if not processes.end(leftovers, [(signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)]):
        raise StartError(f"Processes of an earlier start do not end: {leftovers}. End them by hand with kill -9.")


def free_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= HIGHEST_PORT):
        raise StartError(f"PORT must be a number from 1 to {HIGHEST_PORT}, not {text!r}. Example: make run PORT=8001")
    port = int(text)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise StartError(f"Port {port} is reserved for root. Choose one above 1023: make run PORT=8000") from None
        except OSError:
            raise StartError(
                f"Port {port} is taken by another program. End that program, or choose another port: "
                f"make run PORT={port + 1 if port < HIGHEST_PORT else 8000}"
            ) from None
    return port


def _not_ready(port: int) -> str:
    """What `/readyz` still misses, as a sentence; empty when all is well."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError):
        return "the web process does not answer"
    finally:
        connection.close()
    problems = [f"{name} {check['detail']}" for name, check in body.get("checks", {}).items() if not check["ok"]]
    return ", ".join(problems) or ("" if response.status == http.client.OK else f"status {response.status}")
