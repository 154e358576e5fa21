"""`manage.py prepare`: bring database and static files to the state this version needs. Safe to repeat."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import BaseCommand, CommandError, call_command

from governance import measuring
from governance.operations import loading
from governance.operations.locks import maintenance
from governance.operations.problems import OperationFailed


class Command(BaseCommand):
    """Migrate, create the cache table, and collect static files when any of them changed."""

    help = "Migrate the database, create the cache table, collect static files that changed."

    # For restore and upgrade, which hold the lock themselves.
    stealth_options = ("unlocked",)

    def handle(self, *args: Any, unlocked: bool = False, **options: Any) -> None:
        try:
            with ExitStack() as held:
                if not unlocked:
                    held.enter_context(maintenance(self.stdout.write))
                    self._require_finished()
                call_command("migrate", interactive=False, verbosity=0)
                call_command("createcachetable", verbosity=0)
        except OperationFailed as problem:
            raise CommandError(str(problem)) from problem
        self._collect_static()
        measuring.begin_anew()

    def _require_finished(self) -> None:
        if mark := loading.unfinished():
            raise OperationFailed(
                f"The restore of {mark['backup']} was interrupted. Finish it: manage.py restore FILE --finish"
            )

    def _collect_static(self) -> None:
        # Hashing and compressing takes longer than all the rest, so it is done once per set of files.
        mark = Path(settings.STATIC_ROOT) / ".collected"
        fingerprint = hashlib.sha256("\n".join(_static_files()).encode()).hexdigest()
        if mark.is_file() and mark.read_text() == fingerprint:
            return
        call_command("collectstatic", interactive=False, clear=True, verbosity=0)
        mark.write_text(fingerprint)


def _static_files() -> Iterator[str]:
    """One line per source file: name, size, time of change."""
    lines = []
    for finder in get_finders():
        for path, storage in finder.list([]):
            stat = Path(storage.path(path)).stat()
            lines.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
    yield settings.STORAGES["staticfiles"]["BACKEND"]
    yield from sorted(lines)
