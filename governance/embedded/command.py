"""The command line of `python -m governance.embedded`: start, forget, back up, restore, upgrade."""

import argparse
import errno
import os
import sys
from pathlib import Path

import psycopg

from governance.embedded import maintenance
from governance.embedded.binaries import StartError
from governance.embedded.folder import DataFolder
from governance.embedded.run import Start, free_port, reset

MAINTENANCE = {
    "backup": "run `manage.py backup` on the folder's database and end",
    "restore": "run `manage.py restore` on the folder's database and end",
    "upgrade": "run `manage.py upgrade` on the folder's database and end",
}
_OTHERWISE = "Choose another data folder, or mend this one and start again: make run DATA=/some/folder"
_REMEDIES = {
    errno.ENOSPC: "The disk is full. Make room and start again; nothing is half-done.",
    errno.EDQUOT: "Your quota of the disk is used up. Make room and start again; nothing is half-done.",
    errno.EROFS: "The disk is mounted read-only. Mount it to be written, or choose another: make run DATA=/some/folder",
    errno.EACCES: "Give the data folder to whoever starts Remit, or choose another: make run DATA=/some/folder",
    errno.EPERM: "Give the data folder to whoever starts Remit, or choose another: make run DATA=/some/folder",
}


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 after a clean end, 1 with a message that says what to do otherwise."""
    parser = argparse.ArgumentParser(prog="python -m governance.embedded", description="Start Remit on this machine.")
    parser.add_argument("--data", default=os.environ.get("DATA") or ".run", help="data folder (default: .run)")
    parser.add_argument("--port", default=os.environ.get("PORT") or "8000", help="web port (default: 8000)")
    parser.add_argument("--no-demo", action="store_true", default=os.environ.get("DEMO") == "no")
    parser.add_argument("--reset", action="store_true", help="remove the data folder's content and end")
    for name, what in MAINTENANCE.items():
        parser.add_argument(f"--{name}", nargs=argparse.REMAINDER, metavar="ARGUMENT", help=what)
    options = parser.parse_args(arguments)
    os.umask(0o077)
    try:
        if options.reset:
            return reset(Path(options.data))
        for name in MAINTENANCE:
            if (given := getattr(options, name)) is not None:
                return int(getattr(maintenance, name)(Path(options.data), given))
        port = free_port(options.port)
        return Start(DataFolder(Path(options.data)), port=port, with_demo=not options.no_demo).run()
    except (StartError, OSError, psycopg.Error) as problem:
        print(f"\nRemit cannot start.\n{_sentence(problem)}", file=sys.stderr, flush=True)
        return 1


def _sentence(problem: Exception) -> str:
    """What stands in the way and what to do, also where the system or PostgreSQL said it and not we."""
    if isinstance(problem, psycopg.Error):
        return f"PostgreSQL runs, but refused what a start needs: {str(problem).strip()}"
    if not isinstance(problem, OSError):
        return str(problem)
    place = str(problem.filename or "a file of the data folder")
    return f"{place}: {problem.strerror or problem}. {_REMEDIES.get(problem.errno or 0, _OTHERWISE)}"
