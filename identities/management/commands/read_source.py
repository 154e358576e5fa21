"""`manage.py read_source SLUG`: have a connector read its source now, in this process."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError
from identities.models import SyncState
from identities.selectors.inventory import access_source
from identities.sync.read import read_source


class Command(BaseCommand):
    help = "Read a source through its connector and apply what it says."
    requires_system_checks = []  # started often by schedulers, and nothing here depends on them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the source's short name")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = system_actor("command line")
        try:
            source = access_source(actor=actor, slug=options["slug"])
            run = read_source(source_id=source.pk, actor=actor, now=timezone.now())
        except DomainError as error:
            raise CommandError(f"{error.title}: {error.message}") from error
        if run.state != SyncState.APPLIED:
            problem = run.problem or {}
            raise CommandError(f"{problem.get('title')}: {problem.get('detail')} (run {run.pk})")
        self.stdout.write(self.style.SUCCESS(f"Run {run.pk}: {run.records:,} records applied."))
