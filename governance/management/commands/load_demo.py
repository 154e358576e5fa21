"""Load the demo into a fresh installation. `make run` calls this once, on the first start."""

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from governance.embedded.demo.load import load_demo
from governance.kernel.errors import DomainError
from governance.people.models import User

ADMIN = "REMIT_EMBEDDED_ADMIN_DSN"


class Command(BaseCommand):
    help = "Load the demo: people, a governed database with traffic, an estate of 400 identities, and reviews."

    def handle(self, *args: Any, **options: Any) -> None:
        admin_dsn = os.environ.get(ADMIN)
        if not admin_dsn:
            raise CommandError(f"{ADMIN} must name a superuser's connection; `make run` sets it.")
        if User.objects.exists():
            raise CommandError("There are people here already; the demo only goes into a fresh installation.")
        try:
            load_demo(admin_dsn=admin_dsn, folder=settings.DATA_DIR, say=self.stdout.write)
        except DomainError as problem:
            raise CommandError(problem.message) from problem
