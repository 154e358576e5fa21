"""Numbers on how people answered. Pure arithmetic: no query, no clock.

All numbers are whole, times in milliseconds, so that they stand in an evidence pack and in a page alike. What cannot be
known is counted as *not assessable*, with the reason, and is never taken for slow or for careful.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

from reviews.policies.quality import THRESHOLDS, Signal, Thresholds, at_least_permille, quantile
from reviews.quality.facts import REDUCING, Given

Figures = dict[str, Any]
IN_BULK, TOGETHER, FIRST = "in_bulk", "sent_together", "first_of_a_stretch"
UNKNOWN = (IN_BULK, TOGETHER, FIRST)
USES = ("used", "unused", "not_observable")
_MS = timedelta(milliseconds=1)


@dataclass(slots=True)
class Tempo:
    """How long single answers took, in milliseconds, and of how many that cannot be said, by reason.

    shown: of those, how many were measured from the showing of the question; the others from the answer before.
    capped: how many were cut at the length of a pause.
    """

    took: list[int] = field(default_factory=list)
    shown: int = 0
    capped: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    fastest: int | None = None

    def add(self, other: "Tempo") -> None:
        self.took += other.took
        self.shown += other.shown
        self.capped += other.capped
        self.unknown += other.unknown
        known = [each for each in (self.fastest, other.fastest) if each is not None]
        self.fastest = min(known, default=None)

    def to_json(self, limits: Thresholds) -> tuple[Figures, Figures | None]:
        times = {
            "median_ms": quantile(self.took, 50),
            "p90_ms": quantile(self.took, 90),
            "assessed": len(self.took),
            "from_showing": self.shown,
            "from_answer_before": len(self.took) - self.shown,
            "capped": self.capped,
            "not_assessable": {reason: self.unknown[reason] for reason in UNKNOWN},
        }
        fastest = None if self.fastest is None else {"answers": limits.stretch, "ms": self.fastest}
        return times, fastest


def measure(given: Sequence[Given], *, is_opening_known: bool, limits: Thresholds = THRESHOLDS) -> Figures:
    """What is said of these answers, of one person's or of many people's alike.

    given: person by person, each in the order in which the answers were made up. is_opening_known: whether it was noted
    which questions people opened.
    """
    tempo = Tempo()
    for answers in by_person(given).values():
        tempo.add(tempo_of(answers, limits))
    times, fastest = tempo.to_json(limits)
    return {
        "answers": len(given),
        "people": len({each.person for each in given}),
        "single": sum(not each.is_bulk for each in given),
        "bulk": _batches(given),
        "time_per_decision": times,
        "fastest_stretch": fastest,
        "approved": _approved(given),
        "evidence": _evidence(given),
        "taken_back": _taken_back(given),
        "reasons": _reasons(given),
        "opened": _opened(given) if is_opening_known else None,
    }


def by_person(given: Iterable[Given]) -> dict[Any, list[Given]]:
    found: dict[Any, list[Given]] = defaultdict(list)
    for each in given:
        found[each.person].append(each)
    return found


def tempo_of(answers: Sequence[Given], limits: Thresholds) -> Tempo:
    """One person's. A time is the shorter one of two: since the question was shown, and since the answer before.

    Answers that were given in one go without drafts have no time of their own. One that follows a pause, of a question
    that was never opened, has none either: nobody knows when the person came back.
    """
    tempo, at_once = Tempo(), Counter(each.sent_at for each in answers if not each.is_bulk and not each.is_drafted)
    tempo.unknown[IN_BULK] = sum(each.is_bulk for each in answers)
    before: Given | None = None
    paced: list[Given] = []
    for each in answers:
        if each.is_bulk:
            before = each
            continue
        if not each.is_drafted and at_once[each.sent_at] > 1:
            tempo.unknown[TOGETHER] += 1
        else:
            _time(tempo, each, before, limits)
            paced.append(each)
        before = each
    tempo.fastest = _fastest(paced, limits.stretch)
    return tempo


def _time(tempo: Tempo, each: Given, before: Given | None, limits: Thresholds) -> None:
    since_before = each.at - before.at if before is not None else None
    since_shown = each.at - each.shown_at if each.shown_at is not None else None
    if since_shown is not None and (since_before is None or since_shown <= since_before):
        took, is_shown = since_shown, True
    elif since_before is not None and (since_before <= limits.pause or since_shown is not None):
        took, is_shown = since_before, False
    else:
        tempo.unknown[FIRST] += 1
        return
    tempo.shown += is_shown
    tempo.capped += took > limits.pause
    tempo.took.append(min(took, limits.pause) // _MS)


def _fastest(answers: Sequence[Given], length: int) -> int | None:
    """The shortest time in which so many answers in a row were made up; None for fewer answers."""
    ends = zip(answers, answers[length - 1 :], strict=False)
    return min(((last.at - first.at) // _MS for first, last in ends), default=None)


def _batches(given: Sequence[Given]) -> Figures:
    sizes = list(Counter((each.person, each.sent_at) for each in given if each.is_bulk).values())
    return {
        "answers": sum(sizes),
        "batches": len(sizes),
        "median_size": quantile(sizes, 50),
        "largest": max(sizes, default=None),
    }


def _standing(given: Iterable[Given]) -> list[Given]:
    """What still counts and says something about an access."""
    return [each for each in given if not (each.is_taken_back or each.passes_on or each.is_ownership)]


def _approved(given: Sequence[Given]) -> Figures:
    standing = _standing(given)
    return {"count": sum(each.approves for each in standing), "of": len(standing)}


def _evidence(given: Sequence[Given]) -> Figures:
    """By what the logs said of the access: how many answers, on advice, against it, and approvals against reduction."""
    standing = _standing(given)
    return {use: _against([each for each in standing if each.use == use]) for use in USES}


def _against(answers: Sequence[Given]) -> Figures:
    advised = [each for each in answers if each.follows is not None]
    return {
        "answers": len(answers),
        "advised": len(advised),
        "against": sum(each.follows is False for each in advised),
        "approved": sum(each.approves for each in answers),
        "approved_privileged": sum(each.approves and each.is_privileged for each in answers),
        "to_reduce": sum(each.recommendation in REDUCING for each in advised),
        "approved_against": sum(each.approves and each.recommendation in REDUCING for each in advised),
    }


def _taken_back(given: Sequence[Given]) -> Figures:
    """Answers that were taken back, and of those how many the same person then answered otherwise, or not again."""
    changed = same = 0
    latest: dict[Any, list[Given]] = defaultdict(list)
    for each in given:
        latest[each.person, each.item].append(each)
    for answers in latest.values():
        for earlier, later in pairwise(answers):
            if earlier.is_taken_back:
                changed += earlier.answer != later.answer
                same += earlier.answer == later.answer
    count = sum(each.is_taken_back for each in given)
    return {"count": count, "changed": changed, "same_again": same, "not_again": count - changed - same}


def _reasons(given: Sequence[Given]) -> Figures:
    """Reasons in numbers. A bulk answer's reason was written once, so it counts once per batch."""
    written = {
        (each.person, each.sent_at) if each.is_bulk else (each.person, each.item, each.sent_at): each
        for each in given
        if each.text
    }
    texts = Counter((each.person, each.text) for each in written.values())
    return {
        "written": len(written),
        "median_length": quantile([each.length for each in written.values()], 50),
        "different": len(texts),
        "repeated": sum(count - 1 for count in texts.values()),
        "most_of_one": max(texts.values(), default=0),
    }


