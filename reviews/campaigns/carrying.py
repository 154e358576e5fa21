"""Carry earlier human approvals over to questions about which nothing has changed.

What is carried is a decision like any other, with a record of its own, marked by the policy's name and bound to the
human decision that it repeats (`Decision.carries`). It is carried only where a person decided, where the approval still
stands, and where everything that they looked at is as it was.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from governance.audit.actions import Verb
from governance.audit.log import Record, record_many
from governance.kernel.actors import system_actor
from identities.services.review_facts import note_review
from reviews.campaigns.approved import last_decisions
from reviews.decisions.independence import Parties, conflict_of, list_active_people, parties_of
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
    candidates = [
        item for item in items if item.kind == ItemKind.GRANT and (rules.privileged or not item.is_privileged)
    ]
    earlier = last_decisions([item.grant_id for item in candidates if item.grant_id])
    origins = _origins(earlier.values())
    able = [
        (item, earlier[item.grant_id], origins[earlier[item.grant_id].pk])
        for item in candidates
        if item.grant_id in earlier and _is_unchanged(item, earlier[item.grant_id])
    ]
    counts, decisions = dict(campaign.frozen[POLICY]), []
    parties = parties_of([(item.identity_id, item.grant_id, item.is_privileged) for item, _, _ in able])
    active = list_active_people() if able else frozenset()
    for (item, last, origin), around in zip(able, parties, strict=True):
        if not _may_carry(rules, last, origin, around, active, now):
            continue
        if rules.is_sampled(counts["seed"], str(item.grant_id)):
            counts["sampled"] += 1
            continue
        counts["carried"] += 1
        item.state, item.decided_at, item.escalated_at = ItemState.DECIDED, now, None
        decisions.append(_carried(item, last, origin, now))
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


def _origins(decisions: Any) -> Mapping[UUID, Decision]:
    """By decision, the human one that it is or repeats."""
    decisions = list(decisions)
    originals = Decision.objects.in_bulk([each.carries_id for each in decisions if each.carries_id])
    return {each.pk: originals[each.carries_id] if each.carries_id else each for each in decisions}


def _is_unchanged(item: ReviewItem, last: Decision) -> bool:
    """Whether the question is the one that was answered: the very version, and all that people weigh around it."""
    grant = item.grant
    if last.answer != Answer.APPROVE or last.item.grant_version_id != item.grant_version_id:
        return False
    if grant is None or item.grant_version is None or grant.reviewed_digest is None:
        return False
    # An approval that lapsed or was taken back is gone from the grant.
    still_stands = bytes(grant.reviewed_digest) == bytes(item.grant_version.digest)
    return still_stands and weighed(item) == weighed(last.item)


def weighed(item: ReviewItem) -> tuple[Any, ...]:
    """What an answer depends on besides the content: use band, owner, risk, environment, status, as the item saw it."""
    seen = item.seen
    identity = seen.get("identity") or {}
    return (
        (seen.get("use") or {}).get("state"),
        seen.get("owner"),
        item.is_privileged,
        identity.get("environment"),
        identity.get("status"),
    )


def _may_carry(
    rules: Carrying, last: Decision, origin: Decision, around: Parties, active: frozenset[UUID], now: datetime
) -> bool:
    if origin.decided_by_id is None or not rules.is_young(origin.decided_at, now):
        return False
    if last.generation + 1 > rules.generations:
        return False
    # Somebody must be accountable, and whoever decided must still be one who may.
    return around.owner in active and conflict_of(origin.decided_by_id, around) is None


def _carried(item: ReviewItem, last: Decision, origin: Decision, now: datetime) -> Decision:
    return Decision(
        item=item,
        answer=Answer.APPROVE,
        digest=item.grant_version.digest if item.grant_version else None,
        decided_by_policy=POLICY,
        carries=origin,
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
