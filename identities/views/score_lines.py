"""A score in words: assurance with what caps it, exposure factor by factor, and how both came about."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.urls import reverse

from governance.web.templatetags.remit import plural
from identities.forms.inventory import ASSURANCE_LABELS
from identities.models import Identity, IdentityPosture, PostureBox, PostureVersion
from identities.posture.policy import Policy
from identities.selectors.posture_scores import FactorMove, ScoreDifference
from identities.views.picture import FACTOR_NAMES, NAMES, exposure_words

BAND_TONES = {"contained": "success", "limited": "info", "broad": "warn", "critical": "danger"}
BOX_TONES = {
    PostureBox.UNPROVEN_BROAD: "danger",
    PostureBox.PROVEN_BROAD: "warn",
    PostureBox.UNPROVEN_CONTAINED: "info",
    PostureBox.PROVEN_CONTAINED: "success",
    PostureBox.UNMEASURED: "unknown",
}
# How the reasons of assurance say that something is only not known.
UNKNOWN = "unknown"
MOST_OPEN = 3
# Reasons are kept, and given to programs, with dates as machines write them.
_DAY = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
Stand = IdentityPosture | PostureVersion


@dataclass(frozen=True, slots=True)
class FactorLine:
    """One factor: what it can add, what it adds (as a range where something is unknown), and from what."""

    name: str
    weight: str
    points: str
    low: float
    high: float
    most: float
    input: str
    why: str
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreLines:
    """How one identity stands, or stood, as the page prints it.

    upper: the level that may be reached too, empty where assurance is certain. upper_if: what it hangs on.
    """

    box: str
    box_tone: str
    assurance: str
    assurance_name: str
    upper: str
    upper_if: str
    capped_by: Sequence[str]
    to_raise: Sequence[str]
    exposure: str
    exposure_middle: float | None
    band: str
    band_tone: str
    worst: str
    factors: Sequence[FactorLine]
    policy_number: int
    catalogue_version: str
    failed: Sequence[str]


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One stretch in which no score changed."""

    since: datetime
    until: datetime | None
    assurance: str
    exposure: str
    box: str
    box_tone: str
    policy_number: int
    words: Sequence[str]


def score_lines(stand: Stand, policy: Policy) -> ScoreLines:
    """policy: the one whose bands are spoken of."""
    lower, upper = f"A{stand.assurance_lower}", f"A{stand.assurance_upper}"
    low, high = _number(stand.exposure_low), _number(stand.exposure_high)
    band = "" if high is None else policy.band_of(high)
    if low is not None and high is not None and policy.band_of(low) != band:
        band = f"{policy.band_of(low)} to {band}"
    return ScoreLines(
        box=str(NAMES[stand.box]),
        box_tone=BOX_TONES[PostureBox(stand.box)],
        assurance=lower,
        assurance_name=ASSURANCE_LABELS[lower].partition(" ")[2],
        upper="" if upper == lower else upper,
        upper_if="" if upper == lower else if_words(stand.capped_by),
        capped_by=[with_dates_in_words(reason) for reason in stand.capped_by],
        to_raise=stand.to_raise if isinstance(stand, IdentityPosture) else (),
        exposure=exposure_words(low, high),
        exposure_middle=high,
        band=band,
        band_tone=BAND_TONES.get(band.rpartition(" ")[2], "unknown"),
        worst=f"{stand.worst_case:.0f}" if isinstance(stand, IdentityPosture) else "",
        factors=[factor_line(factor) for factor in stand.factors],
        policy_number=stand.policy_id,
        catalogue_version=stand.catalogue_version,
        failed=list(stand.failed),
    )


def if_words(capped_by: Sequence[str]) -> str:
    """What has to be confirmed, from the reasons that are only unknown: "if storage is confirmed"."""
    open_ones = [_what(reason) for reason in capped_by if UNKNOWN in reason]
    if len(open_ones) == 1 and "whether" not in open_ones[0]:
        return f"if {open_ones[0]} is confirmed"
    shown = "; ".join(open_ones[:MOST_OPEN])
    return f"once it is confirmed: {shown}{' and more' if len(open_ones) > MOST_OPEN else ''}" if shown else ""


def with_dates_in_words(text: str) -> str:
    """ "until 2026-11-27" as "until 27 November 2026"; what is no day stays as it is."""
    return _DAY.sub(_spoken_day, text)


def _spoken_day(found: re.Match[str]) -> str:
    try:
        return f"{date.fromisoformat(found[0]):%-d %B %Y}"
    except ValueError:
        return found[0]


