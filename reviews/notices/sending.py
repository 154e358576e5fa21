"""Carry deliveries to their endpoints: one at a time and in order, until each was taken.

A delivery is taken under a lease in one short transaction, sent with no transaction open, and its outcome written in a
second one. Whoever dies in between leaves a lease that runs out, and the next worker sends the same bytes under the
same `webhook-id` again: at least once, never two at a time. The endpoint's row is locked while its next delivery is
chosen, so two workers cannot choose two.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError
from reviews.models import DeliveryState, WebhookDelivery, WebhookEndpoint, WebhookPurpose
from reviews.notices.events import TASK_TYPE
from reviews.notices.posting import Answer, Poster
from reviews.notices.retrying import GONE, MOST_REFUSALS, is_refusal, next_attempt
from reviews.notices.signing import secrets_of, signed_headers
from reviews.notices.tickets import take_answer

logger = structlog.get_logger(__name__)
SENDER = system_actor("notices")
# Longer than any attempt: name look-up, 15 seconds, two short transactions.
LEASE = timedelta(seconds=60)
# A run ends after so long, so that a long line of one endpoint does not keep a worker; the next run goes on.
RUN = timedelta(seconds=20)
MOST_TRIES_KEPT = 20


def queue_due(*, now: datetime) -> int:
    """Queue one run for every endpoint that has something to send. Returns how many were queued."""
    waiting = WebhookDelivery.objects.filter(
        state=DeliveryState.WAITING, next_attempt_at__lte=now, endpoint__removed_at=None
    ).exclude(leased_until__gt=now)
    lines = waiting.filter(endpoint__is_enabled=True) | waiting.filter(sequence=None)
    with transaction.atomic(durable=True):
        due = list(lines.order_by().values_list("endpoint_id", flat=True).distinct())
        for endpoint_id in due:
            dispatch.after_commit("reviews.send_notices_to", endpoint_id=str(endpoint_id))
    return len(due)


def send_to(*, endpoint_id: UUID | str, now: datetime) -> int:
    """Send what is due for one endpoint, oldest first. Returns how many were taken by the receiver.

    now: decides what is due; every attempt and its outcome are dated by the clock as they happen.
    """
    started, delivered = timezone.now(), 0
    with Poster() as poster:
        while timezone.now() - started < RUN:
            delivery = take(endpoint_id=endpoint_id, now=max(now, timezone.now()))
            if delivery is None:
                break
            answer = _attempt(poster, delivery)
            note = _hand_in_ticket(delivery, answer)
            if not _write_outcome(delivery, answer, note=note, now=max(now, timezone.now())):
                break
            delivered += answer.is_taken
    return delivered


def take(*, endpoint_id: UUID | str, now: datetime) -> WebhookDelivery | None:
    """The endpoint's next delivery, leased; None when nothing is due or another worker is sending."""
    with _locked(endpoint_id) as endpoint:
        if endpoint is None or endpoint.removed_at:
            return None
        waiting = WebhookDelivery.objects.filter(endpoint=endpoint, state=DeliveryState.WAITING)
        delivery = waiting.filter(sequence=None).order_by("created_at", "pk").first()
        if (delivery is None or not _is_free(delivery, now)) and endpoint.is_enabled:
            delivery = waiting.exclude(sequence=None).order_by("sequence").first()
        if delivery is None or not _is_free(delivery, now):
            return None
        delivery.leased_until = now + LEASE
        delivery.attempts += 1
        delivery.save(update_fields=["leased_until", "attempts"])
        delivery.endpoint = endpoint
    return delivery


@dataclass(frozen=True, slots=True)
class _Fate:
    """What becomes of a delivery after an attempt."""

    state: DeliveryState
    next_attempt_at: datetime | None = None


def _is_free(delivery: WebhookDelivery, now: datetime) -> bool:
    is_leased = delivery.leased_until is not None and delivery.leased_until > now
    return delivery.next_attempt_at <= now and not is_leased


@contextmanager
def _locked(endpoint_id: UUID | str) -> Iterator[WebhookEndpoint | None]:
    with transaction.atomic(durable=True):
        yield WebhookEndpoint.objects.select_for_update(of=("self",)).filter(pk=endpoint_id).first()


