"""What each field of the filter means, as conditions on identities and on grants.

Both kinds of list and the population of a campaign are narrowed by these same functions, so that one text cannot mean
three things. Searches compare with `search_text` alone: it has the trigram index, and equality is never asked of it.
The values stand in the statement when PostgreSQL plans it (Django binds on the client's side), so no plan is made for
a needle that it does not know.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from governance.kernel.actors import Actor
from governance.people.models import User
from identities.models import Finding, FindingSeverity, Grant, GrantVersion, Source
from identities.models.finding import TO_DO
from identities.models.source import ON_REQUEST
from identities.selectors.filters import InventoryFilter, Picked
from identities.selectors.posture_conditions import posture_conditions

NOTHING = Q(pk__in=[])


def identity_conditions(
    filters: InventoryFilter, *, actor: Actor | None, now: datetime, at: str = "", grant: str | None = None
) -> Q:
    """The identity's fields. at: the path from the listed model to the identity, e.g. `identity__`.

    grant: the path to the grant where grants are listed, whose source is asked beside the identity's.
    """
    found = Q()
    if filters.q:
        found &= Q(**{f"{at}search_text__contains": _upper(filters.q)})
    for name, column in (("kind", "kind"), ("environment", "effective_environment"), ("status", "status")):
        found &= _either(filters.picked(name), lambda values, c=column: Q(**{f"{at}{c}__in": values}))  # type: ignore[misc]
    found &= source_condition(filters, at=at, holder=at, grant=grant)
    found &= _either(filters.picked("team"), lambda values: _of_teams(values, at))
    found &= _either(filters.picked("owner"), lambda values: of_people(values, f"{at}owner", actor))
    found &= _having_findings(filters, at, actor)
    found &= _either(filters.picked("tag"), lambda values: _tagged(values, at))
    return found & posture_conditions(filters, at=at)


def source_condition(filters: InventoryFilter, *, at: str, holder: str, grant: str | None = None) -> Q:
    """Where something comes from. at: the path to what has a source; holder: to the identity; grant: as above.

    A grant and its holder come from the same source, but for what Remit itself gives on request. Such a grant is found
    under both; an identity is found under "granted on request" where it holds one grant from there that fits.
    """
    picked = filters.picked("source")
    if picked is None:
        return Q()
    others = tuple(slug for slug in picked.values if slug != ON_REQUEST)
    found = _in_sources(others, at) if others else NOTHING
    if ON_REQUEST in picked.values and grant is not None:
        found |= _in_sources((ON_REQUEST,), grant)
    elif ON_REQUEST in picked.values:
        given = Grant.objects.filter(_in_sources((ON_REQUEST,), ""), identity=OuterRef(f"{holder}pk"))
        wanted = InventoryFilter() if picked.is_negated else _halves(filters)[0]
        found |= Q(Exists(given.filter(grant_conditions(wanted), retired_at__isnull=filters.retired != "yes")))
    return ~found if picked.is_negated else found


def grant_conditions(filters: InventoryFilter, *, at: str = "", facts: str | None = None) -> Q:
    """The grant's fields. at: the path from the listed model to the grant.

    facts: the path to its segments and `is_privileged`, where they are read from its current content; else the grant's
    own copies are asked.
    """
    found = Q()
    facts = at if facts is None else facts
    if filters.access:
        found &= Q(**{f"{at}search_text__contains": _upper(filters.access)})
    found &= _either(filters.picked("segment"), lambda values: reaching(values, facts))
    found &= _either(filters.picked("path"), lambda values: held_by(values, at))
    if filters.privileged:
        found &= Q(**{f"{facts}is_privileged": filters.privileged == "yes"})
    if filters.standing:
        ends = _ends(at)
        found &= ~ends if filters.standing == "yes" else ends
    return found


def holding_conditions(filters: InventoryFilter) -> Q:
    """The grant's fields, asked of an identity: it holds one grant that fits all of them, and none that "no" excludes.

    Whether anything privileged is held stands in the identity itself; everything else is looked up.
    """
    wanted, excluded = _halves(filters)
    found = Q()
    if wanted == InventoryFilter(privileged="yes") and not filters.retired:
        found &= Q(privileged_count__gt=0)
    elif not wanted.is_empty:
        found &= Q(_holds(filters, wanted))
    for each in excluded:
        if each == InventoryFilter(privileged="yes") and not filters.retired:
            found &= Q(privileged_count=0)
        else:
            found &= ~Q(_holds(filters, each))
    return found


def finding_conditions(filters: InventoryFilter, *, actor: Actor | None) -> Q:
    """The finding's fields, asked of a finding. Where no state is named, what has to be done is meant."""
    found = _either(filters.picked("finding"), of_rules)
    if filters.finding_severity:
        found &= Q(severity__gte=FindingSeverity[filters.finding_severity.upper()])
    states = filters.picked("finding_state")
    found &= Q(state__in=list(TO_DO)) if states is None else _either(states, lambda values: Q(state__in=values))
    return found & _either(filters.picked("finding_assignee"), lambda values: of_people(values, "assignee", actor))


def of_rules(rules: tuple[str, ...]) -> Q:
    """Findings by any of these rules or families of rules."""
    found = Q(rule__in=[rule for rule in rules if "-" in rule])
    for family in rules:
        if "-" not in family:
            found |= Q(rule__startswith=f"{family}-")
    return found


