"""Open a campaign: freeze what it is about, write its questions in chunks, then let people answer.

Each chunk is a transaction of its own, which also writes down how far it got (`frozen["progress"]`). Whoever dies in
between leaves whole chunks, and the next one continues behind the last of them; if ever a chunk were written twice, the
database's uniqueness would refuse it. Until everything is written nobody can answer, so a half-opened campaign decides
nothing.

The population is gone through identity by identity, so that what is known around an identity is gathered once and not
for each of its grants.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Count, Q, QuerySet

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.audit.checkpoint import write_checkpoint
from governance.kernel.actors import Actor
from governance.kernel.collecting import uncollected
from governance.kernel.errors import DomainError
from identities.models import Credential, GrantVersion, Identity
from identities.selectors.filters import InventoryFilter
from identities.selectors.inventory import (
    list_population_credentials,
    list_population_grants,
    list_population_identities,
)
from reviews.campaigns.carrying import begin_carrying, carry, write_carried
from reviews.campaigns.gate import Gate, gate_of, held_for, hold
from reviews.campaigns.ownership import make_ownership_items
from reviews.campaigns.reasons import tell_why
from reviews.campaigns.silent import only_silent
from reviews.campaigns.snapshot import make_credential_items, make_grant_items
from reviews.decisions.asks import ask_first_stage
from reviews.decisions.copying import copy_rows
from reviews.decisions.items import item_context, item_subject
from reviews.decisions.resolution import desk_of
from reviews.models import Ask, Campaign, ItemKind, ReviewItem
from reviews.states import CAMPAIGN_MOVES, CampaignState, ItemState, require_transition

logger = structlog.get_logger(__name__)
CHUNK = 5000
EMPTY = "Nothing in the inventory matches this scope, so there is nothing to review."


def open_campaign(*, campaign_id: UUID | str, actor: Actor, now: datetime) -> Campaign:
    """Open a drafted campaign, or continue an opening that was interrupted.

    Returns at once when somebody else is at it or when it is open already. A campaign without a single question is
    cancelled with the reason, never opened: a review that asks nothing proves nothing.
    """
    if _begin(campaign_id, actor, now):
        for kind in ItemKind:
            while _write_chunk(campaign_id, kind, actor, now):
                pass
        if _finish(campaign_id, actor, now):
            sign_trail(actor, now)
    return Campaign.objects.get(pk=campaign_id)


def _begin(campaign_id: UUID | str, actor: Actor, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        campaign = Campaign.objects.select_for_update(skip_locked=True).filter(pk=campaign_id).first()
        if campaign is None or campaign.state not in {CampaignState.DRAFT, CampaignState.OPENING}:
            return False
        if campaign.state == CampaignState.OPENING:
            return True
        counts = {kind: _count_by_source(campaign, kind, now) for kind in campaign.item_kinds}
        if not any(counts.values()):
            _cancel_empty(campaign, actor, now)
            return False
        gate = gate_of(campaign, set().union(*counts.values()), now)
        if gate.holds:
            hold(campaign, gate, actor, now)
            return False
        campaign.deadline_at += held_for(campaign, now)
        campaign.frozen = campaign.frozen | _freeze(campaign, counts, gate, now) | begin_carrying(campaign)
        move_campaign(campaign, CampaignState.OPENING, "frozen", "deadline_at")
    return True


def _take(campaign_id: UUID | str) -> Campaign | None:
    """The row of a campaign that is being opened, None without it. Waits for who holds it.

    To pass over a held row would look like "nothing is left to write", and a review would open with a part of its
    questions, or be called off as empty. Two workers at one campaign take turns, chunk by chunk.
    """
    return Campaign.objects.select_for_update().filter(pk=campaign_id).first()


def move_campaign(campaign: Campaign, state: CampaignState, *also: str) -> None:
    """Move a locked campaign along the table, saving the fields named as well."""
    require_transition(CAMPAIGN_MOVES, CampaignState(campaign.state), state)
    campaign.state = state
    campaign.version += 1
    campaign.save(update_fields=["state", "version", *also])


def population_of(campaign: Campaign, kind: str, now: datetime) -> QuerySet[Any]:
    """The current grant versions, or the credentials, that the campaign asks about; without sources it leaves out."""
    filters = InventoryFilter.parse(campaign.scope)
    left_out = [each["source"] for each in campaign.frozen.get("left_out", ())]
    if kind == ItemKind.GRANT:
        grants = list_population_grants(filters=filters, actor=None, now=now)
        grants = grants.filter(grant__watch_hits__campaign=campaign) if "watch" in campaign.frozen else grants
        rows: QuerySet[Any] = grants.exclude(grant__source__in=left_out) if left_out else grants
    elif kind == ItemKind.OWNERSHIP:
        identities = list_population_identities(filters=filters, actor=None, now=now)
        rows = identities.exclude(source__in=left_out) if left_out else identities
    else:
        credentials = list_population_credentials(filters=filters, actor=None, now=now)
        rows = credentials.exclude(source__in=left_out) if left_out else credentials
    return only_silent(rows, campaign, kind)


def _count_by_source(campaign: Campaign, kind: str, now: datetime) -> Counter[UUID]:
    source = "grant__source" if kind == ItemKind.GRANT else "source"
    counted = population_of(campaign, kind, now).order_by().values(source).annotate(total=Count("pk"))
    return Counter({row[source]: row["total"] for row in counted})


def _freeze(campaign: Campaign, counts: dict[str, Counter[UUID]], gate: Gate, now: datetime) -> dict[str, Any]:
    """Of which reading, and how old, the population is; stale sources are named, not hidden."""
    left_out = {UUID(each["source"]) for each in gate.left_out}
    warnings = [_warning(each) for each in gate.stale if each not in gate.left_out]
    return {
        **{name: campaign.frozen[name] for name in ("held", "released") if name in campaign.frozen},
        "taken_at": now.isoformat(),
        "expected": {
            kind: sum(number for source, number in found.items() if source not in left_out)
            for kind, found in counts.items()
        },
        "sources": [each for each in gate.sources if each not in gate.left_out],
        "left_out": [
            each | {"questions": sum(found[UUID(each["source"])] for found in counts.values())}
            for each in gate.left_out
        ],
        "warnings": [*warnings, *map(_left_out, gate.left_out)],
    }


def _left_out(frozen: dict[str, Any]) -> str:
    return f"{frozen['name']} was left out of this review: it {_last_read(frozen)}."


def _warning(frozen: dict[str, Any]) -> str:
    consequence = "what it holds may be anything" if frozen["read_at"] is None else "it may have changed since"
    return f"{frozen['name']} {_last_read(frozen)}; {consequence}."


def _last_read(frozen: dict[str, Any]) -> str:
    if frozen["read_at"] is None:
        return "was never read successfully"
    return f"was last read at {frozen['read_at'][:16].replace('T', ' ')} UTC"


def _write_chunk(campaign_id: UUID | str, kind: ItemKind, actor: Actor, now: datetime) -> bool:
    """Write the next chunk of items of one kind; False when none is left."""
    with uncollected(), transaction.atomic(durable=True):
        campaign = _take(campaign_id)
        if campaign is None or campaign.state != CampaignState.OPENING or kind not in campaign.item_kinds:
            return False
        # Everything is measured against the moment of freezing, also when the opening continues a day later.
        taken_at = datetime.fromisoformat(campaign.frozen["taken_at"])
        desk = desk_of(campaign)
        if kind == ItemKind.GRANT:
            items = make_grant_items(campaign, _next_grants(campaign, taken_at), desk, taken_at)
            tell_why(campaign, items, taken_at)
        elif kind == ItemKind.OWNERSHIP:
            items = make_ownership_items(campaign, _next_identities(campaign, taken_at), desk, taken_at)
        else:
            items = make_credential_items(campaign, _next_credentials(campaign, taken_at), desk, taken_at)
        carried = carry(campaign, items, taken_at)
        asks = ask_first_stage(campaign, [item for item in items if item.state == ItemState.OPEN], desk)
        if items:
            copy_rows(items)
            write_carried(carried, taken_at)
            Ask.objects.bulk_create(asks)
            _record_escalations(items, actor, now)
            _note_progress(campaign, kind, items)
    return bool(items)


def _next_grants(campaign: Campaign, taken_at: datetime) -> Sequence[GrantVersion]:
    population = population_of(campaign, ItemKind.GRANT, taken_at).filter(grant__first_seen_at__lte=taken_at)
    # What concerns the identity and the source is read once for all of their grants.
    rows = population.select_related(None).select_related("grant").defer("grant__native_ref")
    return _next(campaign, ItemKind.GRANT, rows, identity="grant__identity_id", thing="grant_id")


def _next_credentials(campaign: Campaign, taken_at: datetime) -> Sequence[Credential]:
    population = population_of(campaign, ItemKind.CREDENTIAL, taken_at).filter(first_seen_at__lte=taken_at)
    return _next(campaign, ItemKind.CREDENTIAL, population.select_related(None), identity="identity_id", thing="pk")


def _next_identities(campaign: Campaign, taken_at: datetime) -> Sequence[Identity]:
    population = population_of(campaign, ItemKind.OWNERSHIP, taken_at).filter(first_seen_at__lte=taken_at)
    return _next(campaign, ItemKind.OWNERSHIP, population, identity="pk", thing="pk")


def _next(campaign: Campaign, kind: ItemKind, rows: QuerySet[Any], *, identity: str, thing: str) -> list[Any]:
    """The rows behind the last one written. identity, thing: the fields by which they are gone through."""
    written = campaign.frozen.get("progress", {}).get(kind)
    if written:
        at_identity, at_thing = written["last"]
        # The first condition says nothing that the second does not, but an index can start from it.
        rows = rows.filter(**{f"{identity}__gte": at_identity}).filter(
            Q(**{f"{identity}__gt": at_identity}) | Q(**{f"{thing}__gt": at_thing})
        )
    return list(rows.order_by(identity, thing)[:CHUNK])


def _note_progress(campaign: Campaign, kind: ItemKind, items: Sequence[ReviewItem]) -> None:
    """Say how many are written, and which was the last; it commits with the items."""
    progress, last = campaign.frozen.get("progress", {}), items[-1]
    written = progress.get(kind, {}).get("written", 0) + len(items)
    place = [str(last.identity_id), str(last.grant_id or last.credential_id or last.identity_id)]
    campaign.frozen["progress"] = progress | {kind: {"written": written, "last": place}}
    campaign.save(update_fields=["frozen"])


def _record_escalations(items: Sequence[ReviewItem], actor: Actor, now: datetime) -> None:
    log.record_many(
        log.Record(
            verb=Verb.ITEM_ESCALATED,
            actor=actor,
            subject=item_subject(item),
            now=now,
            new={"assignee": str(item.assignee_id)},
            context=item_context(item) | {"why": "nobody_may_decide"},
        )
        for item in items
        if item.escalated_at is not None
    )


def _finish(campaign_id: UUID | str, actor: Actor, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        campaign = _take(campaign_id)
        if campaign is None or campaign.state != CampaignState.OPENING:
            return False
        counts = campaign.items.aggregate(
            grants=Count("pk", filter=Q(kind=ItemKind.GRANT)),
            credentials=Count("pk", filter=Q(kind=ItemKind.CREDENTIAL)),
            ownership=Count("pk", filter=Q(kind=ItemKind.OWNERSHIP)),
            privileged=Count("pk", filter=Q(is_privileged=True)),
            nobody=Count("pk", filter=Q(escalated_at__isnull=False)),
            people=Count("assignee", distinct=True),
        )
        if not counts["grants"] + counts["credentials"] + counts["ownership"]:
            _cancel_empty(campaign, actor, now)
            return False
        digest = population_digest(campaign)
        campaign.opened_at = now
        campaign.frozen = campaign.frozen | {"counts": counts, "population": digest}
        campaign.frozen.pop("progress")
        move_campaign(campaign, CampaignState.OPEN, "opened_at", "frozen")
        log.record(
            verb=Verb.CAMPAIGN_OPENED,
            actor=actor,
            subject=campaign_subject(campaign),
            now=now,
            old={"state": str(CampaignState.OPENING)},
            new={"state": str(CampaignState.OPEN), "deadline_at": campaign.deadline_at},
            context={
                "counts": counts,
                "population": digest,
                "carrying": campaign.frozen.get("carrying"),
                "sources": [
                    {key: each[key] for key in ("source", "run", "freshness")} for each in campaign.frozen["sources"]
                ],
                "left_out": [each["source"] for each in campaign.frozen["left_out"]],
            },
        )
        dispatch.after_commit("reviews.send_due_mail")
    return True


def population_digest(campaign: Campaign) -> str:
    """sha256 over one line per item, sorted: `kind object-id content-digest`. Says which questions were asked."""
    summary = hashlib.sha256()
    rows = campaign.items.order_by("kind", "grant_id", "credential_id", "identity_id").values_list(
        "kind", "grant_id", "credential_id", "identity_id", "grant_version__digest"
    )
    for kind, grant, credential, identity, content in rows.iterator(chunk_size=5000):
        pinned = bytes(content).hex() if content else "-"
        summary.update(f"{kind} {grant or credential or identity} {pinned}\n".encode())
    return summary.hexdigest()


def _cancel_empty(campaign: Campaign, actor: Actor, now: datetime) -> None:
    old = str(campaign.state)
    campaign.cancelled_reason = EMPTY
    campaign.closed_at = now
    move_campaign(campaign, CampaignState.CANCELLED, "cancelled_reason", "closed_at")
    log.record(
        verb=Verb.CAMPAIGN_CANCELLED,
        actor=actor,
        subject=campaign_subject(campaign),
        now=now,
        old={"state": old},
        new={"state": str(CampaignState.CANCELLED)},
        reason=EMPTY,
        context={"why": "empty_population"},
    )


def campaign_subject(campaign: Campaign) -> log.Subject:
    """The campaign as the subject of an audit record; its name was written by people and stays out of the chain."""
    return log.Subject("campaign", str(campaign.pk), "campaign")


def sign_trail(actor: Actor, now: datetime) -> None:
    """Sign the trail outside the database at a moment that matters.

    A refusal is loud in the log and in the health page, and the periodic checkpoint repeats it; the campaign's state
    has committed already and is not undone for it.
    """
    try:
        write_checkpoint(now=now, actor=actor)
    except DomainError as problem:
        logger.error("checkpoint.refused", problem=problem.message)
