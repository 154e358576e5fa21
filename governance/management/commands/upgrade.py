"""`manage.py upgrade`: from an older version's database to this one's, with a way back."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone

from governance.operations.problems import OperationFailed
from governance.operations.stopping import ends_on_sigterm
from governance.operations.upgrade import Step, Upgraded, plan_upgrade, upgrade


class Command(BaseCommand):
    help = "Say what an upgrade will do, back up, migrate, check and verify."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--plan", action="store_true", help="only say what it would do")
        parser.add_argument("--backup-to", type=Path, help="where the backup goes (default: DATA_DIR/backups)")
        parser.add_argument("--no-backup", action="store_true", help="there is a backup already")

    def handle(self, **options: Any) -> None:
        try:
            self._announce(plan_upgrade())
            if options["plan"]:
                return
            with ends_on_sigterm():
                done = upgrade(backup_to=self._place(options), now=timezone.now, say=self._say)
        except OperationFailed as problem:
            raise CommandError(f"Not upgraded. {problem}") from problem
        except DatabaseError as problem:
            raise CommandError(f"Not upgraded to the end. The database says: {problem}") from problem
        except KeyboardInterrupt:
            raise CommandError("Interrupted. Migrations that are done stay; run it again to go on.") from None
        self._tell(done)

    def _announce(self, steps: list[Step]) -> None:
        self.stdout.write(f"{len(steps)} migrations wait." if steps else "No migration waits.")
        for step in steps:
            self.stdout.write(f"  {step}")

    def _place(self, options: dict[str, Any]) -> Path | None:
        if options["no_backup"]:
            return None
        if options["backup_to"]:
            return Path(options["backup_to"])
        folder = Path(settings.DATA_DIR) / "backups"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder / f"before-upgrade-{timezone.now():%Y%m%dT%H%M%S}.backup"

    def _tell(self, done: Upgraded) -> None:
        for problem in done.problems:
            self.stdout.write(self.style.ERROR(problem))
        if done.saved:
            self.stdout.write(
                f"The way back: install the old version, then manage.py restore {done.saved.path} --replace"
            )
        if done.problems or done.report is None or not done.report.is_intact:
            raise CommandError("Upgraded, but something is wrong: see above and `manage.py verify_audit`.")
        self.stdout.write(self.style.SUCCESS(f"Up to date. The trail of {done.report.size} events is intact."))

    def _say(self, text: str) -> None:
        self.stdout.write(f"  {text}")
        self.stdout.flush()
