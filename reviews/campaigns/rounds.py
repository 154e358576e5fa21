"""Asking again: a further round that holds only the questions of the round before that nobody answered.

Silent is what expired, and what the deadline's table ends in some days and has not ended yet: whoever keeps such access
in the next round withdraws the end. A round is a campaign like any other, opened in the same way; all of them name the
first one. There is one round of each number, whoever asks for it how often.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, OuterRef, Q

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, system_actor
from governance.kernel.errors import Conflict
from reviews.campaigns.closing import require_campaign_manager
from reviews.campaigns.silent import first_of, rounds_of, silent_items
from reviews.models import Campaign, Decision
from reviews.policies.rounds import MOST_ROUNDS, Rounds
from reviews.states import ENDED_CAMPAIGNS, CampaignState, ItemState

logger = structlog.get_logger(__name__)
SCHEDULER = system_actor("scheduler")


# The table of the deadline answered instead of a person.
_BY_POLICY = Decision.objects.filter(item=OuterRef("items__pk")).exclude(decided_by_policy="")


class NothingSilent(Conflict):
    """Every question of the review has an answer."""

    code = "nothing-silent"


class AskedAgain(Conflict):
    """The next round exists; `campaign` names it."""

    code = "asked-again"
    title = "This has been asked again already"


class NotOver(Conflict):
    """The review still takes answers, or was called off."""

    code = "not-over"


class TooManyRounds(Conflict):
    """After so many rounds somebody has to decide instead of asking."""

    code = "too-many-rounds"


def ask_again(*, campaign: Campaign, actor: Actor, now: datetime) -> Campaign:
    """Draft the next round over what stayed silent; a worker opens it.

    Raises Forbidden, NotOver, NothingSilent, AskedAgain, TooManyRounds.
    """
    require_campaign_manager(campaign, actor)
    if campaign.state not in ENDED_CAMPAIGNS:
        raise NotOver("Only a review that has closed can be asked again.", state=str(campaign.state))
    if campaign.round > MOST_ROUNDS:
        raise TooManyRounds(f"After {MOST_ROUNDS} further rounds somebody has to decide.")
    if not silent_items(campaign).exists():
        raise NothingSilent("Every question of this review has an answer.")
    following = next_round(campaign)
    if following is None:
        try:
            with transaction.atomic(durable=True):
                drafted = _draft(campaign, now)
                _record(drafted, campaign, actor, now)
                dispatch.after_commit("reviews.open_campaign", campaign_id=str(drafted.pk))
            return drafted
        except IntegrityError:
            following = next_round(campaign)
    raise AskedAgain("The next round exists already.", campaign=str(following.pk) if following else None)


def start_due_rounds(*, now: datetime) -> int:
    """Ask again where the review's own rules say so. Returns how many rounds were drafted; twice changes nothing."""
    waiting = Campaign.objects.filter(state__in=ENDED_CAMPAIGNS, policy__rounds__automatic__gt=0)
    started = 0
    for campaign in waiting.order_by("closed_at", "pk"):
        wants_more = campaign.round <= Rounds.from_json(campaign.policy["rounds"]).automatic
        if wants_more and next_round(campaign) is None and silent_items(campaign).exists():
            try:
                ask_again(campaign=campaign, actor=SCHEDULER, now=now)
                started += 1
            except Conflict as problem:
                logger.info("round.not_started", campaign=str(campaign.pk), problem=problem.message)
    return started


def next_round(campaign: Campaign) -> Campaign | None:
    """The round after this one, if there is one."""
    return Campaign.objects.filter(first_round=first_of(campaign), round=campaign.round + 1).first()


def list_rounds(campaign: Campaign) -> Sequence[Campaign]:
    """Every round of a review, the first one first, with `asked`, `decided`, of those `by_policy`, and `silent`."""
    return list(
        rounds_of(campaign)
        .annotate(
            asked=Count("items"),
            decided=Count("items", filter=Q(items__state=ItemState.DECIDED)),
            by_policy=Count("items", filter=Q(Exists(_BY_POLICY), items__state=ItemState.DECIDED)),
            silent=Count("items", filter=Q(items__state=ItemState.EXPIRED)),
        )
        .order_by("round")
    )


def _draft(before: Campaign, now: datetime) -> Campaign:
    rules = Rounds.from_json(before.policy.get("rounds", {}))
    first = Campaign.objects.get(pk=first_of(before))
    number = before.round + 1
    ending = f", round {number}"
    return Campaign.objects.create(
        schedule_id=before.schedule_id,
        scheduled_for=now if before.schedule_id else None,
        name=first.name[: 200 - len(ending)] + ending,
        scope=before.scope,
        item_kinds=before.item_kinds,
        reviewer_rules=before.reviewer_rules,
        fallback_reviewer_id=before.fallback_reviewer_id,
        independent_reviewer_id=before.independent_reviewer_id,
        deadline_policy=before.deadline_policy,
        policy=before.policy,
        manager_id=before.manager_id,
        first_round=first,
        round=number,
        deadline_at=now + timedelta(days=rules.days),
    )


def _record(drafted: Campaign, before: Campaign, actor: Actor, now: datetime) -> None:
    log.record(
        verb=Verb.CAMPAIGN_CREATED,
        actor=actor,
        subject=log.Subject("campaign", str(drafted.pk), "campaign"),
        now=now,
        new={"state": str(CampaignState.DRAFT), "deadline_at": drafted.deadline_at},
        context={
            "why": "silent",
            "round": drafted.round,
            "first_round": str(drafted.first_round_id),
            "before": str(before.pk),
            "schedule": str(drafted.schedule_id) if drafted.schedule_id else None,
        },
    )
