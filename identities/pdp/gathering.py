"""What the requests of one call need, read together: who is meant, what they hold, what is registered of resources."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from identities.pdp.freshness import Name, NameKey, View
from identities.pdp.index import Principal, read_names
from identities.pdp.reasons import Reason
from identities.pdp.requests import Request
from identities.selectors.domains import Domain
from identities.selectors.resources import stored_resources

# Who asks for whom: what a caller may name it.
ON_BEHALF_OF = "on_behalf_of"
AGENT = "agent"
_NOTHING: Mapping[str, Any] = {}


class Gathered:
    """One call's share of what is known. Everything that is asked of it was gathered before."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.shared = view.shared
        self._names: dict[NameKey, Name | None] = {}
        self._principals: dict[UUID, Principal] = {}
        self._found: dict[NameKey, Principal | Reason] = {}
        self._resources: dict[tuple[str, str, str], Mapping[str, Any]] = {}

    def gather(self, requests: Sequence[Request]) -> None:
        """Read together what these requests need and memory does not hold: subjects, delegators, resources."""
        wanted: dict[NameKey, None] = {}
        asked: dict[str, set[tuple[str, str]]] = {}
        slug = subject = domain = None
        is_registering = False
        for request in requests:
            if request.subject_id != subject or request.domain != slug:
                slug, subject = request.domain, request.subject_id
                domain = self.shared.domain(slug)
                if domain is not None:
                    is_registering = bool(domain.registered_types) or not self.shared.registering.isdisjoint(
                        domain.source_ids
                    )
                    if _name(subject):
                        wanted[domain.source_ids, subject] = None
            if domain is None:
                continue
            if speaks_of_others(request):
                for name in (delegator_of(request), agent_of(request)):
                    if name:
                        wanted[domain.source_ids, name] = None
            if is_registering and is_sound(request):
                asked.setdefault(request.domain, set()).add((request.resource_type, request.resource_id))
        self._meet(wanted)
        self.meet_delegators(list(self._principals.values()))
        for slug, names in asked.items():
            domain = self.shared.domain(slug)
            if domain is not None:
                found = stored_resources(domain.source_ids, names)
                self._resources |= {(slug, *name): found[name] for name in names if name in found}

    def meet_delegators(self, agents: Sequence[Principal]) -> None:
        """Those whom sources say that these act for. That there is nobody of the name is remembered as well."""
        named = {_behind(agent): None for agent in agents if agent.acts_for}
        if named:
            self._meet(named, knows_all=True)

    def _meet(self, wanted: Mapping[NameKey, None], *, knows_all: bool = False) -> None:
        self._found.clear()
        unread: dict[frozenset[UUID], list[str]] = {}
        ids: dict[UUID, None] = {}
        for key in wanted:
            name = self.view.name(key)
            if name is None:
                unread.setdefault(key[0], []).append(key[1])
            else:
                self._names[key] = name
                if name.id is not None:
                    ids[name.id] = None
        for source_ids, names in unread.items():
            found = self.view.read_named(partial(_meanings, source_ids, names, knows_all=knows_all))
            for (_, text), name in found.items():
                self._names[source_ids, text] = name
                if name.id is not None:
                    ids[name.id] = None
        missing = [pk for pk in ids if pk not in self._principals]
        if missing:
            self._principals |= self.view.principals(missing)

    def find(self, source_ids: frozenset[UUID], text: str) -> Principal | Reason:
        """The identity of this name among these sources, or why there is none."""
        key = source_ids, text
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._find(source_ids, text)
        return found

    def _find(self, source_ids: frozenset[UUID], text: str) -> Principal | Reason:
        name = self._names.get((source_ids, text))
        if name is None or (name.id is None and not name.is_several):
            return Reason.UNKNOWN_IDENTITY
        if name.id is None:
            return Reason.AMBIGUOUS_IDENTITY
        found = self._principals.get(name.id)
        if found is None or found.source_id not in source_ids:
            return Reason.UNKNOWN_IDENTITY
        return found

    def resource(self, request: Request, domain: Domain) -> Mapping[str, Any]:
        return self._resources.get((domain.slug, request.resource_type, request.resource_id), _NOTHING)

    def seen_at(self, principal: Principal) -> float | None:
        source = self.shared.sources.get(principal.source_id)
        return source.seen_at if source else None

    def is_registered(self, request: Request) -> bool:
        return (request.domain, request.resource_type, request.resource_id) in self._resources

    def behind(self, agent: Principal) -> Principal | None:
        """Whom the source says that this one acts for, where that is an identity of the same source."""
        if not agent.acts_for:
            return None
        found = self.find(*_behind(agent))
        return None if isinstance(found, Reason) else found


def is_sound(request: Request) -> bool:
    """Whether every name is a text of a length and of characters that a name has."""
    kind, subject, action = request.subject_type, request.subject_id, request.action
    resource_type, resource = request.resource_type, request.resource_id
    if not (kind and subject and action and resource_type and resource):
        return False
    said = f"{kind}{subject}{action}{resource_type}{resource}"
    if len(said) > 256:
        longest = max(len(kind), len(action), len(resource_type))
        if longest > 256 or len(subject) > 1024 or len(resource) > 1024:
            return False
    return said.isprintable()


def speaks_of_others(request: Request) -> bool:
    """Whether the caller names anybody beside the subject."""
    context, properties = request.context, request.subject_properties
    return ON_BEHALF_OF in context or AGENT in context or ON_BEHALF_OF in properties


def delegator_of(request: Request) -> str | None:
    """Whom the caller names as the one on whose behalf this is asked: a text, or an entity with an id."""
    named = request.context.get(ON_BEHALF_OF)
    if named is None:
        named = request.subject_properties.get(ON_BEHALF_OF)
    if isinstance(named, Mapping):
        named = named.get("id")
    return _name(named)


def agent_of(request: Request) -> str | None:
    """The agent that the caller says acts for the subject."""
    return _name(request.context.get(AGENT))


def _name(said: Any) -> str | None:
    """A name as it was said; empty, which nobody is called, where it is none."""
    if said is None:
        return None
    return said if isinstance(said, str) and len(said) <= 1024 and said.isprintable() else ""


def _behind(agent: Principal) -> NameKey:
    """Where to look for the one whom an agent acts for: its own source knows it by this name."""
    return frozenset((agent.source_id,)), agent.acts_for


def _meanings(source_ids: frozenset[UUID], names: Sequence[str], *, knows_all: bool = False) -> dict[NameKey, Name]:
    """What these names mean among these sources; those that mean nothing are left out, unless `knows_all`.

    An identity that is there wins over one that is gone. Two that are there make the name ambiguous. The id of an
    identity names it too, so that what an external id leaves open can be asked for.
    """
    found: dict[NameKey, Name] = {}
    for name, rows in read_names(names, source_ids).items():
        present = [pk for pk, is_retired, _ in rows if not is_retired] or [pk for pk, _, _ in rows]
        found[source_ids, name] = Name(present[0]) if len(present) == 1 else Name(None, is_several=True)
    for name in names:
        if (source_ids, name) in found:
            continue
        if (pk := _as_id(name)) is not None:
            found[source_ids, name] = Name(pk)
        elif knows_all:
            found[source_ids, name] = Name(None)
    return found


def _as_id(text: str) -> UUID | None:
    if len(text) != 36:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None
