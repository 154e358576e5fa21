"""Whether a review may open although sources of its scope are stale or were never read, and without which of them.

What is not known cannot be reviewed: an opening goes on with a warning, leaves such sources out by name, or waits.
Leaving out never empties a review: where nothing fresh would remain, it waits as well.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from governance.kernel.errors import Conflict
from identities.models import Source, SyncRun, SyncState
from reviews.models import Campaign
from reviews.policies.freshness import Freshness, Stale
from reviews.states import CampaignState

Frozen = dict[str, Any]


class NotHeld(Conflict):
    """The review does not wait for its sources, so there is nothing to release."""

    code = "not-held"


@dataclass(frozen=True, slots=True)
class Gate:
    """sources: all that the population comes from, as a campaign keeps them; left_out: those it is opened without."""

    sources: list[Frozen]
    left_out: list[Frozen]
    holds: bool

    @property
    def stale(self) -> list[Frozen]:
        return [each for each in self.sources if each["freshness"] != "fresh"]

    @property
    def why(self) -> str:
        """What the review waits for, as a sentence."""
        names = ", ".join(each["name"] for each in self.stale)
        return f"Waits until these sources were read: {names}."


def gate_of(campaign: Campaign, source_ids: Collection[UUID], now: datetime) -> Gate:
    """What the campaign's rule means for the sources as they are now. A released campaign goes on with a warning."""
    sources = [freshness_of(source, now) for source in Source.objects.filter(pk__in=source_ids).order_by("slug")]
    stale = [each for each in sources if each["freshness"] != "fresh"]
    rule = Freshness.from_json(campaign.policy.get("freshness", {})).stale
    if rule is Stale.WARN or "released" in campaign.frozen or not stale:
        return Gate(sources, [], holds=False)
    if rule is Stale.HOLD or len(stale) == len(sources):
        return Gate(sources, [], holds=True)
    return Gate(sources, stale, holds=False)


def freshness_of(source: Source, now: datetime) -> Frozen:
    """Of which reading what is known about a source is, and how old, as a campaign keeps it."""
    run = SyncRun.objects.filter(source=source, state=SyncState.APPLIED).order_by("-started_at").first()
    verdict = "never_read"
    if source.last_success_at is not None:
        limit = timedelta(seconds=source.freshness_limit_seconds)
        verdict = "fresh" if now - source.last_success_at <= limit else "stale"
    return {
        "source": str(source.pk),
        "slug": source.slug,
        "name": source.name,
        "run": str(run.pk) if run else None,
        "read_at": source.last_success_at.isoformat() if source.last_success_at else None,
        "freshness": verdict,
    }


def hold(campaign: Campaign, gate: Gate, actor: Actor, now: datetime) -> None:
    """Leave a locked draft waiting, and say for what. Recorded once, however often it is looked at again."""
    held = campaign.frozen.get("held")
    since = held["since"] if held else now.isoformat()
    campaign.frozen = campaign.frozen | {"held": {"since": since, "why": gate.why, "sources": gate.stale}}
    campaign.save(update_fields=["frozen"])
    if held is None:
        _record(Verb.CAMPAIGN_HELD, campaign, actor, now, context=_named(gate.stale))


def held_for(campaign: Campaign, now: datetime) -> timedelta:
    """How long a campaign that opens now was kept waiting: so much later is its deadline."""
    held = campaign.frozen.get("held")
    return now - datetime.fromisoformat(held["since"]) if held else timedelta()


def release(campaign: Campaign, reason: str, actor: Actor, now: datetime) -> None:
    """Let a locked campaign open although its sources are not fresh. Raises NotHeld."""
    if campaign.state != CampaignState.DRAFT or "held" not in campaign.frozen:
        raise NotHeld("This review does not wait for its sources.")
    released = {"at": now.isoformat(), "by": actor.id, "reason": reason}
    campaign.frozen = campaign.frozen | {"released": released}
    campaign.version += 1
    campaign.save(update_fields=["frozen", "version"])
    _record(
        Verb.CAMPAIGN_RELEASED,
        campaign,
        actor,
        now,
        context=_named(campaign.frozen["held"]["sources"]),
        reason=reason,
    )
    dispatch.after_commit("reviews.open_campaign", campaign_id=str(campaign.pk))


def _named(sources: list[Frozen]) -> Frozen:
    return {"sources": [{key: each[key] for key in ("source", "run", "freshness")} for each in sources]}


def _record(verb: Verb, campaign: Campaign, actor: Actor, now: datetime, **parts: Any) -> None:
    log.record(verb=verb, actor=actor, subject=log.Subject("campaign", str(campaign.pk), "campaign"), now=now, **parts)
