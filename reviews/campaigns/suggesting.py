"""Suggested owners of one identity, with all that is known: what was edited by hand counts here as well."""

from datetime import datetime
from uuid import UUID

from governance.audit.selectors import list_events
from governance.people.models import User
from identities.models import Identity
from identities.selectors.suggested_owners import Signal, Suggestion, suggest_owners
from reviews.decisions.ownership import refusals_of
from reviews.models import Answer, Decision

EVENTS_READ = 20


def suggestions_for(identity: Identity) -> list[Suggestion]:
    """The likeliest first. Reads the trail for whoever edited it last, so only for one identity at a time."""
    more = {identity.pk: _last_editors(identity)}
    return suggest_owners([identity], refusals=refusals_of([identity.pk]), more=more)[identity.pk]


def last_confirmed(identity: Identity) -> datetime | None:
    """When the owner last said that it is theirs, if they ever did."""
    said = Decision.objects.filter(
        item__identity=identity, answer=Answer.MINE, decided_by=identity.owner_id, recalls=None, recalled_by=None
    )
    latest = said.order_by("-decided_at").first() if identity.owner_id else None
    return latest.decided_at if latest else None


def _last_editors(identity: Identity) -> list[Signal]:
    trail = list_events(subject_kind="identity", subject_id=str(identity.pk), limit=EVENTS_READ)
    editors: list[UUID] = []
    for event in trail.rows:
        if event.actor_kind == "person" and UUID(event.actor_id) not in editors:
            editors.append(UUID(event.actor_id))
    # Whoever runs the inventory edits everything; somebody who edits much else says less about this one.
    known = User.objects.filter(pk__in=editors[:1])
    return [Signal(person.pk, 20, "Edited it last.") for person in known]
