"""exceptions.csv: where the rule was not followed as it stands, who said so, why, and until when."""

from collections.abc import Iterator
from typing import Any

from governance.kernel.cells import csv_lines
from reviews.models import KEEPING, Decision, PackedOrder
from reviews.packs.content import ERASED, ROWS_AT_ONCE, Pin, Tally, access_of, when
from reviews.packs.decisions import is_final_answer
from reviews.packs.remediation import said_of

HEADER = (
    *("kind", "what", "about", "identity", "access", "accepted_by", "accepted_by_id", "at", "reason"),
    *("compensating_control", "expires_at", "asked_again"),
)
TAKING_AWAY = frozenset({"revoke", "scope_down", "deactivate", "rotate"})
NONE_KEPT = "none recorded"
Row = tuple[Any, ...]


def exceptions_csv(pin: Pin, tally: Tally) -> Iterator[str]:
    """Approvals with an end, access kept against the recommendation, orders let rest, sources that were not fresh."""
    yield from csv_lines(HEADER, _rows(pin, tally))


def _rows(pin: Pin, tally: Tally) -> Iterator[Row]:
    for row in _of_sources(pin):
        yield _counted(tally, row)
    for row in _of_decisions(pin, tally):
        yield _counted(tally, row)
    for row in _of_orders(pin, tally):
        yield _counted(tally, row)


def _counted(tally: Tally, row: Row) -> Row:
    tally.exceptions[row[0]] += 1
    tally.show("exceptions", row[0], row[3], row[4], row[5], row[8], row[10][:10])
    return row


def _asked_again(pin: Pin) -> str:
    schedule = pin.frozen["schedule"]
    return f"by the schedule “{schedule['name']}”: {schedule['rrule']}" if schedule else "no schedule"


def _of_sources(pin: Pin) -> Iterator[Row]:
    frozen, again = pin.review["frozen"], _asked_again(pin)
    released = frozen.get("released") or {}
    who, why = pin.name_of(released.get("by")), released.get("reason", "")
    for each in frozen.get("left_out", ()):
        what = f"{each['questions']} questions were not asked: {each['freshness']}"
        yield "source left out", what, each["slug"], "", "", "by rule", "", "", "", NONE_KEPT, "", again
    for each in frozen.get("sources", ()):
        if each["freshness"] != "fresh":
            what = f"asked although what is known was {each['freshness'].replace('_', ' ')}"
            at = when(released.get("at"))
            yield (
                *("source not fresh", what, each["slug"], "", "", who or "by rule", released.get("by", ""), at, why),
                *(NONE_KEPT, "", again),
            )


def _of_decisions(pin: Pin, tally: Tally) -> Iterator[Row]:
    fields = (
        *("pk", "item", "answer", "is_attestation", "recalled_by__pk", "recalls", "item__state", "until", "reason"),
        *("decided_by", "decided_by_policy", "decided_at", "item__recommendation", "item__identity_name"),
        *("item__seen__label", "item__seen__credential", "round", "item__round"),
    )
    found = Decision.objects.filter(item__campaign=pin.campaign, answer__in=KEEPING)
    rows = found.order_by("decided_at", "item", "pk").values_list(*fields, named=True)
    again = _asked_again(pin)
    for row in rows.iterator(chunk_size=ROWS_AT_ONCE):
        if not is_final_answer(row):
            continue
        if row.answer == "approve_until":
            kind, what = "approved until a date", "kept, and removed when the date comes"
        elif row.item__recommendation in TAKING_AWAY:
            kind = "kept against the recommendation"
            what = f"recommended was: {row.item__recommendation.replace('_', ' ')}"
        else:
            continue
        said = ERASED if str(row.pk) in tally.erased_decisions else row.reason
        access = access_of(row.item__seen__label, row.item__seen__credential)
        yield (
            *(kind, what, row.item, row.item__identity_name, access),
            *(pin.name_of(row.decided_by) or row.decided_by_policy, row.decided_by, when(row.decided_at), said),
            *(NONE_KEPT, when(row.until), again),
        )


def _of_orders(pin: Pin, tally: Tally) -> Iterator[Row]:
    fields = (
        *("order", "order__action", "order__item__identity_name", "order__item__seen__label"),
        *("order__item__seen__credential", "facts"),
    )
    kinds = {"settled": "let rest unproved", "restored": "brought back", "reappeared": "came back by itself"}
    found = PackedOrder.objects.filter(pack=pin.pack).order_by("order__created_at", "order_id")
    again = _asked_again(pin)
    for row in found.values_list(*fields, named=True).iterator(chunk_size=ROWS_AT_ONCE):
        facts, order = row.facts, row.order
        access = access_of(row.order__item__seen__label, row.order__item__seen__credential)
        about = (row.order__action, order, row.order__item__identity_name, access)
        is_refused = facts["state"] == "recalled" and facts["second_by"]
        kind = "release refused" if is_refused else kinds.get(facts["state"])
        if kind is not None:
            who, reason = tally.let_rest.get(str(order), (None, facts["outcome"]))
            if is_refused:
                who, reason = facts["second_by"], said_of(order, facts["second_reason"], tally)
            yield kind, *about, pin.name_of(who), who, when(facts["state_since"]), reason, NONE_KEPT, "", again
        if facts["protested_by"]:
            who, reason = facts["protested_by"], said_of(order, facts["protest_reason"], tally)
            at = when(facts["protested_at"])
            yield "protest against a lock-out", *about, pin.name_of(who), who, at, reason, NONE_KEPT, "", again
