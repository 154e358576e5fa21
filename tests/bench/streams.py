"""How fast many writers fill the decision log, alone and while a sealer chains and anchors what they write."""

import multiprocessing
import time
from typing import Any

from tests.bench import report
from tests.bench.measures import Bench
from tests.bench.report import Row

WRITERS, LINES = 8, 20


def measure_stream(bench: Bench) -> list[Row]:
    """Eight processes append, one seals until nothing is left; beside it the same writers without a sealer."""
    database = bench.place.fresh("bench_stream")
    found = bench.place.inside(database, "fill_stream", seconds=3 if bench.size.is_full else 2, rounds=3)
    note = (
        f"{WRITERS} writers, {LINES} decisions a commit, sealed to the last one; baseline: the same without a sealer. "
        f"One decision a commit: {report.shown(found['single'])}/s; a backlog is sealed at {report.shown(found['backlog'])}/s"
    )
    bench.place.drop(database)
    return [bench.row("audit_stream_rows_per_s", found["sealed"], found["plain"], unit="rows/s", note=note)]


def fill(seconds: float, rounds: int) -> dict[str, Any]:
    """Rates in lines per second, by round: `sealed`, `plain`; and once: `single` (one line a commit), `backlog`."""
    found: dict[str, Any] = {"sealed": [], "plain": []}
    _appended(0.5, LINES, is_sealing=True)
    backlogs = []
    for _ in range(rounds):
        found["sealed"].append(_appended(seconds, LINES, is_sealing=True)[0])
        rate, number = _appended(seconds, LINES, is_sealing=False)
        found["plain"].append(rate)
        began = time.perf_counter()
        _seal_all()
        backlogs.append(number / (time.perf_counter() - began))
    found["single"] = _appended(seconds, 1, is_sealing=True)[0]
    found["backlog"] = sorted(backlogs)[len(backlogs) // 2]
    return found


def _appended(seconds: float, lines: int, *, is_sealing: bool) -> tuple[float, int]:
    """(lines per second from the first append to the last seal, lines)."""
    from django.db import connections

    connections.close_all()  # children must not share a connection
    context = multiprocessing.get_context("fork")
    barrier, total = context.Barrier(WRITERS + 1), context.Value("q", 0)
    writers = [context.Process(target=_write, args=[seconds, lines, barrier, total]) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    barrier.wait()
    began = time.perf_counter()
    while any(writer.is_alive() for writer in writers):
        if not is_sealing or not _seal():
            time.sleep(0.01)
    if is_sealing:
        _seal_all()
    took = time.perf_counter() - began
    if any(writer.exitcode for writer in writers):
        raise RuntimeError("a writer ended badly")
    return total.value / took, total.value


def _write(seconds: float, lines: int, barrier: Any, total: Any) -> None:
    from django.utils import timezone

    from governance.audit.stream import Line, append

    facts = {
        "subject": {"type": "workload", "id": "payments-worker-17"},
        "action": "SELECT",
        "resource": {"type": "table", "id": "ledger/public/payments"},
        "decision": False,
        "why": "no_grant",
        "policy": "sha256:8f2d0a3c51e4",
    }
    append([Line(timezone.now(), "decision", facts)])  # the connection is made before the clock runs
    written = 0
    barrier.wait()
    ends_at = time.perf_counter() + seconds
    while time.perf_counter() < ends_at:
        append([Line(timezone.now(), "decision", facts) for _ in range(lines)])
        written += lines
    with total.get_lock():
        total.value += written


def _seal() -> Any:
    from django.utils import timezone

    from governance.audit.stream import seal_pending
    from governance.kernel.actors import system_actor

    return seal_pending(now=timezone.now(), actor=system_actor("bench"))


def _seal_all() -> None:
    while _seal():
        pass
