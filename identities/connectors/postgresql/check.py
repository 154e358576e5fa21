"""Trying a connection: sign in everywhere, read, and say which right of docs/connectors.md is missing.

Nothing is changed. What only limits what Remit can do later is a warning; what keeps it from reading is a failure.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from identities.connectors.contract import Check, NotPossible, SourceUnreachable
from identities.connectors.postgresql.catalog import PUBLIC, Database, Role, read_database
from identities.connectors.postgresql.desk import Desk, open_desk
from identities.connectors.postgresql.network import read_rules
from identities.connectors.postgresql.observing import log_files, may_read_statements, tracking
from identities.connectors.postgresql.session import Settings, plain_error

OK, WARNING, FAILED = "ok", "warning", "failed"
OLDEST = 15
MOST_NAMED = 5


def check(settings: Settings) -> Iterator[Check]:
    """One check per thing that was tried, the server's first."""
    is_first = True
    for name in settings.databases:
        try:
            with open_desk(settings, name) as desk:
                desk.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield _signed_in(desk)
                if is_first:
                    yield from _server(desk)
                    is_first = False
                yield from _database(desk)
        except (SourceUnreachable, psycopg.Error) as error:
            reason = error.message if isinstance(error, SourceUnreachable) else plain_error(error)
            yield Check(f"Sign in to database {name}", FAILED, reason)
    yield from _logs(settings)


def _signed_in(desk: Desk) -> Check:
    version = desk.connection.info.server_version
    text = f"PostgreSQL {version // 10_000}.{version % 10_000}, as {desk.me.name}."
    if version // 10_000 < OLDEST:
        return Check(f"Sign in to database {desk.database}", FAILED, f"{text} Remit needs version {OLDEST} or newer.")
    return Check(f"Sign in to database {desk.database}", OK, text)


def _server(desk: Desk) -> Iterator[Check]:
    if desk.me.superuser:
        yield Check(
            "The connector's role", WARNING,
            f"{desk.me.name} is a superuser and so may do far more than it needs. Use an ordinary role.",
        )  # fmt: skip
    yield _lock_out(desk)
    yield _end_sessions(desk)
    yield _memberships(desk)
    if may_read_statements(desk.connection):
        yield Check("See the statements of other roles", OK)
    else:
        yield Check("See the statements of other roles", WARNING, _missing(desk, ["pg_read_all_stats"]))
    yield _network_rules(desk)


def _network_rules(desk: Desk) -> Check:
    title = "See from where roles may sign in"
    if read_rules(desk.connection) is not None:
        return Check(title, OK)
    me = _quoted(desk.me.name)
    return Check(
        title, WARNING,
        f"Missing, or the file has a faulty line: GRANT SELECT ON pg_hba_file_rules TO {me}; GRANT EXECUTE ON FUNCTION "
        f"pg_hba_file_rules() TO {me}; in {desk.database}.",
    )  # fmt: skip


def _lock_out(desk: Desk) -> Check:
    roles = [role for role in desk.cluster.identities() if role.oid != desk.me.oid and not role.superuser]
    refused = _refusals(roles, desk.administrator_of)
    title = "Lock accounts out, end their passwords"
    if not refused:
        return Check(title, OK, f"All {len(roles)} accounts that are no superusers.")
    need = "CREATEROLE"
    if desk.cluster.version >= 16:
        lines = "; ".join(f"GRANT {_quoted(role.name)} TO … WITH ADMIN OPTION" for role in refused[:MOST_NAMED])
        need = f"CREATEROLE and ADMIN OPTION ({lines})"
    return Check(
        title, WARNING,
        f"Not possible for {_some(role.name for role in refused)}: neither {desk.me.name} nor a role that it may act "
        f"as has {need}.",
    )  # fmt: skip


def _end_sessions(desk: Desk) -> Check:
    roles = [role for role in desk.cluster.identities() if role.oid != desk.me.oid and not role.superuser]
    refused = _refusals(roles, desk.require_signal)
    if not refused:
        return Check("End open sessions", OK)
    return Check("End open sessions", WARNING, _missing(desk, ["pg_signal_backend"]))


def _memberships(desk: Desk) -> Check:
    title = "Take memberships away and give them back"
    by_superuser, needed = Counter[str](), set[str]()
    identities = {role.oid for role in desk.cluster.identities()}
    for row in desk.cluster.memberships:
        group, grantor = desk.cluster.roles.get(row.role), desk.cluster.roles.get(row.grantor)
        if row.member not in identities or group is None or grantor is None or row.member == desk.me.oid:
            continue
        if desk.cluster.version < 16:
            if _refusals([group], desk.granter_of):
                needed.add(group.name)
        elif not any(role.oid == grantor.oid for role in desk.actable):
            if grantor.superuser:
                by_superuser[group.name] += 1
            else:
                needed.add(grantor.name)
    if by_superuser:
        return Check(
            title, WARNING,
            f"A superuser granted {_some(by_superuser)}, and only a superuser can take that back. Have a role that the "
            f"connector may act as grant it instead (GRANT … GRANTED BY …).",
        )  # fmt: skip
    if needed:
        if desk.cluster.version < 16:
            return Check(title, WARNING, f"Needs CREATEROLE, or ADMIN OPTION on {_some(needed)}.")
        return Check(title, WARNING, _missing(desk, sorted(needed)))
    return Check(title, OK)


