"""Open reviews of what was noticed: one per watch and source, once things have settled, and never too many questions.

A review takes its population from the hits that name it (`WatchHit.campaign`), which is written together with the
drafted campaign; from there on it opens like any other, in chunks that survive being killed. Batches are drafted one at
a time, under the lock of the cursor's row, so that two watches never ask about the same access.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Min, Q

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from identities.models import GrantVersion, Source
from identities.selectors.filters import InventoryFilter
from identities.selectors.inventory import list_population_grants
from reviews.campaigns.approved import approvals_of
from reviews.campaigns.differences import difference_of_tools
from reviews.campaigns.opening import campaign_subject
from reviews.continuous.findings import standing_findings
from reviews.continuous.pulling import WATCHER, get_cursor
from reviews.decisions.items import UNDECIDED
from reviews.models import Campaign, HitOutcome, ItemKind, ReviewItem, ReviewWatch, Trigger, WatchCursor, WatchHit
from reviews.states import CampaignState

# Of hits that no finding caused.
NO_FINDING = ""
# How many hits are looked at in one transaction, whatever a watch allows.
MOST_AT_ONCE = 20_000
PRECEDENCE = {trigger: place for place, trigger in enumerate(Trigger)}
UNWRITTEN = (CampaignState.DRAFT, CampaignState.OPENING)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for one watch at one source."""

    watch: UUID
    source: UUID
    since: datetime


def open_batches(*, now: datetime) -> list[Campaign]:
    """Draft a review of everything that has settled and for which there is room. Returns the drafts.

    Any number of workers may do it at once, and one that dies leaves either a whole batch or none.
    """
    get_cursor(now)
    opened = []
    for each in _settled(now):
        campaign = _open_batch(each, now)
        if campaign is not None:
            opened.append(campaign)
    return opened


def _settled(now: datetime) -> list[Waiting]:
    """What has waited long enough, most telling trigger first."""
    found = []
    for watch in sorted(ReviewWatch.objects.filter(is_enabled=True), key=lambda each: (_rank(each), each.pk)):
        before = now - timedelta(minutes=watch.settle_minutes)
        waiting = WatchHit.objects.filter(watch=watch, outcome=HitOutcome.WAITING)
        by_source = waiting.order_by().values("source").annotate(since=Min("noticed_at")).order_by("source")
        found += [Waiting(watch.pk, row["source"], row["since"]) for row in by_source if row["since"] <= before]
    return found


def _rank(watch: ReviewWatch) -> int:
    return PRECEDENCE[Trigger(watch.trigger)]


def _open_batch(waiting: Waiting, now: datetime) -> Campaign | None:
    with transaction.atomic(durable=True):
        WatchCursor.objects.select_for_update().get(pk=1)
        watch = ReviewWatch.objects.filter(pk=waiting.watch, is_enabled=True).first()
        room = watch.most_questions - open_questions(watch, waiting.source) if watch else 0
        if watch is None or room <= 0:
            return None
        hits = list(
            WatchHit.objects.filter(watch=watch, source=waiting.source, outcome=HitOutcome.WAITING).order_by("pk")[
                :MOST_AT_ONCE
            ]
        )
        outcomes = _outcomes(watch, hits, now)
        for outcome in set(outcomes.values()) - {HitOutcome.WAITING}:
            over = [pk for pk, each in outcomes.items() if each == outcome]
            WatchHit.objects.filter(pk__in=over).update(outcome=outcome)
        askable = [hit for hit in hits if outcomes[hit.pk] == HitOutcome.WAITING]
        chosen = askable[:room]
        if not chosen:
            return None
        campaign = _draft(watch, waiting.source, chosen, len(askable) - len(chosen), now)
        WatchHit.objects.filter(pk__in=[hit.pk for hit in chosen]).update(outcome=HitOutcome.ASKED, campaign=campaign)
        _record(campaign, Counter(outcomes.values()), now)
        dispatch.after_commit("reviews.open_campaign", campaign_id=str(campaign.pk))
    return campaign


def open_questions(watch: ReviewWatch, source: UUID) -> int:
    """How many questions of this watch about this source wait for an answer, or are about to be written."""
    mine = WatchHit.objects.filter(watch=watch, source=source)
    unwritten = mine.filter(campaign__state__in=UNWRITTEN).count()
    campaigns = mine.filter(campaign__state=CampaignState.OPEN).values("campaign")
    return unwritten + ReviewItem.objects.filter(campaign__in=campaigns, state__in=UNDECIDED).count()


