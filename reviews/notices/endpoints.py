"""Add, change and remove webhooks, and give them new secrets. The secret is in one answer and never again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db import IntegrityError, transaction

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.audit.feed import newest_position
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, DomainError, NotFound
from governance.people.access import require_role
from identities.models import Source
from reviews.campaigns.schedules import person_behind
from reviews.models import Campaign, WebhookEndpoint, WebhookPurpose
from reviews.notices.addresses import check_url
from reviews.notices.events import known_prefixes
from reviews.notices.keys import fingerprint_of, new_salt, secret_of, spoken

MOST_ENDPOINTS = 50
# How long the secret before signs beside the new one.
OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=7)
CHANGEABLE = ("name", "url", "purpose", "verbs", "sources", "campaigns")


class WebhookRefused(DomainError):
    """A webhook cannot be as described; `field` names what is wrong."""

    code = "webhook-refused"
    title = "The webhook can't be saved"


class WebhookChanged(Conflict):
    """Somebody changed the webhook since it was read."""

    code = "webhook-changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointWish:
    """What an endpoint shall be. Lists are empty for everything: verbs or nouns, slugs of sources, ids of reviews."""

    name: str
    url: str
    purpose: str = WebhookPurpose.EVENTS.value
    verbs: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    campaigns: list[str] = field(default_factory=list)

    def checked(self) -> dict[str, Any]:
        """The fields as they are kept. Raises WebhookRefused, AddressRefused."""
        name = self.name.strip()
        if not name or len(name) > 120 or not name.isprintable():
            raise WebhookRefused("Give the webhook a name of at most 120 characters.", field="name")
        if self.purpose not in WebhookPurpose.values:
            raise WebhookRefused(f"There is no purpose {self.purpose!r}.", field="purpose")
        return {
            "name": name,
            "url": check_url(self.url),
            "purpose": self.purpose,
            "verbs": _among("verbs", self.verbs, known_prefixes(), "event type"),
            "sources": _among("sources", self.sources, _slugs(self.sources), "source"),
            "campaigns": _among("campaigns", self.campaigns, _campaigns(self.campaigns), "review"),
        }


def create_endpoint(*, wish: EndpointWish, actor: Actor, now: datetime) -> tuple[WebhookEndpoint, str]:
    """Add an endpoint that is told what happens from now on; returns it with its secret.

    Raises WebhookRefused, AddressRefused, WebhookKeyUnusable, Forbidden.
    """
    _require(actor)
    values, salt = wish.checked(), new_salt()
    endpoint = WebhookEndpoint(**values, created_by=person_behind(actor), created_at=now, salt=salt, secret_made_at=now)
    secret = secret_of(endpoint.pk, salt)
    endpoint.fingerprint = fingerprint_of(secret)
    try:
        with transaction.atomic(durable=True):
            if WebhookEndpoint.objects.filter(removed_at=None).count() >= MOST_ENDPOINTS:
                raise WebhookRefused(f"There are {MOST_ENDPOINTS} webhooks already; remove one first.")
            endpoint.position = newest_position()
            endpoint.save(force_insert=True)
            _record(Verb.WEBHOOK_CREATED, endpoint, actor, now, new=_facts(endpoint))
    except IntegrityError:
        raise WebhookRefused("Another webhook has this name.", field="name") from None
    return endpoint, spoken(secret)


def change_endpoint(
    *, endpoint_id: UUID, version: int, changes: Mapping[str, Any], actor: Actor, now: datetime
) -> WebhookEndpoint:
    """Change what an endpoint is told, or where it is.

    Raises WebhookRefused, AddressRefused, WebhookChanged, NotFound.
    """
    _require(actor)
    try:
        with transaction.atomic(durable=True):
            endpoint = _lock(endpoint_id, version)
            before, told_before = _facts(endpoint), _told(endpoint)
            kept = {name: getattr(endpoint, name) for name in CHANGEABLE}
            values = EndpointWish(**(kept | dict(changes))).checked()
            for name, value in values.items():
                setattr(endpoint, name, value)
            _save(endpoint, *values)
            after = _facts(endpoint)
            changed = sorted(name for name in CHANGEABLE if getattr(endpoint, name) != kept[name])
            _record(
                Verb.WEBHOOK_CHANGED,
                endpoint,
                actor,
                now,
                old=before,
                new=after,
                context={"changed": changed},
                told_before=told_before,
            )
    except IntegrityError:
        raise WebhookRefused("Another webhook has this name.", field="name") from None
    return endpoint


def remove_endpoint(*, endpoint_id: UUID, actor: Actor, now: datetime) -> None:
    """Send nothing there any more, and forget what was sent. Raises NotFound."""
    _require(actor)
    with transaction.atomic(durable=True):
        endpoint = _lock(endpoint_id)
        endpoint.removed_at, endpoint.is_enabled, endpoint.alert_at = now, False, None
        # An address may itself be a key to what it leads to.
        endpoint.url, endpoint.salt, endpoint.previous_salt, endpoint.previous_until = "", b"", None, None
        _save(endpoint, "removed_at", "is_enabled", "alert_at", "url", "salt", "previous_salt", "previous_until")
        endpoint.deliveries.all().delete()
        _record(Verb.WEBHOOK_REMOVED, endpoint, actor, now, old={"removed_at": None}, new={"removed_at": now})


def rotate_secret(
    *, endpoint_id: UUID, actor: Actor, now: datetime, overlap: timedelta = OVERLAP
) -> tuple[WebhookEndpoint, str]:
    """Make a new secret; the one before signs beside it for `overlap`. Returns the new one, this once.

    Without any overlap the old secret ends at once: for one that somebody else knows. Raises WebhookRefused, NotFound.
    """
    _require(actor)
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise WebhookRefused(f"The old secret may sign for 0 to {LONGEST_OVERLAP.days} days.", field="overlap_hours")
    with transaction.atomic(durable=True):
        endpoint = _lock(endpoint_id)
        old_salt, salt = bytes(endpoint.salt), new_salt()
        # After the key file was replaced the old salt makes a secret that nobody knows.
        is_known = fingerprint_of(secret_of(endpoint.pk, old_salt)) == endpoint.fingerprint
        keeps_old = bool(overlap) and is_known
        secret = secret_of(endpoint.pk, salt)
        endpoint.salt, endpoint.fingerprint, endpoint.secret_made_at = salt, fingerprint_of(secret), now
        endpoint.previous_salt = old_salt if keeps_old else None
        endpoint.previous_until = now + overlap if keeps_old else None
        _save(endpoint, "salt", "fingerprint", "secret_made_at", "previous_salt", "previous_until")
        _record(Verb.WEBHOOK_SECRET_ROTATED, endpoint, actor, now, new={"old_signs_until": endpoint.previous_until})
    return endpoint, spoken(secret)


def switch_off(*, endpoint_id: UUID, actor: Actor, now: datetime) -> WebhookEndpoint:
    """Send nothing for a while; the trail keeps what happens. One that is off stays as it is. Raises NotFound."""
    _require_one_of(actor, "clients:narrow")
    whom = "person" if actor.kind is ActorKind.PERSON else "program"
    with transaction.atomic(durable=True):
        endpoint = _lock(endpoint_id)
        if not endpoint.is_enabled:
            return endpoint
        endpoint.is_enabled, endpoint.off_at, endpoint.off_reason = False, now, f"Switched off by a {whom}."
        _save(endpoint, "is_enabled", "off_at", "off_reason")
        _record(Verb.WEBHOOK_SWITCHED_OFF, endpoint, actor, now, old={"is_enabled": True}, new={"is_enabled": False})
    return endpoint


def switch_on(*, endpoint_id: UUID, actor: Actor, now: datetime, skip: bool = False) -> WebhookEndpoint:
    """Send again, from where it stopped; with `skip` only what happens from now on. Raises NotFound.

    One that is on stays as it is.
    """
    _require_one_of(actor, "clients:restore")
    with transaction.atomic(durable=True):
        endpoint = _lock(endpoint_id)
        if endpoint.is_enabled:
            return endpoint
        endpoint.is_enabled, endpoint.off_at, endpoint.off_reason = True, None, ""
        endpoint.alert_at, endpoint.failing_since = None, None
        waiting = endpoint.deliveries.filter(state="waiting", sequence__isnull=False)
        skipped_from = endpoint.position
        if skip:
            endpoint.position = newest_position()
            waiting.update(state="failed", finished_at=now, last_problem="Skipped when the webhook was switched on.")
        else:
            waiting.update(next_attempt_at=now)
        _save(endpoint, "is_enabled", "off_at", "off_reason", "alert_at", "failing_since", "position")
        context = {"skipped_events_of_the_trail": endpoint.position - skipped_from if skip else 0}
        new = {"is_enabled": True}
        _record(Verb.WEBHOOK_SWITCHED_ON, endpoint, actor, now, old={"is_enabled": False}, new=new, context=context)
        dispatch.after_commit("reviews.send_notices_to", endpoint_id=str(endpoint.pk))
    return endpoint


def _require(actor: Actor) -> None:
    require_role(actor, Role.ADMINISTRATOR, scope="webhooks:write")


def _require_one_of(actor: Actor, scope: str) -> None:
    """The same, and whoever may take away from clients, or give back, as a program with this scope does."""
    if not (actor.kind is ActorKind.API_CLIENT and scope in actor.scopes):
        _require(actor)


def _lock(endpoint_id: UUID, version: int | None = None) -> WebhookEndpoint:
    endpoint = WebhookEndpoint.objects.select_for_update(of=("self",)).filter(pk=endpoint_id, removed_at=None).first()
    if endpoint is None:
        raise NotFound("There is no such webhook, or it is not yours to see.")
    if version is not None and endpoint.version != version:
        raise WebhookChanged("Somebody changed this webhook meanwhile. Look at it again.")
    return endpoint


def _save(endpoint: WebhookEndpoint, *fields: str) -> None:
    endpoint.version += 1
    endpoint.save(update_fields=[*fields, "version"])


def _among(name: str, wanted: Iterable[str], known: set[str], what: str) -> list[str]:
    found = sorted(set(wanted))
    if strange := [each for each in found if each not in known]:
        raise WebhookRefused(f"There is no {what} {strange[0][:60]!r}.", field=name)
    return found


def _slugs(wanted: list[str]) -> set[str]:
    return set(Source.objects.filter(slug__in=wanted).values_list("slug", flat=True))


def _campaigns(wanted: list[str]) -> set[str]:
    ids = []
    for text in wanted:
        try:
            ids.append(UUID(text))
        except ValueError:
            continue
    return {str(pk) for pk in Campaign.objects.filter(pk__in=ids).values_list("pk", flat=True)}


def _facts(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """What the trail keeps: the choice, not the address. That may be a key to what it leads to."""
    return {name: getattr(endpoint, name) for name in ("purpose", "verbs", "sources", "campaigns")}


def _told(endpoint: WebhookEndpoint) -> dict[str, str]:
    """What stands beside the trail and can be erased: the name, and the host of the address."""
    return {"name": endpoint.name, "host": urlsplit(endpoint.url).hostname or ""}


def _record(
    verb: Verb,
    endpoint: WebhookEndpoint,
    actor: Actor,
    now: datetime,
    *,
    told_before: Mapping[str, str] | None = None,
    **facts: Any,
) -> None:
    told = _told(endpoint)
    before = told_before or told
    personal = {name: told[name] if told[name] == before[name] else [before[name], told[name]] for name in told}
    subject = log.Subject("webhook", str(endpoint.pk), "webhook")
    log.record(verb=verb, actor=actor, subject=subject, now=now, personal=personal, **facts)
