"""Write the trail. Every use case calls `record` (or `record_many`) once, inside its own transaction.

The record and the change it describes commit together or not at all; the database seals the record at commit.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from governance.audit.actions import Verb
from governance.audit.canonical import canonical, portable, rfc3339, text_of
from governance.kernel.actors import Actor

PAYLOAD_VERSION = 1
SALT_BYTES = 32
OUTCOME = re.compile(r"[a-z_]{1,30}")

EVENTS = "audit_auditevent (id, occurred_at, verb, actor_kind, actor_id, subject_kind, subject_id, payload)"
DETAILS = "audit_auditdetail (event_id, salt, text)"
INSERT_EVENT = f"INSERT INTO {EVENTS} VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"  # noqa: S608 - constants
INSERT_DETAIL = f"INSERT INTO {DETAILS} VALUES (%s, %s, %s)"  # noqa: S608 - constants
COPY_EVENTS = f"COPY {EVENTS} FROM STDIN"
COPY_DETAILS = f"COPY {DETAILS} FROM STDIN"

EventRow = tuple[UUID, str, str, str, str, str, str, str]
DetailRow = tuple[UUID, bytes, str]


class RecordOutsideTransaction(RuntimeError):
    """A record was about to commit apart from the change it describes: a mistake in the calling code."""


class UnknownVerb(ValueError):
    """The verb is not part of the vocabulary in governance/audit/actions.py."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What the event is about: a kind ("campaign"), its id, and a label that must not be personal."""

    kind: str
    id: str
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One event to write. See `record` for the fields."""

    verb: Verb
    actor: Actor
    subject: Subject
    now: datetime
    old: Mapping[str, Any] | None = None
    new: Mapping[str, Any] | None = None
    reason: str = ""
    context: Mapping[str, Any] | None = None
    personal: Mapping[str, Any] | None = None
    outcome: str = "success"


def record(
    *,
    verb: Verb,
    actor: Actor,
    subject: Subject,
    now: datetime,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    reason: str = "",
    context: Mapping[str, Any] | None = None,
    personal: Mapping[str, Any] | None = None,
    outcome: str = "success",
) -> UUID:
    """Write one event in the current transaction and return its id.

    old, new: the fields that changed; context: further facts (run id, rule version). All three stay for ever, so
    they must hold neither secrets nor names, addresses or free text. Those go to `reason` (free text) and
    `personal` (an e-mail address, an IP address), which are kept beside the chain and can be erased.
    outcome: "success", or a word for what happened instead ("refused", "failed").

    Raises RecordOutsideTransaction, UnknownVerb, and NotCanonical for values without a canonical text (floats).
    """
    entry = Record(
        verb=verb,
        actor=actor,
        subject=subject,
        now=now,
        old=old,
        new=new,
        reason=reason,
        context=context,
        personal=personal,
        outcome=outcome,
    )
    return record_many([entry])[0]


def record_many(records: Iterable[Record]) -> list[UUID]:
    """Write many events in the current transaction; ids in the order given. See `record`."""
    if not connection.in_atomic_block:
        raise RecordOutsideTransaction("an audit record belongs into the transaction of the change it describes")
    entries = list(records)  # before anything is sent: making a record may itself ask the database
    if not entries:
        return []
    if len(entries) == 1:
        return [_insert(entries[0])]
    return _copy(entries)


def _insert(entry: Record) -> UUID:
    """Write one event and its detail in one round trip."""
    row, detail = _rows(entry)
    with connection.cursor() as cursor:
        if detail:
            cursor.execute(f"WITH detail AS ({INSERT_DETAIL}) {INSERT_EVENT}", [*detail, *row])
        else:
            cursor.execute(INSERT_EVENT, row)
    return row[0]


def _copy(entries: Sequence[Record]) -> list[UUID]:
    """Write rows by COPY. The database indexes one row while the next is made; nothing else may be sent meanwhile."""
    ids: list[UUID] = []
    details: list[DetailRow] = []
    with connection.wrap_database_errors, connection.cursor() as cursor:
        with cursor.copy(COPY_EVENTS) as copy:
            for entry in entries:
                row, detail = _rows(entry)
                copy.write_row(row)
                ids.append(row[0])
                if detail:
                    details.append(detail)
        if details:
            with cursor.copy(COPY_DETAILS) as copy:
                for detail in details:
                    copy.write_row(detail)
    return ids


def commitment(salt: bytes, text: str) -> str:
    """The hash that binds a detail to its event: SHA-256 of the salt and the text's UTF-8 bytes, in hex."""
    return hashlib.sha256(salt + text.encode()).hexdigest()


def _rows(entry: Record) -> tuple[EventRow, DetailRow | None]:
    """One record as the rows of its event and, when it has free text or personal data, of its detail."""
    if not isinstance(entry.verb, Verb):
        raise UnknownVerb(f"{entry.verb!r} is not a verb of the trail")
    if entry.outcome != "success" and not OUTCOME.fullmatch(entry.outcome):
        raise ValueError(f"{entry.outcome!r} is not an outcome: use one lower-case word")
    event_id, at, verb = new_id(), rfc3339(entry.now), entry.verb.value
    actor, subject = entry.actor, entry.subject
    actor_kind, actor_id, subject_id = str(actor.kind), str(actor.id), str(subject.id)
    detail = _detail(event_id, entry)
    payload = {
        "v": PAYLOAD_VERSION,
        "id": event_id,
        "at": at,
        "verb": verb,
        "actor": {"kind": actor_kind, "id": actor_id, "label": actor.label, "auth": actor.auth_method},
        "subject": {"kind": subject.kind, "id": subject_id, "label": subject.label},
        "request": actor.request_id,
        "outcome": entry.outcome,
        "old": portable(entry.old, "/old"),
        "new": portable(entry.new, "/new"),
        "context": portable(entry.context, "/context"),
        "detail": commitment(detail[1], detail[2]) if detail else None,
    }
    row = (event_id, at, verb, actor_kind, actor_id, subject.kind, subject_id, text_of(payload))
    return row, detail


def new_id() -> UUID:
    """A UUID of version 7 (RFC 9562): in order of time, so that indexes of a long trail grow at their end only."""
    number = time.time_ns() // 1_000_000 << 80 | int.from_bytes(secrets.token_bytes(10))
    return UUID(int=number & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def _detail(event_id: UUID, entry: Record) -> DetailRow | None:
    parts: dict[str, Any] = {}
    if entry.reason:
        parts["reason"] = entry.reason
    if entry.personal:
        parts["personal"] = entry.personal
    if not parts:
        return None
    return event_id, secrets.token_bytes(SALT_BYTES), canonical(parts)
