"""Numbers on how people answered. Pure arithmetic: no query, no clock.

All numbers are whole, times in milliseconds, so that they stand in an evidence pack and in a page alike. What cannot be
known is counted as *not assessable*, with the reason, and is never taken for slow or for careful.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from reviews.policies.quality import THRESHOLDS, Signal, Thresholds, at_least_permille, quantile
from reviews.quality.facts import REDUCING, USES, Given

Figures = dict[str, Any]
IN_BULK, TOGETHER, FIRST = "in_bulk", "sent_together", "first_of_a_stretch"
UNKNOWN = (IN_BULK, TOGETHER, FIRST)
JUDGED = ("answers", "advised", "against", "approved", "approved_privileged", "to_reduce", "approved_against")
OPENED = ("of", "opened", "people", "people_without")
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


@dataclass(slots=True)
class Sheet:
    """What one person's answers come to, or several people's added up; each answer is looked at once.

    batches: their sizes. evidence: counts by what the logs said. texts: how often the most frequent reason stands
    there; the other lists and counts are named as in the figures.
    """

    answers: int = 0
    people: int = 0
    tempo: Tempo = field(default_factory=Tempo)
    batches: list[int] = field(default_factory=list)
    evidence: dict[str, Counter[str]] = field(default_factory=lambda: {use: Counter() for use in USES})
    taken_back: Counter[str] = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=list)
    different: int = 0
    most_of_one: int = 0
    opened: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Sheet") -> None:
        self.answers += other.answers
        self.people += other.people
        self.tempo.add(other.tempo)
        self.batches += other.batches
        for use, counts in other.evidence.items():
            self.evidence[use].update(counts)
        self.taken_back.update(other.taken_back)
        self.lengths += other.lengths
        self.different += other.different
        self.most_of_one = max(self.most_of_one, other.most_of_one)
        self.opened.update(other.opened)

    def figures(self, *, is_opening_known: bool, limits: Thresholds = THRESHOLDS) -> Figures:
        """As plain JSON. is_opening_known: whether it was noted which questions people opened."""
        times, fastest = self.tempo.to_json(limits)
        back, in_bulk = self.taken_back, sum(self.batches)
        return {
            "answers": self.answers,
            "people": self.people,
            "single": self.answers - in_bulk,
            "bulk": {
                "answers": in_bulk,
                "batches": len(self.batches),
                "median_size": quantile(self.batches, 50),
                "largest": max(self.batches, default=None),
            },
            "time_per_decision": times,
            "fastest_stretch": fastest,
            "approved": {
                "count": sum(counts["approved"] for counts in self.evidence.values()),
                "of": sum(counts["answers"] for counts in self.evidence.values()),
            },
            "evidence": {use: {name: counts[name] for name in JUDGED} for use, counts in self.evidence.items()},
            "taken_back": {
                "count": back["count"],
                "changed": back["changed"],
                "same_again": back["same_again"],
                "not_again": back["count"] - back["changed"] - back["same_again"],
            },
            "reasons": {
                "written": len(self.lengths),
                "median_length": quantile(self.lengths, 50),
                "different": self.different,
                "repeated": len(self.lengths) - self.different,
                "most_of_one": self.most_of_one,
            },
            "opened": {name: self.opened[name] for name in OPENED} if is_opening_known else None,
        }


def measure(given: Sequence[Given], *, is_opening_known: bool, limits: Thresholds = THRESHOLDS) -> Figures:
    """What is said of these answers, of one person's or of many people's alike.

    given: person by person, each in the order in which the answers were made up.
    """
    return total(sheets_of(given, limits).values()).figures(is_opening_known=is_opening_known, limits=limits)


def sheets_of(given: Iterable[Given], limits: Thresholds = THRESHOLDS) -> dict[UUID, Sheet]:
    """The sheet of each person."""
    return {person: _sheet(answers, limits) for person, answers in by_person(given).items()}


def total(sheets: Iterable[Sheet]) -> Sheet:
    """Several people's sheets as one."""
    found = Sheet()
    for sheet in sheets:
        found.add(sheet)
    return found


def by_person(given: Iterable[Given]) -> dict[UUID, list[Given]]:
    found: dict[UUID, list[Given]] = defaultdict(list)
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


def _sheet(answers: Sequence[Given], limits: Thresholds) -> Sheet:
    """One person's answers, in order."""
    sheet = Sheet(answers=len(answers), people=1, tempo=tempo_of(answers, limits))
    sheet.batches = list(Counter(each.sent_at for each in answers if each.is_bulk).values())
    for each in answers:
        # What still counts and says something about an access.
        if not (each.is_taken_back or each.passes_on or each.is_ownership):
            _judge(sheet.evidence[each.use], each)
        if not each.is_bulk:
            sheet.opened["of"] += 1
            sheet.opened["opened"] += each.shown_at is not None
    sheet.opened["people"] = int(sheet.opened["of"] > 0)
    sheet.opened["people_without"] = int(sheet.opened["of"] > 0 and not sheet.opened["opened"])
    _taken_back(sheet, answers)
    _reasons(sheet, answers)
    return sheet


def _judge(counts: Counter[str], each: Given) -> None:
    """Count one answer beside what was recommended."""
    approves, follows = each.approves, each.follows
    counts["answers"] += 1
    counts["approved"] += approves
    counts["approved_privileged"] += approves and each.is_privileged
    if follows is not None:
        to_reduce = each.recommendation in REDUCING
        counts["advised"] += 1
        counts["against"] += not follows
        counts["to_reduce"] += to_reduce
        counts["approved_against"] += approves and to_reduce


def _taken_back(sheet: Sheet, answers: Sequence[Given]) -> None:
    """Answers that were taken back, and what the same person then said about the same question."""
    concerned = {each.item for each in answers if each.is_taken_back}
    if not concerned:
        return
    sheet.taken_back["count"] = sum(each.is_taken_back for each in answers)
    said: dict[UUID, list[Given]] = defaultdict(list)
    for each in answers:
        if each.item in concerned:
            said[each.item].append(each)
    for about_one in said.values():
        for earlier, later in pairwise(about_one):
            if earlier.is_taken_back:
                sheet.taken_back["changed" if earlier.answer != later.answer else "same_again"] += 1


def _reasons(sheet: Sheet, answers: Sequence[Given]) -> None:
    """A bulk answer's reason was written once, so it counts once per batch."""
    batches: set[datetime] = set()
    texts: Counter[str] = Counter()
    for each in answers:
        if not each.text or (each.is_bulk and each.sent_at in batches):
            continue
        if each.is_bulk:
            batches.add(each.sent_at)
        texts[each.text] += 1
        sheet.lengths.append(each.length)
    sheet.different = len(texts)
    sheet.most_of_one = max(texts.values(), default=0)


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
