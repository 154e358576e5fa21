"""Who may see which review, question and order. `access_*` answers "absent" and "not yours" alike (NotFound)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import NotFound
from governance.people.models import User
from reviews.models import (
    Ask,
    Brake,
    BrakeState,
    Campaign,
    DeadlinePolicy,
    Decision,
    Delegation,
    HitOutcome,
    IntervalReasoning,
    Order,
    OrderAction,
    Remark,
    ReviewItem,
    ReviewSchedule,
    ReviewWatch,
    WatchHit,
)
from reviews.policies.stages import Sees, Stage, Stages
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


@dataclass(frozen=True, slots=True)
class WatchCounts:
    """What a watch has noticed and not asked yet, and how many of its questions are undecided."""

    waiting: int = 0
    open: int = 0


def list_watches(*, actor: Actor) -> QuerySet[ReviewWatch]:
    """Rules for reviews between their dates: all for administrators, auditors and campaign managers.

    A program that may write them sees them too.
    """
    watches = ReviewWatch.objects.select_related("fallback_reviewer", "independent_reviewer", "created_by")
    may_write = actor.has_role(Role.CAMPAIGN_MANAGER) or "reviews:write" in actor.scopes
    if reads_all_reviews(actor) or may_write:
        return watches.order_by("trigger", "pk")
    return watches.none()


def access_watch(*, actor: Actor, watch_id: UUID | str) -> ReviewWatch:
    """One rule, or NotFound."""
    watch = list_watches(actor=actor).filter(pk=watch_id).first()
    if watch is None:
        raise NotFound("There is no such rule, or it is not yours to see.")
    return watch


def watch_counts(watches: Sequence[ReviewWatch]) -> dict[UUID, WatchCounts]:
    """Counts for each of these watches; two queries."""
    hits = WatchHit.objects.filter(watch__in=watches)
    waiting = hits.filter(outcome=HitOutcome.WAITING).order_by().values("watch").annotate(n=Count("pk"))
    asked = hits.filter(
        campaign__state=CampaignState.OPEN,
        campaign__items__grant=F("grant"),
        campaign__items__state__in=UNDECIDED,
    )
    undecided = asked.order_by().values("watch").annotate(n=Count("pk"))
    waits, opens = ({row["watch"]: row["n"] for row in rows} for rows in (waiting, undecided))
    return {watch.pk: WatchCounts(waits.get(watch.pk, 0), opens.get(watch.pk, 0)) for watch in watches}


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


def answered_by_deadline() -> QuerySet[Decision]:
    """For `Exists` on items: the answers that stand because the deadline's policy gave them, and no person."""
    spoken = Decision.objects.filter(item=OuterRef("pk"), decided_by_policy__in=DeadlinePolicy.values)
    return spoken.filter(recalls=None, recalled_by=None)


def standing_answers(items: Sequence[ReviewItem]) -> QuerySet[Decision]:
    """What these questions came to: the answers that stand and decide; one query."""
    said = Decision.objects.filter(item__in=items, item__state=ItemState.DECIDED, is_attestation=False)
    return said.filter(recalls=None, recalled_by=None).exclude(answer__in=["not_mine", "dont_know"])


def count_by_deadline(campaign: Campaign) -> int:
    """How many questions the deadline's policy decided; one query, none before the policy may speak."""
    if campaign.state not in {CampaignState.CLOSING, CampaignState.CLOSED, CampaignState.COMPLETED}:
        return 0
    decided = ReviewItem.objects.filter(campaign=campaign, state=ItemState.DECIDED)
    return decided.filter(Exists(answered_by_deadline())).count()


def count_questions(campaigns: Iterable[Campaign]) -> dict[UUID, tuple[int, int]]:
    """How many questions each of these has, and how many of them are answered or over; one query.

    Of those that a page shows, because counting beside the list would count all that there ever were.
    """
    ids = [campaign.pk for campaign in campaigns]
    undecided = Count("pk", filter=Q(state__in=UNDECIDED))
    rows = ReviewItem.objects.filter(campaign__in=ids).order_by().values_list("campaign")
    found = rows.annotate(total=Count("pk"), ended=Count("pk") - undecided).values_list("campaign", "total", "ended")
    counted = {campaign_id: (total, ended) for campaign_id, total, ended in found}
    return {campaign_id: counted.get(campaign_id, (0, 0)) for campaign_id in ids}


def opening_progress(campaign: Campaign) -> dict[str, int]:
    """How many questions are `written` of how many `expected`, as the campaign's row says; no query."""
    progress = campaign.frozen.get("progress", {}).values()
    return {
        "written": sum(kind["written"] for kind in progress),
        "expected": sum(campaign.frozen.get("expected", {}).values()),
    }


