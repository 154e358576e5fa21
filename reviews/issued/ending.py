"""Take away what was granted on request, and ask the decision point whether it refuses now."""

from datetime import datetime
from uuid import UUID

from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission, sample_requests
from identities.models import Grant
from identities.pdp.deciding import decide_many
from identities.pdp.reasons import Reason
from identities.pdp.surroundings import request_about
from identities.sync.issuing import end_grant
from reviews.issued.recording import move, record
from reviews.models import AccessRequest
from reviews.states import AccessRequestState

MOST_ASKED = 20


class NotAnswered(DomainError):
    """The decision point could not answer; no answer is no refusal."""

    code = "not-answered"
    status = 503
    title = "The decision point could not answer"


def end_locked(request: AccessRequest, *, actor: Actor, now: datetime, why: str = "") -> None:
    """End a locked request and its grant. An inner step of the caller's transaction. Raises IllegalMove."""
    old = move(request, AccessRequestState.ENDED, ended_at=now, ended_early=why)
    assert request.grant_id is not None  # noqa: S101 - what was granted has its grant
    grant = Grant.objects.select_for_update(of=("self",)).select_related("identity", "source").get(pk=request.grant_id)
    end_grant(grant=grant, actor=actor, now=now)
    record(Verb.ACCESS_REQUEST_ENDED, request, actor=actor, now=now, old=old, reason=why)


def still_permitted(identity_id: UUID, permission: Permission, now: datetime) -> str:
    """By what some of it may still be done, as a sentence; empty where the decision point refuses whatever is tried.

    Raises NotAnswered.
    """
    tried = sample_requests(permission, MOST_ASKED)
    asked = [
        request_about(identity_id, permission.dialect, action, resource, explained=True) for action, resource in tried
    ]
    # Nobody makes these requests, so they are no use of anything.
    for (action, resource), decision in zip(tried, decide_many(asked, now=now, is_search=True), strict=True):
        if decision.reason == Reason.UNAVAILABLE:
            raise NotAnswered("The decision point could not be asked whether it refuses now.")
        if decision.permit:
            labels = ", ".join(dict.fromkeys(each.label for each in decision.grants if each.effect == "allow"))
            return f"{action} on {resource} is still allowed by {labels or 'another grant'}."
    return ""
