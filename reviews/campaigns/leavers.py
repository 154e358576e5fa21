"""Somebody left: who takes over what they answered for? Proposed as a question, decided by whoever is asked."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Role, system_actor
from governance.people.models import User
from identities.models import Identity
from reviews.campaigns.gate import freshness_of
from reviews.campaigns.opening import campaign_subject, population_digest, sign_trail
from reviews.campaigns.ownership import make_ownership_items
from reviews.decisions.resolution import desk_of
from reviews.models import Campaign, DeadlinePolicy, ItemKind, ReviewerRule, ReviewItem
from reviews.states import CampaignState, ItemState

CASCADE = system_actor("leavers")
TIME_TO_ANSWER = timedelta(days=14)
MOST_AT_ONCE = 5000
RULES = (ReviewerRule.BACKUP, ReviewerRule.TEAM, ReviewerRule.MANAGER)


def propose_successors(*, now: datetime) -> list[Campaign]:
    """Open one review per person who left and still answers for identities that no such question is open about.

    The backup is asked, then the team, then the managers: “Is it yours?”. Until somebody says so the person who left
    stays the owner, and pages say that they left. Does nothing where nobody could run the review, and nothing the
    second time.
    """
    opened = []
    for person in User.objects.filter(left_at__isnull=False, pk__in=_orphans().values("owner_id")).order_by("pk"):
        campaign = _propose(person.pk, now)
        if campaign is not None:
            opened.append(campaign)
            sign_trail(CASCADE, now)
    return opened


def _orphans() -> QuerySet[Identity]:
    """Identities of people who left that were not asked about because of them, and about which nobody is asked now."""
    # Asked once is enough: what nobody answered is escalated by its deadline, not asked again every half minute.
    asked = (
        ReviewItem.objects.filter(kind=ItemKind.OWNERSHIP, identity=OuterRef("pk"))
        .annotate(leaver=KeyTextTransform("leaver", "campaign__frozen"))
        .filter(leaver=Cast(OuterRef("owner_id"), TextField()))
    )
    waiting = ReviewItem.objects.filter(
        kind=ItemKind.OWNERSHIP,
        identity=OuterRef("pk"),
        state__in=[ItemState.OPEN, ItemState.ATTESTED],
        campaign__state=CampaignState.OPEN,
    )
    return Identity.objects.filter(~Exists(asked), ~Exists(waiting), retired_at=None, owner__left_at__isnull=False)


def _propose(person_id: UUID, now: datetime) -> Campaign | None:
    with transaction.atomic(durable=True):
        person = User.objects.select_for_update().get(pk=person_id)
        mine = _orphans().filter(owner=person).select_related("source").order_by("pk")
        identities, manager = list(mine[:MOST_AT_ONCE]), _who_runs_it()
        if person.left_at is None or not identities or manager is None:
            return None
        campaign = Campaign.objects.create(
            name=f"Who takes over from {person}?"[:200],
            scope=f"owner={person.email}",
            item_kinds=[ItemKind.OWNERSHIP],
            reviewer_rules=list(RULES),
            fallback_reviewer=manager,
            deadline_policy=DeadlinePolicy.KEEP_AND_ESCALATE,
            manager=manager,
            state=CampaignState.OPEN,
            opened_at=now,
            deadline_at=now + TIME_TO_ANSWER,
        )
        items = make_ownership_items(campaign, identities, desk_of(campaign), now)
        ReviewItem.objects.bulk_create(items, batch_size=1000)
        _freeze(campaign, person, identities, items, now)
        _record(campaign, person, now)
        dispatch.after_commit("reviews.send_due_mail")
    return campaign


def _who_runs_it() -> User | None:
    """The active campaign manager who runs the fewest open reviews, else an administrator."""
    for role in (Role.CAMPAIGN_MANAGER, Role.ADMINISTRATOR):
        people = User.objects.filter(role_assignments__role=role, is_active=True, left_at=None)
        found = (
            people.annotate(
                running=Count("managed_campaigns", filter=Q(managed_campaigns__state=CampaignState.OPEN), distinct=True)
            )
            .order_by("running", "pk")
            .first()
        )
        if found is not None:
            return found
    return None


def _freeze(
    campaign: Campaign, person: User, identities: list[Identity], items: list[ReviewItem], now: datetime
) -> None:
    sources = {identity.source_id: identity.source for identity in identities}.values()
    campaign.frozen = {
        "taken_at": now.isoformat(),
        "leaver": str(person.pk),
        "sources": [freshness_of(source, now) for source in sorted(sources, key=lambda each: each.slug)],
        "warnings": [],
        "expected": {ItemKind.OWNERSHIP: len(items)},
        "counts": {
            "grants": 0,
            "credentials": 0,
            "ownership": len(items),
            "privileged": 0,
            "nobody": sum(item.escalated_at is not None for item in items),
            "people": len({item.assignee_id for item in items}),
        },
        "population": population_digest(campaign),
    }
    campaign.save(update_fields=["frozen"])


def _record(campaign: Campaign, person: User, now: datetime) -> None:
    log.record(
        verb=Verb.CAMPAIGN_OPENED,
        actor=CASCADE,
        subject=campaign_subject(campaign),
        now=now,
        new={"state": str(CampaignState.OPEN), "deadline_at": campaign.deadline_at},
        context={
            "why": "owner_left",
            "leaver": str(person.pk),
            "counts": campaign.frozen["counts"],
            "population": campaign.frozen["population"],
        },
    )
