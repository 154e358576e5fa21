"""How often people decide as recommended, measured from what is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Count, F, Q

from reviews.models import Campaign, Decision

# Answers that do what was recommended in substance although the word differs.
AS_GOOD = {"approve": ("approve", "approve_until"), "keep": ("keep",)}


@dataclass(frozen=True, slots=True)
class Line:
    """One recommendation: how many decisions were made on it, how many follow it, and what was answered instead."""

    recommendation: str
    decided: int
    followed: int
    instead: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True, slots=True)
class Agreement:
    """Decisions of people on questions with a recommendation, and those on questions without one, which count apart."""

    lines: Sequence[Line] = field(default_factory=list)
    decided: int = 0
    followed: int = 0
    without: int = 0


def agreement_of(campaign: Campaign) -> Agreement:
    """Measure a campaign; one query.

    Only what stands and decides counts: no attestations, nothing taken back, nothing passed on, and no deadline policy.
    A scope-down follows only when its target is the recommended one. Questions without a recommendation have nothing
    to agree with, so they are no part of the share.
    """
    standing = Decision.objects.filter(
        item__campaign=campaign, item__state="decided", is_attestation=False, recalls=None, recalled_by=None
    ).exclude(Q(answer__in=("not_mine", "dont_know")) | Q(decided_by=None))
    rows = standing.values("item__recommendation", "answer").annotate(
        total=Count("pk"), exact=Count("pk", filter=Q(target=F("item__recommended_target")))
    )
    by_advice: dict[str, dict[str, tuple[int, int]]] = {}
    for row in rows.order_by("item__recommendation", "answer"):
        by_advice.setdefault(row["item__recommendation"], {})[row["answer"]] = (row["total"], row["exact"])
    without = sum(total for total, _ in by_advice.pop("", {}).values())
    lines = [_line(advice, answers) for advice, answers in by_advice.items()]
    return Agreement(lines, sum(each.decided for each in lines), sum(each.followed for each in lines), without)


def _line(advice: str, answers: dict[str, tuple[int, int]]) -> Line:
    decided = sum(total for total, _ in answers.values())
    if advice == "scope_down":
        total, followed = answers.get(advice, (0, 0))
        others = [("another scope", total - followed)] if total > followed else []
    else:
        followed = sum(answers.get(each, (0, 0))[0] for each in AS_GOOD.get(advice, (advice,)))
        others = []
    same = AS_GOOD.get(advice, (advice,))
    others += [(answer.replace("_", " "), total) for answer, (total, _) in answers.items() if answer not in same]
    return Line(advice, decided, followed, others)
