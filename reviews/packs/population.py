"""population.csv and seen.jsonl: what was asked about, and what whoever was asked could see."""

import hashlib
from collections.abc import Iterator
from typing import Any

import orjson

from governance.kernel.cells import csv_lines
from reviews.packs.content import ROWS_AT_ONCE, Pin, Tally, access_of, when, yes

POPULATION = (
    *("item", "kind", "object", "content_digest", "source", "identity_id", "identity", "identity_kind", "environment"),
    *("access", "in_plain_words", "privileged", "privilege_classes", "path", "use", "last_used_at", "change"),
    *("access_version", "state", "asked_anew", "recommendation"),
)
_FIELDS = (
    *("pk", "kind", "grant_id", "credential_id", "identity_id", "grant_version__digest", "source_name"),
    *("identity_name", "seen__identity", "seen__label", "seen__credential", "seen__plain", "is_privileged"),
    *("seen__privilege_classes", "seen__path", "use_state", "seen__use", "change", "seen__version", "state", "round"),
    "recommendation",
)
# The order of `population_digest`, so that anybody can compute it from the file.
ORDER = ("kind", "grant_id", "credential_id", "identity_id")


def population_csv(pin: Pin, tally: Tally) -> Iterator[str]:
    """One row per question, in the order over which the population's digest is made."""
    summary = hashlib.sha256()
    yield from csv_lines(POPULATION, _rows(pin, tally, summary))
    tally.completeness["population_digest"] = summary.hexdigest()


def _rows(pin: Pin, tally: Tally, summary: Any) -> Iterator[tuple[Any, ...]]:
    found = pin.items().order_by(*ORDER).values_list(*_FIELDS, named=True)
    for row in found.iterator(chunk_size=ROWS_AT_ONCE):
        digest = bytes(row.grant_version__digest).hex() if row.grant_version__digest else "-"
        thing = row.grant_id or row.credential_id or row.identity_id
        summary.update(f"{row.kind} {thing} {digest}\n".encode())
        _count(tally, row)
        identity, path = row.seen__identity or {}, row.seen__path or ()
        yield (
            *(row.pk, row.kind, thing, digest, row.source_name, row.identity_id, row.identity_name),
            *(identity.get("kind"), identity.get("environment"), access_of(row.seen__label, row.seen__credential)),
            *("; ".join(row.seen__plain or ()), yes(row.is_privileged), " ".join(row.seen__privilege_classes or ())),
            *(" > ".join(str(step.get("label") or step.get("kind")) for step in path), row.use_state),
            *(when((row.seen__use or {}).get("at")), row.change, row.seen__version, row.state, yes(row.round > 1)),
            row.recommendation,
        )


def _count(tally: Tally, row: Any) -> None:
    tally.questions[row.kind] += 1
    tally.states[row.state] += 1
    tally.privileged += row.is_privileged
    tally.asked_anew += row.round > 1
    if row.kind == "grant":
        tally.use[row.use_state] += 1


def seen_jsonl(pin: Pin, tally: Tally) -> Iterator[str]:
    """One document per question: the evidence as it was frozen for whoever was asked, and what was recommended."""
    fields = ("pk", "kind", "seen", "recommendation", "recommendation_reasons", "recommended_target", "rule_version")
    rows = pin.items().order_by("pk").values_list(*fields)
    for pk, kind, seen, recommendation, reasons, target, version in rows.iterator(chunk_size=500):
        evidence = orjson.dumps(seen, option=orjson.OPT_SORT_KEYS)
        document = {
            "item": str(pk),
            "kind": kind,
            "seen_sha256": hashlib.sha256(evidence).hexdigest(),
            "seen": orjson.Fragment(evidence),
            "recommended": recommendation,
            "because": reasons,
            "recommended_target": target,
            "rule_version": version,
        }
        yield orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE).decode()