def _attempt(poster: Poster, delivery: WebhookDelivery) -> Answer:
    body, moment = delivery.body.encode(), timezone.now()
    try:
        secrets = secrets_of(delivery.endpoint, moment)
    except DomainError as problem:
        return Answer(problem=problem.message)
    headers = signed_headers(event_id=delivery.event_id, body=body, secrets=secrets, now=moment)
    return poster.post(delivery.endpoint.url, headers=headers, body=body)


def _hand_in_ticket(delivery: WebhookDelivery, answer: Answer) -> str:
    """Note the ticket that a ticket system answered with. Comes before the outcome: a crash repeats it, harmlessly."""
    is_task = delivery.endpoint.purpose == WebhookPurpose.TICKETS and delivery.verb == TASK_TYPE
    if not (is_task and answer.is_taken):
        return ""
    try:
        return take_answer(delivery=delivery, body=answer.body, actor=SENDER, now=timezone.now())
    except DomainError as problem:
        return problem.message


def _write_outcome(delivery: WebhookDelivery, answer: Answer, *, note: str, now: datetime) -> bool:
    """Write what came of an attempt; False when the lease was lost meanwhile and it is no longer ours to say."""
    with _locked(delivery.endpoint_id) as endpoint:
        if endpoint is None:
            return False
        fate = _fate(delivery, answer, now)
        written = WebhookDelivery.objects.filter(pk=delivery.pk, leased_until=delivery.leased_until).update(
            state=fate.state,
            next_attempt_at=fate.next_attempt_at or delivery.next_attempt_at,
            finished_at=None if fate.state == DeliveryState.WAITING else now,
            leased_until=None,
            last_status=answer.status,
            last_milliseconds=answer.milliseconds,
            last_problem=(answer.problem or note)[:300],
            tries=[*delivery.tries, _try(answer, now)][-MOST_TRIES_KEPT:],
        )
        if written and delivery.sequence is not None:
            _note_health(endpoint, answer, now)
    logger.info(
        "notice.attempted",
        delivery=str(delivery.pk),
        status=answer.status,
        attempt=delivery.attempts,
        taken=answer.is_taken,
    )
    return bool(written)


def _fate(delivery: WebhookDelivery, answer: Answer, now: datetime) -> _Fate:
    if answer.is_taken:
        return _Fate(DeliveryState.DELIVERED)
    is_set_aside = is_refusal(answer.status) and answer.status != GONE and delivery.attempts >= MOST_REFUSALS
    if delivery.sequence is None or is_set_aside:
        return _Fate(DeliveryState.FAILED)
    when = next_attempt(event_id=delivery.event_id, attempts=delivery.attempts, retry_after=answer.retry_after, now=now)
    return _Fate(DeliveryState.WAITING, when)


def _try(answer: Answer, now: datetime) -> dict[str, Any]:
    return {
        "at": now.isoformat(),
        "status": answer.status,
        "milliseconds": answer.milliseconds,
        "problem": answer.problem,
    }


def _note_health(endpoint: WebhookEndpoint, answer: Answer, now: datetime) -> None:
    """Keep up since when the endpoint fails, and switch it off when that is too long. The endpoint is locked."""
    if answer.is_taken:
        endpoint.failing_since, endpoint.last_success_at = None, now
    else:
        endpoint.failing_since = endpoint.failing_since or now
        longest = timedelta(days=settings.WEBHOOK_OFF_AFTER_DAYS)
        if answer.status == GONE:
            _switch_off(endpoint, "It answered 410: the receiver wants nothing more.", now)
        elif now - endpoint.failing_since >= longest:
            _switch_off(endpoint, f"Nothing was taken for {settings.WEBHOOK_OFF_AFTER_DAYS} days.", now)
    endpoint.save(
        update_fields=["failing_since", "last_success_at", "is_enabled", "off_reason", "off_at", "alert_at", "version"]
    )


def _switch_off(endpoint: WebhookEndpoint, reason: str, now: datetime) -> None:
    if not endpoint.is_enabled:
        return
    endpoint.is_enabled, endpoint.off_reason, endpoint.off_at, endpoint.alert_at = False, reason, now, now
    endpoint.version += 1
    log.record(
        verb=Verb.WEBHOOK_SWITCHED_OFF,
        actor=SENDER,
        subject=log.Subject("webhook", str(endpoint.pk), "webhook"),
        now=now,
        old={"is_enabled": True},
        new={"is_enabled": False},
        context={"failing_since": endpoint.failing_since},
        reason=reason,
    )
