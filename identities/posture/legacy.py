"""Applications in which signing in is all that is asked: what counts there is what the application itself can do."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from governance.kernel.breadth import ACCOUNT, ORGANISATION
from governance.kernel.breadth import ORDER as BREADTHS
from governance.kernel.privileges import PrivilegeClass
from identities.posture import rows
from identities.posture.facts import GrantFacts, Missing
from identities.selectors.authorization import Declared

DIALECT = "application"
_CLASSES = frozenset(map(str, PrivilegeClass))
_PRIVILEGED = frozenset({PrivilegeClass.ADMIN, PrivilegeClass.DESTRUCTIVE, PrivilegeClass.SECRET_READ})


def as_said(declared: Declared, attributes: Mapping[str, Any]) -> Declared:
    """What people left open of the application, as its source says it in `application_classes` and `…_breadth`."""
    told = rows.words(attributes, "application_classes") or ()
    breadth = rows.text(attributes, "application_breadth")
    return replace(
        declared,
        classes=declared.classes or tuple(word for word in told if word in _CLASSES),
        breadth=declared.breadth or (breadth if breadth in BREADTHS else ""),
    )


def application_grant(declared: Declared, *, identity_id: UUID, first_seen_at: datetime) -> GrantFacts | None:
    """What the application lets everybody do who is signed in, as one more grant of each of them.

    None where the application decides more than who may enter. Its id is the identity's, because nothing at the source
    can be removed; where nobody declared what the application can do, it counts as not parsed, and never as nothing.
    """
    if not declared.is_login_all:
        return None
    classes = frozenset(declared.classes)
    return GrantFacts(
        id=identity_id,
        digest=b"",
        dialect=DIALECT,
        segment="apis",
        classes=classes,
        is_privileged=bool(classes & _PRIVILEGED),
        breadth=declared.breadth or Missing("not_declared"),
        primitives=(),
        direct_primitives=(),
        is_admin_equivalent=PrivilegeClass.ADMIN in classes and declared.breadth in (ACCOUNT, ORGANISATION),
        has_wildcard_resource=True,
        has_wildcard_action=True,
        condition_sorts=frozenset(),
        ends_at=None,
        first_seen_at=declared.declared_at or first_seen_at,
        reviewed_at=None,
        approved_until=None,
        is_parsed=bool(classes),
        resource_environments=Missing("not_declared"),
        touches_restricted_data=Missing("not_declared"),
        path_kinds=("application",),
        label="Whatever the application can do: signing in is all that it asks",
    )
