"""Who may see which review, question and order. `access_*` answers "absent" and "not yours" alike (NotFound)."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import NotFound
from governance.people.models import User
from reviews.models import Campaign, Decision, IntervalReasoning, Order, ReviewItem, ReviewSchedule
from reviews.states import CampaignState, ItemState, OrderState

UNDECIDED = (ItemState.OPEN, ItemState.ATTESTED)
READS_ALL = (Role.ADMINISTRATOR, Role.AUDITOR)


def reads_all_reviews(actor: Actor, scope: str = "reviews:read") -> bool:
    """Administrators, auditors, the system, and API clients with the scope read every review."""
    if actor.kind is ActorKind.PERSON:
        return actor.has_role(*READS_ALL)
    return actor.kind is ActorKind.SYSTEM or scope in actor.scopes


def list_schedules(*, actor: Actor) -> QuerySet[ReviewSchedule]:
    """Schedules by name: all for administrators, auditors and campaign managers."""
    schedules = ReviewSchedule.objects.select_related("fallback_reviewer", "independent_reviewer", "created_by")
    if reads_all_reviews(actor) or actor.has_role(Role.CAMPAIGN_MANAGER):
        return schedules.order_by("name")
    return schedules.none()


def access_schedule(*, actor: Actor, schedule_id: UUID | str) -> ReviewSchedule:
    """One schedule, or NotFound."""
    schedule = list_schedules(actor=actor).filter(pk=schedule_id).first()
    if schedule is None:
        raise NotFound("There is no such schedule, or it is not yours to see.")
    return schedule


def reasoning_of(schedule: ReviewSchedule) -> IntervalReasoning:
    """The reason for the schedule's interval with its approval, if any; unsaved where nobody wrote one apart."""
    people = ("written_by", "approved_by")
    known = IntervalReasoning.objects.filter(schedule=schedule).select_related(*people).order_by("-written_at").first()
    return known or IntervalReasoning(
        schedule=schedule,
        reason=schedule.interval_reason,
        rrule=schedule.rrule,
        starts_at=schedule.starts_at,
        time_zone=schedule.time_zone,
        written_by=schedule.created_by,
        written_at=schedule.created_at,
    )


def list_campaigns(*, actor: Actor) -> QuerySet[Campaign]:
    """Campaigns, newest first: all for administrators and auditors, else the ones that the actor manages."""
    campaigns = Campaign.objects.select_related("schedule", "manager").order_by("-created_at", "-pk")
    if reads_all_reviews(actor):
        return campaigns
    if actor.has_role(Role.CAMPAIGN_MANAGER) and actor.person_id:
        return campaigns.filter(manager=actor.person_id)
    return campaigns.none()


def access_campaign(*, actor: Actor, campaign_id: UUID | str) -> Campaign:
    """One campaign, or NotFound."""
    campaign = list_campaigns(actor=actor).filter(pk=campaign_id).first()
    if campaign is None:
        raise NotFound("There is no such review, or it is not yours to see.")
    return campaign


def campaign_progress(campaign: Campaign) -> dict[str, int]:
    """Items by state, with `total`, `undecided` and `escalated`; one query."""
    counts = {state.value: Count("pk", filter=Q(state=state)) for state in ItemState}
    found: dict[str, int] = ReviewItem.objects.filter(campaign=campaign).aggregate(
        **counts, total=Count("pk"), escalated=Count("pk", filter=Q(escalated_at__isnull=False))
    )
    return found | {"undecided": sum(found[state] for state in UNDECIDED)}


def opening_progress(campaign: Campaign) -> dict[str, int]:
    """How many questions are `written` of how many `expected`, as the campaign's row says; no query."""
    progress = campaign.frozen.get("progress", {}).values()
    return {
        "written": sum(kind["written"] for kind in progress),
        "expected": sum(campaign.frozen.get("expected", {}).values()),
    }


def order_progress(campaign: Campaign) -> dict[str, int]:
    """The campaign's orders by state, with `total`; one query."""
    orders = Order.objects.filter(item__campaign=campaign)
    counts = {state.value: Count("pk", filter=Q(state=state)) for state in OrderState}
    found: dict[str, int] = orders.aggregate(**counts, total=Count("pk"))
    return found


def list_inbox(*, actor: Actor) -> QuerySet[ReviewItem]:
    """What the person has to answer now: privileged first, then by deadline."""
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    if person is None:
        return ReviewItem.objects.none()
    return _with_objects(
        ReviewItem.objects.filter(assignee=person, state__in=UNDECIDED, campaign__state=CampaignState.OPEN)
    ).order_by("-is_privileged", "campaign__deadline_at", "pk")


