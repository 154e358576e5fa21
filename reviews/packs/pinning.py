"""Pin a pack to one signed checkpoint, and keep what can still change as it is at exactly that size of the trail.

Questions and answers of a review that has ended never change, and neither do the contents of grants nor the trail.
Orders move on, people are renamed, sources get other settings: of these a copy is made, once, in one snapshot of the
database. A snapshot shows a change if and only if it shows the record of it, because both commit together; so when no
event about this review lies between the checkpoint and the snapshot, the copy is what the checkpoint is about.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count

from governance.audit import excerpt
from governance.audit.notes import Checkpoint
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Conflict
from governance.people.models import RoleAssignment, User
from identities.models import Source, SyncRun
from reviews.models import (
    Acknowledgement,
    Campaign,
    Decision,
    EvidencePack,
    Order,
    PackedOrder,
    ReviewItem,
    ReviewMail,
)
from reviews.policies import TOPICS
from reviews.policies.deadline import table_of
from reviews.selectors import reasoning_of

# Orders may move between the signature and the snapshot; then both are made again.
TRIES = 5
DESK_ROLES = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER)
SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"


class NeverStill(Conflict):
    """Orders of the review moved each time that the pack was to be pinned."""

    code = "orders-moving"


def pin(pack: EvidencePack, *, actor: Actor, now: datetime) -> None:
    """Give the pack its checkpoint and its copy. Raises NeverStill, CheckpointRefused, KeyUnusable.

    Nothing here is a use case of its own: the pack's request and its end are recorded.
    """
    for _ in range(TRIES):
        checkpoint = excerpt.signed_now(now=now, actor=actor)
        with transaction.atomic(durable=True):
            with connection.cursor() as cursor:
                cursor.execute(SNAPSHOT)
            if _has_moved(pack.campaign_id, checkpoint.size):
                continue
            _keep(pack, checkpoint, now)
        return
    raise NeverStill("Orders of this review move too fast at the moment. Ask again in a few minutes.")


def _has_moved(campaign: UUID, size: int) -> bool:
    behind = excerpt.subjects_behind(size)
    if behind is None:
        return True
    about: dict[str, list[str]] = {}
    for kind, subject in behind:
        about.setdefault(kind, []).append(subject)
    return (
        str(campaign) in about.get("campaign", ())
        or Order.objects.filter(pk__in=about.get("order", ()), item__campaign=campaign).exists()
        or ReviewItem.objects.filter(pk__in=about.get("item", ()), campaign=campaign).exists()
    )


def _keep(pack: EvidencePack, checkpoint: Checkpoint, now: datetime) -> None:
    campaign = Campaign.objects.select_related("schedule").get(pk=pack.campaign_id)
    PackedOrder.objects.filter(pack=pack).delete()
    _keep_orders(pack)
    pack.origin, pack.size, pack.root = checkpoint.origin, checkpoint.size, checkpoint.root
    pack.note, pack.pinned_at = checkpoint.note, now
    pack.frozen = {
        "campaign": _campaign(campaign),
        "schedule": _schedule(campaign),
        "policy": _policy(campaign),
        "sources": _sources(campaign),
        "mail": dict(campaign_mail(campaign)),
        "acknowledgements": [_acknowledgement(each) for each in campaign.acknowledgements.order_by("signed_at", "pk")],
        "people": _names(campaign),
        "limit_days": settings.EVIDENCE_REMEDIATION_DAYS,
    }
    pack.save(update_fields=["origin", "size", "root", "note", "pinned_at", "frozen"])


def _campaign(campaign: Campaign) -> dict[str, Any]:
    return {
        "id": str(campaign.pk),
        "name": campaign.name,
        "state": str(campaign.state),
        "scope": campaign.scope,
        "item_kinds": list(campaign.item_kinds),
        "reviewer_rules": list(campaign.reviewer_rules),
        "deadline_policy": campaign.deadline_policy,
        "manager": str(campaign.manager_id),
        "fallback_reviewer": str(campaign.fallback_reviewer_id),
        "independent_reviewer": _text(campaign.independent_reviewer_id),
        "round": campaign.round,
        "first_round": _text(campaign.first_round_id),
        "frozen": campaign.frozen,
        "created_at": _time(campaign.created_at),
        "opened_at": _time(campaign.opened_at),
        "deadline_at": _time(campaign.deadline_at),
        "closed_at": _time(campaign.closed_at),
        "completed_at": _time(campaign.completed_at),
        "closed_by": campaign.closed_by,
        "cancelled_reason": campaign.cancelled_reason,
    }


def _policy(campaign: Campaign) -> dict[str, Any]:
    """Every topic of the review's rules written out, defaults included."""
    rules = {name: topic.from_json(campaign.policy.get(name, {})).to_json() for name, topic in TOPICS.items()}
    return rules | {"deadline": table_of(campaign.deadline_policy, campaign.policy).to_json()}