def _database(desk: Desk) -> Iterator[Check]:
    database = read_database(desk.connection, desk.database)
    yield Check(f"Read database {desk.database}", OK, f"{len(database.objects)} objects.")
    yield _grantors(desk, database)
    yield _statements(desk)
    yield _audit(desk)


def _grantors(desk: Desk, database: Database) -> Check:
    """Whoever gave a right must take it back, so the connector must be able to act as each of them."""
    title = f"Revoke and narrow rights in {desk.database}"
    identities = {role.oid for role in desk.cluster.identities()}
    grantors = {
        entry.grantor
        for entry in database.entries
        if entry.grantee in identities | {PUBLIC} and entry.grantee != entry.target.owner and not entry.target.is_system
    }
    grantors |= {target.owner for target in database.objects.values() if target.kind in ("table", "sequence", "schema")}
    actable = {role.oid for role in desk.actable}
    missing = [desk.cluster.roles[oid] for oid in sorted(grantors - actable) if oid in desk.cluster.roles]
    ordinary = [role.name for role in missing if not role.superuser]
    if ordinary:
        return Check(title, WARNING, _missing(desk, ordinary))
    if missing:
        names = _some(role.name for role in missing)
        return Check(title, WARNING, f"What the superuser {names} owns or granted can only be changed by a superuser.")
    return Check(title, OK)


def _statements(desk: Desk) -> Check:
    title = f"Use from pg_stat_statements in {desk.database}"
    row = desk.connection.execute(
        "SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'pg_stat_statements'"
    ).fetchone()
    if row is None:
        return Check(title, WARNING, "The extension is not installed here: CREATE EXTENSION pg_stat_statements.")
    loaded = desk.connection.execute("SELECT current_setting('pg_stat_statements.track', true)").fetchone()
    if loaded is None or loaded[0] is None:
        return Check(title, WARNING, "It is not loaded: add pg_stat_statements to shared_preload_libraries.")
    if tracking(desk.connection) not in ("top", "all"):
        return Check(title, WARNING, "pg_stat_statements.track is off, here or for a role, so use is not observable.")
    return Check(title, OK)


def _audit(desk: Desk) -> Check:
    title = f"Use from pgaudit in {desk.database}"
    row = desk.connection.execute(
        "SELECT current_setting('pgaudit.log', true), current_setting('pgaudit.log_relation', true)"
    ).fetchone()
    if row is None or row[0] is None:
        return Check(
            title, WARNING, "pgaudit is not loaded. It is not needed; with it the time of the last use is known."
        )
    if row[1] != "on":
        return Check(
            title, WARNING, f"pgaudit.log is {row[0]!r}. Set pgaudit.log_relation = on, so that it names each table."
        )
    return Check(title, OK, f"pgaudit.log is {row[0]!r}.")


def _logs(settings: Settings) -> Iterator[Check]:
    for folder in settings.pgaudit_logs:
        title = f"Read the log folder {folder}"
        if not Path(folder).is_dir():
            yield Check(title, FAILED, "There is no such folder where Remit runs, or it may not enter it.")
            continue
        files = log_files([folder])
        if not files:
            yield Check(
                title, WARNING, "It holds no *.json or *.csv file. Set log_destination = 'jsonlog' at the server."
            )
            continue
        path, _ = files[-1]
        try:
            with path.open("rb") as file:
                file.read(1)
        except OSError as error:
            yield Check(title, FAILED, f"{path.name} cannot be opened: {error.strerror}.")
        else:
            yield Check(title, OK, f"{len(files)} files.")


def _refusals(roles: Iterable[Role], ask: Callable[[Role], object]) -> list[Role]:
    refused = []
    for role in roles:
        try:
            ask(role)
        except NotPossible:
            refused.append(role)
    return refused


def _missing(desk: Desk, groups: list[str]) -> str:
    """The lines that would give what is missing."""
    options = " WITH INHERIT FALSE, SET TRUE" if desk.cluster.version >= 16 else ""
    lines = [
        f"GRANT {_quoted(name)} TO {_quoted(desk.me.name)}{'' if name.startswith('pg_') else options};"
        for name in groups[:MOST_NAMED]
    ]
    more = f" And {len(groups) - MOST_NAMED} more." if len(groups) > MOST_NAMED else ""
    return f"Missing: {' '.join(lines)}{more}"


def _some(names: Iterable[str]) -> str:
    listed = sorted(set(names))
    more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
    return f"{', '.join(listed[:MOST_NAMED])}{more}"


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)
