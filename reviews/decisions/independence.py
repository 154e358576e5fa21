"""Nobody reviews themself: who may decide on an item, who may only attest, and who may do neither.

The rules are pure functions over `Parties`, so that one item (deciding) and a thousand (opening) use the same ones.
Four conflicts exist. Holding a credential of the identity, having created the grant or having asked for it rules a
person out altogether. Owning a privileged identity leaves the owner's testimony (an attestation), and the decision to
somebody else. Whoever was handed the item by such a person stands in that person's place, and inherits the conflict.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

from governance.kernel.errors import DomainError
from governance.people.models import Team, User
from identities.models import Credential, Grant, Identity
from reviews.decisions.loading import among
from reviews.models import ItemKind, ReviewItem

# The steps of a resolution trace that one person took for another.
HANDED_ON = frozenset({"delegated", "named", "stand_in"})
# Steps that bring a person's own question back to them: how they were asked before still counts.
BROUGHT_BACK = frozenset({"returned"})
# "away": the person was reached, and somebody answers in their place.
REACHED = frozenset({"asked", "away"})


# How far up a chain of managers is looked at all; a review may settle on less.
MOST_LEVELS = 10


class SelfReview(DomainError):
    """Somebody would decide on access of their own."""

    code = "self-review"
    status = 403
    title = "Nobody reviews themself"


class Conflict(StrEnum):
    HOLDER = "holder"
    CREATOR = "creator"
    ASKER = "asker"
    OWNER = "owner"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    Conflict.HOLDER: "holds a credential of this identity",
    Conflict.CREATOR: "created this access",
    Conflict.ASKER: "asked for this access",
    Conflict.OWNER: "owns this identity, and privileged access is decided by somebody else",
}


@dataclass(frozen=True, slots=True)
class Parties:
    """The people around one item, as ids."""

    identity: UUID
    is_privileged: bool
    owner: UUID | None = None
    backup: UUID | None = None
    sponsor: UUID | None = None
    team: tuple[UUID, ...] = ()
    source_owner: UUID | None = None
    managers: tuple[UUID, ...] = ()
    source: UUID | None = None
    suggested: tuple[UUID, ...] = ()
    holders: frozenset[UUID] = frozenset()
    creator: UUID | None = None
    asker: UUID | None = None

    @property
    def owning_side(self) -> frozenset[UUID]:
        return frozenset(person for person in (self.owner, self.backup, self.sponsor, *self.team) if person)


def ruled_out(person: UUID, parties: Parties) -> Conflict | None:
    """Why this person may neither decide nor attest, or None."""
    if person in parties.holders:
        return Conflict.HOLDER
    if person == parties.creator:
        return Conflict.CREATOR
    return Conflict.ASKER if person == parties.asker else None


def conflict_of(person: UUID, parties: Parties) -> Conflict | None:
    """Why this person may not decide, or None."""
    conflict = ruled_out(person, parties)
    if conflict is None and parties.is_privileged and person in parties.owning_side:
        return Conflict.OWNER
    return conflict


def stands_for(person: UUID, trace: Sequence[Mapping[str, Any]]) -> tuple[UUID, ...]:
    """The people in whose place `person` answers, back to the first of an unbroken chain of handing on.

    trace: `ReviewItem.resolution`, oldest step first. What counts is how each of them was last asked: taking an answer
    back brings the question to the same person again and must not wash off on whose behalf they were asked.
    """
    chain: list[UUID] = []
    current = str(person)
    for step in reversed(trace):
        if step.get("outcome") not in REACHED or step.get("person") != current or step["rule"] in BROUGHT_BACK:
            continue
        if step["rule"] not in HANDED_ON:
            break
        current = step["by"]
        chain.append(UUID(current))
    return tuple(chain)


def is_attestation(person: UUID, parties: Parties, trace: Sequence[Mapping[str, Any]]) -> bool:
    """Whether this person's answer only attests. Raises SelfReview where the person may not answer at all."""
    everybody = (person, *stands_for(person, trace))
    for one in everybody:
        conflict = ruled_out(one, parties)
        if conflict is not None:
            whose = "You cannot answer here: you" if one == person else "You were asked by somebody who"
            raise SelfReview(f"{whose} {_second_person(conflict, one == person)}.", conflict=str(conflict))
    return parties.is_privileged and any(one in parties.owning_side for one in everybody)


def _second_person(conflict: Conflict, is_you: bool) -> str:
    if not is_you:
        return conflict.sentence
    return "hold a credential of this identity" if conflict is Conflict.HOLDER else conflict.sentence


def parties_of_item(item: ReviewItem) -> Parties:
    """The people around one item, as they are now."""
    [parties] = parties_of_items([item])
    return parties


