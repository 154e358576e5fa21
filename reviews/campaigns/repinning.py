"""Bring a question up to date when the access changed after the review opened."""

from datetime import datetime

from django.db import transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from governance.kernel.errors import Conflict
from identities.models import GrantVersion
from reviews.campaigns.closing import require_campaign_manager
from reviews.campaigns.reasons import tell_why
from reviews.campaigns.snapshot import make_grant_items
from reviews.decisions.asks import ask_first_stage, forget_asks
from reviews.decisions.items import (
    item_context,
    item_subject,
    lock_item,
    require_open,
    require_undecided,
    require_version,
)
from reviews.decisions.recording import save_item
from reviews.decisions.resolution import desk_of
from reviews.models import Ask, ReviewItem
from reviews.states import ItemState


class NothingToRepin(Conflict):
    """The item shows the access as it is, or the access is gone."""

    code = "nothing-to-repin"


def repin_item(*, item: ReviewItem, version: int, actor: Actor, now: datetime) -> ReviewItem:
    """Ask about the access as it is now: new evidence, new recommendation, and the first person is asked again.

    Allowed for the person asked and whoever manages the campaign. An attestation of the former content no longer
    counts. Raises NothingToRepin, StaleItem, CampaignNotOpen, Forbidden.
    """
    with transaction.atomic(durable=True):
        locked = lock_item(item.pk)
        require_open(locked.campaign, now)
        require_undecided(locked)
        require_version(locked, version)
        if actor.person_id is None or actor.person_id != locked.assignee_id:
            require_campaign_manager(locked.campaign, actor)
        fresh = _fresh(locked, now)
        old = {"version": locked.grant_version.number if locked.grant_version else None, "state": str(locked.state)}
        fresh.pk, fresh.round = locked.pk, locked.round + 1
        asks = ask_first_stage(locked.campaign, [fresh], desk_of(locked.campaign))
        forget_asks(locked)
        save_item(
            locked,
            state=ItemState.OPEN,
            stage=fresh.stage,
            round=fresh.round,
            grant_version_id=fresh.grant_version_id,
            assignee_id=fresh.assignee_id,
            resolution=[*locked.resolution, *fresh.resolution],
            is_privileged=fresh.is_privileged,
            needs_independent=fresh.needs_independent,
            recommendation=fresh.recommendation,
            recommendation_reasons=fresh.recommendation_reasons,
            recommended_target=fresh.recommended_target,
            rule_version=fresh.rule_version,
            seen=fresh.seen,
            escalated_at=fresh.escalated_at,
        )
        Ask.objects.bulk_create(asks)
        log.record(
            verb=Verb.ITEM_ASSIGNED,
            actor=actor,
            subject=item_subject(locked),
            now=now,
            old=old,
            new={"assignee": str(locked.assignee_id), "version": locked.seen["version"]},
            context=item_context(locked) | {"why": "access_changed"},
        )
    return locked


def _fresh(item: ReviewItem, now: datetime) -> ReviewItem:
    current = (
        GrantVersion.objects.select_related("grant__identity__source", "grant__source")
        .filter(grant=item.grant, seen_until=None, grant__retired_at=None)
        .first()
    )
    if current is None or current.pk == item.grant_version_id:
        raise NothingToRepin("This question already shows the access as it is, or the access is gone.")
    [fresh] = make_grant_items(item.campaign, [current], desk_of(item.campaign), now)
    tell_why(item.campaign, [fresh], now)
    return fresh
