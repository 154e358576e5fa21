"""`make soak`: the real product under mixed load, then kill -9 in the middle of everything, restart, and a recount.

Started as `make run` starts it, with durable settings. Writes `.bench/soak.json`; exit code 0 when nothing was wrong.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from governance.embedded.run import ROOT
from tests.bench.recount import recount, verify_audit
from tests.bench.users import BROKEN, Exporter, Log, Pusher, Reader, Reviewer, User
from tests.bench.watch import Watch, descendants, judge_growth
from tests.plugins.brokers import free_port
from tests.plugins.tree import Tree

SOURCES = ("alpha", "bravo", "charlie")
SETTLE_SECONDS = 180.0


class Soak:
    """One run. Call `run`, which returns the report."""

    def __init__(self, *, minutes: float, grants: int, folder: Path, port: int) -> None:
        self.minutes, self.grants, self.folder, self.port = minutes, grants, folder, port
        self.log, self.stopping = Log(), threading.Event()
        self.began = time.monotonic()

    def say(self, text: str) -> None:
        print(f"  {time.monotonic() - self.began:6.0f} s  {text}", flush=True)

    def run(self) -> dict[str, Any]:
        tree = self._start()
        try:
            facts = self._furnish(tree)
            users = self._users(facts)
            self._first_readings(users)
            self._campaigns(tree, facts)
            watch = Watch(tree.process.pid, self.log, self.stopping, self.say)
            self.say(f"load begins: {len(users)} users for {self.minutes:g} minutes")
            watch.start()
            for user in users:
                user.start()
            self._sleep(self.minutes * 60)
            self._wait_for_work(users)
            self._kill(tree)
            self.stopping.set()
            for user in [*users, watch]:
                user.join(60)
            growth = judge_growth(watch.samples)
            tree = self._start()
            return self._afterwards(tree, users, watch, growth)
        finally:
            tree.stop()

    def _start(self) -> Tree:
        began = time.monotonic()
        # Nothing of the caller's settings; durable, unlike in the tests.
        tree = Tree(self.folder / "data", port=self.port, environment={"DEMO": "no", "REMIT_EMBEDDED_DURABLE": "yes"})
        tree.wait_until_ready(seconds=180)
        self.say(f"the product is ready after {time.monotonic() - began:.0f} s on port {self.port}")
        return tree

    def _environment(self, tree: Tree) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        return kept | tree.settings | {"DJANGO_SETTINGS_MODULE": "governance.settings", "LOG_LEVEL": "WARNING"}

    def _inside(self, tree: Tree, task: str, **arguments: Any) -> dict[str, Any]:
        outcome = subprocess.run(
            [sys.executable, "-m", "tests.bench.inside", task, json.dumps(arguments)],
            cwd=ROOT, env=self._environment(tree), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if outcome.returncode:
            raise RuntimeError(f"{task} failed: {outcome.stderr[-1500:]}")
        return dict(json.loads(outcome.stdout.strip().rpartition("\n")[2]))

    def _furnish(self, tree: Tree) -> dict[str, Any]:
        return self._inside(tree, "furnish", sources=list(SOURCES))

    def _users(self, facts: dict[str, Any]) -> list[User]:
        rest = (self.port, self.log, self.stopping)
        pushers = [Pusher(source, self.grants, facts["token"], *rest) for source in SOURCES]
        reviewers = [Reviewer(email, facts["password"], *rest) for email in facts["reviewers"][: len(SOURCES)]]
        exporter = Exporter(facts["keeper"], facts["password"], *rest)
        return [*pushers, *reviewers, exporter, Reader(facts["token"], *rest)]

    def _first_readings(self, users: list[User]) -> None:
        for user in users:
            if isinstance(user, Pusher) and not user.send():
                raise RuntimeError(f"the first reading failed: {self.log.errors}")
        self.log.take_times()

    def _campaigns(self, tree: Tree, facts: dict[str, Any]) -> None:
        for source, email in zip(SOURCES, facts["reviewers"], strict=False):
            opened = self._inside(tree, "open_campaign", scope=f"source={source}", reviewer=email)
            self.say(f"{opened['items']:,} questions for {email}")

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and len(self.log.errors) < 1000:
            time.sleep(0.2)

    def _wait_for_work(self, users: list[User]) -> None:
        """Until two pushes are under way at the same time: a kill between requests would show nothing."""
        pushers = [user for user in users if isinstance(user, Pusher)]
        deadline = time.monotonic() + SETTLE_SECONDS
        while sum(pusher.pending is not None for pusher in pushers) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)

    def _kill(self, tree: Tree) -> None:
        """Every process of the product at once; from here on broken connections are no errors."""
        pids = descendants(tree.process.pid)
        with self.log.lock:
            self.log.is_down = True
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        tree.process.wait(30)
        self.say(f"killed {len(pids)} processes in the middle of everything")

    def _afterwards(self, tree: Tree, users: list[User], watch: Watch, growth: dict[str, Any]) -> dict[str, Any]:
        self.log.is_down = False
        self.stopping.clear()
        pushers = [user for user in users if isinstance(user, Pusher)]
        reviewers = [user for user in users if isinstance(user, Reviewer)]
        reader = next(user for user in users if isinstance(user, Reader))
        for user in (*pushers, reader):
            user.client.close()  # what it was connected to is gone
        under_way = sum(pusher.pending is not None for pusher in pushers)
        for pusher in pushers:
            self._repeat(pusher)
        time.sleep(15)  # the tick that ends abandoned runs
        reader.follow(10_000)
        wrong, facts = recount(tree.settings["DATABASE_URL"], pushers, reviewers, reader)
        broken, verified = verify_audit(self._environment(tree), ROOT)
        facts["pushes under way at the kill"] = under_way
        problems = [*self.log.errors[:50], *wrong, *broken, *growth["grown"]]
        return {
            "minutes": self.minutes,
            "grants_per_source": self.grants,
            "requests": dict(self.log.counts),
            "errors": self.log.errors,
            "growth": growth,
            "recount": facts,
            "recount_wrong": wrong,
            "verify_audit": verified,
            "verdict": "sound" if not problems else "NOT SOUND",
            "problems": problems,
            "samples": [sample | {"times": _summary(sample["times"])} for sample in watch.samples],
        }

    def _repeat(self, pusher: Pusher) -> None:
        """What was under way is sent again with its key: applied then or now, but once."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while pusher.pending is not None and time.monotonic() < deadline:
            try:
                is_told = pusher.send()
            except BROKEN:
                is_told = False
            if not is_told:
                time.sleep(1)


