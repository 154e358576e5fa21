"""Partial runs: take the faulty records out and keep them, with their reasons, for whoever sent them."""

import gzip
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from uuid import UUID

import orjson

from identities.services.secret_shapes import find_secret, is_secret_name, may_hold_secret
from identities.sync import staging
from identities.sync.lines import Body
from identities.sync.records import MOST_ERRORS, RowError

# Whoever sends more bad records than this has to mend the sender, not the records.
MOST_SKIPPED = 50_000
_MEMBER = re.compile(rb'"([^"\\]{1,80})"\s*:')


@dataclass(frozen=True, slots=True)
class Refused:
    """count: how many records. first: the reasons to be shown at once. payload: all of them, as packed NDJSON.

    left_out: the lines that must not be kept anywhere.
    """

    count: int
    first: Sequence[RowError]
    payload: bytes
    left_out: frozenset[int]


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


def keep(errors: Sequence[RowError], body: Body, *, locate: Callable[[int], int]) -> Refused:
    """The refused records as they came, except those that hold secrets: these are named and not kept.

    locate: the line of the sender's own file for a line of the body.
    """
    by_line = {error.line: error for error in sorted(errors, key=lambda error: error.line, reverse=True)}
    left_out = {error.line for error in errors if error.code == "secret"}
    buffer = BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed:
        for number, line in enumerate(body.lines(), start=1):
            if (error := by_line.get(number)) is None:
                continue
            told = {"line": locate(number), "pointer": error.pointer, "code": error.code, "reason": error.reason}
            if number in left_out or _may_hold_secret(line):
                left_out.add(number)
            else:
                told["record"] = line.decode(errors="replace")
            packed.write(orjson.dumps(told) + b"\n")
    ordered = [replace(by_line[line], line=locate(line)) for line in sorted(by_line)]
    return Refused(len(by_line), ordered[:MOST_ERRORS], buffer.getvalue(), frozenset(left_out))


def _may_hold_secret(line: bytes) -> bool:
    """Reading a record stops at its first fault; a secret may stand behind that one, in whatever is no JSON too."""
    if may_hold_secret(line) or any(is_secret_name(name.decode(errors="replace")) for name in _MEMBER.findall(line)):
        return True
    try:
        return find_secret(orjson.loads(line)) is not None
    except orjson.JSONDecodeError:
        return b"\\u" in line  # what is escaped can't be seen
    except RecursionError:
        return True
