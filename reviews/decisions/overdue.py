"""Stages that the deadline found half answered: what was said counts, as far as the strategy lets silence pass."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from reviews.decisions.asks import forget_all_asks
from reviews.decisions.facts import Facts, gather
from reviews.decisions.items import (
    UNDECIDED,
    AccessChanged,
    item_context,
    item_subject,
    lock_items,
    read_items,
    require_no_drift,
)
from reviews.decisions.recording import outcome_facts
from reviews.decisions.stages import Final, asks_one, final_of, passed_of, stages_of, votes_cast
from reviews.decisions.together import again_after_deadlock, plan_for_a_while
from reviews.decisions.writing import Writing, outcome_decision
from reviews.models import PASSING_ON, Campaign, Decision, ReviewItem
from reviews.policies.outcomes import Outcome, outcome_of
from reviews.remediation import Prepared, prepare

COUNTER = system_actor("stages")
CHUNK = 500
Ending = tuple[Facts, Final]


def settle_half_answered(*, campaign: Campaign, now: datetime) -> int:
    """End every question whose last stage comes to something although some stayed silent. Returns how many.

    What comes to nothing, would still have needed another stage, or concerns access that changed meanwhile is left to
    the deadline policy. Plans at the source, so outside transactions only; whoever does it twice changes once.
    """
    if asks_one(campaign):
        return 0
    said = Decision.objects.filter(
        item=OuterRef("pk"),
        stage=OuterRef("stage"),
        round=OuterRef("round"),
        decided_by__isnull=False,
        recalls=None,
        recalled_by=None,
    ).exclude(answer__in=PASSING_ON)
    waiting = ReviewItem.objects.filter(Exists(said), campaign=campaign, state__in=UNDECIDED).order_by("pk")
    ids = list(waiting.values_list("pk", flat=True))
    return sum(_settle(ids[first : first + CHUNK], now) for first in range(0, len(ids), CHUNK))


def _settle(item_ids: Sequence[UUID], now: datetime) -> int:
    """Plan what these come to, as far as they come to anything, and write it. Returns how many were ended."""
    found, settled = gather(read_items(item_ids)), 0
    waiting = [(facts, final) for facts in found.values() if (final := _end_of(facts)) is not None]
    while waiting:
        planned = plan_for_a_while(waiting, _plan)
        settled += again_after_deadlock(partial(_write, planned, now))
        waiting = waiting[len(planned) :]
    return settled


def _plan(ending: Ending) -> Prepared:
    facts, final = ending
    return prepare(item=facts.item, answer=final.answer, target=final.target)


def _write(planned: Sequence[tuple[Ending, Prepared]], now: datetime) -> int:
    """End what still comes to the same; the rest was answered, changed or settled by another in this moment."""
    wanted = {facts.item.pk: (final, prepared) for (facts, final), prepared in planned}
    writing = Writing(COUNTER, now)
    with transaction.atomic(durable=True):
        found = gather(lock_items(list(wanted)))
        ended = [facts for facts in found.values() if _end_of(facts) == wanted[facts.item.pk][0]]
        for facts in ended:
            _end(writing, facts, *wanted[facts.item.pk])
        forget_all_asks(facts.item for facts in ended)
        writing.write()
    return len(ended)


def _end(writing: Writing, facts: Facts, final: Final, prepared: Prepared) -> None:
    item, outcome = facts.item, writing.keep(outcome_decision(facts.item, final, now=writing.now))
    old = writing.conclude(item, outcome, prepared)
    silent = [str(each) for each in facts.waiting()]
    writing.records.append(
        log.Record(
            verb=Verb.ITEM_DECIDED,
            actor=COUNTER,
            subject=item_subject(item),
            now=writing.now,
            old=old,
            new={"state": str(item.state), "answer": str(outcome.answer)},
            context=item_context(item) | {"outcome": outcome_facts(outcome), "stage": item.stage, "silent": silent},
        )
    )


def _end_of(facts: Facts) -> Final | None:
    """What the answers of the present stage come to now that nobody else will answer, where that ends the question."""
    item = facts.item
    if item.state not in UNDECIDED:
        return None
    try:
        require_no_drift(item, facts.current)
    except AccessChanged:
        return None
    stages, votes = stages_of(item.campaign), votes_cast(facts)
    if not votes:
        return None
    silent = len(facts.waiting())
    outcome = outcome_of(stages.at(item.stage).strategy, [each.kind for each in votes], silent=silent)
    if outcome is Outcome.NONE or stages.following(item.stage, passed_of(item, outcome, votes)) is not None:
        return None
    return final_of(item, outcome, votes)
