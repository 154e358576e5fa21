"""What holds about an identity, what its source says, and what a person said: three answers, side by side."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from governance.audit.selectors import TrailRow, list_events
from governance.kernel.actors import Actor
from governance.people.models import User
from identities.models import Identity, IdentityKind
from identities.selectors.inventory import sees_everything
from identities.views.identity_rows import label_of_environment

RECORDS_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that both a source and people may speak about.

    holds: the text that holds, empty when nothing does. has_left: the person named is no longer here. source: the
    source's word, empty when it is silent. is_said: a person spoke; by and at stay empty for whoever may not read the
    trail. may_take: the source's word can hold again by one click.
    """

    name: str
    label: str
    kind: str
    holds: str
    source: str
    is_said: bool
    tags: tuple[str, ...] = ()
    source_tags: tuple[str, ...] = ()
    has_left: bool = False
    may_take: bool = False
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Said:
    """Who spoke last about which fact, by the trail; and who here has the addresses that the source names."""

    last: dict[str, TrailRow] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    addresses: frozenset[str] = frozenset()


def facts_of(identity: Identity, *, actor: Actor, may_edit: bool) -> list[Fact]:
    """The facts of the card "Who answers". `identity` comes with owner and sponsor loaded. At most three queries."""
    said = _look_up(identity, actor)
    facts = [
        _person("owner", "Owner", identity.owner, identity.source_owner, said, may_edit),
        _text(
            "environment",
            "Environment",
            label_of_environment(identity.environment_edited),
            "" if identity.environment == "unknown" else label_of_environment(identity.environment),
            said,
            may_edit,
        ),
        _text("purpose", "Purpose", identity.purpose_edited, identity.purpose, said, may_edit),
        Fact(
            name="tags",
            label="Tags",
            kind="tags",
            holds="",
            source="",
            tags=tuple(identity.tags),
            source_tags=tuple(identity.source_tags),
            is_said=bool(identity.tags),
            may_take=may_edit and bool(identity.tags),
            **_who(said, "tags", bool(identity.tags)),
        ),
    ]
    if identity.kind == IdentityKind.AI_AGENT or identity.sponsor or identity.source_sponsor:
        facts.insert(1, _person("sponsor", "Sponsor", identity.sponsor, identity.source_sponsor, said, may_edit))
    return facts


def _person(name: str, label: str, person: User | None, source: str, said: _Said, may_edit: bool) -> Fact:
    same = person is not None and person.email == source.lower()
    # Whom the source names is made accountable by the reading itself: then nobody said anything.
    is_said = person is not None and (not same or name in said.last)
    return Fact(
        name=name,
        label=label,
        kind="person",
        holds=person.name if person else "",
        has_left=person is not None and person.left_at is not None,
        source=source,
        is_said=is_said,
        may_take=may_edit and not same and source.lower() in said.addresses,
        **_who(said, name, is_said),
    )


def _text(name: str, label: str, edited: str, source: str, said: _Said, may_edit: bool) -> Fact:
    return Fact(
        name=name,
        label=label,
        kind="text",
        holds=edited or source,
        source=source,
        is_said=bool(edited),
        may_take=may_edit and bool(edited),
        **_who(said, name, bool(edited)),
    )


def _who(said: _Said, name: str, is_said: bool) -> dict[str, Any]:
    row = said.last.get(name)
    if row is None or not is_said:
        return {}
    by = said.names.get(row.actor_id, "somebody erased") if row.actor_kind == "person" else row.actor_label
    return {"by": by, "at": row.occurred_at}


def _look_up(identity: Identity, actor: Actor) -> _Said:
    named = {address.lower() for address in (identity.source_owner, identity.source_sponsor) if address}
    # Addresses of people are kept in lower case.
    here = User.objects.filter(email__in=named, left_at=None)
    addresses = frozenset(here.values_list("email", flat=True)) if named else frozenset()
    has_words = any((identity.owner_id, identity.sponsor_id, identity.purpose_edited, identity.environment_edited))
    if not (has_words or identity.tags) or not sees_everything(actor):
        return _Said(addresses=addresses)
    rows = list_events(
        verb="identity", subject_kind="identity", subject_id=str(identity.pk), limit=RECORDS_LOOKED_AT
    ).rows
    last: dict[str, TrailRow] = {}
    for row in rows:
        for name in row.new:
            last.setdefault(name, row)
    people = {row.actor_id for row in last.values() if row.actor_kind == "person"}
    names = {str(person.pk): person.name for person in User.objects.filter(pk__in=people)} if people else {}
    return _Said(last, names, addresses)