def _schedule(campaign: Campaign) -> dict[str, Any] | None:
    """The interval and why it is short enough (PCI DSS 4.0.1, 7.2.5.1), as it stands now."""
    if campaign.schedule is None:
        return None
    schedule, reasoning = campaign.schedule, reasoning_of(campaign.schedule)
    return {
        "id": str(schedule.pk),
        "name": schedule.name,
        "rrule": schedule.rrule,
        "time_zone": schedule.time_zone,
        "version": schedule.version,
        "scheduled_for": _time(campaign.scheduled_for),
        "interval_reason": reasoning.reason,
        "written_by": _text(reasoning.written_by_id),
        "written_at": _time(reasoning.written_at),
        "approved_by": _text(reasoning.approved_by_id),
        "approved_at": _time(reasoning.approved_at),
    }


def _sources(campaign: Campaign) -> dict[str, Any]:
    """What the sources of the population are and how the readings went that it was taken from."""
    frozen = [*campaign.frozen.get("sources", ()), *campaign.frozen.get("left_out", ())]
    runs = SyncRun.objects.in_bulk([each["run"] for each in frozen if each.get("run")])
    sources = Source.objects.in_bulk([each["source"] for each in frozen])
    return {str(pk): _source(source, runs.values()) for pk, source in sources.items()}


def _source(source: Source, runs: Iterable[SyncRun]) -> dict[str, Any]:
    run = next((each for each in runs if each.source_id == source.pk), None)
    return {
        "kind": source.kind,
        "environment": source.environment,
        "owner": _text(source.owner_id),
        "coverage": source.coverage,
        "not_observable": source.not_observable,
        "capabilities": source.capabilities,
        "freshness_limit_seconds": source.freshness_limit_seconds,
        "run": run and _run(run),
    }


def _run(run: SyncRun) -> dict[str, Any]:
    return {
        "id": str(run.pk),
        "mode": run.mode,
        "origin": run.origin,
        "is_complete": run.is_complete,
        "is_partial": run.is_partial,
        "started_at": _time(run.started_at),
        "observed_at": _time(run.observed_at),
        "finished_at": _time(run.finished_at),
        "records": run.records,
        "refused": run.refused,
        "counts": run.counts,
        "notes": run.notes,
        "refused_why": list(
            run.row_errors.order_by("code").values("code").annotate(records=Count("pk")).values("code", "records")
        ),
    }


def _acknowledgement(signed: Acknowledgement) -> dict[str, Any]:
    return {
        "id": str(signed.pk),
        "signed_by": str(signed.signed_by_id),
        "signed_name": signed.signed_name,
        "statement": signed.statement,
        "state_digest": signed.state_digest,
        "numbers": signed.numbers,
        "auth_method": signed.auth_method,
        "signed_at": _time(signed.signed_at),
    }


def campaign_mail(campaign: Campaign) -> Iterable[tuple[str, int]]:
    """How many messages of which kind were sent about the review."""
    sent = ReviewMail.objects.filter(campaign=campaign, sent_at__isnull=False).order_by()
    return sent.values_list("kind").annotate(n=Count("pk")).order_by("kind")


