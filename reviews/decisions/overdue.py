"""Stages that the deadline found half answered: what was said counts, as far as the strategy lets silence pass."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from reviews.decisions.asks import forget_asks
from reviews.decisions.facts import Facts, facts_of
from reviews.decisions.items import (
    UNDECIDED,
    AccessChanged,
    get_item,
    item_context,
    item_subject,
    lock_item,
    require_no_drift,
)
from reviews.decisions.recording import outcome_facts
from reviews.decisions.stages import Final, asks_one, final_of, passed_of, stages_of, votes_cast
from reviews.decisions.writing import Writing, outcome_decision
from reviews.models import PASSING_ON, Campaign, Decision, ReviewItem
from reviews.policies.outcomes import Outcome, outcome_of
from reviews.remediation import Prepared, prepare

COUNTER = system_actor("stages")


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
    return sum(_settle(pk, now) for pk in list(waiting.values_list("pk", flat=True)))


def _settle(item_id: UUID, now: datetime) -> bool:
    item = get_item(item_id)
    final = _end_of(facts_of(item))
    if final is None:
        return False
    prepared = prepare(item=item, answer=final.answer, target=final.target)
    with transaction.atomic(durable=True):
        facts = facts_of(lock_item(item_id))
        if _end_of(facts) != final:
            # Answered, changed or settled by another worker in this moment.
            return False
        _write(facts, final, prepared, now)
    return True


def _write(facts: Facts, final: Final, prepared: Prepared, now: datetime) -> None:
    item, writing = facts.item, Writing(COUNTER, now)
    outcome = writing.keep(outcome_decision(item, final, now=now))
    silent = [str(each) for each in facts.waiting()]
    forget_asks(item)
    old = writing.conclude(item, outcome, prepared)
    writing.records.append(
        log.Record(
            verb=Verb.ITEM_DECIDED,
            actor=COUNTER,
            subject=item_subject(item),
            now=now,
            old=old,
            new={"state": str(item.state), "answer": str(outcome.answer)},
            context=item_context(item) | {"outcome": outcome_facts(outcome), "stage": item.stage, "silent": silent},
        )
    )
    writing.write()


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
