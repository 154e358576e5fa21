"""One reading of a server: a consistent snapshot per database, as inventory records ending with `end`."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg

from identities.connectors.contract import ReadIncomplete, Record
from identities.connectors.postgresql.catalog import (
    Cluster,
    Database,
    read_cluster,
    read_database,
    read_shared_objects,
)
from identities.connectors.postgresql.network import Rule, network_of, read_rules
from identities.connectors.postgresql.observing import Observed, add_audit_logs, observe, usage_records
from identities.connectors.postgresql.records import inventory
from identities.connectors.postgresql.rights import Estate
from identities.connectors.postgresql.session import Connection, Settings, connect, plain_error

COVERAGE = {
    "identities": True,
    "purpose": True,
    "created_at": False,
    "credentials": True,
    "credential_expiry": True,
    "credential_created_at": False,
    "credential_last_used": False,
    "grants": True,
    "memberships": True,
    "ownership": True,
    "last_used": False,
    "usage": True,
    "grant_expiry": False,
    "conditions": False,
    "sessions": True,
}
NOT_OBSERVABLE = (
    "When a role or a right was created, and by which person.",
    "Whether a role has a password at all, its age and strength: only superusers may look.",
    "The last sign-in of a role that is not connected while it is read.",
    "When exactly a right was last used: pg_stat_statements counts calls since a date, without that of the last.",
    "Use of anything but SELECT, INSERT, UPDATE, DELETE and TRUNCATE on tables, and of rights inside functions.",
    "Network rules (pg_hba.conf) where the connector may not read them; certificates and who they stand for.",
    "Which rows row-level security hides, and large objects that only their owner may use.",
    "Rights that PUBLIC holds on the system catalogues and on types.",
)


def read(settings: Settings) -> Iterator[Record]:
    """Every record of the server. Raises SourceUnreachable, or ReadIncomplete when something broke underway."""
    count = 0
    try:
        for record in _records(settings):
            count += 1
            yield record
    except psycopg.Error as error:
        raise ReadIncomplete(f"The server could not be read to the end: {plain_error(error)}") from error
    yield {"type": "end", "records": count}


def _records(settings: Settings) -> Iterator[Record]:
    cluster: Cluster | None = None
    databases: list[Database] = []
    shared: Database | None = None
    last_used: dict[str, str] = {}
    rules: list[Rule] | None = None
    observed: list[Observed] = []
    for name in settings.databases:
        with connect(settings, name) as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if cluster is None:
                cluster = read_cluster(connection)
                shared = read_shared_objects(connection)
                last_used = _connected(connection)
                rules = read_rules(connection)
            database = read_database(connection, name)
            databases.append(database)
            observed.append(observe(connection, cluster, database))
    if cluster is not None:
        estate = Estate(cluster, databases, shared)
        yield from inventory(estate, last_used, network_of(cluster.identities(), rules, estate))
        if settings.pgaudit_logs:
            add_audit_logs(settings.pgaudit_logs, cluster, observed)
        yield from usage_records(cluster, observed)


def _connected(connection: Connection) -> dict[str, str]:
    """Roles with an open session: in use right now, which is all the server says about sign-ins."""
    now = datetime.now(UTC).isoformat()
    rows = connection.execute(
        "SELECT DISTINCT usename FROM pg_catalog.pg_stat_activity WHERE usename IS NOT NULL AND pid <> pg_backend_pid()"
    )
    return {name: now for (name,) in rows}
