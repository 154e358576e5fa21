"""`manage.py backup FILE`: everything that a restore needs, in one file. Works while everything runs."""

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from governance.operations.backup import write_backup
from governance.operations.problems import OperationFailed
from governance.operations.stopping import ends_on_sigterm

PASSPHRASE = "REMIT_BACKUP_PASSPHRASE"  # noqa: S105 - the name of a variable


class Command(BaseCommand):
    help = "Write the database, the checkpoints and the evidence into one new file, and read it back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the file to write; must not exist")
        parser.add_argument(
            "--with-keys", action="store_true", help=f"seal the keys into it with the passphrase in {PASSPHRASE}"
        )

    def handle(self, *, file: Path, with_keys: bool, **options: Any) -> None:
        passphrase = os.environ.get(PASSPHRASE, "") if with_keys else ""
        if with_keys and not passphrase:
            raise CommandError(f"Set {PASSPHRASE}: keys are written only under a passphrase.")
        try:
            with ends_on_sigterm():
                written = write_backup(path=file, now=timezone.now(), say=self._say, passphrase=passphrase)
        except OperationFailed as problem:
            raise CommandError(f"No backup was written. {problem}") from problem
        except KeyboardInterrupt:
            raise CommandError("Interrupted. No backup was written.") from None
        done = f"{written.path}: {written.size / 1_000_000:,.1f} MB, {written.files} files, {written.events} events."
        self.stdout.write(self.style.SUCCESS(done))
        if written.keys:
            self.stdout.write("It holds the keys, sealed. Keep the passphrase somewhere else.")
        else:
            self.stdout.write("The keys are NOT in it. Keep a copy of the folder of keys somewhere else.")

    def _say(self, text: str) -> None:
        self.stdout.write(f"  {text}")
        self.stdout.flush()
