"""Who probably answers for an identity: candidates, each with the signals behind it, and with what speaks against it.

A suggestion is nobody's word. It stays a suggestion until a person accepts it, and whoever said "not mine" is not
suggested for the same identity again.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import CharField, Count, F, Func, Max, Q, Value
from django.db.models.functions import Lower

from governance.people.models import Team, User
from identities.models import Grant, Identity, IdentityVersion

MOST_SUGGESTED = 5
SHORTEST_PREFIX = 3
# A name of a person that several people bear says nothing about any of them.
TEAM_WORDS = ("team:", "team=", "team/", "squad:", "owner:", "owner=")


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that points to a person. weight: 0 to 100, the chance that it alone would be right.

    The weights are estimates, ordered by how directly the signal speaks of answering for it; they are not measured.
    """

    person: UUID
    weight: int
    reason: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """score: 0 to 99, all signals together. refused_at: when the person said that it is not theirs."""

    person: UUID
    score: int
    reasons: tuple[str, ...]
    refused_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """As it is kept with a question; the person by id."""
        return {
            "person": str(self.person),
            "score": self.score,
            "reasons": list(self.reasons),
            "refused_at": self.refused_at.isoformat() if self.refused_at else None,
        }


def rank(signals: Iterable[Signal], refusals: Mapping[UUID, datetime], here: Collection[UUID]) -> list[Suggestion]:
    """The likeliest first, at most MOST_SUGGESTED; whoever refused stands at the end, with nothing to their favour.

    Signals are taken as independent: two of 50 make 75, and no number of them makes 100. here: who can answer at all.
    """
    by_person: dict[UUID, list[Signal]] = defaultdict(list)
    for signal in signals:
        if signal.person in here:
            by_person[signal.person].append(signal)
    found = [_judge(person, theirs, refusals.get(person)) for person, theirs in by_person.items()]
    found.sort(key=lambda each: (each.refused_at is not None, -each.score, str(each.person)))
    return found[:MOST_SUGGESTED]


def _judge(person: UUID, signals: Sequence[Signal], refused_at: datetime | None) -> Suggestion:
    doubt = 1.0
    for signal in signals:
        doubt *= 1 - signal.weight / 100
    score = 0 if refused_at else min(99, round(100 * (1 - doubt)))
    reasons = [signal.reason for signal in sorted(signals, key=lambda each: (-each.weight, each.reason))]
    if refused_at:
        reasons.insert(0, f"Said on {refused_at:%-d %B %Y} that it is not theirs.")
    return Suggestion(person, score, tuple(dict.fromkeys(reasons)), refused_at)


def suggest_owners(
    identities: Sequence[Identity],
    *,
    refusals: Mapping[UUID, Mapping[UUID, datetime]],
    more: Mapping[UUID, Sequence[Signal]] | None = None,
) -> dict[UUID, list[Suggestion]]:
    """Suggestions per identity, with a fixed number of queries for any number of them. The owner is none of them.

    refusals: identity to person to when they refused. more: signals that the caller knows of.
    """
    found: dict[UUID, list[Signal]] = defaultdict(list)
    for gather in (_named_by_source, _of_teams, _kept_beside, _creators, _of_siblings, _earlier_owners):
        for identity_id, signals in gather(identities).items():
            found[identity_id] += signals
    for identity_id, known in (more or {}).items():
        found[identity_id] += known
    people = {signal.person for signals in found.values() for signal in signals}
    here = set(User.objects.filter(pk__in=people, is_active=True, left_at=None).values_list("pk", flat=True))
    return {each.pk: rank(found[each.pk], refusals.get(each.pk, {}), here - {each.owner_id}) for each in identities}


Found = Mapping[UUID, list[Signal]]


def _named_by_source(identities: Sequence[Identity]) -> Found:
    """The source names somebody, by address or by name."""
    said = {each.pk: " ".join(each.source_owner.split()).lower() for each in identities if each.source_owner.strip()}
    if not said:
        return {}
    words = set(said.values())
    by_email = dict(User.objects.filter(email__in=words).values_list("email", "pk"))
    by_name: dict[str, list[UUID]] = defaultdict(list)
    named = User.objects.annotate(lower_name=Lower("name")).filter(lower_name__in=words)
    for name, pk in named.values_list("lower_name", "pk"):
        by_name[name].append(pk)
    found: dict[UUID, list[Signal]] = defaultdict(list)
    for identity_id, text in said.items():
        if text in by_email:
            found[identity_id].append(Signal(by_email[text], 90, "The source names their address as the owner."))
        elif len(by_name.get(text, ())) == 1:
            found[identity_id].append(Signal(by_name[text][0], 70, "The source names somebody of this name."))
    return found


