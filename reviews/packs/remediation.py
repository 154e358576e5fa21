"""remediation.csv: what had to change at a source, what was done there, and the later reading that proves it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from governance.kernel.cells import csv_lines
from reviews.models import PackedOrder
from reviews.packs.content import ERASED, ROWS_AT_ONCE, Pin, Tally, access_of, when, yes

HEADER = (
    *("order", "item", "decision", "source", "identity", "access", "action", "state", "ordered_at", "due_at"),
    *("released_by", "released_at", "plan", "steps", "plan_hash", "side_effects", "cannot_be_undone", "executed_at"),
    *("executed_by", "attempts", "proved_at", "proved_by_run", "run_began_at", "run_observed_at", "run_is_complete"),
    *("reading_is_later", "within_limit", "hours_to_proof", "outcome", "still_effective", "ticket", "restores"),
)
_FIELDS = (
    *("order", "order__item", "order__decision", "order__item__source_name", "order__item__identity_name"),
    *("order__item__seen__label", "order__item__seen__credential", "order__action", "order__created_at"),
    *("order__decision__decided_at", "order__decision__until", "order__restores", "facts"),
)
# Withdrawn or undone on purpose, or let rest by a person: no proof is owed any more.
NOTHING_OWED = frozenset({"recalled", "restored", "settled"})
WHOLE_STEPS = 20


def remediation_csv(pin: Pin, tally: Tally) -> Iterator[str]:
    """One row per order, as it was at the checkpoint."""
    yield from csv_lines(HEADER, _rows(pin, tally))


def _rows(pin: Pin, tally: Tally) -> Iterator[tuple[Any, ...]]:
    limit = timedelta(days=pin.frozen["limit_days"])
    found = PackedOrder.objects.filter(pack=pin.pack).order_by("order__created_at", "order_id")
    for row in found.values_list(*_FIELDS, named=True).iterator(chunk_size=ROWS_AT_ONCE):
        facts, decided_at = row.facts, row.order__decision__decided_at or row.order__created_at
        access = access_of(row.order__item__seen__label, row.order__item__seen__credential)
        due = due_at(decided_at, row.order__decision__until, limit)
        proved = _proof_of(facts)
        verdict = _within(facts, proved, due, pin.pinned_at)
        identity, action = row.order__item__identity_name, row.order__action
        tally.orders[facts["state"]] += 1
        tally.within_limit[verdict] += 1
        tally.proved += proved is not None
        if facts["state"] not in NOTHING_OWED | {"verified"}:
            tally.show("unfinished", identity, access, action, facts["state"], facts["outcome"])
        yield (
            *(row.order, row.order__item, row.order__decision, row.order__item__source_name, identity, access, action),
            *(facts["state"], when(row.order__created_at), when(due)),
            *(pin.name_of(facts["second_by"]), when(facts["second_at"]), facts["summary"] or facts["instructions"]),
            *(_steps(facts), facts["pre_hash"], "; ".join(facts["side_effects"] or ()), yes(facts["irreversible"])),
            *(when(facts["applied_at"] or facts["task_reported_at"]), _executed_by(pin, facts), facts["attempts"]),
            *_reading(facts, proved, row.order__created_at),
            *(verdict, _hours(decided_at, proved), facts["outcome"], _paths(facts), facts["ticket"]),
            row.order__restores,
        )


def due_at(decided_at: datetime, until: datetime | None, limit: timedelta) -> datetime:
    """By when the proof is expected; what ends on a date is measured from that date."""
    return max(decided_at, until or decided_at) + limit


def _proof_of(facts: dict[str, Any]) -> datetime | None:
    """When a reading proved it; what came back since is not proved any more."""
    if facts["state"] != "verified" or not facts["verified_at"]:
        return None
    return datetime.fromisoformat(facts["verified_at"])


def _within(facts: dict[str, Any], proved: datetime | None, due: datetime, now: datetime) -> str:
    if proved is not None:
        return yes(proved <= due)
    if facts["state"] in NOTHING_OWED:
        return "not applicable"
    return "no" if now > due else "not yet due"


def _reading(facts: dict[str, Any], proved: datetime | None, ordered_at: datetime) -> tuple[Any, ...]:
    """The reading that proves it, and whether it is later than the change: only then does it speak about it.

    When nobody said when the source was changed, it has to be later than the order.
    """
    if proved is None:
        return ("", "", "", "", "", "")
    changed = facts["applied_at"] or facts["task_reported_at"] or ordered_at
    later = yes(when(facts["run_observed_at"]) > when(changed)) if facts["run_observed_at"] else ""
    began, observed = when(facts["run_started_at"]), when(facts["run_observed_at"])
    return (when(proved), facts["run"], began, observed, yes(facts["run_is_complete"]), later)


def _hours(decided_at: datetime, proved: datetime | None) -> int | str:
    return int((proved - decided_at).total_seconds() // 3600) if proved else ""


def _executed_by(pin: Pin, facts: dict[str, Any]) -> str:
    if facts["applied_at"]:
        return "Remit (system:executor)"
    if facts["task_reported_by"]:
        return pin.name_of(facts["task_reported_by"])
    return "not known; found done at the source" if facts["state"] == "verified" else ""


def _steps(facts: dict[str, Any]) -> str:
    steps = [str(step) for step in facts["steps"] or ()]
    left = f" ({len(steps) - WHOLE_STEPS} more)" if len(steps) > WHOLE_STEPS else ""
    return "; ".join(steps[:WHOLE_STEPS]) + left


def _paths(facts: dict[str, Any]) -> str:
    if facts["state"] != "still_effective":
        return ""
    return "; ".join(" ".join(map(str, path)) for path in facts["still_effective"] or ())


def said_of(order: Any, text: str, tally: Tally) -> str:
    """A reason given about an order, unless it was erased."""
    return ERASED if text and str(order) in tally.erased_orders else text
