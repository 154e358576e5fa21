"""Check the whole trail against itself and against the checkpoints outside the database.

The chain finds a changed, missing or inserted row and names it. A chain that was recomputed as a whole looks right
from inside; only a checkpoint from before the change shows it. So verification is worth as much as the
checkpoints' place is out of reach.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.db import connection

from governance.audit import drift, outside
from governance.audit.canonical import rfc3339
from governance.audit.keys import load_or_create_key
from governance.audit.lineage import Epoch, begun_records, current_epoch, epochs_outside
from governance.audit.lines import retired_until
from governance.audit.log import commitment
from governance.audit.models import AuditCheckpoint, AuditHead
from governance.audit.notes import BadNote, Checkpoint
from governance.audit.verify_archives import check_archives
from governance.audit.verify_stream import check_stream
from governance.kernel.merkle import HASH_SIZE, Frontier, leaf_hash

ROWS_PER_READ = 2000
PROBLEMS_KEPT = 100
START = bytes(HASH_SIZE)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a code for machines, a sentence, and the row where it shows, if there is one."""

    code: str
    message: str
    seq: int | None = None
    event_id: str | None = None


@dataclass(slots=True)
class Report:
    """What was checked and what was found. `problems` holds the first hundred; `problem_count` counts all."""

    origin: str
    size: int = 0
    root: str = ""
    head: str = ""
    read_from: int = 1
    events_read: int = 0
    details_erased: int = 0
    events_retired: int = 0
    checkpoints_matched: int = 0
    newest_checkpoint: int | None = None
    lines_sealed: int = 0
    lines_pending: int = 0
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def is_intact(self) -> bool:
        return self.problem_count == 0

    def add(self, code: str, message: str, seq: int | None = None, event_id: UUID | None = None) -> None:
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(Problem(code, message, seq, str(event_id) if event_id else None))

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values; `intact` first."""
        return {"intact": self.is_intact, **asdict(self)}


class Row(NamedTuple):
    """One link with what it seals; the event's columns are None when the event is gone."""

    seq: int
    event_id: UUID
    payload_hash: bytes
    prev_hash: bytes
    entry_hash: bytes
    leaf_hash: bytes
    payload: str | None
    occurred_at: datetime | None
    verb: str | None
    actor_kind: str | None
    actor_id: str | None
    subject_kind: str | None
    subject_id: str | None
    detail_id: UUID | None
    salt: bytes | None
    text: str | None
    erased_at: datetime | None


def verify(*, public_key: Ed25519PublicKey | None = None, from_checkpoint: bool = False) -> Report:
    """Read the trail and say what is wrong with it.

    public_key: whose signatures count; by default the signing key's own public half.
    from_checkpoint: start behind the newest checkpoint that the database can continue, instead of at the first
    row. Fast, and blind to changes of older rows.
    """
    epoch = current_epoch()
    report = Report(origin=epoch.origin)
    for sentence in drift.broken_guards():
        report.add("guard", f"{sentence[0].upper()}{sentence[1:]}.")
    head = AuditHead.objects.filter(id=1).first()
    if head is None:
        report.add("head", "The row that says where the chain ends is gone.")
        return report
    check_archives(report)
    key = public_key or load_or_create_key(settings.AUDIT_KEY_FILE).public_key()
    checkpoints = _open_checkpoints(epoch, key, report)
    start = _start(epoch, checkpoints, report) if from_checkpoint else Frontier()
    _read_rows(report, head, [*checkpoints.values(), *_of_earlier_epochs(epoch, key, report)], start)
    _find_unsealed(report)
    check_stream(report, newest_only=from_checkpoint)
    return report


def _of_earlier_epochs(epoch: Epoch, public_key: Ed25519PublicKey, report: Report) -> list[Checkpoint]:
    """The checkpoints of earlier epochs that the trail must still fit; what a restore lost is said, not expected."""
    records = begun_records()
    fits = {fit["origin"]: fit for fit in records[-1]["context"]["fits"]} if records else {}
    for fit in fits.values():
        report.notices.append(
            f"Epoch {fit['origin']} was signed to event {fit['signed_to']}; its checkpoints fit this database to event "
            f"{fit['fits_to']} (said when {epoch.origin} began)."
        )
    found: list[Checkpoint] = []
    for earlier in epochs_outside():
        if earlier.number > epoch.number:
            report.add(
                "epoch",
                f"Epoch {earlier.number} has begun outside, but the database is in epoch {epoch.number}: an older "
                "state was restored.",
            )
        if earlier.number >= epoch.number or earlier.origin not in fits:
            continue
        files = [path for size, path in outside.list_files(earlier.folder) if size <= fits[earlier.origin]["fits_to"]]
        for path in files:
            try:
                found.append(outside.open_file(path, public_key))
            except BadNote:
                report.notices.append(f"{path.name} of {earlier.origin} is not signed by this key, so not compared.")
    return found


