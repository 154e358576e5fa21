"""What every test stands on: the settings, and a real PostgreSQL.

`DATABASE_URL`, where set, names the server to use (its user must be able to create databases). Otherwise one
throw-away server is started for the whole run, shared by all xdist workers and removed at the end.
"""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import django
import hypothesis
import pytest
from django.conf import settings
from xdist.scheduler import LoadScopeScheduling

from governance.embedded.postgres import Server

pytest_plugins = [
    "tests.database",
    "tests.people_fixtures",
    "tests.plugins.agents",
    "tests.plugins.audited",
    "tests.plugins.browser",
    "tests.plugins.brokers",
    "tests.plugins.cluster",
    "tests.plugins.aws",
    "tests.plugins.governed",
    "tests.plugins.queues",
    "tests.plugins.redis_lists",
    "tests.plugins.tree",
    "tests.plugins.writer",
]

WORKER = os.environ.get("PYTEST_XDIST_WORKER")

# How long an example takes says something about the machine, and nothing about the claim. New cases are looked for on
# our own machines; what CI says must depend on the commit alone.
_UNHURRIED: dict[str, Any] = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("here", **_UNHURRIED)
hypothesis.settings.register_profile("ci", derandomize=True, **_UNHURRIED)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


def _memory(least: int = 6 * 2**30) -> Path | None:
    """A file system in memory, where there is plenty of it: hundreds of tests work in a copied database of their own,
    a thousand files, and a copy on a disk takes ten times as long. None: the usual folder for temporary files.
    """
    memory, known = Path("/dev/shm"), Path("/proc/meminfo")
    if not (os.access(memory, os.W_OK) and known.exists()):
        return None
    available = next(int(line.split()[1]) for line in known.read_text().splitlines() if line.startswith("MemAvailable"))
    is_plenty = shutil.disk_usage(memory).free >= least and available * 1024 >= 2 * least
    return memory if is_plenty else None


def _set_environment() -> Path:
    """The settings are read from the environment, so it has to be right before Django is set up."""
    if WORKER is None:
        scratch = Path(tempfile.mkdtemp(prefix="remit-tests-", dir=_memory()))
        atexit.register(shutil.rmtree, scratch, ignore_errors=True)
        scratch.chmod(0o711)  # root's PostgreSQL runs under another account, which must pass through
        os.environ["REMIT_TEST_SCRATCH"] = str(scratch)
    scratch = Path(os.environ["REMIT_TEST_SCRATCH"])
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "governance.settings",
        "SECRET_KEY": "only-for-tests-" + "x" * 40,
        "DATA_DIR": str(scratch / (WORKER or "data")),
        "STATICFILES_BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage",
        "CELERY_BROKER_URL": "memory://",
        "LOG_LEVEL": "WARNING",
        # Playwright's synchronous interface keeps an event loop in the main thread, which Django mistakes for async.
        "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
    }
    return scratch


def _end(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)
    server.wait(30)


SCRATCH = _set_environment()
SERVER = None
if not os.environ.get("DATABASE_URL"):
    SERVER = Server(SCRATCH / "postgres", log=SCRATCH / "postgres.log", durable=False)
    os.environ["DATABASE_URL"] = SERVER.admin_url()
# The plugins above import models, so Django is set up here rather than later by pytest-django.
django.setup()
settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # every start of the middleware would warn that it is absent


def pytest_configure(config: pytest.Config) -> None:
    """Start the server once, in the process that starts the workers, and end it with that process."""
    if SERVER and not (config.option.help or config.option.version):
        _, process = SERVER.start()
        atexit.register(_end, process)


def _together(nodeid: str) -> str:
    """What stays on one xdist worker: a file, and all journeys, which share one running product."""
    return "journeys" if nodeid.startswith("tests/journeys/") else nodeid.partition("::")[0]


class _ByFile(LoadScopeScheduling):
    """(xdist's own `loadgroup` writes to an attribute that pytest 9.2 no longer reads.)"""

    def _split_scope(self, nodeid: str) -> str:
        return _together(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    config.option.loadscopereorder = False  # it would put what has few tests last, and those are the longest
    return _ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On an xdist worker what takes long comes first, so that no worker waits at the end for the other's last file."""
    if WORKER is None:
        return
    tests = Counter(_together(item.nodeid) for item in items)
    marks = ("slow", "browser")
    long = {_together(item.nodeid) for item in items if any(item.get_closest_marker(mark) for mark in marks)}

    def longest_first(item: pytest.Item) -> tuple[bool, bool, int]:
        group = _together(item.nodeid)
        return group != "journeys", group not in long, -tests[group]

    items.sort(key=longest_first)
