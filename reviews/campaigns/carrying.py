"""Carry earlier human approvals over to questions about which nothing has changed.

What is carried is a decision like any other, with a record of its own, marked by the policy's name and bound to the
human decision that it repeats (`Decision.carries`). It is carried only where a person decided, where the approval still
stands, and where everything that they looked at is as it was.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from governance.audit.actions import Verb
from governance.audit.log import Record, record_many
from governance.kernel.actors import system_actor
from identities.services.review_facts import note_review
from reviews.campaigns.unchanged import Case, Earlier, Why, look_back, weighed
from reviews.decisions.items import item_context, item_subject
from reviews.models import Answer, Campaign, Decision, ItemKind, ReviewItem
from reviews.policies.carrying import Carrying
from reviews.states import ItemState

CARRIER = system_actor("carry-forward policy")
POLICY = "carrying"


def rules_of(campaign: Campaign) -> Carrying:
    """What the campaign's owner settled about carrying."""
    return Carrying.from_json(campaign.policy.get(POLICY, {}))


def begin_carrying(campaign: Campaign) -> dict[str, Any]:
    """What a campaign freezes about it: the seed of its sample and its counts; nothing where nothing is carried."""
    if not rules_of(campaign).is_on:
        return {}
    return {POLICY: {"seed": secrets.token_hex(16), "carried": 0, "sampled": 0}}


def carry(campaign: Campaign, items: Sequence[ReviewItem], now: datetime) -> list[Decision]:
    """Unsaved decisions for those of the unsaved items that may carry one; marks these items as decided.

    Counts what it did in `campaign.frozen`. A fixed number of queries, none where nothing is carried.
    """
    rules = rules_of(campaign)
    if not rules.is_on or POLICY not in campaign.frozen:
        return []
    about = [item for item in items if item.kind == ItemKind.GRANT]
    counts, decisions = dict(campaign.frozen[POLICY]), []
    for item, found in zip(about, look_back(rules, [_case(item) for item in about], now), strict=True):
        if isinstance(found, Why):
            continue
        if rules.is_sampled(counts["seed"], str(item.grant_id)):
            counts["sampled"] += 1
            continue
        counts["carried"] += 1
        item.state, item.decided_at, item.escalated_at = ItemState.DECIDED, now, None
        decisions.append(_carried(item, found, now))
    campaign.frozen = campaign.frozen | {POLICY: counts}
    return decisions


def write_carried(decisions: Sequence[Decision], now: datetime) -> None:
    """Write them beside their items: the decisions, the reviews on the grants, and a record each. An inner step."""
    if not decisions:
        return
    Decision.objects.bulk_create(decisions, batch_size=1000)
    items = [decision.item for decision in decisions]
    digests = {
        item.grant_id: bytes(item.grant_version.digest) for item in items if item.grant_id and item.grant_version
    }
    note_review(grant_ids=list(digests), digest_by_grant=digests, approved_until=None, now=now)
    record_many(_record(decision, now) for decision in decisions)


def _case(item: ReviewItem) -> Case:
    grant, version = item.grant, item.grant_version
    assert grant is not None and version is not None  # noqa: S101 - the database demands both of such a question
    return Case(
        identity=item.identity_id,
        grant=grant.pk,
        version=version.pk,
        is_privileged=item.is_privileged,
        digest=bytes(version.digest),
        reviewed=bytes(grant.reviewed_digest) if grant.reviewed_digest is not None else None,
        weighed=weighed(item),
    )


def _carried(item: ReviewItem, last: Earlier, now: datetime) -> Decision:
    return Decision(
        item=item,
        answer=Answer.APPROVE,
        digest=item.grant_version.digest if item.grant_version else None,
        decided_by_policy=POLICY,
        carries_id=last.origin,
        generation=last.generation + 1,
        decided_at=now,
    )


def _record(decision: Decision, now: datetime) -> Record:
    item = decision.item
    return Record(
        verb=Verb.ITEM_CARRIED,
        actor=CARRIER,
        subject=item_subject(item),
        now=now,
        new={"state": str(item.state), "answer": str(decision.answer)},
        context=item_context(item)
        | {
            "decision": str(decision.pk),
            "carries": str(decision.carries_id),
            "generation": decision.generation,
            "policy": POLICY,
        },
    )