def _open_checkpoints(epoch: Epoch, public_key: Ed25519PublicKey, report: Report) -> dict[int, Checkpoint]:
    """The checkpoints of this epoch outside, by size. Bad files are problems: somebody may have put them there."""
    checkpoints: dict[int, Checkpoint] = {}
    for size, path in outside.list_files(epoch.folder):
        try:
            checkpoint = outside.open_file(path, public_key)
        except BadNote as error:
            report.add("checkpoint", f"Checkpoint file {path.name} cannot be trusted: {error}.", size)
            continue
        if checkpoint.origin != epoch.origin:
            report.add("checkpoint", f"Checkpoint file {path.name} belongs to another log, {checkpoint.origin}.", size)
            continue
        checkpoints[size] = checkpoint
    report.newest_checkpoint = max(checkpoints, default=None)
    signed = AuditCheckpoint.objects.filter(origin=epoch.origin).values_list("size", flat=True)
    if missing := sorted(set(signed) - set(checkpoints)):
        report.notices.append(
            f"{len(missing)} signed checkpoints are not in the folder outside, the newest of size {missing[-1]}."
        )
    if not checkpoints:
        report.notices.append(
            "No checkpoint outside the database was found, so a rewritten trail would not be noticed."
        )
    return checkpoints


def _start(epoch: Epoch, checkpoints: dict[int, Checkpoint], report: Report) -> Frontier:
    """The tree at the newest checkpoint whose tree the database still holds, proved by its signed root."""
    rows = AuditCheckpoint.objects.filter(origin=epoch.origin, size__in=checkpoints).order_by("-size")
    for row in rows:
        frontier = _frontier(bytes(row.frontier))
        if frontier and frontier.size == row.size and frontier.root == checkpoints[row.size].root:
            report.read_from = row.size + 1
            return frontier
    report.notices.append("No checkpoint to start from, so everything was read.")
    return Frontier()


def _frontier(data: bytes) -> Frontier | None:
    try:
        return Frontier.from_bytes(data)
    except ValueError:
        return None