def _names(campaign: Campaign) -> dict[str, str]:
    """The people of the review by id: few, however many questions there are."""
    of_items = ReviewItem.objects.filter(campaign=campaign).order_by()
    decisions = Decision.objects.filter(item__campaign=campaign).order_by()
    orders = Order.objects.filter(item__campaign=campaign).order_by()
    ids: set[Any] = {campaign.manager_id, campaign.fallback_reviewer_id, campaign.independent_reviewer_id}
    for found in (
        of_items.values_list("assignee", flat=True),
        of_items.values_list("seen__owner", flat=True),
        decisions.values_list("decided_by", flat=True),
        decisions.values_list("named_person", flat=True),
        *(orders.values_list(name, flat=True) for name in ("second_by", "task_reported_by", "protested_by")),
    ):
        ids |= set(found.distinct())
    ids |= set(_people_of_traces(campaign))
    # Whoever let an order rest stands in the trail alone, and was one of these.
    ids |= set(RoleAssignment.objects.filter(role__in=DESK_ROLES).values_list("user", flat=True))
    if campaign.schedule is not None:
        reasoning = reasoning_of(campaign.schedule)
        ids |= {reasoning.written_by_id, reasoning.approved_by_id}
    ids |= set(campaign.acknowledgements.values_list("signed_by", flat=True))
    people = User.objects.filter(pk__in=[each for each in ids if each])
    return {str(person.pk): str(person) for person in people.order_by("pk")}


def _people_of_traces(campaign: Campaign) -> Iterable[str]:
    """Everybody named on the way to whoever was asked."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT person FROM reviews_reviewitem i, jsonb_array_elements(i.resolution) step,
                LATERAL (VALUES (step ->> 'person'), (step ->> 'by')) AS named (person)
            WHERE i.campaign_id = %s AND person IS NOT NULL
            """,
            [campaign.pk],
        )
        return [person for (person,) in cursor.fetchall()]


def _keep_orders(pack: EvidencePack) -> None:
    """Copy in the database: what moves of each order, with the reading that proved it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO reviews_packedorder (pack_id, order_id, facts)
            SELECT %s, o.id, jsonb_build_object(
                'state', o.state, 'state_since', o.state_since, 'outcome', o.outcome, 'attempts', o.attempts,
                'execute_after', o.execute_after, 'applied_at', o.applied_at, 'verified_at', o.verified_at,
                'summary', o.plan ->> 'summary', 'irreversible', o.plan -> 'irreversible',
                'pre_hash', o.plan ->> 'pre_hash', 'post_hash', o.plan ->> 'post_hash',
                'side_effects', o.plan -> 'side_effects',
                'steps', (SELECT jsonb_agg(step ->> 'text' ORDER BY place)
                          FROM jsonb_array_elements(o.plan -> 'steps') WITH ORDINALITY AS steps (step, place)),
                'instructions', o.instructions, 'watch_days', o.watch_days, 'stage', o.stage,
                'still_effective', o.evidence -> 'still_effective', 'sessions', o.evidence -> 'sessions',
                'second_by', o.second_by_id, 'second_at', o.second_at, 'second_reason', o.second_reason,
                'task_reported_by', o.task_reported_by_id, 'task_reported_at', o.task_reported_at,
                'protested_by', o.protested_by_id, 'protested_at', o.protested_at, 'protest_reason', o.protest_reason,
                'ticket', (SELECT string_agg(t.reference, ', ' ORDER BY t.noted_at, t.reference)
                           FROM reviews_orderticket t WHERE t.order_id = o.id),
                'run', r.id, 'run_started_at', r.started_at, 'run_observed_at', r.observed_at,
                'run_is_complete', r.is_complete, 'run_records', r.records)
            FROM reviews_order o
            JOIN reviews_reviewitem i ON i.id = o.item_id
            LEFT JOIN identities_syncrun r ON r.id = o.verified_by_run_id
            WHERE i.campaign_id = %s
            """,
            [pack.pk, pack.campaign_id],
        )


def _text(value: Any) -> str | None:
    return str(value) if value else None


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
