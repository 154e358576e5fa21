"""Measure Remit on this machine, with a database of its own that is removed afterwards."""

import subprocess
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

# What can be asked for by name, and the figures that it gives (docs/speed.md).
SUBJECTS = {
    "campaign": (
        "campaign_excess_after_percent",
        "campaign_calls_refused_after",
        "campaign_later_calls_refused_per_million",
        "campaign_actions_per_nhi_first",
        "campaign_actions_per_nhi_second",
    ),
}


class Command(BaseCommand):
    help = "Measure Remit: `bench campaign` reviews an invented estate and replays a year of calls against the outcome."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("subject", choices=sorted(SUBJECTS))
        parser.add_argument(
            "--quick", action="store_true", help="400 identities instead of 10,000; minutes, no verdict"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not (settings.BASE_DIR / "tests" / "bench").is_dir():
            raise CommandError("The measurements are part of a checkout of Remit; this installation has none.")
        size = "quick" if options["quick"] else "full"
        names = ",".join(SUBJECTS[options["subject"]])
        self.stdout.write(
            "Measuring on a database of its own; yours is not touched. The table is also in .bench/latest.json."
        )
        self.stdout.flush()
        command = [sys.executable, "-m", "tests.bench", "--size", size, "--only", names]
        outcome = subprocess.run(command, cwd=settings.BASE_DIR, check=False)  # noqa: S603 - our own words
        if outcome.returncode:
            raise CommandError("The measurement failed; what went wrong stands above.")
