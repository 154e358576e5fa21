"""Ask that an identity may do something for a while."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind
from governance.kernel.errors import Conflict, DomainError, Forbidden
from governance.kernel.permissions import Permission
from governance.kernel.privileges import is_privileged
from identities.models import Identity, IdentityStatus
from identities.services.request_keys import Once, remember, require_new
from identities.sync.issuing import issue_grant
from reviews.access_requests.people import require_asker
from reviews.access_requests.telling import tell_those_who_answer
from reviews.campaigns.schedules import person_behind
from reviews.issued.recording import record
from reviews.models import AccessRequest
from reviews.states import AccessRequestState

SHORTEST = timedelta(minutes=1)
LONGEST_REASON = 4_000


class InvalidAccessRequest(DomainError):
    """It cannot be asked like this. `details["fields"]` says what is wrong, per field."""

    code = "invalid-access-request"
    title = "This cannot be asked for"

    def __init__(self, **problems: str) -> None:
        super().__init__(" ".join(problems.values()), fields=problems)


class RequestedAlready(Conflict):
    """The same access is being asked for, or holds already; `request` names it."""

    code = "requested-already"
    title = "This has been asked for already"


def request_access(
    *,
    identity: Identity,
    permission: Permission,
    until: datetime,
    reason: str,
    actor: Actor,
    now: datetime,
    is_emergency: bool = False,
    once: Once[AccessRequest] | None = None,
) -> AccessRequest:
    """Write the request down; an emergency holds at once, for at most ACCESS_EMERGENCY_MINUTES.

    once: the idempotency key of a program. Raises Forbidden, InvalidAccessRequest, RequestedAlready, AlreadyDone and
    KeyReused.
    """
    require_asker(actor, identity)
    if is_emergency and actor.kind is not ActorKind.PERSON:
        raise Forbidden("Emergency access is asked for by a signed-in person, not by a program.")
    _check(permission, until, reason, is_emergency, now)
    asked_by = person_behind(actor)
    with transaction.atomic(durable=True):
        if once is not None:
            require_new(once)
        locked = Identity.objects.select_for_update(of=("self",)).select_related("source").get(pk=identity.pk)
        _require_usable(locked)
        _require_new(locked, permission)
        request = AccessRequest.objects.create(
            identity=locked,
            permission=permission.to_json(),
            is_privileged=is_privileged(permission),
            reason=reason.strip(),
            until=until,
            is_emergency=is_emergency,
            asked_by=asked_by,
            client=actor.id if actor.kind is ActorKind.API_CLIENT else "",
            asked_at=now,
            answer_by=min(until, now + timedelta(hours=settings.ACCESS_REQUEST_ANSWER_HOURS)),
            state=AccessRequestState.PENDING,
        )
        if is_emergency:
            hold(request, until=until, actor=actor, now=now)
        verb = Verb.ACCESS_REQUEST_EMERGENCY_GRANTED if is_emergency else Verb.ACCESS_REQUEST_MADE
        record(verb, request, actor=actor, now=now, reason=request.reason)
        if once is not None:
            remember(once, request, now=now)
        tell_those_who_answer(request)
    return request


def hold(request: AccessRequest, *, until: datetime, actor: Actor, now: datetime) -> None:
    """Let it hold until then. An inner step: the request is locked or new."""
    permission = Permission.from_json(request.permission)
    request.grant = issue_grant(
        identity=request.identity,
        permission=permission,
        until=until,
        label=label_of(permission),
        reference=request.pk,
        # In an emergency nobody answered, and a program may have asked.
        issued_by=actor.person_id or request.asked_by_id,
        actor=actor,
        now=now,
    )
    request.granted_until = until
    request.state = AccessRequestState.GRANTED
    request.save(update_fields=["grant", "granted_until", "state"])


def label_of(permission: Permission) -> str:
    """A short name of what is asked for: the first action on the first resource, and how many more."""
    pairs = [
        (action, resource)
        for statement in permission.statements
        for action in statement.actions.include
        for resource in statement.resources.include
    ]
    more = f" and {len(pairs) - 1} more" if len(pairs) > 1 else ""
    return f"{pairs[0][0]} on {pairs[0][1]}{more}"[:512]


def _check(permission: Permission, until: datetime, reason: str, is_emergency: bool, now: datetime) -> None:
    problems: dict[str, Any] = {}
    longest = timedelta(minutes=settings.ACCESS_EMERGENCY_MINUTES if is_emergency else settings.ACCESS_REQUEST_MINUTES)
    if until < now + SHORTEST:
        problems["until"] = "Ask for at least a minute from now."
    elif until > now + longest:
        problems["until"] = f"Ask for at most {_spoken(longest)}{' in an emergency' if is_emergency else ''}."
    if not reason.strip():
        problems["reason"] = "Say what it is needed for."
    elif len(reason) > LONGEST_REASON or "\x00" in reason:
        problems["reason"] = f"The reason has at most {LONGEST_REASON:,} characters, and no NUL."
    if permission.is_empty or any(each.effect == "deny" for each in permission.statements):
        problems["permission"] = (
            "Ask for something that is allowed: at least one action on one resource, and no denial."
        )
    if problems:
        raise InvalidAccessRequest(**problems)


def _spoken(time: timedelta) -> str:
    minutes = int(time.total_seconds() // 60)
    for size, word in ((1_440, "day"), (60, "hour")):
        if minutes % size == 0:
            return f"{minutes // size} {word}{'s' if minutes != size else ''}"
    return f"{minutes} minutes"


def _require_usable(identity: Identity) -> None:
    if identity.retired_at is not None or identity.status != IdentityStatus.ACTIVE:
        raise InvalidAccessRequest(identity="This identity is retired or disabled, so nothing is granted to it.")


def _require_new(identity: Identity, permission: Permission) -> None:
    live = AccessRequest.objects.filter(
        identity=identity, state__in=[AccessRequestState.PENDING, AccessRequestState.GRANTED]
    )
    for other in live.only("permission", "state"):
        if Permission.from_json(other.permission).digest() == permission.digest():
            raise RequestedAlready(
                "The same access is asked for already or holds now, for this identity.", request=str(other.pk)
            )
