"""Say yes, no, or never mind to a request."""

from datetime import datetime

from django.db import transaction

from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind
from governance.kernel.errors import DomainError, Forbidden
from governance.people.access import MAIL_LINK
from reviews.access_requests.asking import InvalidAccessRequest, hold
from reviews.access_requests.people import require_answerer
from reviews.access_requests.telling import tell_who_asked
from reviews.campaigns.schedules import person_behind
from reviews.issued.recording import lock_request, move, record
from reviews.models import AccessRequest
from reviews.states import ACCESS_REQUEST_MOVES, AccessRequestState, require_transition


class AnswerNeedsReason(DomainError):
    """A refusal without a reason helps nobody."""

    code = "reason-required"


class AnsweredTooLate(DomainError):
    """The time to answer is over, or what was asked for would have ended by now."""

    code = "answered-too-late"
    status = 409
    title = "It is too late to answer this"


def grant_request(
    *,
    request: AccessRequest,
    actor: Actor,
    now: datetime,
    until: datetime | None = None,
    reason: str = "",
    version: int | None = None,
) -> AccessRequest:
    """Let it hold, until the moment asked for or an earlier one.

    Raises NotFound, StaleRequest, Forbidden (OwnRequest), IllegalMove, AnsweredTooLate, InvalidAccessRequest.
    """
    with transaction.atomic(durable=True):
        locked = lock_request(request.pk, version)
        person = require_answerer(actor, locked)
        require_transition(ACCESS_REQUEST_MOVES, AccessRequestState(locked.state), AccessRequestState.GRANTED)
        if now >= locked.answer_by:
            raise AnsweredTooLate("The time to answer is over. Whoever still needs it asks again.")
        until = locked.until if until is None else until
        if not now < until <= locked.until:
            raise InvalidAccessRequest(
                until="Grant it until the moment asked for, or an earlier one that is yet to come."
            )
        if locked.identity.retired_at is not None:
            raise InvalidAccessRequest(identity="This identity was retired meanwhile.")
        locked.answered_by_id, locked.answered_at, locked.answer_reason = person, now, reason.strip()
        locked.version += 1
        locked.save(update_fields=["answered_by", "answered_at", "answer_reason", "version"])
        hold(locked, until=until, actor=actor, now=now)
        record(Verb.ACCESS_REQUEST_GRANTED, locked, actor=actor, now=now, old=AccessRequestState.PENDING, reason=reason)
        tell_who_asked(locked)
    return locked


def deny_request(
    *, request: AccessRequest, reason: str, actor: Actor, now: datetime, version: int | None = None
) -> AccessRequest:
    """Refuse it, and say why. Raises NotFound, StaleRequest, Forbidden (OwnRequest), IllegalMove, AnswerNeedsReason."""
    if not reason.strip():
        raise AnswerNeedsReason("Say why not; whoever asked reads it.", fields={"reason": "missing"})
    with transaction.atomic(durable=True):
        locked = lock_request(request.pk, version)
        person = require_answerer(actor, locked)
        old = move(
            locked,
            AccessRequestState.DENIED,
            answered_by_id=person,
            answered_at=now,
            answer_reason=reason.strip(),
        )
        record(Verb.ACCESS_REQUEST_DENIED, locked, actor=actor, now=now, old=old, reason=reason)
        tell_who_asked(locked)
    return locked


def cancel_request(*, request: AccessRequest, actor: Actor, now: datetime, version: int | None = None) -> AccessRequest:
    """Take the request back; open to whoever asked. Raises NotFound, StaleRequest, Forbidden, IllegalMove."""
    if actor.auth_method == MAIL_LINK or actor.kind is ActorKind.SYSTEM:
        raise Forbidden("Only whoever asked takes a request back.")
    with transaction.atomic(durable=True):
        locked = lock_request(request.pk, version)
        if person_behind(actor).pk != locked.asked_by_id:
            raise Forbidden("Only whoever asked takes a request back.")
        old = move(locked, AccessRequestState.CANCELLED)
        record(Verb.ACCESS_REQUEST_CANCELLED, locked, actor=actor, now=now, old=old)
    return locked
