"""sources.csv and completeness.json: where the population comes from, and what is known about its being whole."""

from collections.abc import Iterator
from typing import Any

from governance.kernel.cells import csv_lines
from reviews.packs.content import Pin, Tally, pretty, when, yes

HEADER = (
    *("source_id", "source", "name", "kind", "environment", "owner", "in_scope", "run", "read_by", "mode"),
    *("started_at", "ended_at", "observed_at", "is_complete", "reported", "stored", "refused", "freshness"),
    *("freshness_limit_seconds", "questions_left_out"),
)
# What a reading counts of the objects that it found.
FOUND = ("added", "changed", "unchanged")


def sources_csv(pin: Pin, tally: Tally) -> Iterator[str]:
    """One row per source of the scope, those included that the review was opened without."""
    yield from csv_lines(HEADER, (_row(pin, each, facts) for each, facts in _sources(pin)))


def _sources(pin: Pin) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    frozen = pin.review["frozen"]
    for each in [*frozen.get("sources", ()), *frozen.get("left_out", ())]:
        yield each, pin.frozen["sources"].get(each["source"], {})


def _row(pin: Pin, each: dict[str, Any], facts: dict[str, Any]) -> tuple[Any, ...]:
    run = facts.get("run") or {}
    return (
        *(each["source"], each["slug"], each["name"], facts.get("kind"), facts.get("environment")),
        *(pin.name_of(facts.get("owner")), yes("questions" not in each), each["run"], run.get("origin")),
        *(run.get("mode"), when(run.get("started_at")), when(run.get("finished_at")), when(run.get("observed_at"))),
        *(yes(run.get("is_complete")) if run else "", run.get("records"), _stored(run), run.get("refused")),
        *(each["freshness"], facts.get("freshness_limit_seconds"), each.get("questions")),
    )


def _stored(run: dict[str, Any]) -> int | None:
    """How many objects the reading left in the inventory; None where no reading is known."""
    if not run:
        return None
    return sum(int(counts.get(name, 0)) for counts in run["counts"].values() for name in FOUND)


def completeness_json(pin: Pin, tally: Tally) -> Iterator[str]:
    """Per source what it reported and what of that was stored; and whether the questions are those of the opening."""
    frozen = pin.review["frozen"]
    computed = tally.completeness.get("population_digest")
    expected = sum(frozen.get("expected", {}).values())
    tally.completeness |= {
        "questions": {"expected_at_opening": expected, "written": tally.asked, "is_whole": expected == tally.asked},
        "population_at_opening": frozen.get("population"),
        "population_of_this_pack": computed,
        "is_the_same_population": computed == frozen.get("population"),
        "asked_anew_because_access_changed": tally.asked_anew,
        "frozen_before_first_answer": tally.frozen_before,
        "warnings": frozen.get("warnings", []),
        "sources": [_completeness(each, facts) for each, facts in _sources(pin)],
    }
    tally.completeness.pop("population_digest", None)
    yield from pretty(tally.completeness)


def _completeness(each: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    run = facts.get("run")
    return {
        "source": each["slug"],
        "name": each["name"],
        "is_in_scope": "questions" not in each,
        "questions_left_out": each.get("questions", 0),
        "freshness_at_opening": each["freshness"],
        "last_read_at": when(each.get("read_at")) or None,
        "run": run and {name: run[name] for name in ("id", "mode", "origin", "is_complete", "is_partial")},
        "started_at": when(run["started_at"]) if run else None,
        "ended_at": when(run["finished_at"]) or None if run else None,
        "records_reported": run["records"] if run else None,
        "objects_stored": _stored(run) if run else None,
        "records_refused": run["refused"] if run else None,
        "refused_because": run["refused_why"] if run else [],
        # Against the reading before: what came, what changed, what went, what stayed.
        "reconciliation": run["counts"] if run else None,
        "notes": run["notes"] if run else None,
        "covers": facts.get("coverage", {}),
        "cannot_show": facts.get("not_observable", []),
    }
