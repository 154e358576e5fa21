"""Which access requests somebody may see, and which wait for an answer."""

from uuid import UUID

from django.db.models import Q, QuerySet

from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import NotFound
from reviews.models import AccessRequest

SEES_ALL = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER, Role.AUDITOR)


def list_requests(*, actor: Actor) -> QuerySet[AccessRequest]:
    """All for those who answer or audit, else what one asked for and what concerns one's own identities.

    A program sees what its token asked for, or the person who issued it; with reviews:read everything.
    """
    rows = AccessRequest.objects.select_related("identity__source", "asked_by", "answered_by", "looked_by")
    if actor.kind is ActorKind.API_CLIENT:
        if "reviews:read" in actor.scopes:
            return rows
        return rows.filter(Q(client=actor.id) | Q(asked_by__api_tokens=actor.id))
    if actor.kind is ActorKind.SYSTEM or actor.has_role(*SEES_ALL):
        return rows
    person = actor.person_id
    mine = Q(identity__owner=person) | Q(identity__backup_owner=person) | Q(identity__sponsor=person)
    return rows.filter(mine | Q(asked_by=person))


def access_request(*, actor: Actor, request_id: UUID) -> AccessRequest:
    """One request, or NotFound: absent and not yours look alike."""
    found = list_requests(actor=actor).filter(pk=request_id).first()
    if found is None:
        raise NotFound("There is no such request, or it is not yours to see.")
    return found
