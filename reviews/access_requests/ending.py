"""The end of access on request: by its date or early, checked at the decision point, and looked back at."""

from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import QuerySet

from governance import dispatch
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, system_actor
from governance.kernel.permissions import Permission
from identities.sync.issuing import look_at_own_source
from reviews.access_requests.answering import AnswerNeedsReason
from reviews.access_requests.people import require_ender, require_onlooker
from reviews.issued.ending import end_locked, still_permitted
from reviews.issued.recording import StaleRequest, change, lock_request, move, record
from reviews.models import AccessRequest
from reviews.states import AccessRequestState

logger = structlog.get_logger(__name__)
SCHEDULER = system_actor("scheduler")


def end_due_access(*, now: datetime) -> int:
    """Let requests lapse that nobody answered, end what is over, and ask the decision point about it. How many moved.

    Each in a transaction of its own: whoever dies in between leaves the rest to the next tick.
    """
    look_at_own_source(now=now)
    moved = sum(_lapse(pk, now) for pk in _ids(_unanswered(now)))
    moved += sum(_end_by_date(pk, now) for pk in _ids(_over(now)))
    for pk in _ids(_unverified()):
        _verify(pk, now)
    return moved


def end_access(
    *, request: AccessRequest, reason: str, actor: Actor, now: datetime, version: int | None = None
) -> AccessRequest:
    """Take it away before its date. Raises NotFound, StaleRequest, Forbidden, IllegalMove, AnswerNeedsReason."""
    if not reason.strip():
        raise AnswerNeedsReason("Say why it ends early.", fields={"reason": "missing"})
    with transaction.atomic(durable=True):
        locked = lock_request(request.pk, version)
        require_ender(actor, locked)
        end_locked(locked, actor=actor, now=now, why=reason.strip())
        dispatch.after_commit("reviews.end_due_access")
    return locked


def look_back(
    *, request: AccessRequest, was_justified: bool, note: str, actor: Actor, now: datetime, version: int | None = None
) -> AccessRequest:
    """Say, after an emergency ended, whether it was one. Once.

    Raises NotFound, StaleRequest, Forbidden (OwnRequest), AnswerNeedsReason.
    """
    if not note.strip():
        raise AnswerNeedsReason("Say what you found.", fields={"note": "missing"})
    with transaction.atomic(durable=True):
        locked = lock_request(request.pk, version)
        person = require_onlooker(actor, locked)
        if not locked.is_emergency or locked.ended_at is None or locked.looked_at is not None:
            raise StaleRequest("Only an emergency that has ended is looked back at, and only once.")
        change(locked, looked_by_id=person, looked_at=now, was_justified=was_justified, look_note=note.strip())
        record(Verb.ACCESS_REQUEST_LOOKED_AT, locked, actor=actor, now=now, reason=note)
    return locked


def _unanswered(now: datetime) -> QuerySet[AccessRequest]:
    return AccessRequest.objects.filter(state=AccessRequestState.PENDING, answer_by__lte=now)


def _over(now: datetime) -> QuerySet[AccessRequest]:
    return AccessRequest.objects.filter(state=AccessRequestState.GRANTED, granted_until__lte=now)


def _unverified() -> QuerySet[AccessRequest]:
    return AccessRequest.objects.filter(state=AccessRequestState.ENDED, verified_at=None)


def _ids(requests: QuerySet[AccessRequest]) -> list[UUID]:
    return list(requests.order_by("pk").values_list("pk", flat=True))


def _lapse(request_id: UUID, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        locked = _unanswered(now).select_for_update(skip_locked=True).filter(pk=request_id).first()
        if locked is None:
            return False
        old = move(locked, AccessRequestState.LAPSED)
        record(Verb.ACCESS_REQUEST_LAPSED, locked, actor=SCHEDULER, now=now, old=old)
    return True


def _end_by_date(request_id: UUID, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        due = _over(now).select_for_update(of=("self",), skip_locked=True).select_related("identity", "grant__source")
        locked = due.filter(pk=request_id).first()
        if locked is None:
            return False
        end_locked(locked, actor=SCHEDULER, now=now)
    return True


def _verify(request_id: UUID, now: datetime) -> None:
    """Ask the decision point whether it refuses now; what still allows it, by other grants, is said."""
    request = _unverified().select_related("identity").filter(pk=request_id).first()
    if request is None:
        return
    still = still_permitted(request.identity_id, Permission.from_json(request.permission), now)
    with transaction.atomic(durable=True):
        locked = _unverified().select_for_update(skip_locked=True).filter(pk=request_id).first()
        if locked is None:
            return
        change(locked, verified_at=now, still_effective=still)
        record(Verb.ACCESS_REQUEST_END_VERIFIED, locked, actor=SCHEDULER, now=now)
    if still:
        logger.info("access_request.still_effective", request=str(request_id))
