"""Keep the demo's ledger busy, in the foreground, until it is ended."""

import json
import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from governance.embedded.demo.ledger import CONNECTOR, DATABASE, LedgerAccess
from governance.embedded.demo.traffic import run_traffic


class Command(BaseCommand):
    help = "Run light traffic in the demo's ledger as its service accounts, until ended (Ctrl-C)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=int, default=1, help="which statements come in which order")

    def handle(self, *args: Any, **options: Any) -> None:
        kept = settings.DATA_DIR / "demo-ledger.json"
        if not kept.exists():
            self.stdout.write(f"There is no demo here ({kept} is missing), so there is nothing to do.")
            return
        known = json.loads(kept.read_text())
        access = LedgerAccess(known["host"], int(known["port"]), DATABASE, CONNECTOR, known["passwords"])
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        self.stdout.write(f"Working in the ledger on {access.host} until ended.")
        run_traffic(access.dsn, stop=stop, seed=options["seed"])
