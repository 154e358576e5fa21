"""`manage.py print_grants --role NAME`: SQL for the role that web, worker and beat sign in as in production."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from governance.audit.rights import grants_sql


class Command(BaseCommand):
    help = "Print the rights of a role that works with everything and cannot rewrite the audit trail."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--role", required=True)
        parser.add_argument("--schema", default="public")

    def handle(self, *, role: str, schema: str, **options: Any) -> None:
        self.stdout.write(grants_sql(role, schema))
