"""What the trail keeps of access requests, and how their rows move."""

from datetime import datetime
from typing import Any
from uuid import UUID

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from governance.kernel.errors import Conflict, NotFound
from governance.kernel.permissions import Permission
from reviews.models import AccessRequest
from reviews.states import ACCESS_REQUEST_MOVES, AccessRequestState, require_transition


class StaleRequest(Conflict):
    """Somebody else changed the request meanwhile."""

    code = "stale-request"


def lock_request(request_id: UUID, version: int | None) -> AccessRequest:
    """The request, locked. version: what the person saw; None takes it as it is. Raises NotFound, StaleRequest."""
    rows = AccessRequest.objects.select_for_update(of=("self",)).select_related("identity__source", "grant")
    request = rows.filter(pk=request_id).first()
    if request is None:
        raise NotFound("There is no such request.")
    if version is not None and request.version != version:
        raise StaleRequest("This request changed since you looked at it. Look again, then answer.")
    return request


def move(request: AccessRequest, state: AccessRequestState, **fields: Any) -> str:
    """Along the table of states; returns the state before. Raises IllegalMove."""
    require_transition(ACCESS_REQUEST_MOVES, AccessRequestState(request.state), state)
    before = str(request.state)
    change(request, state=state, **fields)
    return before


def change(request: AccessRequest, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(request, name, value)
    request.version += 1
    request.save(update_fields=[*fields, "version"])


def record(
    verb: Verb, request: AccessRequest, *, actor: Actor, now: datetime, old: str | None = None, reason: str = ""
) -> None:
    """One event about one request. Identity and permission by id and digest; reasons stand beside the chain."""
    log.record(
        verb=verb,
        actor=actor,
        subject=log.Subject("access_request", str(request.pk)),
        now=now,
        old={"state": old} if old else None,
        new={"state": str(request.state)},
        reason=reason,
        context={
            "identity": str(request.identity_id),
            "permission": Permission.from_json(request.permission).digest().hex(),
            "grant": str(request.grant_id) if request.grant_id else None,
            "is_emergency": request.is_emergency,
            "until": request.granted_until or request.until,
        },
    )
