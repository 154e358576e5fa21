"""What the server shows of use: pg_stat_statements, and pgaudit's lines where the log can be read.

Unknown is never unused: a log opens a window for a role only where nothing that the role did, and nothing that was done
with its rights, could have escaped it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from governance.kernel.dialects.paths import encode
from identities.connectors.contract import Record
from identities.connectors.files import FileRefused, Notes
from identities.connectors.postgresql.attribution import Attribution
from identities.connectors.postgresql.audit_log import LogLine, Span, read_log
from identities.connectors.postgresql.audit_use import AuditTrail, classes_on
from identities.connectors.postgresql.catalog import Cluster, Database, Role
from identities.connectors.postgresql.rights import Estate
from identities.connectors.postgresql.session import Connection
from identities.connectors.postgresql.usage import RoleUse

LONGEST_RESOURCE = 1000
STATEMENTS, PGAUDIT = "pg_stat_statements", "pgaudit"
# The newest files, up to so many bytes, are read each time.
MOST_LOG_BYTES = 512 * 1024 * 1024
WATCHED = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"]


@dataclass
class LogUse:
    """Use that one log shows per role, from `since` to `until`.

    has_gaps: the log may have missed something of anybody. unwatched: roles of which it need not show everything.
    """

    log: str
    since: datetime | None
    until: datetime | None
    has_gaps: bool
    by_role: dict[int, RoleUse]
    unwatched: frozenset[int] = frozenset()


@dataclass
class AuditSettings:
    """pgaudit.log of one database; None where it is not loaded or nobody can tell. by_role: settings of their own."""

    server: str | None
    by_role: Mapping[int, str]

    def classes(self, role: int) -> frozenset[str]:
        value = self.by_role.get(role, self.server)
        return classes_on(value) if value is not None else frozenset()


@dataclass
class Observed:
    """One database and what its logs show."""

    database: Database
    attribution: Attribution
    audit: AuditSettings
    logs: list[LogUse] = field(default_factory=list)


def observe(connection: Connection, cluster: Cluster, database: Database) -> Observed:
    """Use in the connected database as pg_stat_statements shows it, and how pgaudit is set there."""
    attribution = Attribution(connection, Estate(cluster, [database]), database)
    seen = Observed(database, attribution, _audit_settings(connection))
    statements = _statements(connection, cluster, attribution)
    if statements is not None:
        seen.logs.append(statements)
    return seen


# --- pg_stat_statements -----------------------------------------------------------------------------------------


def _statements(connection: Connection, cluster: Cluster, attribution: Attribution) -> LogUse | None:
    """None without the extension, or without the right to see other roles' statements."""
    row = connection.execute(
        """SELECT quote_ident(n.nspname), x.extversion FROM pg_catalog.pg_extension x
             JOIN pg_catalog.pg_namespace n ON n.oid = x.extnamespace WHERE x.extname = 'pg_stat_statements'"""
    ).fetchone()
    if row is None or not may_read_statements(connection):
        return None
    schema = row[0]
    connection.execute("SAVEPOINT usage")
    try:
        info = connection.execute(
            f"SELECT stats_reset, dealloc > 0, clock_timestamp() FROM {schema}.pg_stat_statements_info"  # noqa: S608
        ).fetchone()
        since = "stats_since" if cluster.version >= 17 else "NULL::timestamptz"
        rows = connection.execute(
            f"""SELECT userid, query, calls, {since} FROM {schema}.pg_stat_statements
                 WHERE calls > 0 AND dbid = (SELECT oid FROM pg_catalog.pg_database
                                              WHERE datname = current_database())"""  # noqa: S608
        ).fetchall()
    except psycopg.errors.ObjectNotInPrerequisiteState:
        connection.execute("ROLLBACK TO SAVEPOINT usage")  # the extension is there, its library was not loaded
        return None
    if info is None or info[0] is None:
        return None
    for userid, query, calls, first in rows:
        attribution.add(userid, query, calls, first.isoformat() if first else None)
    has_gaps = info[1] or tracking(connection) not in ("top", "all")
    return LogUse(STATEMENTS, info[0], info[2], has_gaps, attribution.by_role, frozenset(attribution.lending))


