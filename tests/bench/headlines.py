"""The headline's figures as rows of the report; what is measured stands in tests/bench/headline."""

from typing import Any

from tests.bench.measures import TARGETS, Bench
from tests.bench.report import Row, make_row

WHOLE, SMALL = 10_000, 400
LONGEST_SECONDS = 5 * 3600


def measure_headline(bench: Bench) -> list[Row]:
    """From nearly everybody holding too much to nearly nobody, by one review, and what a year of calls says to it."""
    number = WHOLE if bench.size.is_full else SMALL
    database = bench.place.fresh("bench_headline")
    found = bench.place.inside(database, "headline", longest=LONGEST_SECONDS, number=number)
    for line in found["said"]:
        bench.say(f"  {line}")
    is_judged = number >= WHOLE
    return [
        _row("campaign_excess_after_percent", _percent(found["after"]), "%", _excess(found), is_judged),
        _row("campaign_calls_refused_after", found["window_refused"], "calls", _window(found), is_judged),
        _row("campaign_later_calls_refused_per_million", _per_million(found), "calls", _later(found), is_judged),
        _row("campaign_actions_per_nhi_first", _per_identity(found, "first"), "clicks", _clicks(found), is_judged),
        _row("campaign_actions_per_nhi_second", _per_identity(found, "second"), "clicks", "a year later", is_judged),
    ]


def _row(name: str, value: float, unit: str, note: str, is_judged: bool) -> Row:
    return make_row(name, [value], unit=unit, note=note, target=TARGETS[name], is_judged=is_judged)


def _percent(share: list[int]) -> float:
    return 100 * share[0] / share[1]


def _excess(found: dict[str, Any]) -> str:
    before, dark = _percent(found["before"]), found["not_observable"]
    return (
        f"{before:.1f} % before, of {found['before'][1]:,} whose use can be observed; {dark:,} of {found['identities']:,} "
        f"({dark / found['identities']:.0%}) are not assessable and not counted; orders: {found['orders']}"
    )


def _window(found: dict[str, Any]) -> str:
    return f"of {found['window_calls']:,} calls in the 90 days that were watched"


def _per_million(found: dict[str, Any]) -> float:
    return float(1_000_000 * found["later_refused"] / found["later_calls"])


def _later(found: dict[str, Any]) -> str:
    return (
        f"{found['later_refused']:,} of {found['later_calls']:,} calls of the year after; {found['later_hit']:,} identities were "
        f"refused something and asked, {found['later_restorations']:,} orders were restored for it, "
        f"{found['later_not_restored']:,} refusals stayed"
    )


def _per_identity(found: dict[str, Any], review: str) -> float:
    return float(found[f"actions_{review}"] / found["identities"])


def _clicks(found: dict[str, Any]) -> str:
    return f"{sum(found['answers'].values()):,} answers: {found['answers']}"
