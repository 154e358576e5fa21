"""The figures of reports as pages print them. No query, no rule: only words, lengths of bars and dates."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.dateparse import parse_datetime

from governance.web.charts import Segment
from governance.web.linecharts import Line
from reviews.models import Answer, DeadlinePolicy, ItemKind
from reviews.policies.quality import WORDS, Signal
from reviews.quality.people import PersonLine

BY = {
    "person": "a person",
    "several": "several people together",
    "silence": "the deadline, after silence",
    "carried": "an earlier decision, carried over",
}
USE_WORDS = {"used": "Used", "unused": "Not used while watched", "not_observable": "Use not observable"}
CLASS_WORDS = {
    "admin": "Administer",
    "secret_read": "Read secrets",
    "destructive": "Destroy",
    "external_send": "Send outside",
    "write": "Write",
    "read": "Read",
}
SEGMENT_WORDS = {
    "apis": "APIs",
    "queues": "Queues",
    "databases": "Databases",
    "storage": "Storage",
    "secrets": "Secrets",
    "admin": "Administration",
    "ai_tools": "AI tools",
}
EXCESS_WORDS = {"too_much": "hold too much", "contained": "contained", "not_assessable": "not assessable"}
EXCESS_TONES = {"too_much": "danger", "contained": "success", "not_assessable": "unknown"}
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def spell(seconds: int | None) -> str:
    """A length of time in its two largest units; an en dash for none."""
    if seconds is None:
        return "–"
    for size, name, below, small in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // below
            return f"{seconds // size} {name} {rest} {small}" if rest else f"{seconds // size} {name}"
    return f"{seconds} s"


def spell_ms(milliseconds: int | None) -> str:
    """The same from milliseconds, to a tenth of a second below ten."""
    if milliseconds is None:
        return "–"
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 10_000 else spell(milliseconds // 1000)


def day(value: date) -> str:
    return f"{value.day} {value:%b}"


def campaign_context(report: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the template of a review's report prints."""
    zone = ZoneInfo(report["time_zone"])
    return {
        "report": report,
        "as_of": report["as_of"].astimezone(zone),
        "people_as_of": report["people_as_of"].astimezone(zone),
        "opened_at": _local(report["campaign"]["opened_at"], zone),
        "deadline_at": _local(report["campaign"]["deadline_at"], zone),
        "closed_at": _local(report["campaign"]["closed_at"], zone),
        "sources": [
            source | {"read_at": _local(parse_datetime(source["read_at"] or ""), zone)}
            for source in report["campaign"]["sources"]
        ],
        "burn": _burn(report),
        "answer_rows": [
            row | {"kind": ItemKind(row["kind"]).label, "answer": Answer(row["answer"]).label, "by": BY[row["by"]]}
            for row in report["answers"]["rows"]
        ],
        "by_bars": [Segment(count, BY[by], _tone(by)) for by, count in report["answers"]["by"].items() if count],
        "silence": {
            "policy": DeadlinePolicy(report["silence"]["policy"]).label,
            "decided": [
                {"answer": Answer(row["answer"]).label, "count": row["count"]} for row in report["silence"]["decided"]
            ],
        },
        "teams": [row | {"median": spell_ms(row["median_ms"])} for row in report["answers"]["teams"]],
        "excess": excess_rows(report["excess"]),
        "orders": orders_words(report["orders"]),
        "removed": removed_table(report["removed"]["cells"]),
        "quality": quality_words(report["quality"]),
    }


def _local(moment: Any, zone: ZoneInfo) -> Any:
    return moment.astimezone(zone) if moment else None


def _tone(by: str) -> str:
    return {"silence": "warn", "carried": "neutral"}.get(by, "accent")


def _burn(report: Mapping[str, Any]) -> dict[str, Any] | None:
    points = report["burn_down"]
    if not points:
        return None
    known = [point for point in points if point["open"] is not None]
    latest = known[-1] if known else points[0]
    return {
        "lines": [
            Line("open", [point["open"] for point in points]),
            Line("even pace", [point["planned"] for point in points], "dashed"),
        ],
        "labels": [day(point["day"]) for point in points],
        "title": (
            f"Open questions per day: {points[0]['planned']} asked, {latest['open']} open on {day(latest['day'])}, "
            f"{latest['planned']} at an even pace to the deadline"
        ),
        "points": points,
        "latest": latest,
        "behind": (latest["open"] or 0) - latest["planned"],
    }


