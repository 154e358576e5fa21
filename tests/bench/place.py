"""Where the bench runs: a throw-away PostgreSQL with production's settings, databases copied from one template, and
web servers started as the product starts them.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from governance.embedded.postgres import Server
from governance.embedded.run import ROOT, web_command
from tests.bench.client import wait_for
from tests.plugins.brokers import free_port

ROLE, PASSWORD = "remit", "only-for-measuring"
TEMPLATE, BASELINES = "bench_template", "bench_baselines"
PRODUCT_WSGI = "governance.wsgi:application"
COLD_WSGI = "tests.bench.cold_wsgi:application"
BASELINES_WSGI = "tests.bench.baselines.wsgi:application"
START_SECONDS = 90.0


class ChildFailed(RuntimeError):
    """A program that the bench started ended badly; the text is the end of what it wrote."""


@dataclass
class Web:
    """A web server on one database."""

    port: int
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        end(self.process)


@dataclass
class Place:
    """One run of the bench. `folder` is emptied before and removed after."""

    folder: Path
    say: Callable[[str], None] = print
    _admin: str = ""
    _server: subprocess.Popen[bytes] | None = None
    _webs: list[Web] = field(default_factory=list)
    _made: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """Server, template database with the product's schema and people, and the baselines' database."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o711)  # root's PostgreSQL runs under another account, which must pass through
        given = os.environ.get("DATABASE_URL", "")
        if given:
            self._admin = given
        else:
            server = Server(self.folder / "postgres", log=self.folder / "postgres.log", durable=True, say=self.say)
            _, self._server = server.start()
            server.make_database(ROLE, PASSWORD)
            self._admin = server.admin_url()
            self._role_url = server.url(ROLE, ROLE, PASSWORD)
        self._role_url = given or self._role_url
        self._create(TEMPLATE)
        self.manage(TEMPLATE, "prepare")
        self.facts = self.inside(TEMPLATE, "furnish")
        self._create(BASELINES)
        self._run_child([sys.executable, "-m", "django", "migrate", "--run-syncdb", "-v", "0"], self._baselines())
        self.say("database and schema ready")

    def stop(self) -> None:
        """End everything and remove what was made; also on a server that was given."""
        for web in self._webs:
            web.stop()
        if self._server is None and self._admin:
            for name in self._made:
                self.drop(name)
        if self._server:
            end(self._server, signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- databases ------------------------------------------------------------------------------------------------

    def url(self, database: str) -> str:
        """As the product's own role."""
        return _with_database(self._role_url, database)

    def fresh(self, database: str) -> str:
        """A copy of the template: schema, people, an empty inventory. Returns its name."""
        self.drop(database)
        self._create(database, TEMPLATE)
        return database

    def drop(self, database: str) -> None:
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", database)

    def settle(self, database: str) -> None:
        """What autovacuum would do within minutes, so that plans do not depend on when it last came by."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def fetch(self, database: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of one query. The text is ours, never from outside."""
        with psycopg.connect(self.url(database)) as connection:
            return connection.execute(query, parameters or None).fetchall()  # type: ignore[arg-type]

    def _create(self, database: str, template: str = "") -> None:
        like = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
        owner = urlsplit(self._role_url).username
        owned = sql.SQL(" OWNER {}").format(sql.Identifier(owner)) if owner else sql.SQL("")
        self.drop(database)
        with psycopg.connect(self._admin, autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)) + like + owned)
        self._made.append(database)

    def _execute(self, statement: str, database: str) -> None:
        with psycopg.connect(self._admin, autocommit=True) as admin:
            admin.execute(sql.SQL(statement).format(sql.Identifier(database)))  # type: ignore[arg-type]

    # --- programs -------------------------------------------------------------------------------------------------

    def environment(self, database: str) -> dict[str, str]:
        """What the product's programs get; nothing of the caller's settings leaks in."""
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        return kept | {
            "DATABASE_URL": self.url(database),
            "SECRET_KEY": "only-for-measuring-" + "x" * 40,
            "DATA_DIR": str(self.folder / "data"),
            "DJANGO_SETTINGS_MODULE": "governance.settings",
            "CELERY_BROKER_URL": "memory://",
            "LOG_LEVEL": "WARNING",
            "PYTHONUNBUFFERED": "1",
            # One review of everything is carried out in minutes here; the brake would rightly hold it.
            **{f"ORDER_BUDGET_{name}": "0" for name in ("PER_HOUR", "PER_SOURCE", "PRODUCTION")},
            # Generous, so that the throttle for sync clients is not what is measured.
            "SYNC_MAX_RECORDS": "20000000",
        }

    def manage(self, database: str, *words: str) -> None:
        self._run_child([sys.executable, "manage.py", *words], self.environment(database))

    def inside(self, database: str, task: str, *, longest: float = 1800, **arguments: Any) -> dict[str, Any]:
        """Call a function of tests/bench/inside.py in a process of its own; returns what it returned.

        longest: seconds after which it has failed.
        """
        command = [sys.executable, "-m", "tests.bench.inside", task, json.dumps(arguments, default=str)]
        last = self._run_child(command, self.environment(database), longest).strip().rpartition("\n")[2]
        return dict(json.loads(last))

    def inside_baselines(self, task: str, **arguments: Any) -> dict[str, Any]:
        """The same with the baselines' settings."""
        command = [sys.executable, "-m", "tests.bench.inside", task, json.dumps(arguments, default=str)]
        return dict(json.loads(self._run_child(command, self._baselines()).strip().rpartition("\n")[2]))

    def web(self, database: str, application: str = PRODUCT_WSGI) -> Web:
        """The product's web server, as `make run` starts it."""
        return self._serve(application, self.environment(database), "/healthz")

    def web_of_baselines(self) -> Web:
        """The same server with the same settings, serving the baselines."""
        return self._serve(BASELINES_WSGI, self._baselines(), "/ping")

    def _serve(self, application: str, environment: Mapping[str, str], ready: str) -> Web:
        port = free_port()
        log = (self.folder / f"web-{port}.log").open("wb")
        process = subprocess.Popen(
            web_command(port, application), cwd=ROOT, env=dict(environment), stdout=log, stderr=log
        )
        web = Web(port, process)
        self._webs.append(web)
        wait_for(lambda: _answers(port, ready), START_SECONDS, f"the start of {application}, see {log.name},")
        return web

    def _baselines(self) -> dict[str, str]:
        # The superuser fills these tables, nothing else differs.
        return self.environment(BASELINES) | {"DJANGO_SETTINGS_MODULE": "tests.bench.baselines.settings"}

    def _run_child(self, command: list[str], environment: Mapping[str, str], longest: float = 1800) -> str:
        outcome = subprocess.run(
            command, cwd=ROOT, env=dict(environment), capture_output=True, text=True, check=False, timeout=longest
        )
        if outcome.returncode:
            words = " ".join(command[1:4])
            text = (outcome.stderr or outcome.stdout).strip()
            with (self.folder / "failures.log").open("a") as log:
                log.write(f"--- {words}\n{text}\n")
            print(text[-3000:], file=sys.stderr)
            raise ChildFailed(f"{words} ended with {outcome.returncode}: {text.rpartition(chr(10))[2]}")
        return outcome.stdout


def end(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> None:
    """Ask, wait, insist."""
    if process.poll() is not None:
        return
    process.send_signal(number)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers(port: int, path: str) -> bool:
    from tests.bench.client import Client

    client = Client(port, timeout=5)
    try:
        return client.get(path).status == 200
    except OSError:
        time.sleep(0.1)
        return False
    finally:
        client.close()


def _with_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))
