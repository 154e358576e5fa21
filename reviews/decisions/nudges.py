"""What a person is to learn of because somebody said or did something. Inner steps of the use cases that did it.

The rows become mails in `reviews.campaigns.nudging`, and the sign in the inbox in `replies`.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from governance.kernel.actors import Actor, ActorKind
from reviews.models import Nudge, NudgeKind, Remark, ReviewItem


def nudge_about_remark(remark: Remark, person: UUID, now: datetime) -> None:
    """Somebody asked this person, or replied to them."""
    kind = NudgeKind.REPLY if remark.replies_to_id else NudgeKind.QUESTION
    Nudge.objects.create(person_id=person, kind=kind, about=remark.pk, item_id=remark.item_id, made_at=now)


def handed_on(item: ReviewItem, person: UUID, now: datetime) -> Nudge:
    """The unsaved row of a question that came to this person by another's word."""
    return Nudge(person_id=person, kind=NudgeKind.HANDED_ON, about=item.pk, item_id=item.pk, made_at=now)


def keep_nudges(nudges: Sequence[Nudge], actor: Actor) -> None:
    """Write rows about different things, with one statement; what came to a person once before is told anew.

    Nobody is told what they did themself: who manages a review may hand questions over to themself.
    """
    nudges = [nudge for nudge in nudges if nudge.person_id != actor.person_id]
    if nudges:
        Nudge.objects.bulk_create(
            nudges,
            update_conflicts=True,
            unique_fields=["person", "kind", "about"],
            update_fields=["made_at", "mail", "told_at", "seen_at"],
        )


def note_seen(*, item_id: UUID, actor: Actor, now: datetime) -> None:
    """The person opened the item, so nothing about it is news to them; one statement, and no record: it is no act."""
    if actor.kind is ActorKind.PERSON and actor.person_id is not None:
        Nudge.objects.filter(person=actor.person_id, item=item_id, seen_at=None).update(seen_at=now)
