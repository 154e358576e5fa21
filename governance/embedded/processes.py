"""See and end processes of this machine through /proc: ours by a mark in their environment, PostgreSQL's by title.

Needed for one case: an earlier start was killed so hard that some of its processes are still there.
"""

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path


def with_environment(name: str, value: str) -> list[int]:
    """Process ids, except our own, that were started with `name=value` in their environment."""
    wanted = f"{name}={value}".encode()
    return [pid for pid in _all() if wanted in _read(pid, "environ").split(b"\0")]


def with_title(matches: Callable[[list[str]], bool]) -> list[int]:
    """Process ids, except our own, whose command line (a list of words) matches."""
    found = []
    for pid in _all():
        words = _read(pid, "cmdline").decode(errors="replace").split("\0")
        if matches(words):
            found.append(pid)
    return found


def end(pids: Iterable[int], steps: Iterable[tuple[signal.Signals, float]]) -> bool:
    """Send each signal in turn, waiting the given seconds, until all are gone. Returns whether they are."""
    remaining = list(pids)
    for number, seconds in steps:
        for pid in remaining:
            _send(pid, number)
        deadline = time.monotonic() + seconds
        while remaining and time.monotonic() < deadline:
            time.sleep(0.05)
            remaining = [pid for pid in remaining if is_alive(pid)]
    return not remaining


def is_alive(pid: int) -> bool:
    """Whether the process exists and is more than a zombie."""
    try:
        state = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _all() -> Iterable[int]:
    own = os.getpid()
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != own]


def _read(pid: int, what: str) -> bytes:
    try:
        return (Path("/proc") / str(pid) / what).read_bytes()
    except OSError:
        return b""
