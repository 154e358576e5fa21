"""The demo's governed server: a second database with about 25 service accounts of an imaginary payments company.

It is a source like any other. Everything that Remit learns about it, it learns through the connector's own sign-in,
whose rights are exactly those that docs/connectors.md asks for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

DATABASE = "ledger"
CONNECTOR = "remit_connector"
OWNER = "ledger_owner"
ADMINISTRATOR = "ledger_admin"

GROUPS: dict[str, str] = {
    "payments_reader": "Reads accounts, payments and refunds",
    "payments_writer": "Books payments",
    "payments_admin": "Corrects and clears payments",
    "risk_analysts": "Scores customers and settles disputes",
    "support_agents": "Answers customers",
    "finance": "Reads invoices, payouts and rates",
}

SERVICE_ACCOUNTS: dict[str, str] = {
    "ai_agent_reconciler": "AI agent that matches payments with bank statements and proposes corrections",
    "audit_reader": "Ships audit events to the log archive",
    "backup_job": "Nightly logical backup of the whole database",
    "bi_dashboard": "Revenue dashboard on the wall of the finance floor",
    "bi_reporting": "Monthly report on payments and refunds for the board",
    "dispute_handler": "Opens and settles card disputes with the acquirer",
    "etl_nightly": "Copies customers and invoices to the warehouse at 02:00",
    "finance_ops": "Corrections of invoices by the finance operations tool",
    "fraud_scoring": "Scores customers after every payment",
    "fx_rates_loader": "Loads the central bank's exchange rates every hour",
    "invoice_mailer": "Writes and sends invoices",
    "kyc_checker": "Checks identity documents of new customers",
    "ledger_api": "The public payments API",
    "legacy_export_2019": "",
    "metrics_exporter": "Database metrics for the monitoring system",
    "migration_job": "Schema migrations on every release",
    "mobile_gateway": "Payments from the mobile app",
    "partner_portal": "Partners look up the status of their payments",
    "payment_worker": "Captures pending payments from the queue",
    "payout_runner": "Pays merchants out every evening",
    "refund_service": "Refunds payments on behalf of customer support",
    "sandbox_tester": "Load tests; should have gone away after the spring release",
    "support_bot": "Chat bot: looks up name and e-mail of a customer, opens tickets",
    "tax_report_export": "Quarterly tax report",
    "webhook_sender": "Tells merchants about changed payments",
}

_GROUPS_OF_GROUPS = {"payments_writer": ["payments_reader"], "payments_admin": ["payments_writer"]}
_GROUPS_OF: dict[str, list[str]] = {
    "ai_agent_reconciler": ["payments_reader"],
    "bi_dashboard": ["finance"],
    "bi_reporting": ["payments_writer"],
    "backup_job": ["pg_read_all_data"],
    "dispute_handler": ["risk_analysts", "support_agents"],
    "fraud_scoring": ["risk_analysts"],
    "ledger_api": ["payments_admin"],
    "migration_job": [OWNER],
    "payment_worker": ["payments_writer"],
    "tax_report_export": ["finance"],
}
# Granted by a superuser, hence beyond the connector's reach: the plan says so.
_BY_SUPERUSER = {"metrics_exporter": "pg_monitor"}
# Reached only by SET ROLE: such a role looks harmless to whoever asks has_table_privilege.
_WITHOUT_INHERITING = {"ai_agent_reconciler": "payments_admin"}
# Statistics of statements are nobody's business but the connector's.
_STATISTICS = (
    "ALTER DATABASE ledger SET pg_stat_statements.track = 'top'",
    "CREATE SCHEMA monitoring",
    "CREATE EXTENSION pg_stat_statements SCHEMA monitoring",
    "REVOKE ALL ON ALL TABLES IN SCHEMA monitoring FROM PUBLIC",
    "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA monitoring FROM PUBLIC",
    "GRANT USAGE ON SCHEMA monitoring TO remit_connector",
    "GRANT SELECT ON ALL TABLES IN SCHEMA monitoring TO remit_connector",
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA monitoring TO remit_connector",
)
_LOCK = 7_026_031_119


@dataclass(frozen=True, slots=True)
class LedgerAccess:
    """How to reach the governed database. passwords: by role, of the service accounts and of the connector."""

    host: str
    port: int
    database: str
    connector: str
    passwords: dict[str, str]

    def dsn(self, role: str) -> str:
        """A connection string that signs in as this role."""
        return make_conninfo(
            host=self.host, port=self.port, dbname=self.database, user=role, password=self.passwords[role]
        )


def create_ledger(admin_dsn: str, *, password_for: Callable[[str], str]) -> LedgerAccess:
    """Make the ledger in the cluster of `admin_dsn` (a superuser's), or keep the one that is there.

    `password_for` gives a role's password: a stored one, or a new one that the caller stores. Passwords are set in any
    case, so a lost file heals; everything else about an existing ledger is left alone.
    """
    roles = [*SERVICE_ACCOUNTS, CONNECTOR]
    passwords = {role: password_for(role) for role in roles}
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        _create_database(admin)
        with psycopg.connect(_in_ledger(admin_dsn)) as connection:
            if not _is_complete(connection):
                _fill(connection)
            for role in roles:
                _set_password(connection, role, passwords[role])
    return _access(admin_dsn, passwords)


def drop_ledger(admin_dsn: str) -> None:
    """Remove the database and every role of the demo. Quiet where nothing is left."""
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE)))
        # Who granted a membership cannot be dropped before it is taken back, hence the administrator comes last.
        for role in [*SERVICE_ACCOUNTS, CONNECTOR, *reversed(GROUPS), OWNER, ADMINISTRATOR]:
            admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def _create_database(admin: psycopg.Connection[Any]) -> None:
    if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _in_ledger(admin_dsn: str) -> str:
    return make_conninfo(admin_dsn, dbname=DATABASE)


def _access(admin_dsn: str, passwords: dict[str, str]) -> LedgerAccess:
    known = conninfo_to_dict(admin_dsn)
    return LedgerAccess(
        host=str(known.get("host") or "localhost"),
        port=int(known.get("port") or 5432),
        database=DATABASE,
        connector=CONNECTOR,
        passwords=passwords,
    )


def _is_complete(connection: psycopg.Connection[Any]) -> bool:
    """The ledger is filled in one transaction, so one of its tables tells of all."""
    row = connection.execute("SELECT to_regclass('ops.feature_flags') IS NOT NULL").fetchone()
    return bool(row and row[0])


def _fill(connection: psycopg.Connection[Any]) -> None:
    """Roles, objects and rights, in the connection's one transaction."""
    version = connection.info.server_version // 10_000
    for role, attributes in ((ADMINISTRATOR, "NOLOGIN CREATEROLE CREATEDB"), (OWNER, "NOLOGIN")):
        _create_role(connection, role, attributes, "")
    for group in (OWNER, "pg_read_all_data"):
        only = " WITH ADMIN TRUE, INHERIT FALSE, SET FALSE" if version >= 16 else " WITH ADMIN OPTION"
        _grant_role(connection, group, ADMINISTRATOR, only)
    # What the administrator creates it may also change and lock out: no superuser is needed for that later.
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(ADMINISTRATOR)))
    for role, purpose in GROUPS.items():
        _create_role(connection, role, "NOLOGIN", purpose)
    for role, purpose in SERVICE_ACCOUNTS.items():
        _create_role(connection, role, "LOGIN", purpose)
    for member, groups in (_GROUPS_OF_GROUPS | _GROUPS_OF).items():
        for group in groups:
            _grant_role(connection, group, member, "")
    for member, group in _WITHOUT_INHERITING.items():
        if version >= 16:
            _grant_role(connection, group, member, " WITH INHERIT FALSE, SET TRUE")
    connection.execute("RESET ROLE")
    for member, group in _BY_SUPERUSER.items():
        _grant_role(connection, group, member, "")
    connection.execute("ALTER ROLE sandbox_tester CREATEDB")
    _create_connector(connection, version)
    connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER)))
    connection.execute((Path(__file__).parent / "ledger.sql").read_text().encode())
    if _has_statistics(connection):
        for statement in _STATISTICS:
            connection.execute(statement)


