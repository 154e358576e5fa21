"""Read the trail for people: pages of rows that are ready to print."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from governance.audit.actions import Verb
from governance.audit.lineage import current_epoch

LARGEST_PAGE = 1000
LARGEST_SEQ = 2**63 - 1
# Bounds that keep a page's time the same for a hundred events and for ten million.
LOOKED_THROUGH = 10_000
FEW = 2_000
NOT_DONE = "not_done"
DESCRIPTIONS = {verb.value: verb.description for verb in Verb}


@dataclass(frozen=True, slots=True)
class TrailRow:
    """One sealed event. `seq` is its place in the chain and the cursor of paging; `hash` its entry hash in hex.

    `description` says the verb in plain words, `payload` is the exact text that was hashed. `reason` and `personal` are
    empty when there were none or when they were erased (`is_erased`). `old`, `new` and `context` are JSON objects,
    empty when the event has none.
    """

    seq: int
    event_id: UUID
    hash: str
    occurred_at: datetime
    verb: str
    description: str
    actor_kind: str
    actor_id: str
    actor_label: str
    auth_method: str
    request_id: str
    subject_kind: str
    subject_id: str
    subject_label: str
    outcome: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    context: Mapping[str, Any]
    reason: str
    personal: Mapping[str, Any]
    is_erased: bool
    payload: str


@dataclass(frozen=True, slots=True)
class TrailPage:
    """Rows, newest first; the `before` of the page with older ones and the `after` of the one with newer (or None).

    is_cut_short: the search stopped after so many events that did not fit, and those beyond were not looked at; there
    may be fewer rows than asked for, even none, and still a page that follows.
    """

    rows: list[TrailRow]
    next_before: int | None
    is_cut_short: bool = False
    newer_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailFilter:
    """What to look for; empty fields are not applied.

    verb: a verb, or a noun ("order") for all of its verbs. since, until: half-open interval of `occurred_at`.
    outcome: a word of the trail, or NOT_DONE for everything that did not end as it was asked for. reason: words of the
    free text beside the event; what was erased is not found.
    """

    verb: str = ""
    actor_id: str = ""
    subject_kind: str = ""
    subject_id: str = ""
    outcome: str = ""
    request_id: str = ""
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def verbs(self) -> list[str]:
        """The verbs meant, at least one when any is asked for."""
        known = [verb.value for verb in Verb if self.verb and f"{verb}.".startswith(f"{self.verb}.")]
        return known or [self.verb] * bool(self.verb)

    def of_columns(self) -> dict[str, list[str]]:
        """Wanted values by indexed column, the column first that is likely to have the fewest events per value."""
        wanted = {
            "subject_id": [self.subject_id] * bool(self.subject_id),
            "actor_id": [self.actor_id] * bool(self.actor_id),
            "subject_kind": [self.subject_kind] * bool(self.subject_kind),
            "verb": self.verbs,
        }
        return {column: values for column, values in wanted.items() if values}


@dataclass(frozen=True, slots=True)
class SealingState:
    """How far the trail is sealed and signed: the newest seal with its event's time, and the newest checkpoint.

    `unsigned` is how many sealed events no checkpoint covers yet.
    """

    size: int
    newest_at: datetime | None
    signed_size: int
    signed_at: datetime | None
    note: str

    @property
    def unsigned(self) -> int:
        return max(0, self.size - self.signed_size)


def sealing_state() -> SealingState:
    """One query; the same time for any length of trail."""
    found = _one(
        """
        SELECT h.seq, (
            SELECT e.occurred_at FROM audit_auditlink l JOIN audit_auditevent e ON e.id = l.event_id WHERE l.seq = h.seq
        ), c.size, c.signed_at, c.note
        FROM audit_audithead h LEFT JOIN LATERAL (
            SELECT size, signed_at, note FROM audit_auditcheckpoint WHERE origin = %(origin)s ORDER BY size DESC LIMIT 1
        ) c ON TRUE
        """,
        {"origin": current_epoch().origin},
    )
    if found is None:
        return SealingState(0, None, 0, None, "")
    size, newest_at, signed_size, signed_at, note = found
    return SealingState(size, newest_at, signed_size or 0, signed_at, note or "")


def list_events(*, before: int | None = None, after: int | None = None, limit: int = 50, **wanted: Any) -> TrailPage:
    """One page of the trail for people: newest first by time, events of one time newest first by order of writing.

    wanted: the fields of TrailFilter. before: the `seq` of the last row of the page before; after: that of the first
    row of the page behind, to go back to what is newer.

    One index gives the order and the first condition; further conditions are looked at event by event, so at most
    LOOKED_THROUGH events are read however rare the combination and however long the trail.
    """
    limit = max(1, min(limit, LARGEST_PAGE))
    wanted_events = TrailFilter(**wanted)
    is_newer = after is not None
    column, values, scan = _scan(wanted_events, after if is_newer else before, is_newer=is_newer)
    order, way = _order(column, is_newer=is_newer), "ASC" if is_newer else "DESC"
    rest, rest_values = _rest(wanted_events, column)
    rows = _fetch(
        f"""
        SELECT l.seq, l.entry_hash, e.id, e.occurred_at, e.payload, d.text, d.erased_at
        FROM (
            SELECT found.* FROM unnest(%(values)s::text[]) AS wanted (value) CROSS JOIN LATERAL (
                SELECT e.* FROM ({scan} LIMIT %(looked_through)s) e
                WHERE {rest} {order} LIMIT %(limit)s
            ) found ORDER BY found.occurred_at {way}, found.ordinal {way} LIMIT %(limit)s
        ) e
        JOIN audit_auditlink l ON l.event_id = e.id
        LEFT JOIN audit_auditdetail d ON d.event_id = e.id
        ORDER BY e.occurred_at {way}, e.ordinal {way}
        """,  # noqa: S608 - only literals of this module are put together
        values | rest_values | {"limit": limit + 1, "looked_through": LOOKED_THROUGH if rest_values else None},
    )
    end = None
    if len(rows) <= limit and rest_values:
        end = _end_of_scan(scan, values, way)
    beyond = rows[limit - 1].seq if len(rows) > limit else end
    shown = rows[:limit]
    if is_newer and not shown and end is None:
        return list_events(limit=limit, **wanted)
    if is_newer:
        shown.reverse()
        return TrailPage(shown, shown[-1].seq if shown else after, end is not None, newer_after=beyond)
    newer = (shown[0].seq if shown else before) if before is not None else None
    return TrailPage(shown, beyond, is_cut_short=end is not None, newer_after=newer)


def conditions_of(wanted: TrailFilter) -> tuple[str, dict[str, Any]]:
    """The filter as SQL about an event `e` and the values in it, for whoever reads the trail in another order."""
    rest, values = _rest(wanted, "")
    return " AND ".join([rest, *_times(wanted)]), values | {"since": wanted.since, "until": wanted.until}


def list_sealed(*, before: int | None = None, limit: int = 50, **wanted: Any) -> TrailPage:
    """One page of the trail for programs: in the order of sealing, newest first, so that no late commit is missed.

    before: only rows with a smaller `seq`. wanted: as for `list_events`. Filters with few events are answered from
    their index; for others the trail is read backwards, at most LOOKED_THROUGH events per page (see `is_cut_short`).
    """
    limit = max(1, min(limit, LARGEST_PAGE))
    wanted_events = TrailFilter(**wanted)
    before = before if before is not None else LARGEST_SEQ
    column, values, scan = _scan(wanted_events, None, is_newer=False)
    rest, rest_values = conditions_of(wanted_events)
    is_filtered = rest != "TRUE"
    window = f"WHERE seq < {int(before)} ORDER BY seq DESC LIMIT {LOOKED_THROUGH if is_filtered else limit + 1}"
    source = f"(SELECT * FROM audit_auditlink {window}) l"  # noqa: S608 - checked integers
    join = "JOIN audit_auditevent e ON e.id = l.event_id"
    is_few = bool(column) and _is_few(column, values)
    if is_few:
        source = f"unnest(%(values)s::text[]) AS wanted (value) CROSS JOIN LATERAL ({scan} LIMIT {FEW}) e"
        join = f"JOIN audit_auditlink l ON l.event_id = e.id AND l.seq < {int(before)}"
    rows = _fetch(
        f"""
        SELECT l.seq, l.entry_hash, e.id, e.occurred_at, e.payload, d.text, d.erased_at
        FROM {source} {join} LEFT JOIN audit_auditdetail d ON d.event_id = e.id
        WHERE {rest} ORDER BY l.seq DESC LIMIT %(limit)s
        """,  # noqa: S608 - only literals of this module and checked integers are put together
        values | rest_values | {"limit": limit + 1},
    )
    if len(rows) > limit:
        return TrailPage(rows[:limit], rows[limit - 1].seq)
    end = _end_of_window(before) if is_filtered and not is_few else None
    return TrailPage(rows, end, is_cut_short=end is not None)


def count_of_actor(actor_id: str, verb: str, *, since: datetime, most: int) -> int:
    """How many such events of one actor are younger than `since`; not more than `most` are counted, by an index."""
    found = _one(
        """
        SELECT count(*) FROM (
            SELECT FROM audit_auditevent
            WHERE actor_id = %(actor)s AND occurred_at > %(since)s AND verb = %(verb)s LIMIT %(most)s
        ) few
        """,
        {"actor": actor_id, "verb": str(verb), "since": since, "most": most},
    )
    return int(found[0]) if found else 0


def get_event(event_id: UUID) -> TrailRow | None:
    """One sealed event, or None."""
    rows = _fetch(
        """
        SELECT l.seq, l.entry_hash, e.id, e.occurred_at, e.payload, d.text, d.erased_at
        FROM audit_auditlink l JOIN audit_auditevent e ON e.id = l.event_id
        LEFT JOIN audit_auditdetail d ON d.event_id = e.id
        WHERE l.event_id = %(event_id)s
        """,
        {"event_id": event_id},
    )
    return rows[0] if rows else None


def _scan(wanted: TrailFilter, edge: int | None, *, is_newer: bool) -> tuple[str, dict[str, Any], str]:
    """The column whose index is read ("" for the index of time), the values, and the SELECT away from `edge`.

    It goes from new to old, or the other way round when what is newer is wanted.
    """
    column, wanted_values = next(iter(wanted.of_columns().items()), ("", [""]))
    values: dict[str, Any] = {"values": wanted_values, "since": wanted.since, "until": wanted.until}
    conditions = [f"e.{column} BETWEEN wanted.value AND wanted.value"] if column else []
    conditions += ["e.occurred_at >= %(since)s"] * bool(wanted.since) + ["e.occurred_at < %(until)s"] * bool(
        wanted.until
    )
    if place := _place_of(edge):
        conditions.append(f"(e.occurred_at, e.ordinal) {'>' if is_newer else '<'} (%(at)s, %(ordinal)s)")
        values |= {"at": place[0], "ordinal": place[1]}
    where = " AND ".join(conditions) or "TRUE"
    order = _order(column, is_newer=is_newer)
    return column, values, f"SELECT e.* FROM audit_auditevent e WHERE {where} {order}"  # noqa: S608


def _order(column: str, *, is_newer: bool) -> str:
    """Newest first within one value of the column, or oldest first on the way to what is newer.

    The value is asked for as a range, so that the planner takes the column in the order for real. With an equality it
    drops it, may read the index of time instead, and passes by a million events to find one.
    """
    way = "ASC" if is_newer else "DESC"
    return f"ORDER BY {f'e.{column} {way}, ' * bool(column)}e.occurred_at {way}, e.ordinal {way}"


def _times(wanted: TrailFilter) -> list[str]:
    bounds = {"e.occurred_at >= %(since)s": wanted.since, "e.occurred_at < %(until)s": wanted.until}
    return [condition for condition, moment in bounds.items() if moment]


def _rest(wanted: TrailFilter, scanned: str) -> tuple[str, dict[str, Any]]:
    """The conditions that the scan of one column leaves over."""
    columns = {column: values for column, values in wanted.of_columns().items() if column != scanned}
    conditions = [f"e.{column} = ANY (%({column})s)" for column in columns]
    values: dict[str, Any] = dict(columns)
    if wanted.outcome:
        sign = "<>" if wanted.outcome == NOT_DONE else "="
        conditions.append(f"e.payload::jsonb ->> 'outcome' {sign} %(outcome)s")
        values["outcome"] = "success" if wanted.outcome == NOT_DONE else wanted.outcome
    if wanted.request_id:
        # The text is looked at first: reading every payload as JSON would cost many times as much.
        conditions.append("strpos(e.payload, %(request_id)s) > 0 AND e.payload::jsonb ->> 'request' = %(request_id)s")
        values["request_id"] = wanted.request_id
    if wanted.reason:
        conditions.append(
            "EXISTS (SELECT FROM audit_auditdetail said WHERE said.event_id = e.id"
            " AND strpos(lower(said.text::jsonb ->> 'reason'), lower(%(reason)s)) > 0)"
        )
        values["reason"] = wanted.reason
    return " AND ".join(conditions) or "TRUE", values


def _place_of(seq: int | None) -> tuple[datetime, int] | None:
    """Where the event with this seal stands among times; None when there is no such seal."""
    if seq is None:
        return None
    return _one(
        "SELECT e.occurred_at, e.ordinal FROM audit_auditlink l JOIN audit_auditevent e ON e.id = l.event_id "
        "WHERE l.seq = %(seq)s",
        {"seq": seq},
    )


def _end_of_scan(scan: str, values: dict[str, Any], way: str) -> int | None:
    """The seal of the last event that was looked at; None when the scan came to its end."""
    found = _one(
        f"""
        SELECT l.seq FROM unnest(%(values)s::text[]) AS wanted (value)
        CROSS JOIN LATERAL ({scan} OFFSET %(skipped)s LIMIT 1) e JOIN audit_auditlink l ON l.event_id = e.id
        ORDER BY e.occurred_at {way}, e.ordinal {way} LIMIT 1
        """,  # noqa: S608 - only literals of this module are put together
        values | {"skipped": LOOKED_THROUGH - 1},
    )
    return found[0] if found else None


def _end_of_window(before: int) -> int | None:
    found = _one(
        "SELECT seq FROM audit_auditlink WHERE seq < %(before)s ORDER BY seq DESC OFFSET %(skipped)s LIMIT 1",
        {"before": before, "skipped": LOOKED_THROUGH - 1},
    )
    return found[0] if found else None


def _is_few(column: str, values: dict[str, Any]) -> bool:
    """Whether an index knows less than FEW events with these values; reads no more than that."""
    found = _one(
        f"SELECT count(*) FROM (SELECT FROM audit_auditevent WHERE {column} = ANY (%(values)s) LIMIT {FEW}) few",  # noqa: S608
        values,
    )
    return bool(found and found[0] < FEW)


def _one(statement: str, values: dict[str, Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()


def _fetch(statement: str, values: dict[str, Any]) -> list[TrailRow]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return [_row(*columns) for columns in cursor.fetchall()]


def _row(
    seq: int, entry: bytes, event_id: UUID, at: datetime, payload: str, text: str | None, erased_at: datetime | None
) -> TrailRow:
    said = json.loads(payload)
    detail = json.loads(text) if text else {}
    return TrailRow(
        seq=seq,
        event_id=event_id,
        hash=bytes(entry).hex(),
        occurred_at=at,
        verb=said["verb"],
        description=DESCRIPTIONS.get(said["verb"], said["verb"]),
        actor_kind=said["actor"]["kind"],
        actor_id=said["actor"]["id"],
        actor_label=said["actor"]["label"],
        auth_method=said["actor"]["auth"],
        request_id=said["request"],
        subject_kind=said["subject"]["kind"],
        subject_id=said["subject"]["id"],
        subject_label=said["subject"]["label"],
        outcome=said["outcome"],
        old=said["old"] or {},
        new=said["new"] or {},
        context=said["context"] or {},
        reason=detail.get("reason", ""),
        personal=detail.get("personal", {}),
        is_erased=erased_at is not None,
        payload=payload,
    )
