"""How Remit connects to PostgreSQL. Read by the settings, so it knows no Django."""

import getpass
import os
from typing import Any

from psycopg import IsolationLevel
from psycopg.conninfo import make_conninfo

# A host that died says nothing. Without these its connections would be believed for two hours when idle, and for a
# quarter of an hour when something was sent. Sockets of the same machine need none of it and ignore it.
DEAD_PEER = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}


def connection_options(given: dict[str, Any], *, connect_seconds: int) -> dict[str, Any]:
    """Options of each connection; what `DATABASE_URL` gives stays as it is.

    The seal of the audit trail needs the isolation level (docs/audit.md), so no setting of the server or the role
    decides. At this level commits wait for each other and never fail because of each other.
    """
    return {"connect_timeout": connect_seconds, **DEAD_PEER, **given, "isolation_level": IsolationLevel.READ_COMMITTED}


def queue_conninfo(database: dict[str, Any]) -> str:
    """The queue's client knows five fields and no options, so options of TLS go through libpq's variables."""
    options = database.get("OPTIONS", {})
    for name, value in options.items():
        if name.startswith("ssl"):
            os.environ.setdefault(f"PG{name.upper()}", str(value))
    return make_conninfo(
        host=options.get("host") or database["HOST"] or "/var/run/postgresql",
        port=options.get("port") or database["PORT"] or 5432,
        dbname=database["NAME"],
        user=database["USER"] or getpass.getuser(),
        password=database["PASSWORD"],
    )