def _summary(times: dict[str, list[float]]) -> dict[str, Any]:
    from tests.bench.report import percentile

    return {
        kind: [len(ms), round(percentile(ms, 0.5), 1), round(percentile(ms, 0.95), 1)] for kind, ms in times.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description="Mixed load, kill -9, restart, recount.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--grants", type=int, default=8_000, help="grants of each of the three sources")
    parser.add_argument("--folder", type=Path, default=Path(".bench") / "soak-place")
    parser.add_argument("--output", type=Path, default=Path(".bench") / "soak.json")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    folder = options.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.chmod(0o711)  # root's PostgreSQL runs under another account, which must pass through
    soak = Soak(minutes=options.minutes, grants=options.grants, folder=folder, port=options.port or free_port())
    report = soak.run()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1, default=str) + "\n")
    _print(report)
    print(f"\n{report['verdict']}. Written to {options.output}")
    if report["problems"]:
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def _print(report: dict[str, Any]) -> None:
    print("\nrequests:", ", ".join(f"{kind} {number}" for kind, number in sorted(report["requests"].items())))
    for kind, figures in report["growth"]["times"].items():
        print(
            f"  {kind:24} p50 {figures['p50_ms']:8.1f} ms   p95 {figures['middle_p95_ms']:8.1f} then {figures['last_p95_ms']:8.1f} ms"
        )
    for program, figures in report["growth"]["memory"].items():
        print(f"  {program:24} {figures['middle_mb']:8.1f} then {figures['last_mb']:8.1f} MB")
    for name, number in report["recount"].items():
        print(f"  {name:48} {number}")
    for problem in report["problems"]:
        print(f"  PROBLEM: {problem}")


if __name__ == "__main__":
    sys.exit(main())
