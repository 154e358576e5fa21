"""`manage.py export_audit`: the trail as a file that goes on where the last one ended."""

import json
import os
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from governance.audit.export import CSV, NDJSON, begin_export
from governance.audit.lines import EventMissing
from governance.console.audit_export import trail_lines
from governance.kernel.actors import system_actor

TAIL = 1 << 16


class Command(BaseCommand):
    help = "Write the sealed audit trail to a file (JSON lines or CSV), oldest first. The export is itself recorded."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", help="where to write; standard output without it")
        parser.add_argument("--after", type=int, default=0, metavar="SEQ", help="only events behind this number")
        parser.add_argument("--through", type=int, metavar="SEQ", help="nothing behind this number")
        parser.add_argument("--csv", action="store_true", help="a table instead of JSON lines")
        parser.add_argument(
            "--resume", action="store_true", help="append to FILE behind its last whole line (JSON lines only)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path | None = options["file"]
        after: int = options["after"]
        if after < 0:
            raise CommandError("--after takes a whole number from 0.")
        if options["resume"]:
            after = self._place_to_resume(file, options)
        elif file is not None and file.exists():
            raise CommandError(f"{file} exists already. Add --resume to go on with it, or name another file.")
        form = CSV if options["csv"] else NDJSON
        stretch = begin_export(
            form=form,
            after=after,
            through=options["through"],
            actor=system_actor("operator"),
            now=timezone.now(),
        )
        try:
            self._write_all(file, trail_lines(form, stretch, None))
        except EventMissing as error:
            raise CommandError(error.message) from error
        self.stderr.write(f"Events {stretch.after + 1} to {stretch.through}. Next time: --after {stretch.through}")

    def _place_to_resume(self, file: Path | None, options: dict[str, Any]) -> int:
        if file is None or options["csv"] or options["after"]:
            raise CommandError("--resume needs a FILE of JSON lines, and finds the number itself.")
        try:
            return _last_seq(file) if file.exists() else 0
        except (ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{file} does not end with a line of the trail: {error}") from error

    def _write_all(self, file: Path | None, lines: Iterator[str]) -> None:
        if file is None:
            self._write(self.stdout, lines)
            return
        with file.open("a", encoding="utf-8", newline="") as target:
            self._write(target, lines)
            target.flush()
            os.fsync(target.fileno())

    @staticmethod
    def _write(target: Any, lines: Any) -> None:
        for line in lines:
            # Not `write(line, ending="")`: the command's own stream would add a line end to each.
            getattr(target, "_out", target).write(line)


def _last_seq(file: Path) -> int:
    """The `seq` of the last whole line; what a cut left behind it is taken away. Raises ValueError."""
    with file.open("r+b") as content:
        end = content.seek(0, os.SEEK_END)
        kept = _end_of_whole_lines(content, end)
        content.truncate(kept)
        if kept == 0:
            return 0
        start = _end_of_whole_lines(content, kept - 1)
        content.seek(start)
        return int(json.loads(content.read(kept - start))["seq"])


def _end_of_whole_lines(content: IO[bytes], end: int) -> int:
    """The place behind the last line end before `end`; 0 when there is none."""
    while end > 0:
        start = max(0, end - TAIL)
        content.seek(start)
        found = content.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
