"""The quality of one review person by person and team by team. Reading it by person leaves a record."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Forbidden
from governance.people.models import Team, User
from reviews.models import Campaign
from reviews.policies.quality import THRESHOLDS, Signal
from reviews.quality.facts import given_in, is_opening_known
from reviews.quality.measuring import Figures, Sheet, sheets_of, signals_of, total

NO_TEAM = "No team"
SMALL = "Smaller teams together"


@dataclass(frozen=True, slots=True)
class PersonLine:
    """One person's figures and what stands out in them. few: too little was answered to say anything."""

    person: UUID
    name: str
    figures: Figures
    signals: Mapping[Signal, Figures]
    few: bool


@dataclass(frozen=True, slots=True)
class TeamLine:
    """One team's figures, or those of several that are too small to stand alone. people: how many of it answered."""

    name: str
    people: int
    figures: Figures


def quality_of_people(*, campaign: Campaign, actor: Actor, now: datetime) -> list[PersonLine]:
    """Everybody who answered, whoever is worth a look first; for whoever runs or audits the review, with a record.

    Raises Forbidden for everybody else, reviewers above all: nobody reads how their peers answered.
    """
    _require_reader(campaign, actor)
    with transaction.atomic(durable=True):
        lines = people_of(campaign, sheets_of(given_in(campaign, until=now)))
        log.record(
            verb=Verb.QUALITY_READ,
            actor=actor,
            subject=log.Subject("campaign", str(campaign.pk), "campaign"),
            now=now,
            context={"people": len(lines)},
        )
    return lines


def _require_reader(campaign: Campaign, actor: Actor) -> None:
    is_person = actor.kind is ActorKind.PERSON
    manages = actor.has_role(Role.CAMPAIGN_MANAGER) and campaign.manager_id == actor.person_id
    if not (is_person and (manages or actor.has_role(Role.ADMINISTRATOR, Role.AUDITOR))):
        raise Forbidden("How single people answered is shown to whoever runs or audits this review.")


def people_of(campaign: Campaign, sheets: Mapping[UUID, Sheet]) -> list[PersonLine]:
    """The lines of these people; the caller has made sure that they may be read."""
    known = is_opening_known(campaign)
    names = {user.pk: str(user) for user in User.objects.filter(pk__in=list(sheets))}
    lines = []
    for person, sheet in sheets.items():
        figures = sheet.figures(is_opening_known=known)
        few = sheet.answers < THRESHOLDS.few
        lines.append(PersonLine(person, names[person], figures, signals_of(figures), few))
    return sorted(lines, key=lambda line: (-len(line.signals), -line.figures["answers"], line.name, line.person.bytes))


def teams_of(campaign: Campaign, sheets: Mapping[UUID, Sheet]) -> list[TeamLine]:
    """Figures by team of whoever answered; empty where that would be one line of everybody, or of fewer than five.

    Somebody in several teams counts in the first by name. Teams of which fewer than five answered are put together, and
    where these are still fewer than five, the next smallest team joins them: no line can be traced to a person, also
    not by taking the other lines from the whole.
    """
    members: dict[str, list[UUID]] = defaultdict(list)
    team_of = _teams(sheets)
    for person in sheets:
        members[team_of.get(person, NO_TEAM)].append(person)
    groups = _merged(members)
    if len(sheets) < THRESHOLDS.smallest_group or [name for name, _ in groups] == [SMALL]:
        return []
    known = is_opening_known(campaign)
    return [
        TeamLine(name, len(people), total(sheets[person] for person in people).figures(is_opening_known=known))
        for name, people in groups
    ]


def _teams(people: Mapping[UUID, object]) -> dict[UUID, str]:
    found: dict[UUID, str] = {}
    rows = Team.members.through.objects.filter(user__in=list(people)).order_by("team__name")
    for person, name in rows.values_list("user_id", "team__name"):
        found.setdefault(person, name)
    return found


def _merged(members: Mapping[str, list[UUID]]) -> list[tuple[str, list[UUID]]]:
    by_size = sorted(members.items(), key=lambda entry: (len(entry[1]), entry[0]))
    small: list[UUID] = []
    while by_size and (len(by_size[0][1]) < THRESHOLDS.smallest_group or 0 < len(small) < THRESHOLDS.smallest_group):
        small += by_size.pop(0)[1]
    large = sorted(by_size, key=lambda entry: (-len(entry[1]), entry[0]))
    return [*large, (SMALL, small)] if small else large
