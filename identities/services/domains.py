"""Decision domains: write one down, change how it answers, switch it off."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Conflict, DomainError
from governance.people.access import require_role
from identities.models import DecisionDomain, IdentityKind, Source

CHANGEABLE = ("name", "sources", "is_apart", "is_enabled", "subject_types", "registered_types", "request_properties")
RESERVED = frozenset({"new"})  # the page that writes one down
MOST_NAMES = 100
MOST_SOURCES = 200
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_PROPERTY = re.compile(r"(?:subject|resource)\.(?:\*|[^\s.*]{1,120})")


class InvalidDomain(DomainError):
    """A value that a decision domain can't have; `field` names it."""

    code = "invalid-domain"
    title = "The decision domain can't be like this"


class DomainSlugTaken(Conflict):
    """Another decision domain has this short name."""

    code = "domain-slug-taken"
    title = "This short name is taken"


class DomainChanged(Conflict):
    """Somebody else edited the decision domain since it was read."""

    code = "domain-changed"
    title = "The decision domain changed since you read it"


def create_domain(
    *,
    slug: str,
    name: str,
    sources: Iterable[Source],
    subject_types: Mapping[str, Sequence[str]],
    registered_types: Sequence[str] = (),
    request_properties: Sequence[str] = (),
    is_apart: bool = True,
    actor: Actor,
    now: datetime,
) -> DecisionDomain:
    """Write a decision domain down; it answers at once. Raises `InvalidDomain`, `DomainSlugTaken`, `Forbidden`."""
    require_role(actor, Role.ADMINISTRATOR, scope="inventory:write")
    if not _SLUG.fullmatch(slug) or slug in RESERVED:
        raise InvalidDomain(
            "The short name takes lower-case letters, digits and hyphens, at most 40, and is not “new”.", field="slug"
        )
    values = {
        "name": name,
        "sources": list(sources),
        "subject_types": subject_types,
        "registered_types": registered_types,
        "request_properties": request_properties,
        "is_apart": is_apart,
    }
    checked = {field: _checked(field, value) for field, value in values.items()}
    chosen = checked.pop("sources")
    domain = DecisionDomain(slug=slug, **checked)
    with transaction.atomic(durable=True):
        try:
            with transaction.atomic():
                domain.save(force_insert=True)
        except IntegrityError as error:
            raise DomainSlugTaken(f"There is already a decision domain called {slug}.", field="slug") from error
        domain.sources.set(chosen)
        log.record(
            verb=Verb.DOMAIN_CREATED,
            actor=actor,
            subject=_subject(domain),
            now=now,
            new=_loggable(checked | {"sources": chosen}),
        )
    return domain


def change_domain(
    *, domain: DecisionDomain, version: int, changes: Mapping[str, Any], actor: Actor, now: datetime
) -> DecisionDomain:
    """Change any of `CHANGEABLE`, from the next decision on. Raises `InvalidDomain`, `DomainChanged`, `Forbidden`."""
    require_role(actor, Role.ADMINISTRATOR, scope="inventory:write")
    checked = {field: _checked(field, value) for field, value in changes.items()}
    with transaction.atomic(durable=True):
        locked = DecisionDomain.objects.select_for_update().get(pk=domain.pk)
        if locked.version != version:
            raise DomainChanged("Somebody changed this decision domain since you opened it. Look again.")
        before = {field: _current(locked, field) for field in checked}
        changed = {field: value for field, value in checked.items() if value != before[field]}
        if not changed:
            return locked
        for field, value in changed.items():
            if field == "sources":
                locked.sources.set(value)
            else:
                setattr(locked, field, value)
        locked.version += 1
        locked.save()
        log.record(
            verb=Verb.DOMAIN_CHANGED,
            actor=actor,
            subject=_subject(locked),
            now=now,
            old=_loggable({field: before[field] for field in changed}),
            new=_loggable(changed),
        )
    return locked


def _current(domain: DecisionDomain, field: str) -> Any:
    return (
        sorted(domain.sources.all(), key=lambda source: source.slug) if field == "sources" else getattr(domain, field)
    )


def _subject(domain: DecisionDomain) -> log.Subject:
    return log.Subject("decision_domain", str(domain.pk), domain.slug)


def _loggable(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        field: [source.slug for source in value] if field == "sources" else value for field, value in fields.items()
    }


def _checked(field: str, value: Any) -> Any:
    match field:
        case "name":
            if not isinstance(value, str) or not value.strip() or len(value) > 120 or not value.isprintable():
                raise InvalidDomain("The name must have 1 to 120 printable characters.", field=field)
            return value.strip()
        case "sources":
            if not value or len(value) > MOST_SOURCES:
                raise InvalidDomain(f"Name 1 to {MOST_SOURCES} sources that answer here.", field=field)
            return sorted(set(value), key=lambda source: source.slug)
        case "is_apart" | "is_enabled":
            if not isinstance(value, bool):
                raise InvalidDomain(f"{field} must be true or false.", field=field)
            return value
        case "subject_types":
            return _checked_types(value)
        case "registered_types":
            return _checked_names(field, value)
        case "request_properties":
            names = _checked_names(field, value)
            if strange := [name for name in names if not _PROPERTY.fullmatch(name)]:
                raise InvalidDomain(
                    f"{strange[0]} is no attribute that a request may supply: write subject.name, resource.name,"
                    " subject.* or resource.*. Of actions and context it may supply every one.",
                    field=field,
                )
            return names
    raise InvalidDomain(f"{field} can't be changed.", field=field)


def _checked_names(field: str, value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or len(value) > MOST_NAMES:
        raise InvalidDomain(f"{field} must be a list of at most {MOST_NAMES} names.", field=field)
    if not all(isinstance(name, str) and 0 < len(name) <= 120 and name.isprintable() for name in value):
        raise InvalidDomain(f"Each of {field} must have 1 to 120 printable characters.", field=field)
    return sorted(set(value))


def _checked_types(value: Any) -> dict[str, list[str]]:
    if not isinstance(value, Mapping) or not value:
        raise InvalidDomain('Name at least one type of subjects, such as {"user": []}.', field="subject_types")
    _checked_names("subject_types", list(value))
    checked = {}
    for name, kinds in value.items():
        if not isinstance(kinds, list | tuple) or not set(map(str, kinds)) <= set(IdentityKind.values):
            raise InvalidDomain(
                f"The kinds of {name} must be a list of {', '.join(IdentityKind.values)}; an empty one means all.",
                field="subject_types",
            )
        checked[str(name)] = sorted(set(map(str, kinds)))
    return checked
