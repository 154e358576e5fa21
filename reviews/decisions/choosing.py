"""Whom a person can choose: to answer in somebody's place, to take a question over, or as the one who would know.

Two limits. *Whom they may be shown by name*: administrators, auditors and campaign managers everybody, as on the
pages of people and in the forms of schedules; all others the people around the question that they stand before (who
are named there anyway), and elsewhere their teams and their manager. *Who may be chosen*: nobody who left or cannot
sign in, never oneself, and for a question nobody to whom it could not be handed. Any address can still be typed.
"""

from django.db.models import Q, QuerySet

from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import DomainError
from governance.people.access import MAIL_LINK
from governance.people.models import User
from reviews.decisions.independence import parties_of_item
from reviews.decisions.remarks import askable
from reviews.decisions.rerouting import answered_in_stages, obstacle_of_hand_over
from reviews.decisions.stages import others_waiting
from reviews.decisions.witnesses import witnesses_of
from reviews.models import ReviewItem

KNOW_EVERYBODY = (Role.ADMINISTRATOR, Role.AUDITOR, Role.CAMPAIGN_MANAGER)
SHORTEST = 2
MOST_SUGGESTED = 10
# Of so many that match, those who may be chosen are picked.
MOST_LOOKED_AT = 40


def knows_everybody(actor: Actor) -> bool:
    """Whether every person here may be shown to this one."""
    return actor.kind is ActorKind.PERSON and actor.has_role(*KNOW_EVERYBODY)


def list_known(actor: Actor, item: ReviewItem | None = None) -> QuerySet[User]:
    """The active people whom this person may be shown by name, without themself."""
    person = actor.person_id if actor.kind is ActorKind.PERSON else None
    if person is None:
        return User.objects.none()
    people = User.objects.filter(is_active=True, left_at=None).exclude(pk=person)
    if knows_everybody(actor):
        return people
    if item is not None:
        return people.filter(pk__in=[each.pk for each in askable(item, actor)])
    if actor.auth_method == MAIL_LINK:
        return people.none()
    mine = User.objects.filter(pk=person)
    return people.filter(Q(pk__in=mine.values("teams__members")) | Q(pk__in=mine.values("manager")))


def suggest_people(*, actor: Actor, text: str, item: ReviewItem | None = None) -> list[User]:
    """Who may be chosen and whose name, or the beginning of whose address, holds the text; at most ten, by name.

    item: a question that the caller reached through `access_item`. A directory is not listed: it is asked with at least
    two letters. The few around a question, or in a team, are shown without.
    """
    text = text.strip()[:254].replace("\x00", "")
    if len(text) < SHORTEST and knows_everybody(actor):
        return []
    known = list_known(actor, item)
    found = known.filter(Q(name__icontains=text) | Q(email__istartswith=text)) if text else known
    people = list(found.order_by("name", "email")[:MOST_LOOKED_AT])
    return (people if item is None else _who_may_take(item, people))[:MOST_SUGGESTED]


def _who_may_take(item: ReviewItem, people: list[User]) -> list[User]:
    waiting, answered = others_waiting(item, None), answered_in_stages(item)
    parties, witnesses = parties_of_item(item), witnesses_of(item)

    def may(person: User) -> bool:
        try:
            obstacle_of_hand_over(item, parties, None, person, waiting=waiting, answered=answered, witnesses=witnesses)
        except DomainError:
            return False
        return True

    return [person for person in people if may(person)]
