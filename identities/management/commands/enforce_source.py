"""`manage.py enforce_source SLUG`: every use of the source's access asks the decision point first, or no longer."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError
from identities.pdp.usage import note_enforcement
from identities.selectors.inventory import access_source


class Command(BaseCommand):
    help = "From now on, what is not decided about this source's access counts as not used. Undo with --no-longer."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the source's short name")
        parser.add_argument("--reason", required=True, help="what stands before all of its access")
        parser.add_argument("--no-longer", action="store_true", help="there is access that does not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = system_actor("command line")
        try:
            source = note_enforcement(
                source=access_source(actor=actor, slug=options["slug"]),
                is_enforced=not options["no_longer"],
                actor=actor,
                now=timezone.now(),
                reason=options["reason"],
            )
        except DomainError as error:
            raise CommandError(f"{error.title}: {error.message}") from error
        since = source.enforced_since
        self.stdout.write(
            f"{source.name}: " + (f"enforced since {since:%Y-%m-%d %H:%M} UTC" if since else "not enforced")
        )
