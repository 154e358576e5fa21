"""What a search of the decision point goes through: names that the inventory knows. Nothing here says who may what."""

from collections.abc import Iterable, Iterator
from uuid import UUID

from django.db.models import Q

from governance.kernel import dialects
from governance.kernel.dialects.authzen import resource_parts
from governance.kernel.permissions import Permission
from identities.models import GrantVersion, Identity, KnownPermission
from identities.selectors.domains import Domain

MOST_PERMISSIONS = 2_000
AUTHZEN = "authzen"


def subjects_after(domain: Domain, subject_type: str, after: UUID | None, limit: int) -> list[tuple[UUID, str]]:
    """The next identities of this type that hold anything, in the order of their rows: row and name."""
    rows = Identity.objects.filter(
        source__in=domain.source_ids, kind__in=domain.kinds_of(subject_type), retired_at=None, grant_count__gt=0
    )
    if after is not None:
        rows = rows.filter(pk__gt=after)
    return list(rows.order_by("pk").values_list("pk", "external_id")[:limit])


def named_resources(domain: Domain, subject_id: str, resource_type: str) -> list[str]:
    """Ids of resources that the subject's grants name whole, as far as they may be of this type, sorted."""
    return sorted(
        {
            identifier
            for permission in _held(domain, subject_id)
            for statement in permission.statements
            for text in statement.resources.include
            if not _is_pattern(text) and (identifier := _identifier(permission.dialect, text, resource_type))
        }
    )


def _identifier(dialect: str, text: str, resource_type: str) -> str:
    """What a request for this resource calls it; sources that write no type before a name leave it as it is."""
    if dialect == AUTHZEN:
        kind, identifier = resource_parts(text)
        return identifier if kind == resource_type else ""
    return text.removeprefix(f"{resource_type}:")


def actions_named(domain: Domain, subject_id: str) -> list[str]:
    """Names of actions that the subject may hold, sorted: those its grants name, and behind a wildcard those that
    any grant of the same dialect in the domain names.
    """
    named: set[str] = set()
    open_dialects: set[str] = set()
    for permission in _held(domain, subject_id):
        spoken = dialects.get(permission.dialect)
        for name in _actions(permission):
            if not _is_pattern(name):
                named.update(spoken.spell_out(name))
                continue
            open_dialects.add(permission.dialect)
            named.update(spoken.known_actions)
    for permission in _of_domain(domain, open_dialects):
        named.update(name for name in _actions(permission) if not _is_pattern(name))
    return sorted(named)


def _held(domain: Domain, subject_id: str) -> Iterator[Permission]:
    """What the identities of this name hold now. One query."""
    called = Q(grant__identity__external_id=subject_id)
    if (row := _as_id(subject_id)) is not None:
        called |= Q(grant__identity=row)
    versions = GrantVersion.objects.filter(
        called,
        seen_until=None,
        grant__retired_at=None,
        grant__identity__retired_at=None,
        grant__identity__source__in=domain.source_ids,
    )
    return _read(versions.values_list("permission", flat=True).iterator(chunk_size=500))


def _of_domain(domain: Domain, names: Iterable[str]) -> Iterator[Permission]:
    """Different permissions that somebody in the domain holds, some thousands at most."""
    listed = sorted(names)
    if not listed:
        return iter(())
    held = GrantVersion.objects.filter(
        seen_until=None, grant__retired_at=None, grant__source__in=domain.source_ids
    ).values("digest")
    known = KnownPermission.objects.filter(dialect__in=listed, digest__in=held).order_by("digest")
    return _read(known.values_list("permission", flat=True)[:MOST_PERMISSIONS])


def _read(documents: Iterable[object]) -> Iterator[Permission]:
    return (Permission.from_json(document) for document in documents)


def _actions(permission: Permission) -> Iterator[str]:
    for statement in permission.statements:
        if statement.effect == "allow":
            yield from statement.actions.include


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text
