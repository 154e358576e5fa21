"""How a locked item is changed, and the record that every answer leaves. Inner steps of use cases."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from reviews.decisions.items import item_context, item_subject
from reviews.models import Decision, ReviewItem
from reviews.states import ITEM_MOVES, ItemState, require_transition


def move_item(item: ReviewItem, state: ItemState, **fields: Any) -> dict[str, str]:
    """Move a locked item along the table; returns what it was, for the record."""
    old = before_of(item)
    require_transition(ITEM_MOVES, ItemState(item.state), state)
    save_item(item, state=state, **fields)
    return old


def before_of(item: ReviewItem) -> dict[str, str]:
    """What an item is, for the record of what it becomes."""
    return {"state": str(item.state), "assignee": str(item.assignee_id)}


def save_item(item: ReviewItem, **fields: Any) -> None:
    """Write fields of a locked item and count the change."""
    item.version += 1
    for name, value in fields.items():
        setattr(item, name, value)
    item.save(update_fields=["version", *(name.removesuffix("_id") for name in fields)])


def record_answer(
    verb: Verb,
    item: ReviewItem,
    decision: Decision,
    actor: Actor,
    now: datetime,
    *,
    old: Mapping[str, str],
    outcome: Decision | None = None,
) -> None:
    """Write the one record of one answer; see `answer_record`."""
    log.record_many([answer_record(verb, item, decision, actor, now, old=old, outcome=outcome)])


def answer_record(
    verb: Verb,
    item: ReviewItem,
    decision: Decision,
    actor: Actor,
    now: datetime,
    *,
    old: Mapping[str, str],
    outcome: Decision | None = None,
    too_late: bool = False,
) -> log.Record:
    """The one record of one answer. The proof and the target stand in the decision; the record holds their digests.

    outcome: what the stage's answers amount to, where this one settled it. too_late: the stage was settled without it.
    """
    return log.Record(
        verb=verb,
        actor=actor,
        subject=item_subject(item),
        now=now,
        old=old,
        new=before_of(item) | {"answer": str(decision.answer)},
        reason=decision.reason,
        context=item_context(item)
        | {
            "decision": decision.id,
            "attestation": decision.is_attestation,
            "bulk": decision.is_bulk,
            "until": decision.until,
            "target": decision.proof["target"] if decision.proof else None,
            "policy": decision.decided_by_policy,
            "named": decision.named_person_id,
            "recalls": decision.recalls_id,
            "stage": decision.stage,
        }
        | ({"outcome": outcome_facts(outcome)} if outcome else {})
        | ({"too_late": True} if too_late else {}),
    )


def outcome_facts(outcome: Decision) -> dict[str, Any]:
    """An outcome as the trail keeps it."""
    return {
        "decision": str(outcome.pk),
        "answer": str(outcome.answer),
        "strategy": outcome.decided_by_policy,
        "until": outcome.until,
        "target": outcome.proof["target"] if outcome.proof else None,
    }
