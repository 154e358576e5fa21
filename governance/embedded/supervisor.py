"""Keep a few programs running: start in order, restart what dies, end everything cleanly.

Each program gets a session of its own, so Ctrl-C reaches only the supervisor, which then ends them in order. Linux
is asked to signal a program when the supervisor itself is killed, so nothing stays behind.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

PR_SET_PDEATHSIG = 1
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
STEADY_SECONDS = 10.0
POLL_SECONDS = 0.2
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Program:
    """How to run, stop and, if the supervisor is killed, orphan one program."""

    name: str
    command: Sequence[str]
    log: Path
    environment: dict[str, str]
    folder: Path
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    death_signal: signal.Signals = signal.SIGTERM
    popen: dict[str, Any] = field(default_factory=dict)

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the program in a session of its own, output appended to its log."""
        supervisor = os.getpid()

        def tie_to_supervisor() -> None:
            _libc.prctl(PR_SET_PDEATHSIG, int(self.death_signal))
            if os.getppid() != supervisor:  # killed before the line above took effect
                os._exit(1)

        with self.log.open("ab") as log:
            return subprocess.Popen(
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=tie_to_supervisor,  # noqa: PLW1509  the supervisor has one thread
                **self.popen,
            )


@dataclass
class _Child:
    program: Program
    process: subprocess.Popen[bytes] | None
    started_at: float
    pause: float = FIRST_PAUSE
    restart_at: float = 0.0


class Supervisor:
    """Runs programs until told to stop. `say` receives one line per event worth a person's attention."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._children: list[_Child] = []
        self._wake = Event()
        self.stopping = False
        self._hurry = False

    def listen(self) -> None:
        """Take Ctrl-C, SIGTERM and a closed terminal as the wish to end; twice means at once."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._hurry = self.stopping
        self.stopping = True
        self._wake.set()

    def start(self, program: Program) -> None:
        """Start a program and look after it from now on."""
        self._children.append(_Child(program, program.spawn(), time.monotonic()))

    def adopt(self, program: Program, process: subprocess.Popen[bytes]) -> None:
        """Look after a program that was started (and waited for) elsewhere."""
        self._children.append(_Child(program, process, time.monotonic()))

    def tend(self, seconds: float) -> None:
        """Look after the programs for a while; returns early when it is time to stop."""
        deadline = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < deadline:
            for child in self._children:
                self._look_after(child)
            self._wake.wait(POLL_SECONDS)

    def _look_after(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.restart_at:
                child.process, child.started_at = child.program.spawn(), now
            return
        code = child.process.poll()
        if code is None:
            return
        # The leader is gone; whatever it had started must not hold its port or its queue.
        _signal_group(child.process.pid, signal.SIGKILL)
        if now - child.started_at > STEADY_SECONDS:
            child.pause = FIRST_PAUSE
        self._say(
            f"{child.program.name} ended ({_reason(code)}); "
            f"starting it again in {child.pause:g} s, see {child.program.log}"
        )
        child.process, child.restart_at = None, now + child.pause
        child.pause = min(child.pause * 2, LONGEST_PAUSE)

    def stop(self) -> None:
        """End all programs: the last started first, except that independent ones need not wait for each other.

        The first program (the database) is ended last, when nothing uses it any more.
        """
        self.stopping = True
        self._stop_together(self._children[1:])
        self._stop_together(self._children[:1])
        self._children.clear()

    def _stop_together(self, children: Sequence[_Child]) -> None:
        running = [(child.program, child.process) for child in children if child.process is not None]
        for program, process in reversed(running):
            process.send_signal(program.stop_signal)
        began = time.monotonic()
        for program, process in running:
            while process.poll() is None and not self._hurry and time.monotonic() < began + program.stop_seconds:
                time.sleep(0.05)
            if process.poll() is None:
                self._say(f"{program.name} does not end by itself; ending it hard")
                process.send_signal(signal.SIGQUIT)
                _wait(process, 3.0)
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _reason(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
