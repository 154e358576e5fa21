"""Log files that pgaudit wrote into, as what was seen in use."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from governance.kernel.dialects.postgresql import resource
from identities.connectors.contract import Record
from identities.connectors.files import FileFormat, FileRefused, Holds, Notes
from identities.connectors.postgresql.audit_log import Span, format_of, read_log
from identities.connectors.postgresql.audit_use import AuditTrail, Executed
from identities.connectors.postgresql.catalog import external_id
from identities.connectors.postgresql.observing import LONGEST_RESOURCE
from identities.connectors.postgresql.usage import Name


@dataclass(slots=True)
class _Seen:
    first: datetime
    last: datetime
    count: int = 1

    def add(self, at: datetime) -> None:
        self.first, self.last, self.count = min(self.first, at), max(self.last, at), self.count + 1


class PgAudit:
    """jsonlog or csvlog with pgaudit's lines.

    A file alone says who used which table, and not what else would have been logged: other roles may have settings of
    their own, and rights on columns or inside views cannot be told without the catalogue. So it opens no observation
    window. A source with the setting `pgaudit_logs` does, see docs/connectors.md.
    """

    name = "pgaudit"
    title = "PostgreSQL log with pgaudit (jsonlog or csvlog)"
    kind = "postgresql"
    holds = Holds.USAGE

    def recognises(self, head: bytes) -> bool:
        return bool(format_of(head))

    def records(self, file: BinaryIO, notes: Notes) -> Iterator[Record]:
        trail, span = AuditTrail(notes), Span()
        seen: dict[tuple[str, str, str], _Seen] = {}
        for executed in trail.statements(read_log(file, notes, span)):
            _count(seen, executed, notes)
        for executed in trail.rest():
            _count(seen, executed, notes)
        if not trail.audited:
            raise FileRefused(
                "No line of this log was written by pgaudit. Load it (shared_preload_libraries) and set pgaudit.log."
            )
        _tell(notes, trail, span)
        for (role, action, where), use in sorted(seen.items()):
            yield {
                "type": "usage",
                "identity": external_id(role),
                "action": action,
                "resource": where,
                "first_seen_at": use.first.isoformat(),
                "last_seen_at": use.last.isoformat(),
                "count": use.count,
            }
        yield {"type": "end", "records": len(seen)}


def _count(seen: dict[tuple[str, str, str], _Seen], executed: Executed, notes: Notes) -> None:
    if not executed.role or not executed.database:
        return
    notes.count("statements")
    if not executed.is_understood:
        notes.count("statements that were not fully understood")
    if executed.calls:
        notes.count("calls of functions, whose arguments the log does not name")
    wanted = [(action, "table", name) for action, name in executed.uses]
    wanted += [("SELECT", "sequence", name) for name in executed.sequences]
    found: set[tuple[str, str]] = set()
    for action, kind, name in wanted:
        if name.schema is None:
            notes.count("names without their schema, which could be any (set pgaudit.log_relation = on)")
            continue
        found |= {(action, _resource(kind, executed.database, name))}
        found |= {("USAGE", resource("schema", executed.database, name.schema))}
    for action, where in found:
        if len(where.encode()) > LONGEST_RESOURCE:
            notes.count("names that are too long to be kept")
            continue
        key = (executed.role, action, where)
        if key in seen:
            seen[key].add(executed.at)
        else:
            seen[key] = _Seen(executed.at, executed.at)


def _resource(kind: str, database: str, name: Name) -> str:
    return resource(kind, database, name.schema or "", name.name)


def _tell(notes: Notes, trail: AuditTrail, span: Span) -> None:
    notes.count("lines of pgaudit", trail.audited)
    if span.first and span.last:
        notes.say(f"The log goes from {span.first:%Y-%m-%d %H:%M} to {span.last:%Y-%m-%d %H:%M} UTC.")
    classes = sorted({of_class for _, _, of_class in trail.first})
    if classes:
        notes.say(f"Classes seen in it: {', '.join(classes)}. Whatever else may have happened was not logged.")
    notes.say(
        "This shows what was used. It does not show what was not: a file does not say for which roles what was logged."
    )


FORMATS: tuple[FileFormat, ...] = (PgAudit(),)
