"""Partial runs: take the faulty records out and keep them, with their reasons, for whoever sent them."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from uuid import UUID

import orjson

from identities.sync import staging
from identities.sync.lines import Body
from identities.sync.records import MOST_ERRORS, RowError

# Whoever sends more bad records than this has to mend the sender, not the records.
MOST_SKIPPED = 50_000


@dataclass(frozen=True, slots=True)
class Refused:
    """count: how many records. first: the reasons to be shown at once. payload: all of them, as packed NDJSON."""

    count: int
    first: Sequence[RowError]
    payload: bytes


def drop_faulty(errors: Sequence[RowError], *, source_id: UUID, is_complete: bool) -> list[RowError]:
    """Take out what contradicts other records until nothing does; returns all errors, those of single lines first."""
    found = list(errors)
    while True:
        # Once something is missing, the rest may lean on the inventory.
        faults = staging.find_faults(
            source_id=source_id, is_complete=is_complete and not found, most=MOST_SKIPPED - len(found)
        )
        if not faults:
            return found
        staging.drop_lines(fault.line for fault in faults)
        found += faults


def keep(errors: Sequence[RowError], body: Body) -> Refused:
    """The refused records as they came, except those that hold secrets: these are named and not kept."""
    by_line = {error.line: error for error in sorted(errors, key=lambda error: error.line, reverse=True)}
    buffer = BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed:
        for number, line in enumerate(body.lines(), start=1):
            if (error := by_line.get(number)) is not None:
                packed.write(orjson.dumps(_told(error, line)) + b"\n")
    ordered = sorted(by_line.values(), key=lambda error: error.line)
    return Refused(len(by_line), ordered[:MOST_ERRORS], buffer.getvalue())


def _told(error: RowError, line: bytes) -> dict[str, object]:
    told: dict[str, object] = {
        "line": error.line,
        "pointer": error.pointer,
        "code": error.code,
        "reason": error.reason,
    }
    if error.code != "secret":
        told["record"] = line.decode(errors="replace")
    return told
