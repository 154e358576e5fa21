"""Everything that happened to one identity, latest first: what readings changed, and what people said.

Two rows of events side by side, each with an order of its own; `list_happenings` merges them by time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.db import connection

from identities.models import Change, Identity, IdentityVersion, SyncRun, SyncState
from identities.selectors.holders import CHANGED_HANDS

SHOWN_OF_MANY = 3
VERSIONS = 200
# What people say about an identity; the rest of a version comes from its source and stands in the changes.
SAID_BY_PEOPLE = ("owner", "team", "environment", "purpose", "tags")

# The objects first, then the changes of each by the index on (object_id, id): never the whole table, long as it is.
_CHANGES = f"""
WITH object AS MATERIALIZED (
    SELECT %(identity)s AS id
    UNION SELECT id FROM identities_grant WHERE identity_id = %(identity)s
    UNION SELECT id FROM identities_credential WHERE identity_id = %(identity)s
    UNION SELECT id FROM identities_trustrelation WHERE identity_id = %(identity)s
    UNION SELECT c.object_id FROM identities_change c JOIN identities_syncrun r ON r.id = c.run_id
          WHERE {CHANGED_HANDS} AND c.old ->> 'identity' = %(external_id)s AND r.source_id = %(source)s
)
SELECT max(c.id) AS last, count(*), (array_agg(c.id ORDER BY c.id DESC))[1:{SHOWN_OF_MANY}]
FROM object JOIN identities_change c ON c.object_id = object.id
GROUP BY c.run_id, c.object_kind, c.action
HAVING max(c.id) < %(before)s
ORDER BY last DESC
LIMIT %(limit)s
"""  # noqa: S608 - constants of this module
END = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """Like changes of one reading: how many, and the last few of them. `last` is its place in the order."""

    last: int
    number: int
    changes: list[Change]

    @property
    def at(self) -> datetime:
        return self.changes[0].run.observed_at


@dataclass(frozen=True, slots=True)
class Edit:
    """What people's side of an identity became at one moment: (fact, before, after), people and teams by name.

    is_with_reading: it happened with a reading, so the source's word may be behind it.
    """

    place: int
    at: datetime
    facts: list[tuple[str, Any, Any]]
    is_with_reading: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a timeline goes on: below this change and this version."""

    change: int = END
    version: int = END


@dataclass(frozen=True, slots=True)
class Happenings:
    """A stretch of a timeline; `following` is None at its end."""

    events: list[ChangeGroup | Edit]
    following: Place | None


def list_happenings(identity: Identity, *, after: Place | None = None, limit: int = 50) -> Happenings:
    """Up to `limit` events below `after`, latest first. Seven queries at most."""
    after = after or Place()
    groups = list_changes_of(identity, before=after.change, limit=limit + 1)
    edits = list_edits_of(identity, before=after.version, limit=limit + 1)
    merged: list[ChangeGroup | Edit] = sorted([*groups, *edits], key=lambda event: event.at, reverse=True)
    shown = merged[:limit]
    if len(merged) <= limit:
        return Happenings(shown, None)
    return Happenings(
        shown,
        Place(
            min((each.last for each in shown if isinstance(each, ChangeGroup)), default=after.change),
            min((each.place for each in shown if isinstance(each, Edit)), default=after.version),
        ),
    )


def list_changes_of(identity: Identity, *, before: int = END, limit: int = 50) -> list[ChangeGroup]:
    """What readings changed about an identity and everything that hangs or hung on it, like changes together."""
    with connection.cursor() as cursor:
        cursor.execute(
            _CHANGES,
            {
                "identity": identity.pk,
                "external_id": identity.external_id,
                "source": identity.source_id,
                "before": before,
                "limit": limit,
            },
        )
        rows = cursor.fetchall()
    changes = Change.objects.select_related("run", "run__source").defer("run__held_payload", "run__refused_payload")
    loaded = changes.in_bulk([pk for _, _, shown in rows for pk in shown])
    return [ChangeGroup(last, number, [loaded[pk] for pk in shown]) for last, number, shown in rows]


def list_edits_of(identity: Identity, *, before: int = END, limit: int = 50) -> list[Edit]:
    """Where two versions that follow each other differ in what people say, latest first."""
    edits: list[Edit] = []
    while len(edits) < limit:
        versions = list(
            IdentityVersion.objects.filter(identity=identity, pk__lt=before)
            .select_related("owner", "team")
            .order_by("-pk")[: VERSIONS + 1]
        )
        edits += _edits_among(identity, versions)
        if len(versions) <= VERSIONS:
            break
        before = versions[-2].pk
    return edits[:limit]


def _edits_among(identity: Identity, versions: Sequence[IdentityVersion]) -> list[Edit]:
    pairs = [(new, _differing(old, new)) for new, old in pairwise(versions)]
    differing = [(new, facts) for new, facts in pairs if facts]
    read = _told_by_readings(identity, [new.seen_from for new, _ in differing]) if differing else {}
    edits = []
    for new, facts in differing:
        told = read.get(new.seen_from)
        own = [fact for fact in facts if told is None or fact[0] not in told]
        if own:
            edits.append(Edit(new.pk, new.seen_from, own, is_with_reading=told is not None))
    return edits


def _differing(old: IdentityVersion, new: IdentityVersion) -> list[tuple[str, Any, Any]]:
    return [
        (name, _spoken(getattr(old, name)), _spoken(getattr(new, name)))
        for name in SAID_BY_PEOPLE
        if _spoken(getattr(old, name)) != _spoken(getattr(new, name))
    ]


def _spoken(value: Any) -> Any:
    return value.name if hasattr(value, "pk") else value


def _told_by_readings(identity: Identity, moments: Iterable[datetime]) -> dict[datetime, set[str]]:
    """Which of these moments are those of readings, and what each said of the identity itself: that stands there."""
    runs = dict(
        SyncRun.objects.filter(
            source=identity.source_id, state=SyncState.APPLIED, observed_at__in=list(moments)
        ).values_list("pk", "observed_at")
    )
    told: dict[datetime, set[str]] = {moment: set() for moment in runs.values()}
    changes = Change.objects.filter(object_id=identity.pk, object_kind="identity", run__in=runs)
    for run, old, new in changes.values_list("run", "old", "new"):
        told[runs[run]] |= {*(old or {}), *(new or {})} - {"owner"}
    return told


def names_of_holders(external_ids: Iterable[str], source_id: UUID) -> dict[str, str]:
    """What the identities of a source are called, by the source's own id."""
    found = Identity.objects.filter(source=source_id, external_id__in=set(external_ids))
    return dict(found.values_list("external_id", "name"))
