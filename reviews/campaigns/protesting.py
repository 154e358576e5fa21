"""A lock-out that somebody protested against is looked at again: one question about the access, by the same rules.

The protest itself is kept on its order and takes the lock off at once (`reviews.remediation.watching`). What follows is
found in the rows, so that a lost message or a dead worker costs time and no question. The access ends again by itself
after some days; whoever answers the question by then decides instead.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from identities.models import GrantVersion
from reviews.campaigns.asking import open_question_about, write_question
from reviews.campaigns.opening import campaign_subject, sign_trail
from reviews.models import Campaign, DeadlinePolicy, ItemKind, Order, ReviewItem
from reviews.remediation.placing import write_order_audit
from reviews.remediation.watching import RESTORED_DAYS
from reviews.states import CampaignState

SCHEDULER = system_actor("scheduler")
# Answered before the restored access ends by itself.
TIME_TO_ANSWER = timedelta(days=RESTORED_DAYS - 4)
# How people are asked and orders carried out is as it was; what is about dates and rounds belongs to the first review.
KEPT_TOPICS = ("reviewers", "stages", "remedies", "escalation", "reminders")


def ask_about_protests(*, now: datetime) -> int:
    """Ask about every access whose lock-out was protested against and that nobody was asked about. How many were."""
    waiting = _unasked().order_by("protested_at", "pk").values_list("pk", flat=True)
    return sum(_ask(order_id, now) for order_id in list(waiting))


def _unasked() -> QuerySet[Order]:
    protested = Order.objects.filter(protested_at__isnull=False, question=None, item__isnull=False)
    return protested.filter(grant__isnull=False, grant__retired_at=None)


def _ask(order_id: UUID, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        order = _unasked().select_for_update(of=("self",), skip_locked=True).filter(pk=order_id).first()
        version = _current(order) if order else None
        if order is None or version is None or order.item is None:
            return False
        waiting = open_question_about(version.grant_id)
        if waiting is not None:
            _link(order, waiting)
            write_order_audit(verb=Verb.ORDER_QUESTIONED, order=order, actor=SCHEDULER, now=now, old=str(order.state))
            return True
        campaign = _campaign(order, order.item.campaign, version, now)
        item = write_question(campaign, version, {"protest": _protest(order)}, now)
        _link(order, item)
        _record(campaign, item, order, now)
        dispatch.after_commit("reviews.send_due_mail")
    sign_trail(SCHEDULER, now)
    return True


def _current(order: Order) -> GrantVersion | None:
    versions = GrantVersion.objects.select_related("grant__identity__source", "grant__source")
    return versions.filter(grant=order.grant_id, seen_until=None).first()


def _link(order: Order, item: ReviewItem) -> None:
    order.question = item
    order.version += 1
    order.save(update_fields=["question", "version"])


def _protest(order: Order) -> dict[str, Any]:
    """As it is kept with the question: who by id, so that the name can change and be erased."""
    by = str(order.protested_by_id) if order.protested_by_id else None
    at = order.protested_at.isoformat() if order.protested_at else None
    return {"order": str(order.pk), "by": by, "at": at, "why": order.protest_reason}


def _campaign(order: Order, before: Campaign, version: GrantVersion, now: datetime) -> Campaign:
    return Campaign.objects.create(
        name=f"After a protest: {version.grant.identity.name}"[:200],
        item_kinds=[ItemKind.GRANT],
        reviewer_rules=before.reviewer_rules,
        fallback_reviewer=before.fallback_reviewer,
        independent_reviewer=before.independent_reviewer,
        deadline_policy=DeadlinePolicy.KEEP_AND_ESCALATE,
        policy={topic: before.policy[topic] for topic in KEPT_TOPICS if topic in before.policy},
        manager=before.manager,
        state=CampaignState.OPEN,
        opened_at=now,
        deadline_at=now + TIME_TO_ANSWER,
    )


def _record(campaign: Campaign, item: ReviewItem, order: Order, now: datetime) -> None:
    log.record(
        verb=Verb.CAMPAIGN_OPENED,
        actor=SCHEDULER,
        subject=campaign_subject(campaign),
        now=now,
        new={"state": str(CampaignState.OPEN), "deadline_at": campaign.deadline_at},
        context={
            "why": "protest",
            "order": str(order.pk),
            "item": str(item.pk),
            "grant": str(item.grant_id),
            "assignee": str(item.assignee_id),
            "counts": campaign.frozen["counts"],
            "population": campaign.frozen["population"],
        },
    )