def parties_of_items(items: Sequence[ReviewItem]) -> list[Parties]:
    """The same for many items, in their order, with a fixed number of queries."""
    everybody = parties_of([(item.identity_id, item.grant_id, item.is_privileged) for item in items])
    return [
        about_ownership(
            parties, [UUID(each["person"]) for each in item.seen.get("suggested", ()) if not each["refused_at"]]
        )
        if item.kind == ItemKind.OWNERSHIP
        else parties
        for item, parties in zip(items, everybody, strict=True)
    ]


def about_ownership(parties: Parties, suggested: Sequence[UUID]) -> Parties:
    """The people around the question who answers for an identity.

    Answering for something is a duty and gives nobody access, so holding a credential rules nobody out.
    """
    return replace(parties, holders=frozenset(), creator=None, asker=None, suggested=tuple(suggested))


def parties_of(questions: Iterable[tuple[UUID, UUID | None, bool]]) -> list[Parties]:
    """The people around many items with a fixed number of queries.

    questions: (identity id, grant id or None, is privileged); the answer is in the same order.
    """
    questions = list(questions)
    identity_ids = {identity for identity, _, _ in questions}
    identities = {row["id"]: row for row in _identity_rows(identity_ids)}
    members = _members({row["team_id"] for row in identities.values()} - {None})
    holders = _holders(identity_ids)
    managers = _managers({row["owner_id"] for row in identities.values()} - {None})
    made = Grant.objects.filter(identity__in=among(identity_ids), created_by__isnull=False)
    makers = {grant: rest for grant, *rest in made.values_list("pk", "created_by_id", "access_request__asked_by_id")}

    # The hundred questions about one identity concern the same few people: they share their parties.
    @cache
    def parties(identity: UUID, is_privileged: bool, creator: UUID | None, asker: UUID | None) -> Parties:
        row = identities[identity]
        return _parties(row, is_privileged, members, holders, creator, asker, managers.get(row["owner_id"], ()))

    nobody = None, None
    return [
        parties(identity, is_privileged, *(makers.get(grant, nobody) if grant else nobody))
        for identity, grant, is_privileged in questions
    ]


def _parties(
    row: Mapping[str, Any],
    is_privileged: bool,
    members: Mapping[UUID, list[UUID]],
    holders: Mapping[UUID, set[UUID]],
    creator: UUID | None,
    asker: UUID | None,
    managers: tuple[UUID, ...],
) -> Parties:
    return Parties(
        identity=row["id"],
        is_privileged=is_privileged,
        owner=row["owner_id"],
        backup=row["backup_owner_id"],
        sponsor=row["sponsor_id"],
        team=tuple(members.get(row["team_id"], ())),
        source_owner=row["source__owner_id"],
        managers=managers,
        source=row["source_id"],
        holders=frozenset(holders.get(row["id"], ())),
        creator=creator,
        asker=asker,
    )


def _identity_rows(identity_ids: set[UUID]) -> Iterable[dict[str, Any]]:
    fields = (
        *("id", "owner_id", "backup_owner_id", "sponsor_id", "team_id", "source_id"),
        "source__owner_id",
    )
    return Identity.objects.filter(pk__in=among(identity_ids)).values(*fields)


def _managers(owner_ids: set[UUID]) -> dict[UUID, tuple[UUID, ...]]:
    """Per owner the managers above them, the nearest first; one query per level, however many owners."""
    above: dict[UUID, UUID] = {}
    level = owner_ids
    for _ in range(MOST_LEVELS):
        rows = User.objects.filter(pk__in=among(level), manager__isnull=False).values_list("pk", "manager_id")
        found = {person: manager for person, manager in rows if manager is not None}
        above |= found
        level = set(found.values()) - above.keys()
        if not level:
            break
    return {owner: _chain(owner, above) for owner in owner_ids if owner in above}


def _chain(owner: UUID, above: Mapping[UUID, UUID]) -> tuple[UUID, ...]:
    chain: list[UUID] = []
    current = owner
    while current in above and len(chain) < MOST_LEVELS and above[current] not in chain:
        current = above[current]
        chain.append(current)
    return tuple(chain)


def _members(team_ids: set[UUID]) -> dict[UUID, list[UUID]]:
    found: dict[UUID, list[UUID]] = defaultdict(list)
    rows = Team.members.through.objects.filter(team_id__in=team_ids).order_by("user_id")
    for team_id, user_id in rows.values_list("team_id", "user_id"):
        found[team_id].append(user_id)
    return found


def _holders(identity_ids: set[UUID]) -> dict[UUID, set[UUID]]:
    found: dict[UUID, set[UUID]] = defaultdict(set)
    held = Credential.objects.filter(identity__in=among(identity_ids), holder__isnull=False, retired_at=None)
    for identity_id, holder_id in held.values_list("identity_id", "holder_id"):
        found[identity_id].add(holder_id)
    return found


def list_active_people() -> frozenset[UUID]:
    """Everybody who can be asked at all: people who may sign in and have not left."""
    return frozenset(User.objects.filter(is_active=True, left_at=None).values_list("pk", flat=True))