def _read_rows(report: Report, head: AuditHead, checkpoints: list[Checkpoint], frontier: Frontier) -> None:
    """Walk the chain from the frontier to its end and compare every checkpoint on the way."""
    by_size: dict[int, list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        by_size.setdefault(checkpoint.size, []).append(checkpoint)
    start = frontier.size
    previous = _entry_hash(start) if start else START
    expected = start + 1
    retired = retired_until()
    for row in _rows(after=start):
        if row.seq != expected:
            report.add("gap", f"Links {expected} to {row.seq - 1} are missing.", expected)
        if row.prev_hash != previous:
            report.add("chain", f"Link {row.seq} does not continue the link before it.", row.seq, row.event_id)
        _check_row(report, row, is_retired=row.seq <= retired)
        previous, expected = row.entry_hash, row.seq + 1
        report.events_read += 1
        frontier = frontier.append(_leaf(row))
        for checkpoint in by_size.get(row.seq, ()):
            _compare(report, checkpoint, frontier)
    report.size, report.head, report.root = expected - 1, previous.hex(), frontier.root.hex()
    # Rows that committed while this was reading are ahead of the head read before; fewer rows are a loss. And the head
    # read now is not behind what was read.
    has_end = AuditHead.objects.filter(id=1, seq__gte=report.size).exists()
    if report.size < head.seq or not has_end or (report.size == head.seq and previous != bytes(head.entry_hash)):
        report.add("head", f"The chain should end with link {head.seq} but ends differently.", report.size)
    for size in sorted(by_size):
        if size > report.size:
            report.add("cut", f"A checkpoint of {size} events was signed; only {report.size} are left.", report.size)


def _leaf(row: Row) -> bytes:
    if row.payload is not None:
        return leaf_hash(row.payload.encode())
    return row.leaf_hash if len(row.leaf_hash) == HASH_SIZE else START


def _check_row(report: Report, row: Row, *, is_retired: bool) -> None:
    if row.payload is None and is_retired:
        report.events_retired += 1
    elif row.payload is None:
        report.add("missing", f"Event {row.seq} is gone; its link is still there.", row.seq, row.event_id)
    else:
        payload = row.payload.encode()
        if sha256(payload).digest() != row.payload_hash or leaf_hash(payload) != row.leaf_hash:
            report.add("payload", f"Event {row.seq} was changed after it was sealed.", row.seq, row.event_id)
        _check_columns_and_detail(report, row)
    entry = sha256(b"chain.v1\0" + row.prev_hash + row.seq.to_bytes(8, "big") + row.payload_hash).digest()
    if entry != row.entry_hash:
        report.add("entry", f"Link {row.seq} was changed after it was sealed.", row.seq, row.event_id)


def _check_columns_and_detail(report: Report, row: Row) -> None:
    try:
        payload = orjson.loads(row.payload or "")
        said = (
            payload["id"],
            payload["at"],
            payload["verb"],
            *(payload["actor"][key] for key in ("kind", "id")),
            *(payload["subject"][key] for key in ("kind", "id")),
        )
        promised = payload["detail"]
    except (ValueError, KeyError, TypeError):
        report.add("payload", f"Event {row.seq} is not an audit record.", row.seq, row.event_id)
        return
    at = rfc3339(row.occurred_at) if row.occurred_at else ""
    columns = (row.verb, row.actor_kind, row.actor_id, row.subject_kind, row.subject_id)
    if said != (str(row.event_id), at, *columns):
        report.add("columns", f"Event {row.seq}: a column differs from the record.", row.seq, row.event_id)
    _check_detail(report, row, promised)


def _check_detail(report: Report, row: Row, promised: str | None) -> None:
    if promised is None:
        if row.detail_id:
            report.add("detail", f"Event {row.seq} has a detail that it never had.", row.seq, row.event_id)
    elif row.detail_id is None:
        report.add("detail", f"The detail of event {row.seq} was deleted, not erased.", row.seq, row.event_id)
    elif row.erased_at:
        report.details_erased += 1
    elif commitment(row.salt or b"", row.text or "") != promised:
        report.add("detail", f"The detail of event {row.seq} was changed.", row.seq, row.event_id)


def _compare(report: Report, checkpoint: Checkpoint, frontier: Frontier) -> None:
    if frontier.size == checkpoint.size and frontier.root == checkpoint.root:
        report.checkpoints_matched += 1
    else:
        report.add(
            "root",
            f"The first {checkpoint.size} events are not the ones that were signed in {checkpoint.size}.checkpoint.",
            checkpoint.size,
        )


def _find_unsealed(report: Report) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT e.id FROM audit_auditevent e
            WHERE NOT EXISTS (SELECT FROM audit_auditlink l WHERE l.event_id = e.id AND l.seq > 0) LIMIT %s
            """,
            [PROBLEMS_KEPT],
        )
        for (event_id,) in cursor.fetchall():
            report.add("unsealed", f"Event {event_id} was never sealed.", None, event_id)
        cursor.execute(
            """
            SELECT d.event_id FROM audit_auditdetail d
            WHERE NOT EXISTS (SELECT FROM audit_auditevent e WHERE e.id = d.event_id) LIMIT %s
            """,
            [PROBLEMS_KEPT],
        )
        for (event_id,) in cursor.fetchall():
            report.add("detail", f"A detail belongs to event {event_id}, which does not exist.", None, event_id)


def _entry_hash(seq: int) -> bytes:
    with connection.cursor() as cursor:
        cursor.execute("SELECT entry_hash FROM audit_auditlink WHERE seq = %s", [seq])
        found = cursor.fetchone()
    return bytes(found[0]) if found else START


def _rows(*, after: int) -> Iterator[Row]:
    """Every link behind `after`, in order, read in small pieces: links are never changed, so no snapshot is needed."""
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT l.seq, l.event_id, l.payload_hash, l.prev_hash, l.entry_hash, l.leaf_hash,
                       e.payload, e.occurred_at, e.verb, e.actor_kind, e.actor_id, e.subject_kind, e.subject_id,
                       d.event_id, d.salt, d.text, d.erased_at
                FROM audit_auditlink l
                LEFT JOIN audit_auditevent e ON e.id = l.event_id
                LEFT JOIN audit_auditdetail d ON d.event_id = l.event_id
                WHERE l.seq > %s ORDER BY l.seq LIMIT %s
                """,
                [after, ROWS_PER_READ],
            )
            rows = [Row(*columns) for columns in cursor.fetchall()]
        if not rows:
            return
        yield from rows
        after = rows[-1].seq
