"""`manage.py import SLUG FILE`: take in a reading from a file, as a sync client would send it."""  # noqa: N999 - the command is called import

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError
from identities.models import SyncMode, SyncOrigin, SyncRun, SyncState
from identities.selectors.inventory import access_source
from identities.sync.lines import GZIP_START, Body
from identities.sync.receive import receive

ERRORS_SHOWN = 20


class Command(BaseCommand):
    help = "Take in a snapshot or a delta of a source from a file of records (NDJSON, packed with gzip or not)."
    requires_system_checks = []  # started often by schedulers, and nothing here depends on them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the source's short name")
        parser.add_argument("file", help="the file, or - for standard input")
        parser.add_argument("--mode", choices=SyncMode.values, default=SyncMode.SNAPSHOT)
        parser.add_argument("--complete", action="store_true", help="everything is here; what is missing is gone")
        parser.add_argument("--skip-bad", action="store_true", help="apply the good records and keep the others aside")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with _open(options["file"]) as file:
                run = self._receive(file, options)
        except DomainError as error:
            raise CommandError(f"{error.title}: {error.message}") from error
        self._report(run)

    def _receive(self, file: BinaryIO, options: dict[str, Any]) -> SyncRun:
        actor = system_actor("command line")
        return receive(
            source=access_source(actor=actor, slug=options["slug"]),
            lines=Body(file, is_gzip=_is_gzip(file)),
            mode=SyncMode(options["mode"]),
            is_complete=options["complete"],
            origin=SyncOrigin.FILE,
            actor=actor,
            now=timezone.now(),
            dry_run=options["dry_run"],
            skip_bad=options["skip_bad"],
            tell=self._tell if sys.stderr.isatty() or options["verbosity"] > 1 else None,
        )

    def _tell(self, said: dict[str, Any]) -> None:
        share = f", {100 * said['bytes'] // said['of_bytes']} % of the file" if said["of_bytes"] else ""
        self.stderr.write(f"{said['phase']}: {said['records']:,} lines{share}")

    def _report(self, run: SyncRun) -> None:
        if run.state in (SyncState.APPLIED, SyncState.DRY_RUN, SyncState.HELD):
            for kind, counts in run.counts.items():
                told = ", ".join(f"{number:,} {word}" for word, number in counts.items() if number)
                self.stdout.write(f"{kind.replace('_', ' '):>13}: {told or 'none'}")
        if run.is_partial:
            self.stderr.write(f"{run.refused:,} records were refused; the run keeps them with their reasons.")
        if run.problem is None:
            self.stdout.write(self.style.SUCCESS(f"Run {run.pk}: {run.get_state_display().lower()}."))
            return
        for error in run.row_errors.order_by("line", "pk")[:ERRORS_SHOWN]:
            self.stderr.write(f"line {error.line} {error.pointer}: {error.reason} ({error.code})")
        raise CommandError(f"{run.problem['title']}: {run.problem['detail']} (run {run.pk})")


def _open(name: str) -> BinaryIO:
    if name == "-":
        return sys.stdin.buffer
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise CommandError(f"{name} can't be read: {error.strerror}.") from error


def _is_gzip(file: Any) -> bool:
    return bool(file.peek(2)[:2] == GZIP_START)