def _what(reason: str) -> str:
    """ "api key: storage unknown" is about "storage"; "unknown whether it leaked" is about "whether it leaked"."""
    return reason.rpartition(": ")[2].removesuffix(f" {UNKNOWN}").removeprefix(f"{UNKNOWN} ")


def score_of(identity: Identity, policy: Policy) -> ScoreLines | None:
    """The current score of an identity that was loaded with it; None where it was not assessed yet."""
    stand = getattr(identity, "posture", None)
    return None if stand is None else score_lines(stand, policy)


def factor_line(factor: Mapping[str, Any]) -> FactorLine:
    """One of `factors` as a page prints it."""
    low, high = float(factor["low"]), float(factor["high"])
    return FactorLine(
        name=FACTOR_NAMES.get(factor["name"], factor["name"]),
        weight=f"{float(factor['weight']):g}",
        points=f"{low:g}" if low == high else f"{low:g} to {high:g}",
        low=low,
        high=high,
        most=float(factor["weight"]),
        input=with_dates_in_words(str(factor["input"] or "")),
        why=str(factor["why"] or ""),
        is_open=low != high,
    )


def history_lines(versions: Sequence[PostureVersion], differ: Any) -> list[HistoryLine]:
    """Stretches, latest first, each with what made it differ from the one before. differ: `difference_of`."""
    found = []
    for number, version in enumerate(versions):
        before = versions[number + 1] if number + 1 < len(versions) else None
        low, high = _number(version.exposure_low), _number(version.exposure_high)
        found.append(
            HistoryLine(
                since=version.seen_from,
                until=version.seen_until,
                assurance=range_words(version.assurance_lower, version.assurance_upper),
                exposure=exposure_words(low, high),
                box=str(NAMES[version.box]),
                box_tone=BOX_TONES[PostureBox(version.box)],
                policy_number=version.policy_id,
                words=difference_words(differ(before, version)) if before else ["First assessment"],
            )
        )
    return found


def range_words(lower: int, upper: int) -> str:
    """ "A1", or "A1 to A3"."""
    return f"A{lower}" if lower == upper else f"A{lower} to A{upper}"


def difference_words(difference: ScoreDifference) -> list[str]:
    """Why a score is another one, the heaviest reason first."""
    words = [_move_words(move) for move in _by_weight(difference.factors) if move.is_moved]
    words += [f"Holds assurance down now: {with_dates_in_words(reason)}" for reason in difference.capped_by_new]
    words += [f"No longer holds assurance down: {with_dates_in_words(reason)}" for reason in difference.capped_by_gone]
    if difference.failed_new:
        words.append(f"Fails now: {', '.join(difference.failed_new)}")
    if difference.failed_gone:
        words.append(f"Fails no longer: {', '.join(difference.failed_gone)}")
    if difference.is_other_policy:
        words.append("Judged by another version of the policy")
    if difference.is_other_catalogue:
        words.append("Judged by another version of the catalogues")
    return words


def history_url(identity_id: Any) -> str:
    return reverse("identities:identity_posture", args=[identity_id])


def sparkline_of(versions: Sequence[PostureVersion]) -> tuple[list[float], str]:
    """Exposure from the oldest to the latest of these versions (latest first), and what the line says."""
    values = [float(version.exposure_high) for version in reversed(versions) if version.exposure_high is not None]
    if len(values) < 2:
        return [], ""
    words = "unchanged" if values[0] == values[-1] else "rising" if values[-1] > values[0] else "falling"
    assessments = plural(len(values), "assessment,assessments")
    return values, f"Exposure over {assessments}: {values[0]:.0f} to {values[-1]:.0f}, {words}"


def _by_weight(moves: Iterable[FactorMove]) -> list[FactorMove]:
    return sorted(moves, key=lambda move: -abs(_high(move.after) - _high(move.before)))


def _high(points: tuple[float, float] | None) -> float:
    return points[1] if points else 0.0


def _move_words(move: FactorMove) -> str:
    name = FACTOR_NAMES.get(move.name, move.name)
    if move.before is None or move.after is None:
        return f"{name}: {_points(move.after or move.before)} points"
    inputs = f" ({move.input_before} → {move.input_after})" if move.input_before != move.input_after else ""
    return f"{name}: {_points(move.before)} → {_points(move.after)} points{with_dates_in_words(inputs)}"


def _points(points: tuple[float, float] | None) -> str:
    if points is None:
        return "no"
    low, high = points
    return f"{float(low):g}" if low == high else f"{float(low):g} to {float(high):g}"


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
