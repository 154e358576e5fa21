"""Connect a system as a source, change how it is read, ask for a reading now."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Conflict, DomainError
from governance.people.access import require_role
from governance.people.models import User
from identities.connectors.contract import Connector, capabilities_of
from identities.connectors.registry import connector_for
from identities.models import Environment, Source
from identities.services.secret_shapes import find_secret, is_secret_name
from identities.services.secrets import check_reference, is_reference

READ_TASK = "identities.read_source"
PREVIEW_TASK = "identities.preview_source"
PUSH = "push"
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?")
# (lowest, highest) of each whole number that people set.
_RANGES = {
    "read_every_seconds": (10, 30 * 86_400),
    "freshness_limit_seconds": (60, 365 * 86_400),
    "max_retire_percent": (0, 100),
}


class InvalidSource(DomainError):
    """A value that a source can't have; `field` names it."""

    code = "invalid-source"
    title = "The source can't be like this"


class SlugTaken(Conflict):
    """Another source has this short name."""

    code = "slug-taken"
    title = "This short name is taken"


class SourceChanged(Conflict):
    """Somebody else edited the source since it was read."""

    code = "source-changed"
    title = "The source changed since you read it"


class NotReadable(Conflict):
    """Nothing can be fetched from here: the source pushes, or is switched off."""

    code = "not-readable"
    title = "Remit can't read this source by itself"


def register_source(
    *,
    slug: str,
    name: str,
    kind: str,
    environment: str,
    settings: Mapping[str, Any],
    owner: User | None = None,
    read_every_seconds: int = 300,
    actor: Actor,
    now: datetime,
    max_retire_percent: int = 20,
    freshness_limit_seconds: int = 86_400,
) -> Source:
    """Connect a system. Remit reads it at once, unless its kind is "push".

    Secrets in `settings` are references (`env:NAME`, `file:/path`). Raises `InvalidSource`, `SlugTaken`, `Forbidden`,
    and what the connector says about its settings.
    """
    require_role(actor, Role.ADMINISTRATOR, scope="inventory:write")
    if not _SLUG.fullmatch(slug):
        raise InvalidSource("The short name takes lower-case letters, digits and hyphens, at most 60.", field="slug")
    values = {
        "name": name,
        "environment": environment,
        "settings": dict(settings),
        "owner": owner,
        "read_every_seconds": read_every_seconds,
        "freshness_limit_seconds": freshness_limit_seconds,
        "max_retire_percent": max_retire_percent,
    }
    checked = {field: _checked(field, value) for field, value in values.items()}
    source = Source(slug=slug, kind=kind, **checked)
    describe_from(source, connector_for(kind, source.settings, {}))
    source.next_read_at = None if kind == PUSH else now
    with transaction.atomic(durable=True):
        try:
            with transaction.atomic():
                source.save(force_insert=True)
        except IntegrityError as error:
            raise SlugTaken(f"There is already a source called {slug}.", field="slug") from error
        log.record(
            verb=Verb.SOURCE_REGISTERED,
            actor=actor,
            subject=source_subject(source),
            now=now,
            new=_loggable(source, checked),
        )
        if kind != PUSH:
            dispatch.after_commit(READ_TASK, source_id=str(source.pk))
    return source


def change_source(*, source: Source, version: int, changes: Mapping[str, Any], actor: Actor, now: datetime) -> Source:
    """Change any of name, environment, owner, settings, is_enabled, read_every_seconds, freshness_limit_seconds and
    max_retire_percent. Raises `InvalidSource`, `SourceChanged`, `Forbidden`.
    """
    require_role(actor, Role.ADMINISTRATOR, scope="inventory:write")
    checked = {field: _checked(field, value) for field, value in changes.items()}
    with transaction.atomic(durable=True):
        locked = Source.objects.select_for_update(of=("self",)).select_related("owner").get(pk=source.pk)
        if locked.version != version:
            raise SourceChanged("Somebody changed this source since you opened it. Look again.")
        checked = {field: value for field, value in checked.items() if getattr(locked, field) != value}
        if not checked:
            return locked
        old_settings, new_settings = dict(locked.settings), checked.get("settings", locked.settings)
        old = _loggable(locked, checked) | _told_settings(old_settings, new_settings)
        for field, value in checked.items():
            setattr(locked, field, value)
        if "settings" in checked:
            describe_from(locked, connector_for(locked.kind, locked.settings, {}))
        if locked.kind != PUSH and {"settings", "is_enabled", "read_every_seconds"} & set(checked):
            locked.next_read_at = now if locked.is_enabled else None
        locked.version += 1
        locked.save()
        log.record(
            verb=Verb.SOURCE_CHANGED,
            actor=actor,
            subject=source_subject(locked),
            now=now,
            old=old,
            new=_loggable(locked, checked) | _told_settings(new_settings, old_settings, word="(changed)"),
        )
    return locked


def switch_source(*, source: Source, is_enabled: bool, actor: Actor, now: datetime) -> Source:
    """Stop reading and changing a source, or take it up again; nothing else about it changes. Raises `Forbidden`."""
    require_role(actor, Role.ADMINISTRATOR, scope="clients:restore" if is_enabled else "clients:narrow")
    with transaction.atomic(durable=True):
        locked = Source.objects.select_for_update(of=("self",)).select_related("owner").get(pk=source.pk)
        if locked.is_enabled == is_enabled:
            return locked
        locked.is_enabled = is_enabled
        locked.next_read_at = now if is_enabled and locked.kind != PUSH else None
        locked.version += 1
        locked.save(update_fields=["is_enabled", "next_read_at", "version"])
        log.record(
            verb=Verb.SOURCE_CHANGED,
            actor=actor,
            subject=source_subject(locked),
            now=now,
            old={"kind": locked.kind, "is_enabled": not is_enabled},
            new={"kind": locked.kind, "is_enabled": is_enabled},
        )
    return locked