def may_read_statements(connection: Connection) -> bool:
    """Whether the connector sees what other roles ran."""
    row = connection.execute("SELECT pg_has_role(session_user, 'pg_read_all_stats', 'USAGE')").fetchone()
    return bool(row and row[0])


def tracking(connection: Connection) -> str:
    """What is recorded here: 'none' also where a role has a setting of its own that hides its statements."""
    row = connection.execute(
        """SELECT CASE WHEN EXISTS (
                      SELECT FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) c
                       WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database
                                                    WHERE datname = current_database()))
                         AND c IN ('pg_stat_statements.track=none', 'pg_stat_statements.track_utility=off')
                  ) THEN 'none' ELSE coalesce(current_setting('pg_stat_statements.track', true), 'none') END"""
    ).fetchone()
    return str(row[0]) if row else "none"


# --- pgaudit ----------------------------------------------------------------------------------------------------


def _audit_settings(connection: Connection) -> AuditSettings:
    rows = connection.execute(
        """SELECT s.setrole, substr(c, length('pgaudit.log=') + 1), s.setrole = r.oid
             FROM pg_catalog.pg_db_role_setting s CROSS JOIN unnest(s.setconfig) c
             JOIN pg_catalog.pg_roles r ON r.rolname = session_user
            WHERE starts_with(c, 'pgaudit.log=') AND s.setrole <> 0
              AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
            ORDER BY s.setdatabase"""
    ).fetchall()
    row = connection.execute("SELECT current_setting('pgaudit.log', true)").fetchone()
    # A setting of the connector's own role hides what holds for everybody else.
    is_hidden = any(is_ours for _, _, is_ours in rows)
    return AuditSettings(None if is_hidden or row is None else row[0], {role: value for role, value, _ in rows})


def add_audit_logs(folders: Sequence[str], cluster: Cluster, observed: Sequence[Observed]) -> None:
    """Read the server's log files and add to each database what they show of its use."""
    reading = _AuditReading(cluster, observed)
    files = log_files(folders)
    left = MOST_LOG_BYTES
    chosen: list[Path] = []
    for path, size in reversed(files):
        left -= size
        if left < 0 and chosen:
            break
        chosen.append(path)
    for path in reversed(chosen):
        reading.read(path)
    reading.finish()


def log_files(folders: Iterable[str]) -> list[tuple[Path, int]]:
    """jsonlog files of these folders, or csvlog files where there are none, by age, with their sizes in bytes."""
    found = []
    for folder in folders:
        names = sorted(Path(folder).glob("*.json")) or sorted(Path(folder).glob("*.csv"))
        for path in names:
            try:
                found.append((path.stat().st_mtime, path, path.stat().st_size))
            except OSError:
                continue
    return [(path, size) for _, path, size in sorted(found)]


