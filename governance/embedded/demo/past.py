"""The demo's past: what its systems might have said before, so that movement can be seen on the first day.

All of it is made up from what they say today, and says so: the runs that bring it carry a note, began today, and stand
in the audit trail at the time at which they were loaded. Scores of that time are worked out from these readings by the
posture of today. Findings, reviews and decisions have no past: nobody made any.
"""

import json
import zlib
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from governance.embedded.demo.estate import Record, System
from identities.posture.gathering import gather
from identities.posture.judging import judge
from identities.posture.policy import policy_in_force
from identities.posture.writing import write
from identities.selectors.posture_picture import end_of_last_quarter

# No facts have it, so the first real look judges everything anew.
MADE_UP = b"made up for demo"
BEFORE_THE_END_OF_A_QUARTER = timedelta(days=20)
# Shares of identities, a quarter ago: came since; held everything; had a static secret; hold more today.
CAME, HELD_ALL, HAD_SECRET, HOLD_MORE = 0.02, 0.14, 0.5, 0.5
_WHOLE: dict[str, tuple[str, list[str], list[str]]] = {
    "aws": ("AdministratorAccess", ["*"], ["*"]),
    "kubernetes": ("Cluster role cluster-admin", ["*"], ["api:*/*/*/*/*"]),
    "rabbitmq": ("Management tags", ["tag:administrator"], ["broker:"]),
    "scopes": ("Administration", ["administration:write"], ["*"]),
    "tools": ("Every tool of every server", ["*"], ["server:*"]),
}
_MOMENTS = ("created_at", "last_used_at", "last_rotated_at")
_SPANS = ("first_seen_at", "last_seen_at", "from", "until")


def moments_before(now: datetime) -> list[tuple[datetime, float]]:
    """When the demo's systems were read before, earliest first, and which share of the way to today lay ahead then."""
    end = end_of_last_quarter(now)
    return [(end - BEFORE_THE_END_OF_A_QUARTER, 1.0), (end + (now - end) / 2, 0.5)]


def as_it_was(system: System, *, at: datetime, now: datetime, ahead: float) -> System:
    """What the system might have said then. ahead: which share of the way to today had still to be gone, 0 to 1."""
    records = [json.loads(line) for line in system.lines[:-1]]
    were = [_dated(record, at, now - at) for record in _were(records, ahead, at)]
    lines = [json.dumps(record, separators=(",", ":")).encode() for record in were]
    return replace(system, lines=[*lines, b'{"type":"end","records":%d}' % len(lines)])


def note_of(system: System, at: datetime) -> dict[str, Any]:
    """What the run says of itself."""
    sentence = f"Made up for the demo: what {system.name} might have said on {at:%-d %B %Y}. It was loaded later."
    return {"sentences": [sentence]}


def score_as_of(identity_ids: Collection[UUID], at: datetime) -> None:
    """Write how these identities stood, as the only thing that is known of that moment: scores without findings."""
    policy = policy_in_force()
    with transaction.atomic(durable=True):
        judged = [judge(facts, policy, digest=MADE_UP) for facts in gather(identity_ids, now=at, policy=policy)]
        write(judged, gone=(), policy_number=policy.number, now=at)


def _were(records: list[Record], ahead: float, at: datetime) -> Iterator[Record]:
    grants: dict[str, list[str]] = {}
    for record in records:
        if record["type"] == "grant":
            grants.setdefault(record["identity"], []).append(record["id"])
    held_all: set[str] = set()
    for record in records:
        holder = record["id"] if record["type"] == "identity" else record.get("identity", "")
        if holder and _is_among(holder, "came", CAME * ahead):
            continue
        had_secret = _is_among(holder, "secret", HAD_SECRET * ahead)
        if record["type"] == "credential" and had_secret:
            yield _static(record, at)
        elif record["type"] == "trust" and had_secret:
            continue
        elif record["type"] == "grant":
            if holder not in held_all and _is_among(holder, "all", HELD_ALL * ahead):
                held_all.add(holder)
                yield _whole(record)
            listed = grants[holder]
            if len(listed) > 1 and record["id"] == listed[-1] and _is_among(holder, "more", HOLD_MORE * ahead):
                continue
            yield record
        else:
            yield record


def _is_among(identity: str, what: str, share: float) -> bool:
    """Always the same ones, and of a larger share all those of a smaller one."""
    return zlib.crc32(f"{what}/{identity}".encode()) / 2**32 < share


def _static(record: Record, at: datetime) -> Record:
    """A secret that never ended, where there is proof of today."""
    if record["kind"] == "federated_trust":
        kept = {name: record[name] for name in ("type", "identity")}
        old = (at - timedelta(days=500)).isoformat(timespec="seconds")
        return kept | {
            "id": f"access_key/{record['identity']}/1", "kind": "access_key", "created_at": old,
            "storage": "CI variables", "never_expires": True,
        }  # fmt: skip
    return {name: value for name, value in record.items() if name not in ("audience", "attributes")}


def _whole(record: Record) -> Record:
    dialect = record["permission"]["dialect"]
    label, actions, resources = _WHOLE[dialect]
    return {
        "type": "grant",
        "id": f"{record['identity']}/former",
        "identity": record["identity"],
        "label": label,
        "permission": {"dialect": dialect, "statements": [{"actions": actions, "resources": resources}]},
        "path": [{"kind": "direct"}],
    }


def _dated(record: Record, at: datetime, later: timedelta) -> Record:
    """Nothing is later than the moment: what would be had its like as long before."""
    moved: dict[str, str] = {}
    for name in _MOMENTS:
        if name in record and datetime.fromisoformat(record[name]) > at:
            moved[name] = _earlier(record[name], later)
    for name in _SPANS:
        if name in record:
            moved[name] = _earlier(record[name], later)
    made = str(moved.get("created_at", record.get("created_at", "")))
    if moved.get("last_used_at", made) < made:
        moved["last_used_at"] = made
    return record | moved


def _earlier(moment: str, later: timedelta) -> str:
    return (datetime.fromisoformat(moment) - later).isoformat(timespec="seconds")