def request_read(*, source: Source, actor: Actor, now: datetime) -> Source:
    """Have the source read as soon as a worker is free. Raises `NotReadable`, `Forbidden`."""
    require_role(actor, Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, scope="inventory:write")
    with transaction.atomic(durable=True):
        locked = Source.objects.select_for_update(of=("self",)).get(pk=source.pk)
        _require_readable(locked)
        locked.next_read_at = now
        locked.save(update_fields=["next_read_at"])
        log.record(verb=Verb.SOURCE_READ_REQUESTED, actor=actor, subject=source_subject(locked), now=now)
        dispatch.after_commit(READ_TASK, source_id=str(locked.pk))
    return locked


def request_preview(*, source: Source, actor: Actor, now: datetime) -> UUID:
    """Have the source read as soon as a worker is free, to see what would change; returns the id of the run to come.

    Nothing becomes part of the inventory. Raises `NotReadable`, `Forbidden`.
    """
    require_role(actor, Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, scope="inventory:write")
    run_id = uuid4()
    with transaction.atomic(durable=True):
        current = Source.objects.get(pk=source.pk)
        _require_readable(current)
        log.record(
            verb=Verb.SOURCE_PREVIEW_REQUESTED,
            actor=actor,
            subject=source_subject(current),
            now=now,
            new={"run": str(run_id)},
        )
        dispatch.after_commit(PREVIEW_TASK, source_id=str(current.pk), run_id=str(run_id))
    return run_id


def _require_readable(source: Source) -> None:
    if source.kind == PUSH:
        raise NotReadable(f"{source.name} sends its data itself; ask its sync client for a new reading.")
    if not source.is_enabled:
        raise NotReadable(f"{source.name} is switched off.")


def describe_from(source: Source, connector: Connector) -> bool:
    """Note on the source what its connector says about itself; returns whether anything differs. Does not save."""
    description = connector.describe()
    said = {
        "coverage": dict(description.coverage),
        "not_observable": list(description.not_observable),
        "capabilities": sorted(capability.value for capability in capabilities_of(connector)),
    }
    differs = any(getattr(source, field) != value for field, value in said.items())
    for field, value in said.items():
        setattr(source, field, value)
    return differs


def source_subject(source: Source) -> log.Subject:
    """The source as the trail names it."""
    return log.Subject("source", str(source.pk), source.slug)


def _checked(field: str, value: Any) -> Any:
    if field in _RANGES:
        lowest, highest = _RANGES[field]
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise InvalidSource(f"{field} must be a whole number from {lowest} to {highest:,}.", field=field)
        return value
    match field:
        case "name":
            if not isinstance(value, str) or not value.strip() or len(value) > 120 or not value.isprintable():
                raise InvalidSource("The name must have 1 to 120 printable characters.", field=field)
            return value.strip()
        case "environment":
            if value not in Environment.values:
                raise InvalidSource(f"The environment must be one of {', '.join(Environment.values)}.", field=field)
            return value
        case "is_enabled":
            if not isinstance(value, bool):
                raise InvalidSource("is_enabled must be true or false.", field=field)
            return value
        case "owner":
            if value is not None and value.left_at is not None:
                raise InvalidSource("Somebody who left can't answer for a source.", field=field)
            return value
        case "settings":
            return checked_settings(value)
    raise InvalidSource(f"{field} can't be changed.", field=field)


def checked_settings(value: Any) -> dict[str, Any]:
    """Settings as they may be stored: secrets only as references. Raises `InvalidSource`, `SecretMissing`."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidSource("The settings must be an object.", field="settings")
    for name, setting in value.items():
        if is_reference(setting):
            check_reference(name, setting)
        elif (is_secret_name(name) and setting) or find_secret(setting) is not None:
            raise InvalidSource(
                f"The setting {name} looks like a secret. Give a reference instead: env:NAME or file:/path.",
                field="settings",
                setting=name,
            )
    return dict(value)


def _loggable(source: Source, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What the trail keeps: ids instead of people, names of settings instead of addresses of systems."""
    told: dict[str, Any] = {}
    for field in fields:
        value = getattr(source, field)
        if field == "owner":
            value = str(source.owner_id) if source.owner_id else None
        elif field == "settings":
            value = sorted(value)
        told[field] = value
    return {"kind": source.kind, **told}


def _told_settings(settings: Mapping[str, Any], other: Mapping[str, Any], *, word: str = "(text)") -> dict[str, Any]:
    """Of settings that differ: numbers and switches as they are, of texts only that they changed.

    A text may be an address of a system or lead to a secret. An absent setting is told as nothing.
    """
    if settings == other:
        return {}
    told: dict[str, Any] = {}
    for name in sorted(settings.keys() | other.keys()):
        value = settings.get(name)
        if value != other.get(name):
            told[ascii(name)[1:-1]] = value if value is None or isinstance(value, bool | int) else word
    return {"settings": told}