def excess_rows(excess: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Before and after, each with its bar and the share of those that can be assessed."""
    rows = []
    for when, label in (("before", "When it opened"), ("after", "Verified now")):
        counts = excess[when]
        rows.append(
            {
                "label": label,
                "counts": counts,
                "assessable": counts["too_much"] + counts["contained"],
                "bar": [Segment(counts[state], words, EXCESS_TONES[state]) for state, words in EXCESS_WORDS.items()],
            }
        )
    return rows


def orders_words(orders: Mapping[str, Any]) -> dict[str, Any]:
    """Times spelled out, and what is not verified, the most frequent state first."""
    return {
        "median": spell(orders["verified_median"]),
        "p90": spell(orders["verified_p90"]),
        "of_all": spell(orders["of_all_median"]) if orders["of_all_median"] is not None else "not yet",
        "pending": sorted(orders["pending"].items(), key=lambda entry: (-entry[1], entry[0])),
    }


def removed_table(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Classes of action across, kinds of system down; only those that occur."""
    counts = {(cell["segment"], cell["class"]): cell["count"] for cell in cells}
    classes = [name for name in CLASS_WORDS if any(key[1] == name for key in counts)]
    segments = [name for name in SEGMENT_WORDS if any(key[0] == name for key in counts)]
    return {
        "classes": [CLASS_WORDS[name] for name in classes],
        "rows": [(SEGMENT_WORDS[each], [counts.get((each, name), 0) for name in classes]) for each in segments],
    }


def quality_words(quality: Mapping[str, Any]) -> dict[str, Any]:
    """The quality of a review with its times spelled out."""
    times, fastest = quality["time_per_decision"], quality["fastest_stretch"]
    look = quality["worth_a_look"]
    return {
        "median": spell_ms(times["median_ms"]),
        "p90": spell_ms(times["p90_ms"]),
        "unknown": sum(times["not_assessable"].values()),
        "fastest": pace(fastest),
        "evidence": [(USE_WORDS[use], counts) for use, counts in quality["evidence"].items()],
        "signals": [(WORDS[Signal(name)], count) for name, count in look["signals"].items() if count],
    }


def pace(fastest: Mapping[str, Any] | None) -> str:
    """Answers per minute of the fastest stretch; how long it took, where it was slow."""
    if fastest is None:
        return "–"
    answers, took = fastest["answers"], fastest["ms"]
    if not took:
        return f"{answers} at one moment"
    rate = (answers - 1) * 60_000 / took
    return f"{rate:.1f} per minute" if rate >= 1 else f"{answers} in {spell_ms(took)}"


def person_rows(lines: Sequence[PersonLine]) -> list[dict[str, Any]]:
    """One row per person, with what stands out in words."""
    return [
        {
            "name": line.name,
            "figures": line.figures,
            "median": spell_ms(line.figures["time_per_decision"]["median_ms"]),
            "pace": pace(line.figures["fastest_stretch"]),
            "few": line.few,
            "signals": [_told(signal, numbers) for signal, numbers in line.signals.items()],
        }
        for line in lines
    ]


def _told(signal: Signal, numbers: Mapping[str, Any]) -> str:
    match signal:
        case Signal.APPROVED_ALL:
            privileged = numbers["unused_privileged"]
            return (
                f"Approved all {numbers['approved']}, {numbers['advised_to_reduce']} of them although less was advised"
                + (f", {privileged} privileged and not used" if privileged else "")
                + f". So many carry a share of at least {numbers['at_least_permille'] / 10:.0f} % (95 %)."
            )
        case Signal.FAST:
            return f"{numbers['answers']} answers one by one in {spell_ms(numbers['ms'])}."
        case Signal.SAME_REASON:
            return f"The same reason {numbers['same']} times of {numbers['written']}."
        case Signal.NOTHING_OPENED:
            return f"{numbers['answers']} answers one by one, and no question opened."
