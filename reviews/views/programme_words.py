"""The figures of the programme's report as its page prints them, with what changed since the period before."""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from governance.web.charts import Segment
from governance.web.linecharts import Line
from governance.web.templatetags.remit import percent, plural
from reviews.views.report_words import EXCESS_TONES, EXCESS_WORDS, day, spell, spell_ms


def programme_context(report: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the template of the programme's report prints."""
    zone = ZoneInfo(report["period"]["time_zone"])
    this, before = report["reviews"]["this"], report["reviews"]["before"]
    removal, removal_before = report["removal"]["this"], report["removal"]["before"]
    measured = [point for point in report["trend"][1:] if point["identities"] is not None]
    return {
        "report": report,
        "as_of": report["as_of"].astimezone(zone),
        "is_empty": not (this["ended"] or report["now"]["running"] or measured or removal["orders"] or report["next"]),
        "this": this,
        "before": before,
        "on_time_change": share_change(this, before, "in_time", "to_answer"),
        "removal": removal_words(removal),
        "removal_change": span_change(removal["median"], removal_before["median"]),
        "excess": excess_words(report["trend"]),
        "chart": _chart(report["trend"]),
        "trend_rows": report["trend"],
        "coverage": coverage_words(report["coverage"]),
        "closed": [
            row | {"median": spell_ms(row["median_ms"]), "closed_at": row["closed_at"].astimezone(zone)}
            for row in report["closed"]
        ],
        "next": [row | {"at": row["at"].astimezone(zone)} for row in report["next"]],
        "quality_rows": [
            _quality_row("In bulk", this, before, "bulk", "answers"),
            _quality_row("Approved", this, before, "approved", "approvable"),
            _quality_row("Against advice", this, before, "against", "advised"),
        ],
    }


def _quality_row(
    label: str, this: Mapping[str, Any], before: Mapping[str, Any], part: str, whole: str
) -> tuple[str, str, str]:
    share = f"{percent(this[part], this[whole])} of {plural(this[whole], 'answer,answers')}"
    return label, share if this[whole] else "–", share_change(this, before, part, whole)


def share_change(this: Mapping[str, Any], before: Mapping[str, Any], part: str, whole: str) -> str:
    """How a share moved since the period before, in percentage points; empty where one of the two has none."""
    if not this[whole] or not before[whole]:
        return ""
    points = round(100 * this[part] / this[whole]) - round(100 * before[part] / before[whole])
    if not points:
        return "as in the period before"
    return f"{'up' if points > 0 else 'down'} {plural(abs(points), 'point,points')} since the period before"


def span_change(this: int | None, before: int | None) -> str:
    """How a length of time moved since the period before."""
    if this is None or before is None:
        return ""
    if this == before:
        return "as in the period before"
    return f"{spell(abs(this - before))} {'longer' if this > before else 'shorter'} than in the period before"


def removal_words(removal: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **removal,
        "median_words": spell(removal["median"]),
        "p90_words": spell(removal["p90"]),
        "of_all_words": spell(removal["of_all_median"]) if removal["of_all_median"] is not None else "not yet",
    }


def _share(point: Mapping[str, Any]) -> float | None:
    if point["identities"] is None or not point["too_much"] + point["contained"]:
        return None
    return float(100 * point["too_much"] / (point["too_much"] + point["contained"]))


def excess_words(points: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The latest measure of the period, and how it moved since the first that is known; None without any."""
    known = [(point, share) for point in points if (share := _share(point)) is not None]
    if not known or known[-1][0] is points[0]:
        return None
    (latest, share), (first, earlier) = known[-1], known[0]
    moved = round(share) - round(earlier)
    change = ""
    if latest is not first:
        change = f"since {day(first['day'])}: " + (
            f"{'up' if moved > 0 else 'down'} {plural(abs(moved), 'point,points')}" if moved else "unchanged"
        )
    return {
        "point": latest,
        "assessable": latest["too_much"] + latest["contained"],
        "change": change,
        "bar": [Segment(latest[state], words, EXCESS_TONES[state]) for state, words in EXCESS_WORDS.items()],
    }


def _chart(points: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    shares = [_share(point) for point in points]
    known = [(point["day"], share) for point, share in zip(points, shares, strict=True) if share is not None]
    if not known:
        return None
    gaps = len(points) - len(known)
    title = (
        f"Share of assessable identities that hold too much: {known[0][1]:.0f} % on {day(known[0][0])}, "
        f"{known[-1][1]:.0f} % on {day(known[-1][0])}"
        + (f"; {plural(gaps, 'point,points')} without a measure" if gaps else "")
    )
    return {
        "lines": [Line("hold too much", shares)],
        "labels": [day(point["day"]) for point in points],
        "title": title,
        "gaps": gaps,
    }


def coverage_words(coverage: Mapping[str, Any]) -> dict[str, Any]:
    """Coverage of all accesses as a bar, and by source and tier as rows."""
    total = coverage["total"]
    older = total["grants"] - total["grants_reviewed_365"] - total["grants_never"]
    return {
        "total": total,
        "bar": [
            Segment(total["grants_reviewed_90"], "in the last 90 days", "success"),
            Segment(total["grants_reviewed_365"] - total["grants_reviewed_90"], "earlier, within 365 days", "info"),
            Segment(older, "longer ago", "warn"),
            Segment(total["grants_never"], "never", "danger"),
        ],
        "rows": [
            row
            | {
                "tier": "privileged" if row["is_privileged"] else "others",
                "lately": percent(row["grants_reviewed_90"], row["grants"]),
                "year": percent(row["grants_reviewed_365"], row["grants"]),
                "never": percent(row["grants_never"], row["grants"]),
            }
            for row in coverage["rows"]
        ],
        "not_measured": coverage["not_measured"],
        "measured": coverage["measured"],
        "sources": coverage["sources"],
    }
