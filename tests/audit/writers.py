"""One writer of the trail, for a process of its own that may be killed at any moment."""

import os
import subprocess
import sys
import time
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from governance.audit.actions import Verb
from governance.audit.log import Subject, record
from governance.audit.stream import Line, append
from governance.kernel.actors import system_actor

ROOT = Path(__file__).resolve().parents[2]


_WRITE = """
import sys
from pathlib import Path
import django
django.setup()
from tests.audit.writers import write
write(float(sys.argv[1]), Path(sys.argv[2]).name, Path(sys.argv[2]))
"""


def start_writing(database_url: str, seconds: float, promises: Path) -> "subprocess.Popen[bytes]":
    """A writer in an interpreter of its own: a fork would take along what threads of this one have open."""
    arguments = [sys.executable, "-c", _WRITE, str(seconds), str(promises)]
    environment = {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "governance.settings"}
    return subprocess.Popen(arguments, cwd=ROOT, env=os.environ | environment)


def write(seconds: float, name: str, promises: Path) -> None:
    """Record events, one to three a transaction, and a line of the decision log each time, until the time is over.

    The ids of what has committed are written into `promises` at once, one transaction a line, so that whoever kills
    this process knows what it had been promised.
    """
    actor, number = system_actor(name), 0
    descriptor = os.open(promises, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        with transaction.atomic(durable=True):
            written = [
                record(
                    verb=Verb.ITEM_DECIDED,
                    actor=actor,
                    subject=Subject("item", f"{name}-{number}-{part}"),
                    now=timezone.now(),
                    new={"n": number},
                    reason="because" if part else "",
                )
                for part in range(1 + number % 3)
            ]
        append([Line(timezone.now(), "decision", {"writer": name, "n": number})])
        os.write(descriptor, (" ".join(map(str, written)) + "\n").encode())
        number += 1