def _of_teams(identities: Sequence[Identity]) -> Found:
    """The team people chose, or a tag or owner text that is the name of a team."""
    words = {each.pk: _team_words(each) for each in identities}
    wanted = {word for theirs in words.values() for word in theirs}
    chosen = {each.team_id for each in identities if each.team_id}
    if not wanted and not chosen:
        return {}
    teams = Team.objects.annotate(lower_name=Lower("name")).filter(Q(lower_name__in=wanted) | Q(pk__in=chosen))
    members: dict[UUID, list[UUID]] = defaultdict(list)
    rows = Team.members.through.objects.filter(team_id__in=[team.pk for team in teams], user__left_at=None)
    for team_id, user_id in rows.values_list("team_id", "user_id"):
        members[team_id].append(user_id)
    found: dict[UUID, list[Signal]] = defaultdict(list)
    for each in identities:
        for team in teams:
            if team.pk == each.team_id or team.lower_name in words[each.pk]:
                how = "is the team of this identity" if team.pk == each.team_id else "is named in its tags"
                # The more there are, the less it says about each of them.
                weight = max(10, 50 // max(1, len(members[team.pk])))
                found[each.pk] += [
                    Signal(person, weight, f"Is in {team.name}, which {how}.") for person in members[team.pk]
                ]
    return found


def _team_words(identity: Identity) -> set[str]:
    texts = {text.strip().lower() for text in (*identity.source_tags, *identity.tags, identity.source_owner)}
    bare = {text.removeprefix(word) for text in texts for word in TEAM_WORDS if text.startswith(word)}
    return {text for text in texts | bare if text}


def _kept_beside(identities: Sequence[Identity]) -> Found:
    """People who were named for something else about it."""
    found: dict[UUID, list[Signal]] = defaultdict(list)
    for each in identities:
        if each.backup_owner_id:
            found[each.pk].append(Signal(each.backup_owner_id, 60, "Is the backup owner."))
        if each.sponsor_id:
            found[each.pk].append(Signal(each.sponsor_id, 40, "Is the sponsor."))
    return found


def _creators(identities: Sequence[Identity]) -> Found:
    """Whoever created its access."""
    grants = Grant.objects.filter(identity__in=[each.pk for each in identities], created_by__isnull=False)
    found: dict[UUID, list[Signal]] = defaultdict(list)
    rows = grants.order_by().values_list("identity_id", "created_by_id").annotate(Count("pk"))
    for identity_id, person, count in rows:
        what = "one access" if count == 1 else f"{count} accesses"
        found[identity_id].append(Signal(person, 35 if count == 1 else 45, f"Created {what} of this identity."))
    return found


def _of_siblings(identities: Sequence[Identity]) -> Found:
    """Owners of identities of the same source whose names begin alike."""
    prefixes = {each.pk: (each.source_id, prefix) for each in identities if (prefix := prefix_of(each.name))}
    if not prefixes:
        return {}
    wanted = {prefix for _, prefix in prefixes.values()}
    first = Func(F("name"), Value(r"^([^-_.:/@ ]{3,})[-_.:/@ ]"), function="substring", output_field=CharField())
    siblings = Identity.objects.filter(
        source__in={each.source_id for each in identities}, owner__isnull=False, retired_at=None
    ).annotate(prefix=first)
    counted = siblings.filter(prefix__in=wanted).order_by().values_list("source_id", "prefix", "owner_id")
    by_place: dict[tuple[UUID, str], dict[UUID, int]] = defaultdict(dict)
    for source_id, prefix, owner, count in counted.annotate(Count("pk")):
        by_place[source_id, prefix][owner] = count
    found: dict[UUID, list[Signal]] = defaultdict(list)
    for each in identities:
        owners = dict(by_place.get(prefixes.get(each.pk, (each.source_id, "")), {}))
        if each.owner_id in owners:
            owners[each.owner_id] -= 1
        total = sum(owners.values())
        for owner, count in owners.items():
            if count:
                text = f"Owns {count} of {total} identities here whose name begins with “{prefixes[each.pk][1]}”."
                found[each.pk].append(Signal(owner, round(60 * count / total * min(1, (total + 1) / 4)), text))
    return found


def prefix_of(name: str) -> str:
    """What stands before the first separator of a name, if it is long enough to mean something; else nothing."""
    for place, character in enumerate(name):
        if character in "-_.:/@ ":
            return name[:place] if place >= SHORTEST_PREFIX else ""
    return ""


def _earlier_owners(identities: Sequence[Identity]) -> Found:
    """Who owned it before; where they left, their manager. Also the manager of an owner who has left."""
    ids = [each.pk for each in identities]
    versions = IdentityVersion.objects.filter(identity__in=ids, owner__isnull=False).order_by()
    rows = versions.values_list("identity_id", "owner_id", "owner__left_at", "owner__manager_id").annotate(
        Max("seen_from")
    )
    found: dict[UUID, list[Signal]] = defaultdict(list)
    for identity_id, owner, left_at, manager, _ in rows:
        if left_at is None:
            found[identity_id].append(Signal(owner, 40, "Owned it before."))
        elif manager is not None:
            found[identity_id].append(Signal(manager, 40, "Is the manager of an owner who left."))
    gone = {each.owner_id for each in identities if each.owner_id}
    managers = dict(
        User.objects.filter(pk__in=gone, left_at__isnull=False, manager__isnull=False).values_list("pk", "manager_id")
    )
    for each in identities:
        person = managers.get(each.owner_id) if each.owner_id else None
        if person and not any(signal.person == person for signal in found[each.pk]):
            found[each.pk].append(Signal(person, 40, "Is the manager of an owner who left."))
    return found
