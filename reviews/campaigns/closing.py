"""End a campaign: stop answers, let the policy speak for the silent, and wait until every order is settled."""

from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import Count, F, Q, QuerySet

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role, system_actor
from governance.kernel.errors import DomainError, Forbidden, NotFound
from governance.people.access import require_role
from reviews.campaigns.gate import release
from reviews.campaigns.opening import campaign_subject, move_campaign, sign_trail
from reviews.decisions.items import UNDECIDED, write_all
from reviews.decisions.overdue import settle_half_answered
from reviews.decisions.settling import settle_chunk
from reviews.models import Answer, Campaign, MailKind, Order, ReviewItem, ReviewMail
from reviews.states import SETTLED_ORDERS, CampaignState, ItemState, OrderState

logger = structlog.get_logger(__name__)
CLOSER = system_actor("scheduler")
# After so many rounds over what is left, the next tick goes on; something keeps failing and is in the log.
MOST_ROUNDS = 2


class ReasonMissing(DomainError):
    """A review is never called off without saying why."""

    code = "reason-required"


def close_campaign(*, campaign: Campaign, actor: Actor, now: datetime) -> Campaign:
    """Stop taking answers before the deadline. A worker then applies the policy to what is undecided.

    The campaign is `closing` on return; its record (`campaign.closed`, by this actor) is written when it is closed.
    Raises Forbidden, IllegalMove.
    """
    with transaction.atomic(durable=True):
        campaign = _lock(campaign)
        require_campaign_manager(campaign, actor)
        campaign.closed_by = {
            "kind": str(actor.kind),
            "id": actor.id,
            "label": actor.label,
            "auth_method": actor.auth_method,
            "request_id": actor.request_id,
        }
        move_campaign(campaign, CampaignState.CLOSING, "closed_by")
        dispatch.after_commit("reviews.close_due_campaigns")
    return campaign


def cancel_campaign(*, campaign: Campaign, reason: str, actor: Actor, now: datetime) -> Campaign:
    """Call a campaign off. Answers already given stand, with their orders; open questions end. Needs a reason."""
    if not reason.strip():
        raise ReasonMissing("Say why this review is called off.", fields={"reason": "required"})
    with transaction.atomic(durable=True):
        campaign = _lock(campaign)
        require_campaign_manager(campaign, actor)
        old = str(campaign.state)
        campaign.cancelled_reason = reason.strip()
        campaign.closed_at = now
        move_campaign(campaign, CampaignState.CANCELLED, "cancelled_reason", "closed_at")
        undecided = ReviewItem.objects.filter(campaign=campaign, state__in=UNDECIDED).order_by("pk")
        # In the order in which everybody locks several, so that answers are waited for and not run into.
        ended = list(undecided.select_for_update().values_list("pk", flat=True))
        write_all(ended, state=ItemState.CANCELLED, version=F("version") + 1)
        log.record(
            verb=Verb.CAMPAIGN_CANCELLED,
            actor=actor,
            subject=campaign_subject(campaign),
            now=now,
            old={"state": old},
            new={"state": str(CampaignState.CANCELLED)},
            reason=campaign.cancelled_reason,
            context={"items_cancelled": len(ended)},
        )
    return campaign


def release_campaign(*, campaign: Campaign, reason: str, actor: Actor, now: datetime) -> Campaign:
    """Let a review open that waits for its sources, knowing that they are not fresh. Needs a reason.

    Raises Forbidden, ReasonMissing, NotHeld.
    """
    if not reason.strip() or "\x00" in reason:
        raise ReasonMissing("Say why this review need not wait.", fields={"reason": "Say why it need not wait."})
    with transaction.atomic(durable=True):
        campaign = _lock(campaign)
        require_campaign_manager(campaign, actor)
        release(campaign, reason.strip(), actor, now)
    return campaign


def require_campaign_manager(campaign: Campaign, actor: Actor) -> None:
    """Campaign managers run their own campaigns; administrators and API clients with the scope run any."""
    require_role(actor, Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, scope="reviews:write")
    is_person = actor.kind is ActorKind.PERSON
    if is_person and not actor.has_role(Role.ADMINISTRATOR) and campaign.manager_id != actor.person_id:
        raise Forbidden("This review belongs to another campaign manager.")


def close_due_campaigns(*, now: datetime) -> list[Campaign]:
    """Close what is past its deadline, finish what is closing, complete what is settled. Returns what was closed.

    Any number of workers may do this at once, and one that dies is followed by the next tick.
    """
    _begin_due(now)
    closed = []
    for campaign in Campaign.objects.filter(state=CampaignState.CLOSING).order_by("deadline_at", "pk"):
        if _settle(campaign, now) and _finish(campaign, now):
            closed.append(campaign)
            sign_trail(CLOSER, now)
    complete_settled_campaigns(now=now)
    return closed


