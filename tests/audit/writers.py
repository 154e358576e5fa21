"""One writer of the trail as a process of its own: `python -m tests.audit.writers SECONDS NAME`.

Every event that was committed is said on standard output at once, so that whoever kills this process knows which ones
it had been promised.
"""

import sys
import time

import django


def main() -> None:
    """Record events, one to three a transaction, until the time is over."""
    django.setup()
    from django.db import transaction
    from django.utils import timezone

    from governance.audit.actions import Verb
    from governance.audit.log import Subject, record
    from governance.audit.stream import Line, append
    from governance.kernel.actors import system_actor

    seconds, name = float(sys.argv[1]), sys.argv[2]
    actor, number = system_actor(name), 0
    print("ready", flush=True)
    sys.stdin.readline()
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
        print(*written, flush=True)
        number += 1


if __name__ == "__main__":
    main()
