"""Bring people in from a CSV file: see docs/people.md for the columns."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError
from governance.people.importer import import_people


class Command(BaseCommand):
    help = "Import people from a CSV file: all of it, or nothing when any row is bad."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="say what would change and change nothing")

    def handle(self, *, file: Path, dry_run: bool, **options: Any) -> None:
        try:
            with file.open("rb") as source:
                report = import_people(file=source, actor=system_actor("command"), now=timezone.now(), dry_run=dry_run)
        except OSError as error:
            raise CommandError(f"{file} can't be read: {error.strerror}") from error
        except DomainError as error:
            raise CommandError(error.message) from error
        for note in report.notes:
            self.stdout.write(note)
        for change in report.changes if dry_run else []:
            self.stdout.write(f"line {change.line}: {change.email}: {change.what}")
        if report.error_count:
            rows = "\n".join(f"line {e.line}, {e.column or 'row'}: {e.reason}" for e in report.errors)
            raise CommandError(f"{report.error_count} problems; nothing was changed.\n{rows}")
        would = "Would be: " if dry_run else ""
        self.stdout.write(
            f"{would}{report.created} added, {report.changed} changed, {report.left} left, "
            f"{report.returned} here again, {report.unchanged} unchanged."
        )
