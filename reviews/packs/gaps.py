"""not_assessable.csv: everything that this review cannot vouch for, said aloud instead of being left out."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Q

from governance.audit.lines import retired_until
from governance.kernel.cells import csv_lines
from reviews.packs.content import ROWS_AT_ONCE, Pin, Tally, access_of

HEADER = ("kind", "about", "source", "identity", "access", "why")
Row = tuple[Any, ...]

# What no pack of this version holds, whatever the review.
ALWAYS = (
    ("raw answers of the sources", "What a source answered is not kept; its records were read, counted and compared."),
    ("spot check", "No sample of the population was read a second time when the review opened."),
    (
        "identities outside the inventory",
        "Whether a system holds more than its reading shows is unknown.",
    ),
)


def gaps_csv(pin: Pin, tally: Tally) -> Iterator[str]:
    """One row per gap: of the pack, of its sources, and of single questions."""
    yield from csv_lines(HEADER, _rows(pin, tally))


def _rows(pin: Pin, tally: Tally) -> Iterator[Row]:
    for row in _all(pin, tally):
        tally.gaps[row[0]] += 1
        tally.show("gaps", row[0], row[2], row[3], row[4], row[5])
        yield row


def _all(pin: Pin, tally: Tally) -> Iterator[Row]:
    for kind, why in ALWAYS:
        yield kind, "this pack", "", "", "", why
    yield from _of_sources(pin)
    if tally.erased:
        yield (
            "erased",
            "this pack",
            "",
            "",
            "",
            f"{tally.erased} texts were erased; their events are proved.",
        )
    if tally.opened_seq is None and (retired := retired_until()):
        why = f"Events up to {retired} have left for the archive of the trail; those of this review are proved there."
        yield "archived events", "this pack", "", "", "", why
    yield from _of_items(pin)


def _of_sources(pin: Pin) -> Iterator[Row]:
    frozen = pin.review["frozen"]
    for each in frozen.get("left_out", ()):
        yield "source left out", each["source"], each["name"], "", "", f"{each['questions']} questions were not asked."
    for each in frozen.get("sources", ()):
        facts = pin.frozen["sources"].get(each["source"], {})
        run, name = facts.get("run"), each["name"]
        if each["freshness"] != "fresh":
            yield "source not fresh", each["source"], name, "", "", f"It was {each['freshness'].replace('_', ' ')}."
        if run is None:
            yield "reading unknown", each["source"], name, "", "", "No reading is known that the population is from."
        elif not run["is_complete"]:
            yield "reading not complete", each["source"], name, "", "", "Its sender did not vouch for having sent all."
        if run is not None and run["refused"]:
            why = f"{run['refused']} of its records were refused; completeness.json says why."
            yield "records refused", each["source"], name, "", "", why
        for field in facts.get("not_observable") or ():
            yield "not shown by the source", each["source"], name, "", "", str(field)


def _of_items(pin: Pin) -> Iterator[Row]:
    fields = ("pk", "kind", "source_name", "identity_name", "seen__label", "seen__credential", "state", "use_state")
    unanswered = ~Q(state="decided")
    unseen = Q(kind="grant", use_state="not_observable")
    found = pin.items().filter(unanswered | unseen).order_by("source_name", "identity_name", "pk")
    rows = found.values_list(*fields).iterator(chunk_size=ROWS_AT_ONCE)
    for pk, kind, source, identity, label, credential, state, use in rows:
        access = access_of(label, credential)
        if state != "decided":
            yield "not certified", pk, source, identity, access, _why_open(state)
        if kind == "grant" and use == "not_observable":
            yield "use not observable", pk, source, identity, access, "No log shows whether this access is used."


def _why_open(state: str) -> str:
    reasons = {
        "expired": "Nobody decided by the deadline; the rules of the review kept it, which certifies nothing.",
        "cancelled": "It ended without an answer, because the access was gone or the review was called off.",
    }
    return reasons.get(state, f"It is {state}.")
