"""`manage.py retire_events`: archive old events, have the archive verified, and then remove their contents here."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from governance.audit.retention import Due, archive_due_events, find_due, retire_archived_events
from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError


class Command(BaseCommand):
    help = (
        "Archive whole months of events older than AUDIT_RETENTION_MONTHS, verify the archive, and remove their "
        "contents from the database. Without --reason nothing is removed: it says what is due and stops."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--archive-only", action="store_true", help="write and verify the archive, remove nothing")
        parser.add_argument(
            "--reason", default="", help="by which rule or order the events leave; needed to remove them"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        actor, now = system_actor("command line"), timezone.now()
        try:
            due = find_due(now=now)
            self._say(due)
            if not due.events or not (options["reason"] or options["archive_only"]):
                return
            archive = archive_due_events(actor=actor, now=now)
            self.stdout.write(f"Archived and verified: {settings.AUDIT_ARCHIVE_DIR / archive.file}")
            if options["archive_only"]:
                return
            retire_archived_events(archive_id=archive.pk, actor=actor, now=now, reason=options["reason"])
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(
            self.style.SUCCESS(
                f"Retired {archive.events} events, {archive.first_seq} to {archive.last_seq}. "
                "Keep the archive and a copy of it elsewhere."
            )
        )

    def _say(self, due: Due) -> None:
        if not due.events:
            self.stdout.write(f"Nothing is due. {due.why_not}")
            return
        self.stdout.write(f"Due: {due.events} events, {due.first} to {due.last}, from before {due.before:%-d %B %Y}.")
        if due.stopped_by:
            self.stdout.write(f"What follows stays under a legal hold: {due.stopped_by}.")
