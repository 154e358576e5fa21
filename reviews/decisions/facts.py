"""What is so about questions at the moment of an answer: loaded for many with a fixed number of queries.

Whatever judges an answer looks here and asks the database nothing, so that one answer, five hundred of them and what is
only foreseen are judged by the same functions.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from governance.kernel.actors import Actor, ActorKind
from identities.models import GrantVersion
from reviews.decisions.independence import Parties, parties_of_items
from reviews.decisions.items import UNDECIDED, NotAssigned, StaleItem, current_versions, require_assignee
from reviews.decisions.loading import Among, among
from reviews.decisions.resolution import Desk, desk_of
from reviews.decisions.witnesses import answers_by_item, witnesses_among
from reviews.models import PASSING_ON, Ask, Campaign, Decision, ReviewItem


@dataclass(frozen=True, slots=True)
class Facts:
    """One question with everything around it.

    current: what the source shows of its grant now, if anything. asks: who is or was asked beside the assignee, oldest
    first. given: the answers of people that stand, in whatever stage and round, oldest first.
    """

    item: ReviewItem
    parties: Parties
    current: GrantVersion | None
    asks: tuple[Ask, ...]
    given: tuple[Decision, ...]
    find_desk: Callable[[Campaign], Desk]

    @property
    def desk(self) -> Desk:
        """The people whom the campaign can ask. Few answers need them, so they are loaded once per campaign, then."""
        return self.find_desk(self.item.campaign)

    @property
    def witnesses(self) -> frozenset[UUID]:
        """Everybody whose answer was not the question's end: they attested or passed it on, and are not asked again."""
        return frozenset(witnesses_among(self.given))

    @property
    def votes(self) -> list[Decision]:
        """The answers that count in the present stage and round, oldest first."""
        at = (self.item.stage, self.item.round)
        return [each for each in self.given if (each.stage, each.round) == at and each.answer not in PASSING_ON]

    def waiting(self, but: UUID | None = None) -> list[UUID]:
        """Who is asked now, the assignee first; `but`: who is left out."""
        everybody = [self.item.assignee_id, *(each.person_id for each in self.asks if not each.is_released)]
        return [one for one in everybody if one != but]

    def ask_of(self, person: UUID | None) -> Ask | None:
        """The row by which somebody is, or was, asked beside the assignee."""
        for each in self.asks:
            if each.person_id == person:
                return each
        return None

    def require_asked(self, actor: Actor) -> UUID:
        """The person acting, if it is one who is asked. Raises NotAssigned, and StaleItem where they have answered."""
        ask = self._ask_of_person(actor)
        if ask is not None and not ask.is_released and self.item.state in UNDECIDED:
            return ask.person_id
        if self.item.assignee_id != actor.person_id and self._has_answered(actor):
            raise StaleItem(
                "You have answered this question already.", version=self.item.version, state=self.item.state
            )
        return require_assignee(self.item, actor)

    def require_heard(self, actor: Actor) -> None:
        """Raise NotAssigned unless this person is asked, or was and may still say something."""
        if self.item.assignee_id != actor.person_id and self.ask_of(actor.person_id) is None:
            raise NotAssigned("This question is not assigned to you.")

    def came_too_late(self, actor: Actor) -> bool:
        """Whether this person was asked in a stage that was settled without them, and has not been heard since."""
        ask, item = self._ask_of_person(actor), self.item
        if ask is None or not ask.is_released or ask.round != item.round:
            return False
        return item.state not in UNDECIDED or item.assignee_id != actor.person_id

    def _has_answered(self, actor: Actor) -> bool:
        """Whether an answer of this person stands in the present round, as after the same form sent twice."""
        return actor.kind is ActorKind.PERSON and any(
            (each.decided_by_id, each.round) == (actor.person_id, self.item.round) for each in self.given
        )

    def _ask_of_person(self, actor: Actor) -> Ask | None:
        return self.ask_of(actor.person_id) if actor.kind is ActorKind.PERSON else None


def gather(items: Sequence[ReviewItem]) -> dict[UUID, Facts]:
    """The facts of each item, by its id. Whoever means to write has locked the items before."""
    ids, current = among([item.pk for item in items]), current_versions(items)
    asks, given, find_desk = _asks(ids), answers_by_item(ids), cache(desk_of)
    return {
        item.pk: Facts(
            item=item,
            parties=parties,
            current=current.get(item.grant_id) if item.grant_id else None,
            asks=tuple(asks.get(item.pk, ())),
            given=tuple(given.get(item.pk, ())),
            find_desk=find_desk,
        )
        for item, parties in zip(items, parties_of_items(items), strict=True)
    }


def find(facts: Mapping[UUID, Facts], item_id: UUID) -> Facts:
    """The facts of this item. What is absent looks like somebody else's: raises NotAssigned."""
    found = facts.get(item_id)
    if found is None:
        raise NotAssigned("This question is not assigned to you.")
    return found


def facts_of(item: ReviewItem) -> Facts:
    """The facts of one item."""
    return gather([item])[item.pk]


def _asks(item_ids: Among) -> dict[UUID, list[Ask]]:
    found: dict[UUID, list[Ask]] = defaultdict(list)
    for ask in Ask.objects.filter(item__in=item_ids).order_by("created_at", "pk"):
        found[ask.item_id].append(ask)
    return found