# Orders of which `is_braked` holds.
BRAKED = Q(state=OrderState.PLANNED, hold__isnull=False, hold__released_at=None)


def order_progress(campaign: Campaign) -> dict[str, int]:
    """The campaign's orders by state, with `total`, and `held`: those of the planned that a brake holds; one query.

    What was given back counts once.
    """
    orders = Order.objects.filter(item__campaign=campaign).exclude(action=OrderAction.RESTORE)
    counts = {state.value: Count("pk", filter=Q(state=state)) for state in OrderState}
    found: dict[str, int] = orders.aggregate(**counts, held=Count("pk", filter=BRAKED), total=Count("pk"))
    return found


def list_inbox(*, actor: Actor) -> QuerySet[ReviewItem]:
    """What the person has to answer now: privileged first, then by deadline."""
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    if person is None:
        return ReviewItem.objects.none()
    return with_objects(
        ReviewItem.objects.filter(is_asked(person), state__in=UNDECIDED, campaign__state=CampaignState.OPEN)
    ).order_by("-is_privileged", "campaign__deadline_at", "pk")


def is_asked(person: UUID) -> Q:
    """Whoever answers a question alone, or beside others in its stage."""
    return Q(assignee=person) | Q(pk__in=Ask.objects.filter(person=person, is_released=False).values("item_id"))


def list_items(
    campaign: Campaign, *, state: str = "", assignee: UUID | None = None, only_escalated: bool = False
) -> QuerySet[ReviewItem]:
    """The campaign's items, without the objects that they are about; see `rows_of`.

    The caller has reached the campaign through `access_campaign`.
    """
    items = ReviewItem.objects.filter(campaign=campaign)
    if state:
        items = items.filter(state=state)
    if assignee:
        items = items.filter(assignee=assignee)
    if only_escalated:
        items = items.filter(escalated_at__isnull=False)
    return items


def rows_of(item_ids: Sequence[UUID]) -> list[ReviewItem]:
    """These items, in this order, with what a line of a list says of each; one query.

    A list of thousands is put in order by ids first: sorting all of them with their objects costs ten times as much.
    """
    about = ("identity", "grant", "grant_version", "credential", "assignee")
    found = ReviewItem.objects.filter(pk__in=item_ids).select_related(*about).in_bulk()
    return [found[item_id] for item_id in item_ids if item_id in found]


def visible_items(actor: Actor) -> QuerySet[ReviewItem]:
    """Every item the actor may look at.

    All for administrators and auditors; else what one is asked (also by a remark), has answered, manages, or asked for
    oneself.
    """
    if reads_all_reviews(actor):
        return ReviewItem.objects.all()
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    if person is None:
        return ReviewItem.objects.none()
    mine = Q(assignee=person) | Q(pk__in=Ask.objects.filter(person=person).values("item_id"))
    mine |= Q(pk__in=Decision.objects.filter(decided_by=person).values("item_id"))
    mine |= Q(pk__in=Remark.objects.filter(asked=person).values("item_id"))
    if actor.has_role(Role.CAMPAIGN_MANAGER):
        mine |= Q(campaign__manager=person)
    elif actor.has_role(Role.REVIEWER):
        mine |= Q(campaign__manager=person, campaign__frozen__has_key="asked")
    return ReviewItem.objects.filter(mine)


def access_item(*, actor: Actor, item_id: UUID | str) -> ReviewItem:
    """One item with its objects, or NotFound. Seeing it is not yet being allowed to answer: `decide` checks that."""
    item = with_objects(visible_items(actor).filter(pk=item_id)).first()
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


def list_decisions(item: ReviewItem, *, actor: Actor | None = None) -> QuerySet[Decision]:
    """Everything said about an item, oldest first; rows with `recalls_id` took an earlier one back.

    actor: who reads it. People who are still asked do not learn what the others of their stage said before them, and
    of earlier stages only where their own stage lets them; auditors, administrators and managers read everything.
    """
    said = item.decisions.select_related("decided_by", "named_person", "recalled_by").order_by("decided_at", "pk")
    person = actor.person_id if actor and actor.kind is ActorKind.PERSON else None
    if person is None or not _is_still_asked(item, person):
        return said
    hidden = _hidden_in(Stages.of(item.campaign.policy).at(item.stage), item.stage)
    return said.exclude(hidden & ~Q(decided_by=person) & ~Q(answer__in=["not_mine", "dont_know"]))


