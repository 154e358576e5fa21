"""`manage.py export_trail FILE`: the whole trail as lines that the stand-alone verifier checks."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from governance.audit.lines import EventMissing, trail_lines


class Command(BaseCommand):
    help = "Write the whole trail into a new file, one event a line, for governance/audit/standalone/remit_verify.py."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        events = 0
        try:
            with options["file"].open("x", encoding="ascii", newline="\n") as file:
                for _, line in trail_lines():
                    file.write(line)
                    events += 1
        except EventMissing as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"{events} events written to {options['file']}.")
