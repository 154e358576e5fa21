"""How much harm a permission can do: privilege classes, and the segment of the inventory that it belongs to."""

from enum import StrEnum
from functools import lru_cache

from governance.kernel import dialects
from governance.kernel.algebra import effective
from governance.kernel.documents import Permission
from governance.kernel.statements import Statement

CATALOGUE_VERSION = "2026-11.2"
"""Which catalogue of actions the answers come from; to be raised with every change to a dialect's word lists."""

SEGMENTS = ("apis", "queues", "databases", "storage", "secrets", "admin", "ai_tools")


class PrivilegeClass(StrEnum):
    """What an action does, from harmless to harmful; one action may be of several classes."""

    READ = "read"
    WRITE = "write"
    EXTERNAL_SEND = "external_send"
    DESTRUCTIVE = "destructive"
    SECRET_READ = "secret_read"  # noqa: S105
    ADMIN = "admin"


_ALWAYS_PRIVILEGED = {PrivilegeClass.ADMIN, PrivilegeClass.DESTRUCTIVE, PrivilegeClass.SECRET_READ}


@lru_cache(maxsize=4_096)
def classes_of(permission: Permission) -> frozenset[PrivilegeClass]:
    """Every class of which the permission lets some action through."""
    dialect = dialects.get(permission.dialect)
    found: set[str] = set()
    for statement in _allowing(permission):
        for resource in statement.resources.include:
            for action in statement.actions.include:
                found |= dialect.classes(action, resource)
            if len(found) == len(PrivilegeClass):
                break
    return frozenset(map(PrivilegeClass, found))


def is_privileged(permission: Permission) -> bool:
    """Whether it administers, destroys or reads secrets anywhere, or writes everywhere."""
    if classes_of(permission) & _ALWAYS_PRIVILEGED:
        return True
    dialect = dialects.get(permission.dialect)
    return any(
        PrivilegeClass.WRITE in dialect.classes(action, "*")
        for statement in _allowing(permission)
        if "*" in statement.resources.include
        for action in statement.actions.include
    )


def segment_of(permission: Permission) -> str:
    """The one of `SEGMENTS` that it is filed under: the most sensitive."""
    actions = [text for statement in permission.statements for text in statement.actions.include]
    resources = [text for statement in permission.statements for text in statement.resources.include]
    return dialects.get(permission.dialect).segment(actions, resources)


def segments_of(permission: Permission) -> tuple[str, ...]:
    """Every segment that it lets some action reach, in the order of `SEGMENTS`; none where it allows nothing."""
    reached = dialects.get(permission.dialect).reached
    found: set[str] = set().union(*map(reached, _allowing(permission)))
    return tuple(segment for segment in SEGMENTS if segment in found)


def further_segments_of(permission: Permission) -> tuple[str, ...]:
    """What it reaches beside the segment that it is filed under, in the order of `SEGMENTS`."""
    filed = segment_of(permission)
    return tuple(segment for segment in segments_of(permission) if segment != filed)


def _allowing(permission: Permission) -> tuple[Statement, ...]:
    if all(statement.effect == "allow" for statement in permission.statements):
        return permission.statements
    return _left_by_denies(permission)


# Asked for classes, for privilege and for segments of one permission after another.
@lru_cache(maxsize=1_024)
def _left_by_denies(permission: Permission) -> tuple[Statement, ...]:
    return tuple(statement for statement in effective(permission).statements if statement.effect == "allow")