def _outcomes(watch: ReviewWatch, hits: Sequence[WatchHit], now: datetime) -> dict[int, str]:
    """What becomes of each hit as things are now; those that stay WAITING shall be asked about."""
    grants = [hit.grant_id for hit in hits]
    filters = InventoryFilter.parse(watch.scope)
    population = {
        version.grant_id: version
        for version in list_population_grants(filters=filters, actor=None, now=now).filter(grant__in=grants)
    }
    held = _held(grants)
    elsewhere = _asked_elsewhere(watch, grants)
    approvals = approvals_of(grants, now) if watch.trigger == Trigger.CHANGED else {}
    findings = {NO_FINDING, *standing_findings([hit.facts["finding"] for hit in hits if "finding" in hit.facts])}
    found: dict[int, str] = {}
    for hit in hits:
        version = population.get(hit.grant_id)
        if version is None:
            found[hit.pk] = HitOutcome.OUT_OF_SCOPE if hit.grant_id in held else HitOutcome.MOOT
        elif hit.grant_id in elsewhere:
            found[hit.pk] = HitOutcome.ASKED_ALREADY
        else:
            is_so = hit.facts.get("finding", NO_FINDING) in findings and _still_so(watch, hit, version, approvals)
            found[hit.pk] = HitOutcome.WAITING if is_so else HitOutcome.MOOT
    return found


def _held(grants: Collection[UUID]) -> set[UUID]:
    held = GrantVersion.objects.filter(grant__in=grants, seen_until=None, grant__retired_at=None)
    return set(held.values_list("grant_id", flat=True))


def _still_so(watch: ReviewWatch, hit: WatchHit, version: GrantVersion, approvals: dict[UUID, Any]) -> bool:
    """Whether what was noticed is still true: changes are undone, owners replaced, answers given meanwhile."""
    match watch.trigger:
        case Trigger.CHANGED:
            approval = approvals.get(hit.grant_id)
            if approval is None or not approval.stands_for(version):
                return approval is not None
            tools = hit.facts.get("tools_before") if approval.decision.decided_at <= hit.noticed_at else None
            return bool(tools and difference_of_tools(tools, version.grant.native_ref))
        case Trigger.PRIVILEGED:
            return version.is_privileged
        case Trigger.OWNER_LEFT:
            return str(version.grant.identity.owner_id) == hit.facts.get("owner")
        case Trigger.WOKE_UP:
            return int(hit.facts.get("quiet_days", 0)) >= watch.quiet_days
    return True


def _asked_elsewhere(watch: ReviewWatch, grants: Collection[UUID]) -> set[UUID]:
    """Access about which a question is open, is being written, or waits for a more telling watch."""
    items = ReviewItem.objects.filter(
        grant__in=grants, state__in=UNDECIDED, campaign__state__in=[CampaignState.OPENING, CampaignState.OPEN]
    )
    stronger = [trigger for trigger, place in PRECEDENCE.items() if place < _rank(watch)]
    hits = WatchHit.objects.filter(grant__in=grants).filter(
        Q(campaign__state__in=UNWRITTEN)
        | Q(outcome=HitOutcome.WAITING, watch__is_enabled=True, watch__trigger__in=stronger)
    )
    return set(items.values_list("grant_id", flat=True)) | set(hits.values_list("grant_id", flat=True))


def _draft(watch: ReviewWatch, source_id: UUID, hits: Sequence[WatchHit], left: int, now: datetime) -> Campaign:
    source = Source.objects.get(pk=source_id)
    return Campaign.objects.create(
        name=f"{watch.get_trigger_display()}: {source.name}, {now:%-d %B %Y}"[:200],
        scope=watch.scope,
        item_kinds=[ItemKind.GRANT],
        reviewer_rules=watch.reviewer_rules,
        fallback_reviewer_id=watch.fallback_reviewer_id,
        independent_reviewer_id=watch.independent_reviewer_id,
        deadline_policy=watch.deadline_policy,
        manager_id=watch.created_by_id,
        deadline_at=now + timedelta(days=watch.days_to_answer),
        frozen={
            "watch": {
                "id": str(watch.pk),
                "trigger": str(watch.trigger),
                "source": str(source.pk),
                "questions": len(hits),
                "identities": len({hit.identity_id for hit in hits}),
                "waiting": left,
                "noticed_from": hits[0].noticed_at.isoformat(),
                "noticed_until": hits[-1].noticed_at.isoformat(),
            }
        },
    )


def _record(campaign: Campaign, outcomes: Counter[str], now: datetime) -> None:
    log.record(
        verb=Verb.CAMPAIGN_CREATED,
        actor=WATCHER,
        subject=campaign_subject(campaign),
        now=now,
        new={"state": str(CampaignState.DRAFT), "deadline_at": campaign.deadline_at},
        context={
            "why": "watch",
            **campaign.frozen["watch"],
            "left_out": {str(name): count for name, count in sorted(outcomes.items()) if name != HitOutcome.WAITING},
        },
    )