def _create_role(connection: psycopg.Connection[Any], role: str, attributes: str, purpose: str) -> None:
    name = sql.Identifier(role)
    connection.execute(sql.SQL(f"CREATE ROLE {{}} {attributes}").format(name))
    if purpose:
        connection.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(name, sql.Literal(purpose)))


def _grant_role(connection: psycopg.Connection[Any], group: str, member: str, options: str) -> None:
    connection.execute(
        sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(member)) + sql.SQL(options)
    )


def _create_connector(connection: psycopg.Connection[Any], version: int) -> None:
    """Just what docs/connectors.md asks for: to look, to end sessions, to act as owner, administrator and grantor."""
    _create_role(connection, CONNECTOR, "LOGIN", "Remit's own sign-in at this server")
    for built_in in ("pg_read_all_stats", "pg_signal_backend"):
        _grant_role(connection, built_in, CONNECTOR, "")
    acting_only = " WITH INHERIT FALSE, SET TRUE" if version >= 16 else ""
    for role in (OWNER, ADMINISTRATOR, "finance_ops"):
        _grant_role(connection, role, CONNECTOR, acting_only)


def _has_statistics(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute(
        "SELECT current_setting('shared_preload_libraries') LIKE '%%pg_stat_statements%%'"
        " AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements')",
        [],
    ).fetchone()
    return bool(row and row[0])


def _set_password(connection: psycopg.Connection[Any], role: str, password: str) -> None:
    """Only the verifier is sent, so that the password stands in no log and no statistics of the server."""
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier)))