class _AuditReading:
    def __init__(self, cluster: Cluster, observed: Sequence[Observed]) -> None:
        self.roles = {role.name: role for role in cluster.identities()}
        self.seen_in = {each.database.name: each for each in observed}
        self.used: dict[str, dict[int, RoleUse]] = defaultdict(lambda: defaultdict(RoleUse))
        self.notes, self.span = Notes(), Span()
        self.trail = AuditTrail(self.notes)
        self.has_gaps = False

    def read(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                if path.stat().st_size:
                    self._take(read_log(file, self.notes, self.span))
        except (OSError, FileRefused):
            self.has_gaps = True  # what was read before stays true; what was not may hold anything

    def _take(self, lines: Iterable[LogLine]) -> None:
        for executed in self.trail.statements(lines):
            self._add(executed)

    def _add(self, executed: Any) -> None:
        seen, role = self.seen_in.get(executed.database), self.roles.get(executed.role)
        if seen is not None and role is not None:
            seen.attribution.add_audited(self.used[executed.database][role.oid], role.oid, executed)

    def finish(self) -> None:
        for executed in self.trail.rest():
            self._add(executed)
        lost = {"lines that are too long", "lines of pgaudit that make no sense"} & set(self.notes.counts)
        for name, seen in self.seen_in.items():
            since = self._since(name, seen.audit)
            unwatched = {
                role.oid for role in self.roles.values() if not seen.audit.classes(role.oid) >= {"read", "write"}
            }
            seen.logs.append(
                LogUse(
                    PGAUDIT, since, self.span.last, self.has_gaps or bool(lost), self.used[name],
                    frozenset(unwatched | seen.attribution.lending),
                )
            )  # fmt: skip

    def _since(self, database: str, audit: AuditSettings) -> datetime | None:
        """From when on both classes were surely logged: each was seen, and nobody has changed the setting since."""
        special = {name for name, role in self.roles.items() if role.oid in audit.by_role}
        first: dict[str, datetime] = {}
        for (where, role, of_class), moment in self.trail.first.items():
            # A role with a setting of its own says nothing about all others.
            if where == database and role not in special:
                first[of_class] = min(moment, first.get(of_class, moment))
        if not {"read", "write"} <= set(first):
            return None
        changed = [self.trail.changed_at] if self.trail.changed_at else []
        return max([first["read"], first["write"], *changed])


# --- as records -------------------------------------------------------------------------------------------------


def usage_records(cluster: Cluster, observed: Sequence[Observed]) -> Iterator[Record]:
    """Use, and the windows in which it could be seen, of every identity."""
    for seen in observed:
        for role in cluster.identities():
            yield from _of_role(role, seen)


def _of_role(role: Role, seen: Observed) -> Iterator[Record]:
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    for log in seen.logs:
        use = log.by_role.get(role.oid, RoleUse())
        for key in use.counts:
            if len(key[1].encode()) > LONGEST_RESOURCE:
                use.is_complete = False  # too long to be kept, so what it stands for must not count as unused
                continue
            _merge(merged, key, _found(log, use, key))
    for (action, resource), found in sorted(merged.items()):
        yield {"type": "usage", "identity": role.external_id, "action": action, "resource": resource, **found}
    for log in seen.logs:
        is_complete = log.by_role[role.oid].is_complete if role.oid in log.by_role else True
        if is_complete and not log.has_gaps and not role.superuser and role.oid not in log.unwatched:
            yield from _window(role, seen.database.name, log)


def _found(log: LogUse, use: RoleUse, key: tuple[str, str]) -> dict[str, Any]:
    """One use as a log shows it. Of what it only counts, the last call is known to lie before the reading, no more."""
    reading, start = log.until or log.since, use.restarted.get(key)
    if start is None and log.since is not None:
        start = log.since.isoformat()
    return {
        "first_seen_at": use.first.get(key),
        "last_seen_at": use.last.get(key) or (reading.isoformat() if reading else None),
        "count": use.counts[key],
        "counted_from": start if log.log == STATEMENTS else None,
    }


def _merge(merged: dict[tuple[str, str], dict[str, Any]], key: tuple[str, str], found: dict[str, Any]) -> None:
    """Two logs show the same calls, so their counts are not added, and what comes of them is no counter of either."""
    known = merged.get(key)
    if known is None:
        merged[key] = found
        return
    firsts = [moment for moment in (known["first_seen_at"], found["first_seen_at"]) if moment is not None]
    merged[key] = {
        "first_seen_at": min(firsts, default=None),
        "last_seen_at": max(known["last_seen_at"], found["last_seen_at"]),
        "count": max(known["count"], found["count"]),
    }


def _window(role: Role, database: str, log: LogUse) -> Iterator[Record]:
    if log.since is None or log.until is None or log.until < log.since:
        return
    yield {
        "type": "usage_window",
        "identity": role.external_id,
        "from": log.since.isoformat(),
        "until": log.until.isoformat(),
        "log": f"{log.log}:{database}"[:120],
        "observable": {"actions": WATCHED, "resources": [f"table:{encode(database)}/*/*"]},
    }
