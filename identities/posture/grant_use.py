"""The use of each single grant, as far as logs show it, and where it is written down.

A use counts for every grant that may have allowed it. What is asked is one day per grant, the last one, so uses are
looked at from the latest on, and exactly (`governance.kernel`) only where the patterns alone do not rule it out.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from governance.kernel import dialects
from governance.kernel.algebra import effective
from governance.kernel.dialects import Language
from governance.kernel.observing import Window, coverage_of, is_watched
from governance.kernel.permissions import Answer, Permission, matches

REMEMBERED = 20_000

# What applies to objects that do not exist yet is not used by whoever uses the present ones.
OF_THE_FUTURE = "default_privileges"


class SeenUse(NamedTuple):
    """One use that a log showed."""

    action: str
    resource: str
    last_seen_at: datetime


class GrantUseRow(NamedTuple):
    """What is written down of one grant (`identities.models.GrantUse`)."""

    grant_id: UUID
    version_id: UUID
    identity_id: UUID
    source_id: UUID
    used_before: datetime | None
    quiet_since: datetime | None


class SeenUses:
    """All that logs showed one identity do, the latest first; folded once for each language of permissions.

    is_whole: whether these are all of its uses; else silence says nothing.
    """

    def __init__(self, uses: Iterable[SeenUse], *, is_whole: bool = True) -> None:
        self.is_whole = is_whole
        self._uses = sorted(uses, key=lambda use: use.last_seen_at, reverse=True)
        self._folded: dict[str, list[tuple[str, str, SeenUse]]] = {}

    def in_dialect(self, name: str) -> list[tuple[str, str, SeenUse]]:
        """Each with its action and its resource in the form in which patterns of this dialect are compared."""
        found = self._folded.get(name)
        if found is None:
            spoken = dialects.get(name)
            found = self._folded[name] = [
                (spoken.fold_action(use.action), spoken.fold_resource(use.resource), use) for use in self._uses
            ]
        return found


def use_of_grant(
    permission: Permission, seen: SeenUses, windows: tuple[Window, ...]
) -> tuple[datetime | None, datetime | None]:
    """`used_before` and `quiet_since` of what this permission allows."""
    last = _last_use(permission, seen)
    used_before = _end_of_day(last) if last else None
    shown = coverage_of(permission.dialect, windows).shown
    if not seen.is_whole or shown is None or not is_watched(permission, shown):
        return used_before, None
    # From when all of the logs look, also those that show nothing of this: nobody is to be called idle too early.
    watched = max(window.observed_from for window in windows)
    return used_before, max(watched, used_before) if used_before else watched


def _last_use(permission: Permission, seen: SeenUses) -> datetime | None:
    shapes = _shapes(permission)
    for action, resource, use in seen.in_dialect(permission.dialect):
        may = any(names.may_contain(action) and places.may_contain(resource) for names, places in shapes)
        if may and matches(permission, use.action, use.resource) is not Answer.NO:
            return use.last_seen_at
    return None


@lru_cache(maxsize=REMEMBERED)
def _shapes(permission: Permission) -> tuple[tuple[Language, Language], ...]:
    """The patterns of what it allows, pair by pair, whatever it excepts."""
    spoken = dialects.get(permission.dialect)
    return tuple(
        (spoken.action(action), spoken.resource(resource))
        for each in effective(permission).statements
        if each.effect == "allow"
        for action in each.actions.include
        for resource in each.resources.include
    )


def _end_of_day(moment: datetime) -> datetime:
    day = moment.astimezone(UTC).date()
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def grant_uses(
    whose: tuple[UUID, UUID],
    held: Iterable[tuple[UUID, UUID, bytes, Collection[str]]],
    permissions: Mapping[bytes, Permission | None],
    seen: SeenUses,
    windows: tuple[Window, ...],
) -> Iterator[GrantUseRow]:
    """What is known of the grants of one identity.

    whose: the identity and its source. held: grant, version, digest and the kinds of the path, of each.
    """
    for grant_id, version_id, digest, kinds in held:
        permission = permissions.get(digest)
        if permission is None or OF_THE_FUTURE in kinds:
            continue
        used_before, quiet_since = use_of_grant(permission, seen, windows)
        if used_before or quiet_since:
            yield GrantUseRow(grant_id, version_id, *whose, used_before, quiet_since)


# --- writing ----------------------------------------------------------------------------------------------------------

_TABLE = """
CREATE TEMPORARY TABLE grant_use_new (
    grant_id uuid, version_id uuid, identity_id uuid, source_id uuid, used_before timestamptz, quiet_since timestamptz
) ON COMMIT DROP
"""
_COPY = "COPY grant_use_new (grant_id, version_id, identity_id, source_id, used_before, quiet_since) FROM STDIN"
_UPSERT = """
INSERT INTO identities_grantuse AS u (grant_id, version_id, identity_id, source_id, used_before, quiet_since)
SELECT grant_id, version_id, identity_id, source_id, used_before, quiet_since FROM grant_use_new ORDER BY grant_id
ON CONFLICT (grant_id) DO UPDATE
SET version_id = EXCLUDED.version_id, identity_id = EXCLUDED.identity_id, source_id = EXCLUDED.source_id,
    used_before = EXCLUDED.used_before, quiet_since = EXCLUDED.quiet_since
WHERE (u.version_id, u.identity_id, u.source_id, u.used_before, u.quiet_since) IS DISTINCT FROM
      (EXCLUDED.version_id, EXCLUDED.identity_id, EXCLUDED.source_id, EXCLUDED.used_before, EXCLUDED.quiet_since)
"""
_FORGET = """
DELETE FROM identities_grantuse u USING identities_grant g
WHERE g.identity_id = ANY(%(ids)s::uuid[]) AND u.grant_id = g.id
  AND NOT EXISTS (SELECT FROM grant_use_new n WHERE n.grant_id = u.grant_id)
"""


def write_grant_uses(found: Iterable[GrantUseRow], *, identity_ids: Collection[UUID]) -> None:
    """Replace what stands of the grants of these identities. An inner step."""
    with connection.cursor() as cursor:
        cursor.execute(_TABLE)
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(_COPY) as copy:
        for row in found:
            copy.write_row(row)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE grant_use_new")
        cursor.execute(_UPSERT)
        cursor.execute(_FORGET, {"ids": list(identity_ids)})
        cursor.execute("DROP TABLE grant_use_new")
