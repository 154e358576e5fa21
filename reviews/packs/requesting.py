"""Ask for the evidence of a review, see which packs there are, and take one out."""

from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, NotFound
from governance.people.access import require_role
from identities.services.request_keys import Once, remember, require_new
from reviews.models import Campaign, EvidencePack, PackState
from reviews.packs import places
from reviews.selectors import access_campaign
from reviews.states import OVER_CAMPAIGNS

MAY_TAKE_OUT = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.AUDITOR)
SCOPE = "audit:read"


class NotOver(Conflict):
    """Answers are still given, so a pack would be about a draft."""

    code = "review-not-over"
    title = "This review has not ended"


class PackNotReady(Conflict):
    """The file is not there yet, or could not be written."""

    code = "pack-not-ready"
    title = "This pack is not ready"


def request_pack(
    *,
    campaign: Campaign,
    actor: Actor,
    now: datetime,
    once: Once[EvidencePack] | None = None,
    is_queued: bool = True,
) -> EvidencePack:
    """Ask for the evidence of a review that has ended. A worker pins it to a checkpoint and writes the file.

    is_queued: False when the caller builds it at once. once: what the sender calls this request; sent again, it raises
    AlreadyDone. A pack of the same review that waits for its worker is returned instead of another one. Raises
    Forbidden, NotOver, AlreadyDone, KeyReused.
    """
    require_may_take_out(actor)
    with transaction.atomic(durable=True):
        if once is not None:
            require_new(once)
        locked = Campaign.objects.select_for_update().get(pk=campaign.pk)
        if locked.state not in OVER_CAMPAIGNS:
            raise NotOver(f"“{locked.name}” is {locked.state}. Its evidence can be packed when it has ended.")
        pack = locked.packs.filter(state=PackState.WAITING, size=None).first() or _write(locked, actor, now)
        if is_queued:
            dispatch.after_commit("reviews.build_pack", pack_id=str(pack.pk))
        if once is not None:
            remember(once, pack, now=now)
    return pack


def require_may_take_out(actor: Actor) -> None:
    """Whoever runs or audits reviews; tokens with `audit:read`, because a pack holds the trail. Raises Forbidden."""
    require_role(actor, *MAY_TAKE_OUT, scope=SCOPE)


def access_review(*, actor: Actor, campaign_id: UUID | str) -> Campaign:
    """The review whose evidence the actor may take out, or NotFound: a program that reads the trail reads all of them.

    Raises Forbidden.
    """
    require_may_take_out(actor)
    if actor.kind is not ActorKind.API_CLIENT:
        return access_campaign(actor=actor, campaign_id=campaign_id)
    campaign = Campaign.objects.select_related("schedule", "manager").filter(pk=campaign_id).first()
    if campaign is None:
        raise NotFound("There is no such review.")
    return campaign


def _write(campaign: Campaign, actor: Actor, now: datetime) -> EvidencePack:
    pack = EvidencePack.objects.create(
        campaign=campaign,
        requested_by={"kind": str(actor.kind), "id": actor.id, "label": actor.label},
        requested_at=now,
    )
    log.record(
        verb=Verb.EVIDENCE_PACK_REQUESTED,
        actor=actor,
        subject=pack_subject(pack),
        now=now,
        context={"campaign": str(campaign.pk)},
    )
    return pack


def list_packs(*, campaign: Campaign, actor: Actor) -> QuerySet[EvidencePack]:
    """The packs of a review, newest first. The caller has reached the review through `access_review`."""
    require_may_take_out(actor)
    return campaign.packs.select_related("campaign").defer("frozen").order_by("-requested_at", "-pk")


def access_pack(*, actor: Actor, pack_id: UUID | str) -> EvidencePack:
    """One pack of a review that the actor may see, or NotFound. Raises Forbidden."""
    require_may_take_out(actor)
    pack = EvidencePack.objects.select_related("campaign").defer("frozen").filter(pk=pack_id).first()
    if pack is None:
        raise NotFound("There is no such pack, or it is not yours to see.")
    access_review(actor=actor, campaign_id=pack.campaign_id)
    return pack


def take_out(*, pack: EvidencePack, actor: Actor, now: datetime) -> Path:
    """Record that the actor takes the file out, and return its path. Call it before the first byte leaves.

    A file that was lost is asked for again: it comes out the same. Raises Forbidden, PackNotReady.
    """
    require_may_take_out(actor)
    if pack.state != PackState.READY:
        raise PackNotReady("This pack is not written yet, or could not be written.", state=str(pack.state))
    path = places.file_of(pack)
    if not path.is_file():
        _build_again(pack)
        raise PackNotReady("Its file is missing and is being written again; it will be the same.", state="building")
    with transaction.atomic(durable=True):
        log.record(
            verb=Verb.EVIDENCE_PACK_DOWNLOADED,
            actor=actor,
            subject=pack_subject(pack),
            now=now,
            context={"campaign": str(pack.campaign_id), "sha256": pack.sha256, "size": pack.size},
        )
    return path


def _build_again(pack: EvidencePack) -> None:
    with transaction.atomic(durable=True):
        EvidencePack.objects.filter(pk=pack.pk, state=PackState.READY).update(state=PackState.WAITING, attempts=0)
        dispatch.after_commit("reviews.build_pack", pack_id=str(pack.pk))


def pack_subject(pack: EvidencePack) -> log.Subject:
    """The pack as the subject of an audit record."""
    return log.Subject("evidence_pack", str(pack.pk), "evidence pack")
