"""Serve the MCP gateway: agents call tools through it, each call decided on when it is made."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Serve the MCP gateway until it is told to stop."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen at; 127.0.0.1 unless given")
        parser.add_argument("--port", type=int, default=settings.MCP_GATEWAY_PORT, help="the port to listen at")

    def handle(self, *args: Any, **options: Any) -> None:
        from granian import Granian
        from granian.constants import HTTPModes, Interfaces, Loops

        if not 1 <= options["port"] <= 65_535:
            raise CommandError("The port is a number from 1 to 65535.")
        # One process: a session lives in the process that opened it.
        Granian(
            "governance.asgi:application",
            address=options["host"],
            port=options["port"],
            interface=Interfaces.ASGI,
            workers=1,
            loop=Loops.asyncio,
            http=HTTPModes.http1,
            websockets=False,
            respawn_failed_workers=True,
            workers_kill_timeout=5,
            log_level="warning",  # type: ignore[arg-type]
        ).serve()
