"""Somebody of management signs that they know how a review ended (PCI DSS 4.0.1, 7.2.5.1).

What is signed is a state: which question ended how, and how far each change at a source is. Its digest says exactly
which. When an order moves afterwards (a removed access is seen again), the signature stays what it was, and pages and
packs say that it is about an earlier state.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q

from governance.audit import log
from governance.audit.actions import Verb
from governance.audit.canonical import canonical, rfc3339
from governance.kernel.actors import Actor, ActorKind
from governance.kernel.errors import Conflict, DomainError, Forbidden, NotFound
from governance.people.models import User
from reviews.campaigns.closing import require_campaign_manager
from reviews.campaigns.opening import campaign_subject
from reviews.models import PASSING_ON, Acknowledgement, Campaign, Decision, Order, ReviewItem
from reviews.policies.signing import Signing
from reviews.states import ENDED_CAMPAIGNS, SETTLED_ORDERS

LONGEST_STATEMENT = 4_000
# Handing a question on decides nothing in it.


class NotOver(Conflict):
    """The review has not ended, so there is no final state yet."""

    code = "review-not-over"
    title = "This review has not ended"


class StatementMissing(DomainError):
    """A signature is always under a sentence."""

    code = "statement-required"


class SignerReviewed(DomainError):
    """Who answered questions of a review does not acknowledge its result."""

    code = "signer-reviewed"
    status = 403
    title = "Somebody else has to acknowledge this"


class StateMoved(Conflict):
    """Orders moved while the page was open: the signature would be under something that nobody saw."""

    code = "state-moved"


def acknowledge(
    *, campaign: Campaign, statement: str, actor: Actor, now: datetime, seen: str | None = None
) -> Acknowledgement:
    """Sign the final state of a closed or completed review. Only people do; never whoever answered questions in it.

    seen: the `fingerprint` of the numbers that the person saw. The review's own rules may let reviewers sign.
    Raises Forbidden, NotOver, SignerReviewed, StatementMissing, StateMoved.
    """
    text = statement.strip()
    if not text or len(text) > LONGEST_STATEMENT or "\x00" in text:
        raise StatementMissing(
            f"Say what you acknowledge, in at most {LONGEST_STATEMENT} characters.",
            fields={"statement": "Say what you acknowledge."},
        )
    person = _require_signer(campaign, actor)
    with transaction.atomic(durable=True):
        locked = Campaign.objects.select_for_update().filter(pk=campaign.pk).first()
        if locked is None:
            raise NotFound("There is no such review.")
        if locked.state not in ENDED_CAMPAIGNS:
            raise NotOver(f"“{locked.name}” is {locked.state}; its result can be signed when it is closed.")
        numbers = numbers_of(locked)
        if seen is not None and seen != fingerprint(numbers):
            raise StateMoved("Orders of this review moved while you read. Look at its result again, then sign.")
        signed = Acknowledgement.objects.create(
            campaign=locked,
            signed_by=person,
            signed_name=str(person)[:254],
            statement=text,
            state_digest=digest_of_state(locked, _order_states(locked)),
            numbers=numbers,
            auth_method=actor.auth_method,
            signed_at=now,
        )
        log.record(
            verb=Verb.CAMPAIGN_ACKNOWLEDGED,
            actor=actor,
            subject=campaign_subject(locked),
            now=now,
            context={"acknowledgement": str(signed.pk), "state_digest": signed.state_digest, "numbers": numbers},
            reason=text,
            personal={"name": signed.signed_name},
        )
    return signed


def _require_signer(campaign: Campaign, actor: Actor) -> User:
    if actor.kind is not ActorKind.PERSON or actor.person_id is None:
        raise Forbidden("Only a person signs, not a program.")
    require_campaign_manager(campaign, actor)
    may_review = Signing.from_json(campaign.policy.get("signing", {})).reviewers_may_sign
    if not may_review and has_reviewed(campaign, actor.person_id):
        raise SignerReviewed(
            "You answered questions of this review, so its result is acknowledged by somebody who did not."
        )
    return User.objects.get(pk=actor.person_id)


def has_reviewed(campaign: Campaign, person: UUID) -> bool:
    """Whether this person answered a question of the review; handing one on does not count."""
    answers = Decision.objects.filter(item__campaign=campaign, decided_by=person)
    return answers.exclude(answer__in=PASSING_ON).exists()


def numbers_of(campaign: Campaign) -> dict[str, Any]:
    """Questions and orders by state, as they are now; two queries."""
    questions = campaign.items.order_by().values_list("state").annotate(n=Count("pk"))
    orders = Order.objects.filter(item__campaign=campaign).order_by().values_list("state").annotate(n=Count("pk"))
    return {"questions": dict(sorted(questions)), "orders": dict(sorted(orders))}


def fingerprint(numbers: dict[str, Any]) -> str:
    """The numbers as a short text that a form can carry."""
    return hashlib.sha256(canonical(numbers).encode()).hexdigest()[:16]


def usual_statement(campaign: Campaign, numbers: dict[str, Any]) -> str:
    """A statement to start from, with the numbers that are signed."""
    asked, ended = sum(numbers["questions"].values()), Counter(numbers["orders"])
    unsettled = sum(number for state, number in ended.items() if state not in SETTLED_ORDERS)
    left = f" Not finished: {unsettled}." if unsettled else ""
    return (
        f"I have seen the result of the review “{' '.join(campaign.name.split())}”. Questions: {asked}, of which "
        f"decided: {numbers['questions'].get('decided', 0)}. Changes at sources: {sum(ended.values())}, of which "
        f"verified: {ended['verified']}.{left} I acknowledge it on behalf of management."
    )


def latest_acknowledgement(campaign: Campaign) -> Acknowledgement | None:
    """The newest one, or None."""
    return campaign.acknowledgements.select_related("signed_by").order_by("-signed_at", "-pk").first()


def is_current(signed: Acknowledgement, numbers: dict[str, Any]) -> bool:
    """Whether nothing moved since it was signed. numbers: `numbers_of` the campaign now."""
    # The counts as well: what was about to commit while somebody signed is dated before the signature.
    moved = Q(item__campaign=signed.campaign_id, state_since__gt=signed.signed_at)
    return bool(signed.numbers == numbers) and not Order.objects.filter(moved).exists()


def digest_of_state(campaign: Campaign, orders: Iterable[tuple[UUID, str]]) -> str:
    """sha256 over one line per question and per order, each kind by id: what exactly is acknowledged.

    `review ID CLOSED POPULATION`, then `item ID STATE`, then `order ID STATE`. orders: (id, state), by id.
    """
    closed = rfc3339(campaign.closed_at) if campaign.closed_at else "-"
    summary = hashlib.sha256(f"review {campaign.pk} {closed} {campaign.frozen.get('population') or '-'}\n".encode())
    items = ReviewItem.objects.filter(campaign=campaign).order_by("pk").values_list("pk", "state")
    for pk, state in items.iterator(chunk_size=5000):
        summary.update(f"item {pk} {state}\n".encode())
    for pk, state in orders:
        summary.update(f"order {pk} {state}\n".encode())
    return summary.hexdigest()


def _order_states(campaign: Campaign) -> Iterable[tuple[UUID, str]]:
    states = Order.objects.filter(item__campaign=campaign).order_by("pk").values_list("pk", "state")
    return states.iterator(chunk_size=5000)
