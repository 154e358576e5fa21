"""Where steps begin: the identities that are asked about, and those of their grants that allow steps at all."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

import orjson
from django.db import connection

from governance.kernel.decisions import Answer, stand_of, together
from governance.kernel.heads import heads_of_request
from governance.kernel.permissions import Permission
from identities.models import Identity

CANDIDATES = 1_000
"""So many targets of a wildcard are looked at, the most privileged first."""


Instead = Mapping[UUID, Permission]


@dataclass(frozen=True, slots=True)
class Start:
    """One identity that is asked about."""

    id: UUID
    source_id: UUID
    external_id: str

    @property
    def account(self) -> str:
        """The AWS account in its name, if it has one."""
        fields = self.external_id.split(":")
        return fields[4] if self.external_id.startswith("arn:") and len(fields) > 5 else ""


@dataclass(frozen=True, slots=True)
class Held:
    """One grant that may have something to say about a step."""

    grant_id: UUID
    label: str
    permission: Permission


@dataclass(frozen=True, slots=True)
class Said:
    """What the grants of one holder say together: whether the step is allowed, and which grant it rests on."""

    answer: Answer
    is_denied: bool | None
    grant_id: UUID | None


def starts_of(identity_ids: Collection[UUID]) -> Mapping[UUID, Start]:
    """Those that are still there, by id. One query."""
    rows = Identity.objects.filter(pk__in=identity_ids, retired_at=None).values_list("pk", "source_id", "external_id")
    return {row[0]: Start(*row) for row in rows}


_HELD = """
SELECT g.identity_id, g.id, g.label, k.permission::text
FROM identities_grant g
JOIN identities_grantversion v ON v.grant_id = g.id AND v.seen_until IS NULL
JOIN identities_knownpermission k ON k.digest = v.digest
WHERE g.identity_id = ANY(%s) AND g.retired_at IS NULL AND k.dialect = %s AND k.action_heads && %s
  AND (v.valid_from IS NULL OR v.valid_from <= now()) AND (v.valid_until IS NULL OR v.valid_until > now())
ORDER BY g.identity_id, g.label, g.id
"""


def held_by(
    identity_ids: Collection[UUID], dialect: str, actions: Sequence[str], instead: Instead
) -> Mapping[UUID, Sequence[Held]]:
    """Current grants of a dialect that may concern one of these actions, by holder. One query, none for nobody.

    instead: what to take for the content of some grants, by their ids.
    """
    if not identity_ids:
        return {}
    heads = sorted({head for action in actions for head in heads_of_request(dialect, action, "").actions})
    with connection.cursor() as cursor:
        cursor.execute(_HELD, [list(identity_ids), dialect, heads])
        rows = cursor.fetchall()
    found: dict[UUID, list[Held]] = {}
    for holder, grant_id, label, written in rows:
        found.setdefault(holder, []).append(Held(grant_id, label, instead.get(grant_id) or _permission(written)))
    return found


def said_of(held: Sequence[Held], action: str, resource: str) -> Said:
    """What grants say together to one request. The grant named is the first that allows, sure ones before others."""
    answer, is_denied, place = _said(tuple(each.permission for each in held), action, resource)
    return Said(answer, is_denied, None if place is None else held[place].grant_id)


# Many identities hold the same permissions and ask for the same targets.
@lru_cache(maxsize=65_536)
def _said(permissions: tuple[Permission, ...], action: str, resource: str) -> tuple[Answer, bool | None, int | None]:
    stands = [stand_of(each, action, resource) for each in permissions]
    denies = {stand.denies for stand in stands}
    allowing = [place for wanted in (True, None) for place, stand in enumerate(stands) if stand.allows is wanted]
    is_denied = True if True in denies else None if None in denies else False
    return together(stands), is_denied, allowing[0] if allowing else None


def literals_of(held: Iterable[Held], prefix: str) -> set[str]:
    """Resources without wildcards that begin so: targets that are named one by one."""
    return {
        text
        for each in held
        for statement in each.permission.statements
        if statement.effect == "allow"
        for text in statement.resources.include
        if text.startswith(prefix) and not set(text) & set("*?$")
    }


@lru_cache(maxsize=4_096)
def _permission(written: str) -> Permission:
    return Permission.from_json(orjson.loads(written))
