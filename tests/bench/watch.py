"""Watch a running product: memory of every process, response times, and what became of them over time."""

import os
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.report import percentile
from tests.bench.users import Log

EVERY_SECONDS = 10.0
# What counts as growth between the middle and the last third.
MEMORY_SHARE, MEMORY_MB = 0.05, 5.0
SLOWER = 1.3
FEWEST = 20


@dataclass
class Watch(threading.Thread):
    """Samples each ten seconds until stopped. `roots`: the process whose descendants are the product."""

    root: int
    log: Log
    stopping: threading.Event
    say: Callable[[str], None] = print
    samples: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(name="watch", daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        began = time.monotonic()
        while not self.stopping.wait(EVERY_SECONDS):
            times = self.log.take_times()
            sample = {
                "at": round(time.monotonic() - began, 1),
                "memory_mb": memory_by_program(self.root),
                "times": times,
                "errors": len(self.log.errors),
            }
            self.samples.append(sample)
            if len(self.samples) % 6 == 0:
                number = sum(map(len, times.values()))
                self.say(f"{number} requests in 10 s, {len(self.log.errors)} errors, MB {sample['memory_mb']}")


def memory_by_program(root: int) -> dict[str, float]:
    """MB by program of a process tree: anonymous memory of all its processes, so that shared pages count nowhere."""
    found: dict[str, float] = defaultdict(float)
    for pid in descendants(root):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith("RssAnon:"):
                found[_program(words)] += int(line.split()[1]) / 1024
    return {name: round(mb, 1) for name, mb in sorted(found.items())}


def descendants(root: int) -> list[int]:
    """All processes below this one, itself included."""
    parents: dict[int, list[int]] = defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path(f"/proc/{name}/stat").read_text()
            except OSError:
                continue
            parents[int(stat.rpartition(")")[2].split()[1])].append(int(name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += parents[pid]
    return found


def judge_growth(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What grew from the middle third to the last: `{"memory": {…}, "times": {…}, "grown": [sentences]}`.

    The first third is warm-up. Times are compared by the p95 of all requests of a kind in a third.
    """
    third = len(samples) // 3
    middle, last = samples[third : 2 * third], samples[2 * third :]
    memory, times, grown = {}, {}, []
    if not middle or not last:
        return {"memory": {}, "times": {}, "grown": ["too few samples to judge"]}
    for program in sorted({name for sample in samples for name in sample["memory_mb"]}):
        before, after = (_mean(part, program) for part in (middle, last))
        memory[program] = {"middle_mb": round(before, 1), "last_mb": round(after, 1)}
        if after > before * (1 + MEMORY_SHARE) + MEMORY_MB:
            grown.append(f"{program} grew from {before:.0f} to {after:.0f} MB")
    for kind in sorted({name for sample in samples for name in sample["times"]}):
        before_ms, after_ms = (_gathered(part, kind) for part in (middle, last))
        if min(len(before_ms), len(after_ms)) < FEWEST:
            continue
        before, after = percentile(before_ms, 0.95), percentile(after_ms, 0.95)
        times[kind] = {
            "requests": sum(len(sample["times"].get(kind, ())) for sample in samples),
            "p50_ms": round(percentile(after_ms, 0.5), 1),
            "middle_p95_ms": round(before, 1),
            "last_p95_ms": round(after, 1),
        }
        if after > before * SLOWER:
            grown.append(f"{kind}: p95 grew from {before:.0f} to {after:.0f} ms")
    return {"memory": memory, "times": times, "grown": grown}


def _mean(samples: Sequence[Mapping[str, Any]], program: str) -> float:
    return statistics.fmean(sample["memory_mb"].get(program, 0.0) for sample in samples)


def _gathered(samples: Sequence[Mapping[str, Any]], kind: str) -> list[float]:
    return [ms for sample in samples for ms in sample["times"].get(kind, ())]


def _program(words: str) -> str:
    for name, sign in (("postgres", "postgres"), ("web", "granian"), ("beat", " beat "), ("worker", "celery")):
        if sign in words:
            return name
    return "supervisor"