def _opened(given: Sequence[Given]) -> Figures:
    """Of single answers, how many were given after opening the question; people who opened none at all."""
    single = [each for each in given if not each.is_bulk]
    people = by_person(single).values()
    return {
        "of": len(single),
        "opened": sum(each.shown_at is not None for each in single),
        "people": len(people),
        "people_without": sum(all(each.shown_at is None for each in answers) for answers in people),
    }


def signals_of(figures: Figures, limits: Thresholds = THRESHOLDS) -> dict[Signal, Figures]:
    """What stands out in one person's figures, with its numbers; nothing where there is too little to tell."""
    found: dict[Signal, Figures] = {}
    approved, evidence = figures["approved"], figures["evidence"].values()
    advised = sum(each["to_reduce"] for each in evidence)
    if advised >= limits.few and approved["count"] == approved["of"]:
        found[Signal.APPROVED_ALL] = {
            "approved": approved["count"],
            "advised_to_reduce": advised,
            "unused_privileged": figures["evidence"]["unused"]["approved_privileged"],
            "at_least_permille": at_least_permille(advised, advised),
        }
    fastest = figures["fastest_stretch"]
    if fastest is not None and fastest["ms"] < limits.fastest // _MS:
        found[Signal.FAST] = dict(fastest)
    reasons = figures["reasons"]
    if reasons["written"] >= limits.few and reasons["most_of_one"] * 100 >= limits.same_percent * reasons["written"]:
        found[Signal.SAME_REASON] = {"same": reasons["most_of_one"], "written": reasons["written"]}
    opened = figures["opened"]
    if opened is not None and opened["of"] >= limits.few and not opened["opened"]:
        found[Signal.NOTHING_OPENED] = {"answers": opened["of"]}
    return found
