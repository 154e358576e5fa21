"""After a kill switch people look at the access that stood behind it, whether or not it is given back.

The switch itself works at once (`identities.services.cut_offs`). What follows is found in the rows, so that a lost
message or a dead worker costs time and no question.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import transaction

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Role, system_actor
from governance.kernel.permissions import Permission, intersects
from governance.people.models import User
from identities.models import CutKind, CutOff, GrantVersion, IdentityKind
from reviews.campaigns.gate import freshness_of
from reviews.campaigns.opening import campaign_subject, population_digest, sign_trail
from reviews.campaigns.snapshot import make_grant_items
from reviews.decisions.asks import ask_first_stage
from reviews.decisions.copying import copy_rows
from reviews.decisions.items import UNDECIDED
from reviews.decisions.resolution import desk_of
from reviews.models import Ask, Campaign, DeadlinePolicy, ItemKind, ReviewerRule, ReviewItem
from reviews.states import CampaignState

WATCHER = system_actor("watcher")
TIME_TO_ANSWER = timedelta(days=7)
MOST_QUESTIONS = 500
MOST_LOOKED_AT = 20_000


def ask_about_cut_offs(*, now: datetime) -> int:
    """Open one review per kill switch that nobody was asked about yet. Returns how many were opened."""
    waiting = CutOff.objects.filter(review_looked_at=None).order_by("cut_at", "pk").values_list("pk", flat=True)
    return sum(_ask(pk, now) for pk in list(waiting))


def _ask(cut_off_id: UUID, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        rows = CutOff.objects.select_for_update(of=("self",), skip_locked=True)
        row = rows.filter(pk=cut_off_id, review_looked_at=None).first()
        manager = _manager(row) if row else None
        if row is None or manager is None:
            return False
        row.review_looked_at = now
        versions = list(islice(_concerned(row), MOST_QUESTIONS))
        campaign = _open(row, versions, manager, now) if versions else None
        row.review = campaign.pk if campaign else None
        row.save(update_fields=["review", "review_looked_at"])
        if campaign is None:
            return False
        dispatch.after_commit("reviews.send_due_mail")
    sign_trail(WATCHER, now)
    return True


def _manager(row: CutOff) -> User | None:
    """Whoever cut it off, where they may still answer, else an administrator; None while there is nobody at all."""
    if row.cut_by is not None and row.cut_by.is_active and row.cut_by.left_at is None:
        return row.cut_by
    able = User.objects.filter(is_active=True, left_at=None, role_assignments__role=Role.ADMINISTRATOR)
    return able.order_by("created_at", "pk").first()


def _concerned(row: CutOff) -> Iterator[GrantVersion]:
    """What agents hold now that the switch stops, but for what somebody is asked about already."""
    held = GrantVersion.objects.filter(
        seen_until=None,
        grant__retired_at=None,
        grant__identity__retired_at=None,
        grant__identity__kind=IdentityKind.AI_AGENT,
    ).select_related("grant", "grant__identity", "grant__source")
    asked = ReviewItem.objects.filter(
        state__in=UNDECIDED, campaign__state__in=[CampaignState.OPENING, CampaignState.OPEN], grant__isnull=False
    )
    held = held.exclude(grant__in=asked.values("grant"))
    if row.kind == CutKind.AGENT:
        yield from held.filter(grant__identity=row.identity_id).order_by("grant_id")
        return
    wanted = _permission(row)
    for version in held.filter(segment="ai_tools").order_by("grant_id")[:MOST_LOOKED_AT].iterator():
        if intersects(Permission.from_json(version.permission), wanted):
            yield version


def _permission(row: CutOff) -> Permission:
    """Everything that the switch stops, as a permission."""
    server = row.server.name if row.server else "*"
    statement = {"actions": [row.tool or "*"], "resources": [f"server:{server}"]}
    return Permission.from_json({"dialect": "tools", "statements": [statement]})


def _open(row: CutOff, versions: Sequence[GrantVersion], manager: User, now: datetime) -> Campaign:
    campaign = Campaign.objects.create(
        name=f"After a kill switch: {_name(row)}"[:200],
        item_kinds=[ItemKind.GRANT],
        reviewer_rules=[ReviewerRule.OWNER, ReviewerRule.BACKUP],
        fallback_reviewer=manager,
        deadline_policy=DeadlinePolicy.KEEP_AND_ESCALATE,
        manager=manager,
        state=CampaignState.OPEN,
        opened_at=now,
        deadline_at=now + TIME_TO_ANSWER,
    )
    desk = desk_of(campaign)
    items = make_grant_items(campaign, versions, desk, now)
    for item in items:
        item.seen = item.seen | {"cut_off": {"id": str(row.pk), "kind": str(row.kind)}}
    asks = ask_first_stage(campaign, items, desk)
    copy_rows(items)
    Ask.objects.bulk_create(asks)
    sources = {version.grant.source_id: version.grant.source for version in versions}
    campaign.frozen = {
        "taken_at": now.isoformat(),
        "cut_off": {"id": str(row.pk), "kind": str(row.kind)},
        "sources": [freshness_of(source, now) for source in sources.values()],
        "warnings": [],
        "expected": {ItemKind.GRANT: len(items)},
        "counts": {
            "grants": len(items),
            "credentials": 0,
            "privileged": sum(item.is_privileged for item in items),
            "nobody": sum(item.escalated_at is not None for item in items),
            "people": len({item.assignee_id for item in items}),
        },
        "population": population_digest(campaign),
    }
    campaign.save(update_fields=["frozen"])
    _record(campaign, row, now)
    return campaign


def _name(row: CutOff) -> str:
    if row.identity is not None:
        return row.identity.name
    server = row.server.name if row.server else ""
    return f"{row.tool} on {server}" if row.tool else server


def _record(campaign: Campaign, row: CutOff, now: datetime) -> None:
    context: dict[str, Any] = {
        "why": "cut_off",
        "cut_off": str(row.pk),
        "counts": campaign.frozen["counts"],
        "population": campaign.frozen["population"],
    }
    log.record(
        verb=Verb.CAMPAIGN_OPENED,
        actor=WATCHER,
        subject=campaign_subject(campaign),
        now=now,
        new={"state": str(CampaignState.OPEN), "deadline_at": campaign.deadline_at},
        context=context,
    )
