"""`manage.py begin_audit_epoch --reason …`: let the trail go on under a new name, after a restore or with a new key."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from governance.audit.epochs import begin_epoch
from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError


class Command(BaseCommand):
    help = "Begin a new epoch of the audit trail, because it cannot continue what was signed before."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reason", required=True, help="what happened; stands in the trail")

    def handle(self, *, reason: str, **options: Any) -> None:
        try:
            begun = begin_epoch(actor=system_actor("command"), now=timezone.now(), reason=reason)
        except DomainError as error:
            raise CommandError(error.message) from error
        write = self.stdout.write
        write(f"Epoch {begun.epoch.number} of the audit trail has begun: {begun.epoch.origin}")
        write(f"Its checkpoints stand in {begun.epoch.folder}. Keep the folders of earlier epochs as they are.")
        for fit in begun.fits:
            lost = "" if fit.fits_to == fit.signed_to else "; what was signed behind that is not in this database"
            write(f"{fit.origin}: signed to event {fit.signed_to}, fits this database to event {fit.fits_to}{lost}")
        if begun.first is None:
            raise CommandError(f"The epoch has begun, but its first checkpoint was not written: {begun.problem}")
        write(self.style.SUCCESS(f"The first checkpoint covers {begun.first.size} events."))