def hidden_answers(items: QuerySet[ReviewItem], actor: Actor) -> Q:
    """Which decisions on these items the person does not learn while they are asked themself; see `list_decisions`."""
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    if person is None:
        return Q(pk__in=[])
    asked = items.filter(is_asked(person), state__in=UNDECIDED, campaign__state=CampaignState.OPEN)
    hidden = Q(pk__in=[])
    # By review and stage, of which there are few, however many questions there are.
    policies = asked.order_by().values_list("campaign_id", "campaign__policy", "stage").distinct()
    for campaign, policy, number in policies:
        there = Q(item__in=asked.filter(campaign=campaign, stage=number).values("pk"))
        hidden |= there & _hidden_in(Stages.of(policy).at(number), number)
    return hidden & ~Q(decided_by=person) & ~Q(answer__in=["not_mine", "dont_know"])


def _hidden_in(stage: Stage, number: int) -> Q:
    """What whoever is asked in this stage does not learn of the answers to the question."""
    if stage.sees is Sees.NOTHING:
        return Q(pk__isnull=False)
    return Q(stage=number, round=F("item__round")) if stage.people > 1 else Q(pk__in=[])


def _is_still_asked(item: ReviewItem, person: UUID) -> bool:
    if item.state not in UNDECIDED or item.campaign.state != CampaignState.OPEN:
        return False
    return ReviewItem.objects.filter(is_asked(person), pk=item.pk).exists()


def list_orders(*, actor: Actor) -> QuerySet[Order]:
    """Orders, newest first: all for administrators, auditors and reviewers, else those that concern the actor."""
    orders = Order.objects.select_related(
        *("source", "identity", "grant", "credential", "decision__decided_by", "item__campaign"),
        *("urgency__first_by", "urgency__second_by", "hold"),
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


def list_brakes(*, actor: Actor) -> QuerySet[Brake]:
    """Brakes with the number of orders that each holds (`held`), newest first: for whoever runs or audits reviews."""
    brakes = Brake.objects.select_related("source", "first_by", "ended_by").order_by("-tripped_at", "-pk")
    if not (reads_all_reviews(actor, "orders:read") or actor.has_role(Role.CAMPAIGN_MANAGER)):
        return brakes.none()
    return brakes.annotate(
        held=Count("holds", filter=Q(holds__released_at=None, holds__order__state=OrderState.PLANNED)),
        held_for_first=Count(
            "holds",
            filter=Q(
                holds__released_at=None, holds__order__state=OrderState.PLANNED, holds__held_at__lte=F("first_at")
            ),
        ),
    )


def count_open_brakes(*, actor: Actor) -> int:
    """How many brakes hold orders now, of those that the actor may see; one query."""
    return list_brakes(actor=actor).filter(state=BrakeState.HELD).count()


def access_brake(*, actor: Actor, brake_id: UUID | str) -> Brake:
    """One brake, or NotFound."""
    brake = list_brakes(actor=actor).filter(pk=brake_id).first()
    if brake is None:
        raise NotFound("There is no such brake, or it is not yours to see.")
    return brake


def list_held_orders(brake: Brake) -> QuerySet[Order]:
    """The orders that a brake holds or held, oldest first. The caller has reached the brake through `access_brake`."""
    orders = Order.objects.filter(hold__brake=brake).select_related(
        "source", "identity", "grant", "credential", "decision__decided_by", "item__campaign", "hold"
    )
    return orders.order_by("created_at", "pk")


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


def list_delegations(*, actor: Actor) -> QuerySet[Delegation]:
    """Who stands in for whom: all for administrators and auditors, else what concerns the person."""
    delegations = Delegation.objects.select_related("person", "delegate", "created_by", "ended_by")
    # A program that may write gets back what it wrote; the list stays behind reviews:read at the edge.
    if reads_all_reviews(actor) or "reviews:write" in actor.scopes:
        return delegations
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    return delegations.filter(Q(person=person) | Q(delegate=person)) if person else delegations.none()


def access_delegation(*, actor: Actor, delegation_id: UUID | str) -> Delegation:
    """One delegation, or NotFound."""
    delegation = list_delegations(actor=actor).filter(pk=delegation_id).first()
    if delegation is None:
        raise NotFound("There is no such delegation, or it is not yours to see.")
    return delegation


def with_objects(items: QuerySet[ReviewItem]) -> QuerySet[ReviewItem]:
    return items.select_related(
        "campaign",
        "identity__source",
        "identity__owner",
        "grant__source",
        "grant_version",
        "credential__source",
        "assignee",
    )