def list_items(
    campaign: Campaign, *, state: str = "", assignee: UUID | None = None, only_escalated: bool = False
) -> QuerySet[ReviewItem]:
    """The campaign's items, privileged first. The caller has reached the campaign through `access_campaign`."""
    items = ReviewItem.objects.filter(campaign=campaign)
    if state:
        items = items.filter(state=state)
    if assignee:
        items = items.filter(assignee=assignee)
    if only_escalated:
        items = items.filter(escalated_at__isnull=False)
    return _with_objects(items).order_by("-is_privileged", "pk")


def visible_items(actor: Actor) -> QuerySet[ReviewItem]:
    """Every item the actor may look at.

    All for administrators and auditors; else what one is asked, has answered, manages, or asked for oneself.
    """
    if reads_all_reviews(actor):
        return ReviewItem.objects.all()
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    if person is None:
        return ReviewItem.objects.none()
    mine = Q(assignee=person) | Q(pk__in=Decision.objects.filter(decided_by=person).values("item_id"))
    if actor.has_role(Role.CAMPAIGN_MANAGER):
        mine |= Q(campaign__manager=person)
    elif actor.has_role(Role.REVIEWER):
        mine |= Q(campaign__manager=person, campaign__frozen__has_key="asked")
    return ReviewItem.objects.filter(mine)


def access_item(*, actor: Actor, item_id: UUID | str) -> ReviewItem:
    """One item with its objects, or NotFound. Seeing it is not yet being allowed to answer: `decide` checks that."""
    item = _with_objects(visible_items(actor).filter(pk=item_id)).first()
    if item is None:
        raise NotFound("There is no such question, or it is not yours to see.")
    return item


def access_decision(*, actor: Actor, decision_id: UUID | str) -> Decision:
    """One decision on an item that the actor may look at, or NotFound."""
    decision = (
        Decision.objects.filter(pk=decision_id, item__in=visible_items(actor).values("pk"))
        .select_related("item__campaign", "decided_by")
        .first()
    )
    if decision is None:
        raise NotFound("There is no such decision, or it is not yours to see.")
    return decision


def list_decisions(item: ReviewItem) -> QuerySet[Decision]:
    """Everything said about an item, oldest first; rows with `recalls_id` took an earlier one back."""
    return item.decisions.select_related("decided_by", "named_person", "recalled_by").order_by("decided_at", "pk")


def list_orders(*, actor: Actor) -> QuerySet[Order]:
    """Orders, newest first: all for administrators, auditors and reviewers, else those that concern the actor."""
    orders = Order.objects.select_related(
        "source", "identity", "grant", "credential", "decision__decided_by", "item__campaign"
    ).order_by("-created_at", "-pk")
    if reads_all_reviews(actor, "orders:read") or actor.has_role(Role.REVIEWER):
        return orders
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    if person is None:
        return orders.none()
    mine = Q(decision__decided_by=person) | Q(item__assignee=person)
    mine |= Q(identity__owner=person) | Q(identity__backup_owner=person) | Q(source__owner=person)
    if actor.has_role(Role.CAMPAIGN_MANAGER):
        mine |= Q(item__campaign__manager=person)
    return orders.filter(mine)


def access_order(*, actor: Actor, order_id: UUID | str) -> Order:
    """One order, or NotFound."""
    order = list_orders(actor=actor).filter(pk=order_id).first()
    if order is None:
        raise NotFound("There is no such order, or it is not yours to see.")
    return order


def explain_resolution(trace: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> list[str]:
    """An item's resolution as sentences, with people's names as they are now. labels: rule to words."""
    ids = {str(step[name]) for step in trace for name in ("person", "by") if step.get(name)}
    names = {str(user.pk): str(user) for user in User.objects.filter(pk__in=ids)}
    sentences = []
    for step in trace:
        who = names.get(step.get("person") or "", "nobody")
        by = f" by {names.get(step['by'], 'somebody')}" if step.get("by") else ""
        verdict = " is asked." if step["outcome"] == "asked" else f". {step['why']}"
        sentences.append(f"{labels.get(step['rule'], step['rule'])}{by}: {who}{verdict}")
    return sentences


def _with_objects(items: QuerySet[ReviewItem]) -> QuerySet[ReviewItem]:
    return items.select_related(
        "campaign",
        "identity__source",
        "identity__owner",
        "grant__source",
        "grant_version",
        "credential__source",
        "assignee",
    )
