"""How long requests, decisions and tasks take: counted by every process of this machine, read together by one of them.

Each process counts in a file of its own in `METRICS_DIR` that it keeps mapped into memory, so what it counted outlives
it (prometheus_client, multi-process mode; ADR 0038). Counting takes some microseconds, waits for nothing, and never
fails whatever is being measured: a process that cannot write there counts nothing, says so once, and `tell` says so.

Labels are names of our own (views, tasks, queues) and a few words; what callers choose, such as a method, becomes one
of these words. A process counts `MOST` series by their name; what more comes is counted under `other`, so that no sum
is too small. So its file stays within `ROOM`, which is taken at once: a mapped file that meets a full disk ends its
process.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings

log = structlog.get_logger(__name__)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
MOST = 700
ROOM = 2 * 1024 * 1024
_FILES, _GONE, _LOCK = "histogram_*.db", "histogram_gone.db", "lock"
_REQUEST = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_DECISION = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10)
_TASK = (0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 900)
_HISTOGRAMS = {
    "remit_request_seconds": ("Time to answer a request.", ("view", "method", "status"), _REQUEST),
    "remit_decision_seconds": ("Time to decide what was asked at once.", ("asked",), _DECISION),
    "remit_task_seconds": ("Time a task ran.", ("task", "state"), _TASK),
    "remit_task_wait_seconds": ("Time a task waited for a worker.", ("queue",), _TASK),
}


class _Process:
    """What this process has come to: whose id it had when its file was made, and whether it counts."""

    pid = 0
    counts = False
    series: dict[tuple[str, ...], Any] = {}


def note_request(*, view: str, method: str | None, status: int, seconds: float) -> None:
    """A request was answered. view: the name of its address, never its path."""
    name = method if method in METHODS else OTHER
    _note("remit_request_seconds", (view, name, f"{status // 100}xx"), seconds)


def note_decisions(*, asked: str, seconds: float) -> None:
    """Requests for decisions were answered together. asked: `single`, `batch` or `search`."""
    _note("remit_decision_seconds", (asked,), seconds)


def note_task(*, task: str, state: str, seconds: float) -> None:
    """A task ended."""
    _note("remit_task_seconds", (task, state), seconds)


def note_wait(*, queue: str, seconds: float) -> None:
    """A task began that had been sent so long before."""
    _note("remit_task_wait_seconds", (queue,), max(seconds, 0.0))


def tell() -> str | None:
    """What all processes of this machine counted, as text for Prometheus; None where it cannot be told.

    Nothing where nothing is to be counted.
    """
    if not settings.METRICS_DIR:
        return ""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    try:
        with _alone():
            _fold()
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=str(_folder()))
            return generate_latest(registry).decode()
    except (OSError, ValueError) as problem:
        log.warning("metrics.latencies_unreadable", error=type(problem).__name__)
        return None


def begin_anew() -> None:
    """Forget what processes counted that are no more. Those that still run keep what is theirs."""
    if not settings.METRICS_DIR:
        return
    try:
        with _alone():
            for file in (*_of_the_dead(), _folder() / _GONE):
                file.unlink(missing_ok=True)
    except OSError as problem:
        log.warning("metrics.latencies_unreadable", error=type(problem).__name__)


def _note(name: str, labels: tuple[str, ...], seconds: float) -> None:
    if _Process.pid != os.getpid():
        _begin()
    if not _Process.counts:
        return
    try:
        series = _Process.series.get((name, *labels)) or _new_series(name, labels)
        series.observe(seconds)
    except OSError as problem:
        _stop(problem)


def _new_series(name: str, labels: tuple[str, ...]) -> Any:
    """That of its own name, or where there are as many as a file has room for, the one of all others like it."""
    if len(_Process.series) >= MOST:
        return _histograms()[name].labels(OTHER, *labels[1:])
    series = _Process.series[(name, *labels)] = _histograms()[name].labels(*labels)
    return series


def _begin() -> None:
    """Take the room of this process's file. A process that was forked has another one than its parent."""
    _Process.pid, _Process.counts, _Process.series = os.getpid(), False, {}
    if not settings.METRICS_DIR:
        return
    try:
        _folder().mkdir(parents=True, exist_ok=True)
        _take_room(_folder() / f"histogram_{os.getpid()}.db")
    except OSError as problem:
        _stop(problem)
    else:
        _Process.counts = True


def _stop(problem: OSError) -> None:
    _Process.counts = False
    log.warning("metrics.latencies_off", error=type(problem).__name__)


def _take_room(file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, ROOM)
    finally:
        os.close(descriptor)


@cache
def _histograms() -> dict[str, Any]:
    """Made when something is first counted: the library looks at this variable when it is imported, and never again."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_folder())
    from prometheus_client import Histogram

    return {
        name: Histogram(name, text, labels, buckets=buckets, registry=None)
        for name, (text, labels, buckets) in _HISTOGRAMS.items()
    }


def _folder() -> Path:
    return Path(settings.METRICS_DIR)


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time reads and folds; counting goes on meanwhile."""
    _folder().mkdir(parents=True, exist_ok=True)
    with (_folder() / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _of_the_dead() -> list[Path]:
    return [file for file in _folder().glob(_FILES) if file.name != _GONE and not _is_alive(file)]


def _is_alive(file: Path) -> bool:
    try:
        os.kill(int(file.stem.removeprefix("histogram_")), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        pass
    return True


def _fold() -> None:
    """Add up the files of processes that are no more in one, so that neither disk nor reading grows with them."""
    dead = _of_the_dead()
    if not dead:
        return
    gone = _folder() / _GONE
    _write(gone.with_suffix(".new"), [*dead, *([gone] if gone.exists() else [])])
    gone.with_suffix(".new").replace(gone)
    for file in dead:
        file.unlink(missing_ok=True)


def _write(new: Path, files: Iterable[Path]) -> None:
    from prometheus_client.mmap_dict import MmapedDict, mmap_key
    from prometheus_client.multiprocess import MultiProcessCollector

    merged = MultiProcessCollector.merge([str(file) for file in files], accumulate=False)
    new.unlink(missing_ok=True)
    _take_room(new)
    written = MmapedDict(str(new))
    for metric in merged:
        for sample in metric.samples:
            names, values = list(sample.labels), list(sample.labels.values())
            key = mmap_key(metric.name, sample.name, names, values, metric.documentation)
            written.write_value(key, sample.value, 0.0)
    written.close()