def complete_settled_campaigns(*, now: datetime) -> list[Campaign]:
    """Complete closed campaigns of which every order is verified or settled by a person.

    What ends an approval on a later date is left out, or a review could stay incomplete for years; it is counted.
    """
    unsettled = _due_orders().exclude(state__in=SETTLED_ORDERS)
    waiting = Campaign.objects.filter(state=CampaignState.CLOSED).exclude(pk__in=unsettled.values("item__campaign"))
    return [campaign for campaign in waiting if _complete(campaign, now)]


def _lock(campaign: Campaign) -> Campaign:
    locked = Campaign.objects.select_for_update().filter(pk=campaign.pk).first()
    if locked is None:
        raise NotFound("There is no such review.")
    return locked


def _begin_due(now: datetime) -> None:
    with transaction.atomic(durable=True):
        due = Campaign.objects.select_for_update(skip_locked=True).filter(
            state=CampaignState.OPEN, deadline_at__lte=now
        )
        for campaign in due:
            move_campaign(campaign, CampaignState.CLOSING)


def _settle(campaign: Campaign, now: datetime) -> bool:
    """Let the policy answer everything undecided; False when something is left for the next tick."""
    settle_half_answered(campaign=campaign, now=now)
    left = ReviewItem.objects.filter(campaign=campaign, state__in=UNDECIDED)
    for _ in range(MOST_ROUNDS):
        after = None
        while (after := settle_chunk(campaign=campaign, after=after, now=now)) is not None:
            pass
        if not left.exists():
            return True
    logger.warning("campaign.undecided_left", campaign=str(campaign.pk), left=left.count())
    return False


def _finish(campaign: Campaign, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        locked = Campaign.objects.select_for_update(skip_locked=True).filter(pk=campaign.pk).first()
        if locked is None or locked.state != CampaignState.CLOSING:
            return False
        counts = locked.items.aggregate(
            decided=Count("pk", filter=Q(state=ItemState.DECIDED)),
            expired=Count("pk", filter=Q(state=ItemState.EXPIRED)),
            cancelled=Count("pk", filter=Q(state=ItemState.CANCELLED)),
        )
        locked.closed_at = now
        move_campaign(locked, CampaignState.CLOSED, "closed_at")
        if counts["expired"]:
            ReviewMail.objects.get_or_create(campaign=locked, person_id=locked.manager_id, kind=MailKind.ESCALATION)
        log.record(
            verb=Verb.CAMPAIGN_CLOSED,
            actor=_closer(locked),
            subject=campaign_subject(locked),
            now=now,
            old={"state": str(CampaignState.CLOSING)},
            new={"state": str(CampaignState.CLOSED)},
            context={
                "counts": counts,
                "policy": str(locked.deadline_policy),
                "population": locked.frozen.get("population"),
            },
        )
        dispatch.after_commit("reviews.send_due_mail")
    return True


def _closer(campaign: Campaign) -> Actor:
    if campaign.closed_by is None:
        return CLOSER
    return Actor(**(campaign.closed_by | {"kind": ActorKind(campaign.closed_by["kind"])}))


def _complete(campaign: Campaign, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        locked = Campaign.objects.select_for_update(skip_locked=True).filter(pk=campaign.pk).first()
        if locked is None or locked.state != CampaignState.CLOSED:
            return False
        if _due_orders().filter(item__campaign=locked).exclude(state__in=SETTLED_ORDERS).exists():
            return False
        locked.completed_at = now
        move_campaign(locked, CampaignState.COMPLETED, "completed_at")
        orders = Order.objects.filter(item__campaign=locked)
        log.record(
            verb=Verb.CAMPAIGN_COMPLETED,
            actor=CLOSER,
            subject=campaign_subject(locked),
            now=now,
            old={"state": str(CampaignState.CLOSED)},
            new={"state": str(CampaignState.COMPLETED)},
            context=orders.aggregate(
                orders=Count("pk"),
                verified=Count("pk", filter=Q(state=OrderState.VERIFIED)),
                dated=Count("pk", filter=is_dated()),
            ),
        )
    return True


def is_dated() -> Q:
    """Orders that wait for an agreed day: by a person, or by the table of the deadline.

    A rotation's date is not the date of its order.
    """
    unsent = (OrderState.PLANNED, OrderState.AWAITING_SECOND)
    return Q(decision__until__isnull=False, state__in=unsent, attempts=0) & ~Q(decision__answer=Answer.ROTATE)


def _due_orders() -> QuerySet[Order]:
    # Restorations and their repetitions carry no decision and follow the order that they undo.
    return Order.objects.filter(decision__isnull=False).exclude(is_dated())
