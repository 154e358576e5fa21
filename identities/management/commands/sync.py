"""`manage.py sync SLUG`: have a connector read its source now, in this process."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError
from identities.management.terminal import SHOWN_OF_EACH, end_line, report, teller
from identities.selectors.inventory import access_source
from identities.sync.read import read_source


class Command(BaseCommand):
    help = "Read a source through its connector and apply what it says. Exit code 3: the reading waits for a person."
    requires_system_checks = []  # started often by schedulers, and nothing here depends on them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the source's short name")
        parser.add_argument("--dry-run", action="store_true", help="say what would change and change nothing")
        parser.add_argument("--first", type=int, default=SHOWN_OF_EACH, help="how many changes to name (default 10)")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = system_actor("command line")
        try:
            source = access_source(actor=actor, slug=options["slug"])
            run = read_source(
                source_id=source.pk,
                actor=actor,
                now=timezone.now(),
                dry_run=options["dry_run"],
                tell=teller(self.stderr, is_wanted=options["verbosity"] > 1),
            )
            end_line(self.stderr)
            report(run, self.stdout, self.stderr, first=max(options["first"], 0))
        except DomainError as error:
            raise CommandError(f"{error.title}: {error.message}") from error