def first_seen_condition(filters: InventoryFilter, *, now: datetime, at: str = "", column: str = "first_seen_at") -> Q:
    """new_days and new_since, of whatever is listed. at: the path to it. A day begins at midnight UTC."""
    found = Q()
    if filters.new_days:
        found &= Q(**{f"{at}{column}__gte": now - timedelta(days=int(filters.new_days))})
    if filters.new_since:
        day = datetime.combine(date.fromisoformat(filters.new_since), time(), UTC)
        found &= Q(**{f"{at}{column}__gte": day})
    return found


def held_by(kinds: tuple[str, ...], at: str = "") -> Q:
    """Grants whose path has a step of one of these kinds; a path without steps is direct too."""
    held = Q(**{f"{at}path": []}) if "direct" in kinds else NOTHING
    for kind in kinds:
        held |= Q(**{f"{at}path__contains": [{"kind": kind}]})
    return held


def reaching(segments: tuple[str, ...], at: str = "") -> Q:
    """Grants, or contents of grants, that reach one of these segments, the most sensitive of theirs or another."""
    # That there is another at all is said for the index, which holds only those.
    several = Q(**{f"{at}further_segments__overlap": list(segments)}) & ~Q(**{f"{at}further_segments": []})
    return Q(**{f"{at}segment__in": segments}) | several


def _halves(filters: InventoryFilter) -> tuple[InventoryFilter, list[InventoryFilter]]:
    """What must be held, as one filter of grants, and what must not be, each by itself."""
    wanted, excluded = {"access": filters.access} if filters.access else {}, []
    for name in ("segment", "path"):
        picked = filters.picked(name)
        if picked and picked.is_negated:
            excluded.append(InventoryFilter(**{name: ",".join(picked.values)}))
        elif picked:
            wanted[name] = ",".join(picked.values)
    for name in ("privileged", "standing"):
        if getattr(filters, name) == "no":
            excluded.append(InventoryFilter(**{name: "yes"}))
        elif getattr(filters, name):
            wanted[name] = "yes"
    return InventoryFilter(**wanted), excluded


def _holds(filters: InventoryFilter, of_grant: InventoryFilter) -> Exists:
    grants = Grant.objects.filter(identity=OuterRef("pk"), retired_at__isnull=filters.retired != "yes")
    return Exists(grants.filter(grant_conditions(of_grant)))


def _having_findings(filters: InventoryFilter, at: str, actor: Actor | None) -> Q:
    """The finding's fields, asked of an identity: it has one that fits all of them, and none that is excluded."""
    wanted, excluded = {"finding_severity": filters.finding_severity}, []
    for name in ("finding", "finding_state", "finding_assignee"):
        picked = filters.picked(name)
        if picked and picked.is_negated:
            excluded.append(InventoryFilter(**{name: ",".join(picked.values)}))
        elif picked:
            wanted[name] = ",".join(picked.values)
    findings = Finding.objects.filter(identity=OuterRef(f"{at}pk"))
    found = Q()
    if any(wanted.values()):
        found &= Q(Exists(findings.filter(finding_conditions(InventoryFilter(**wanted), actor=actor))))
    for each in excluded:
        found &= ~Q(Exists(findings.filter(finding_conditions(each, actor=actor))))
    return found


def _either(picked: Picked | None, condition: Callable[[tuple[str, ...]], Q]) -> Q:
    if picked is None:
        return Q()
    found = condition(picked.values)
    return ~found if picked.is_negated else found


def _in_sources(slugs: tuple[str, ...], at: str) -> Q:
    # Looked up beforehand: only a value that stands in the statement tells the planner how large the source is.
    return Q(**{f"{at}source__in": list(Source.objects.filter(slug__in=slugs).values_list("pk", flat=True))})


def _of_teams(values: tuple[str, ...], at: str) -> Q:
    nobody = Q(**{f"{at}team": None}) if "none" in values else Q()
    teams = [UUID(value) for value in values if value != "none"]
    return nobody | Q(**{f"{at}team__in": teams}) if teams else nobody


def of_people(values: tuple[str, ...], column: str, actor: Actor | None) -> Q:
    """Whose `column` is one of these people: addresses, "none" or "me"."""
    found = Q(**{column: None}) if "none" in values else NOTHING
    people = list(
        User.objects.filter(email__in=[value for value in values if "@" in value]).values_list("pk", flat=True)
    )
    if "me" in values and actor is not None and actor.person_id is not None:
        people.append(actor.person_id)
    return found | Q(**{f"{column}__in": people}) if people else found


def _tagged(values: tuple[str, ...], at: str) -> Q:
    return Q(**{f"{at}tags__overlap": list(values)}) | Q(**{f"{at}source_tags__overlap": list(values)})


def _ends(at: str) -> Q:
    versions = GrantVersion.objects.filter(grant=OuterRef(f"{at}pk"), seen_until=None, valid_until__isnull=False)
    return Q(Exists(versions))


def _upper(text: str) -> str:
    """As the database's UPPER does it: letter by letter, so a sharp s stays one letter."""
    return "".join(upper if len(upper := letter.upper()) == 1 else letter for letter in text)
