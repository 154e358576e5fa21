"""`manage.py restore FILE`: an installation from a backup, in an empty place, with everything held."""

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from governance.management.commands.backup import PASSPHRASE
from governance.operations.problems import OperationFailed
from governance.operations.restore import Restored, finish_restore, restore
from governance.operations.stopping import ends_on_sigterm


class Command(BaseCommand):
    help = "Restore a backup. Orders are held afterwards until a person has looked at each source."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="a file that `backup` wrote")
        parser.add_argument(
            "--replace", action="store_true", help="replace a database that is not empty, after a backup of it"
        )
        parser.add_argument("--save-to", type=Path, help="where that backup goes (default: DATA_DIR/backups)")
        parser.add_argument("--finish", action="store_true", help="take up a restore that was interrupted")
        parser.add_argument(
            "--with-keys", action="store_true", help=f"put back the keys, opened by the passphrase in {PASSPHRASE}"
        )
        parser.add_argument("--end-api-tokens", action="store_true", help="revoke every API token")

    def handle(self, *, file: Path, **options: Any) -> None:
        passphrase = os.environ.get(PASSPHRASE, "") if options["with_keys"] else ""
        if options["with_keys"] and not passphrase:
            raise CommandError(f"Set {PASSPHRASE}: it opens the keys.")
        try:
            with ends_on_sigterm():
                done = self._restore(file, passphrase, options)
        except OperationFailed as problem:
            raise CommandError(f"Not restored. {problem}") from problem
        except KeyboardInterrupt:
            raise CommandError("Interrupted. Go on with --finish, if the database was loaded already.") from None
        self._tell(done)
        if done.report is None or not done.report.is_intact:
            raise CommandError("The trail is NOT intact. Read what `manage.py verify_audit` says before you go on.")

    def _restore(self, file: Path, passphrase: str, options: dict[str, Any]) -> Restored:
        clock, say, end = timezone.now, self._say, options["end_api_tokens"]
        if options["finish"]:
            return finish_restore(path=file, now=clock, say=say, end_api_tokens=end)
        save_to = options["save_to"] if options["replace"] else None
        if options["replace"] and save_to is None:
            folder = Path(settings.DATA_DIR) / "backups"
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            save_to = folder / f"before-restore-{clock():%Y%m%dT%H%M%S}.backup"
        return restore(
            path=file, now=clock, say=say, replace_after_backup=save_to, passphrase=passphrase, end_api_tokens=end
        )

    def _tell(self, done: Restored) -> None:
        write = self.stdout.write
        write(self.style.SUCCESS(f"Restored the state of {done.state_of:%Y-%m-%d %H:%M:%S} UTC."))
        if done.saved:
            write(f"What was there before is in {done.saved.path}")
        if done.epoch:
            write(f"A NEW EPOCH of the audit trail has begun: {done.epoch.epoch.origin}")
            for fit in done.epoch.fits:
                lost = fit.signed_to - fit.fits_to
                note = (
                    f"; {lost} events that were signed later are not in this backup"
                    if lost
                    else "; nothing signed is lost"
                )
                write(f"  {fit.origin}: signed to event {fit.signed_to}, fits to event {fit.fits_to}{note}")
        write(
            f"HELD: {done.held_sources} sources. Nothing is sent until a person has looked (Orders, After a restore)."
        )
        if done.interrupted_orders:
            write(f"  {done.interrupted_orders} orders were under way when the backup was taken.")
        for notice in done.notices:
            write(f"Note: {notice}")
        if done.report:
            result = "intact" if done.report.is_intact else "NOT intact"
            write(f"Trail: {done.report.size} events, {done.report.checkpoints_matched} checkpoints matched, {result}.")

    def _say(self, text: str) -> None:
        self.stdout.write(f"  {text}")
        self.stdout.flush()
