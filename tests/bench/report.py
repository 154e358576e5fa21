"""The pure part of the bench: rounds to figures, figures to rows, rows to a table and a file."""

import json
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure has to reach: `at least` or `at most` a limit, of the ratio or of the value itself."""

    of: str  # "ratio" or "value"
    sense: str  # "min" or "max"
    limit: float
    aim: float | None = None

    def is_met(self, value: float, ratio: float | None) -> bool:
        figure = value if self.of == "value" else ratio
        if figure is None or not math.isfinite(figure):
            return False
        return figure >= self.limit if self.sense == "min" else figure <= self.limit

    def __str__(self) -> str:
        aim = f" (aim {self.aim:g})" if self.aim is not None else ""
        return f"{self.of} {'>=' if self.sense == 'min' else '<='} {self.limit:g}{aim}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report.

    value, baseline: medians over the rounds, both in `unit`. ratio: median of the rounds' own value/baseline.
    interval: smallest and largest of what the target speaks of (the ratio, where there is one, else the value).
    met: None where there is no target, the size is not the target's, or nothing could be measured.
    is_broken: the measurement itself failed, as opposed to being unavailable in this version.
    """

    name: str
    value: float | None = None
    unit: str = ""
    baseline: float | None = None
    ratio: float | None = None
    target: str = ""
    interval: tuple[float, float] | None = None
    met: bool | None = None
    note: str = ""
    is_broken: bool = False


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed (nearest rank)."""
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def make_row(
    name: str,
    ours: Sequence[float],
    theirs: Sequence[float] = (),
    *,
    unit: str,
    target: Target | None = None,
    note: str = "",
    is_judged: bool = True,
) -> Row:
    """Rounds measured side by side become one row; `ours` and `theirs` are paired where both are given.

    is_judged: whether the size is that of the target; otherwise the row says no verdict.
    """
    if not ours or (theirs and len(theirs) != len(ours)):
        raise ValueError(f"{name}: {len(ours)} rounds of ours, {len(theirs)} of the baseline")
    value = statistics.median(ours)
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)] if theirs else []
    ratio = statistics.median(ratios) if ratios else None
    spread = ratios or ours
    return Row(
        name=name,
        value=value,
        unit=unit,
        baseline=statistics.median(theirs) if theirs else None,
        ratio=ratio,
        target=str(target) if target else "",
        interval=(min(spread), max(spread)),
        met=target.is_met(value, ratio) if target and is_judged else None,
        note=note,
    )


def unavailable(name: str, why: str, target: Target | None = None) -> Row:
    """This version has no such thing to measure."""
    return Row(name, target=str(target) if target else "", note=f"not available: {why}")


def broken(name: str, why: str, target: Target | None = None) -> Row:
    """The measurement failed; a report with such a row ends with exit code 1."""
    return Row(name, target=str(target) if target else "", note=f"BROKEN: {why}", is_broken=True)


def in_turns(
    subjects: Sequence[Callable[[], float]], *, rounds: int, is_over: Callable[[], bool] = lambda: False
) -> list[list[float]]:
    """Call A, B, A, B …: so that what the machine does meanwhile meets all of them. Results by subject.

    is_over: asked before each round but the first; ends early when the time is spent.
    """
    results: list[list[float]] = [[] for _ in subjects]
    for number in range(rounds):
        if number and is_over():
            break
        for result, subject in zip(results, subjects, strict=True):
            result.append(subject())
    return results


def as_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The content of `.bench/latest.json`."""
    fields = ("name", "value", "unit", "baseline", "ratio", "target", "interval", "met", "note")
    return [{name: _rounded(asdict(row)[name]) for name in fields} for row in rows]


def write_json(path: Path, rows: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(as_json(rows), indent=1, ensure_ascii=False) + "\n")


def as_table(rows: Sequence[Row]) -> str:
    """The same for people: figures to three digits, and the notes below so that lines stay short."""
    head = ("name", "value", "unit", "baseline", "ratio", "interval", "target", "met")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "  ".join("-" * width for width in widths))
    notes = [f"  {row.name}: {row.note}" for row in rows if row.note]
    return "\n".join([*text, "", *notes])


def shown(figure: float | None) -> str:
    """Three digits that count; whole numbers from a thousand on with separators."""
    if figure is None:
        return "-"
    if not math.isfinite(figure):
        return str(figure)
    if abs(figure) >= 1000:
        return f"{figure:,.0f}"
    return f"{figure:.3g}"


def _cells(row: Row) -> tuple[str, ...]:
    interval = f"{shown(row.interval[0])} – {shown(row.interval[1])}" if row.interval else "-"
    met = "BROKEN" if row.is_broken else {True: "yes", False: "NO", None: "-"}[row.met]
    return (
        row.name,
        shown(row.value),
        row.unit,
        shown(row.baseline),
        shown(row.ratio),
        interval,
        row.target,
        met,
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, (list, tuple)):
        return [_rounded(each) for each in value]
    return value
