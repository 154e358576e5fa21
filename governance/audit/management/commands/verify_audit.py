"""`manage.py verify_audit`: is the trail what it was? Exit code 0 when intact, 1 when not."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.management.base import BaseCommand, CommandError

from governance.audit.notes import BadNote, read_verifier_key
from governance.audit.verify import Report, verify


class Command(BaseCommand):
    help = "Verify the audit trail: chain, details, guards, and the signed checkpoints outside the database."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the report as JSON")
        parser.add_argument(
            "--from-checkpoint",
            action="store_true",
            help="read only what is newer than the newest checkpoint; older rows are not looked at",
        )
        parser.add_argument(
            "--key", type=Path, help="a verifier key kept elsewhere, instead of the public half of the signing key"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        report = verify(public_key=_key(options["key"]), from_checkpoint=options["from_checkpoint"])
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict(), indent=2))
        else:
            self._print(report)
        if not report.is_intact:
            sys.exit(1)

    def _print(self, report: Report) -> None:
        write = self.stdout.write
        write(f"Log          {report.origin}")
        write(f"Events       {report.size}, read from number {report.read_from}")
        write(f"Checkpoints  {report.checkpoints_matched} matched, newest {report.newest_checkpoint or 'none'}")
        if report.details_erased:
            write(f"Erased       {report.details_erased} details, their events are still proved")
        if report.events_retired:
            write(f"Retired      {report.events_retired} events, their links are still proved")
        write(f"Tree root    {report.root}")
        for notice in report.notices:
            write(f"Note         {notice}")
        for problem in report.problems:
            event = f" [event {problem.event_id}]" if problem.event_id else ""
            write(self.style.ERROR(f"BROKEN       {problem.message}{event}"))
        if report.problem_count > len(report.problems):
            write(self.style.ERROR(f"... and {report.problem_count - len(report.problems)} more."))
        if report.is_intact:
            write(self.style.SUCCESS("The audit trail is intact."))
        else:
            write(self.style.ERROR(f"The audit trail is NOT intact: {report.problem_count} problems."))


def _key(path: Path | None) -> Ed25519PublicKey | None:
    if path is None:
        return None
    try:
        return read_verifier_key(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, BadNote) as error:
        raise CommandError(f"The verifier key {path} cannot be used: {error}") from error
