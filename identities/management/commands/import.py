"""`manage.py import SLUG FILE`: take a file in, of Remit's own records or as another system exports it."""  # noqa: N999 - the command is called import

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError
from identities.connectors.registry import formats
from identities.management.terminal import SHOWN_OF_EACH, end_line, report, teller
from identities.models import SyncMode, SyncRun
from identities.selectors.inventory import access_source
from identities.sync.importing import AUTO, RECORDS, Import, import_file


class Command(BaseCommand):
    help = (
        "Take a file into a source's inventory: Remit's own records (NDJSON), or an export or a log of another system, "
        "packed with gzip or not. Exit code 3: the reading waits for a person."
    )
    requires_system_checks = []  # started often by schedulers, and nothing here depends on them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the source's short name")
        parser.add_argument("file", help="the file, or - for standard input")
        known = ", ".join((AUTO, RECORDS, *(each.name for each in formats())))
        parser.add_argument("--format", default=AUTO, help=f"what the file is: {known}")
        parser.add_argument("--part", action="store_true", help="an export that lacks something; nothing is gone")
        parser.add_argument("--mode", choices=SyncMode.values, default=SyncMode.SNAPSHOT, help="of records")
        parser.add_argument("--complete", action="store_true", help="of records: what is missing is gone")
        parser.add_argument("--again", action="store_true", help="count a log of use that was counted before")
        parser.add_argument("--skip-bad", action="store_true", help="apply the good records and keep the others aside")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen and change nothing")
        parser.add_argument("--first", type=int, default=SHOWN_OF_EACH, help="how many changes to name (default 10)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with _open(options["file"]) as file:
                run = self._import(file, options)
            end_line(self.stderr)
            report(run, self.stdout, self.stderr, first=max(options["first"], 0))
        except DomainError as error:
            raise CommandError(f"{error.title}: {error.message}") from error

    def _import(self, file: BinaryIO, options: dict[str, Any]) -> SyncRun:
        actor, now = system_actor("command line"), timezone.now()
        wish = Import(
            format=options["format"],
            is_part=options["part"],
            mode=SyncMode(options["mode"]),
            is_complete=options["complete"],
            again=options["again"],
            skip_bad=options["skip_bad"],
            dry_run=options["dry_run"],
            tell=teller(self.stderr, is_wanted=options["verbosity"] > 1),
        )
        source = access_source(actor=actor, slug=options["slug"])
        run = import_file(source=source, file=file, wish=wish, actor=actor, now=now)
        if run.started_at != now:
            self.stderr.write("This file was taken in before, and is not counted again. --again does count it.")
        return run


def _open(name: str) -> BinaryIO:
    if name == "-":
        return sys.stdin.buffer
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise CommandError(f"{name} can't be read: {error.strerror}.") from error
