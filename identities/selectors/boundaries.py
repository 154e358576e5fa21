"""Trust boundaries: where one system takes another's word for who somebody is, and whether anybody registered that."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from governance.kernel.actors import Actor
from governance.kernel.errors import NotFound
from governance.kernel.federation import (
    IssuerSort,
    Looseness,
    SubjectJudgement,
    audience_is_open,
    lies_within,
    sort_of_issuer,
    subject_looseness,
)
from identities.models import TrustBoundary, TrustRelation
from identities.selectors.inventory import sees_everything, visible_identities

MOST_BOUNDARIES = 300
MOST_SUBJECTS = 300
LOOSE = (Looseness.ANY, Looseness.LOOSE)


@dataclass(frozen=True, slots=True)
class SubjectLine:
    """One subject pattern of a boundary. is_registered: whether the record covers it; None without a record."""

    subject: str
    audience: str
    identities: int
    judgement: SubjectJudgement
    has_conditions: bool | None
    is_registered: bool | None

    @property
    def has_open_audience(self) -> bool:
        """Whether tokens made for others are taken; cloud accounts and platform services know no audience."""
        return self.judgement.issuer in ("public", "tenant", "cluster") and audience_is_open(self.audience)


@dataclass(frozen=True, slots=True)
class Boundary:
    """One issuer whose word one source takes. lines: its subject patterns, the loosest first; `is_cut`: not all."""

    source_id: UUID
    source: str
    slug: str
    issuer: str
    identities: int
    relations: int
    lines: list[SubjectLine] = field(default_factory=list)
    is_cut: bool = False
    record: TrustBoundary | None = None

    @property
    def loosest(self) -> SubjectLine | None:
        return self.lines[0] if self.lines else None

    @property
    def outside(self) -> int:
        """Subject patterns that the record does not cover, as far as they were looked at."""
        return sum(line.is_registered is False for line in self.lines)

    def is_overdue(self, today: date) -> bool:
        return self.record is not None and self.record.review_due < today


@dataclass(frozen=True, slots=True)
class BoundaryList:
    """The boundaries that fit. total: how many there are, of which the first `MOST_BOUNDARIES` are listed."""

    rows: list[Boundary]
    total: int


_ORDER_OF_LOOSENESS = {name: place for place, name in enumerate(reversed(list(Looseness)))}
# Groups are few (issuers times sources); their subjects may be many, so the open ones come first and the rest is cut.
_GROUPS = f"""
WITH seen AS (
    SELECT t.source_id, t.issuer, count(*) AS relations, count(DISTINCT t.identity_id) AS identities
    FROM identities_trustrelation t
    WHERE t.retired_at IS NULL
    GROUP BY t.source_id, t.issuer
)
SELECT s.id, s.name, s.slug, coalesce(seen.issuer, b.issuer) AS issuer,
       coalesce(seen.identities, 0), coalesce(seen.relations, 0), b.id, count(*) OVER ()
FROM seen
FULL JOIN (SELECT * FROM identities_trustboundary WHERE withdrawn_at IS NULL) b
    ON b.source_id = seen.source_id AND b.issuer = seen.issuer
JOIN identities_source s ON s.id = coalesce(seen.source_id, b.source_id)
WHERE (%(source)s = '' OR s.slug = %(source)s)
  AND (%(text)s = '' OR position(lower(%(text)s) IN lower(coalesce(seen.issuer, b.issuer))) > 0)
  AND (%(issuer)s = '' OR coalesce(seen.issuer, b.issuer) = %(issuer)s)
  AND (%(registered)s = '' OR (b.id IS NOT NULL) = (%(registered)s = 'yes'))
ORDER BY b.id IS NOT NULL, issuer, s.name, s.id
LIMIT {MOST_BOUNDARIES}
"""  # noqa: S608 - constants of this module
_SUBJECTS = f"""
SELECT g.source_id, g.issuer, found.*
FROM unnest(%s::uuid[], %s::text[]) g(source_id, issuer)
CROSS JOIN LATERAL (
    SELECT t.subject, t.audience, count(DISTINCT t.identity_id),
           CASE WHEN bool_or(t.conditions IS NULL) THEN NULL ELSE bool_and(t.conditions <> '{{}}'::jsonb) END,
           count(*) OVER ()
    FROM identities_trustrelation t
    WHERE t.source_id = g.source_id AND t.issuer = g.issuer AND t.retired_at IS NULL
    GROUP BY t.subject, t.audience
    ORDER BY (t.subject = '' OR t.subject LIKE '%%*%%' OR t.subject LIKE '%%:root') DESC, t.subject, t.audience
    LIMIT {MOST_SUBJECTS}
) found
"""  # noqa: S608


def list_boundaries(
    *, actor: Actor, source: str = "", text: str = "", issuer: str = "", registered: str = ""
) -> BoundaryList:
    """Every boundary, those that nobody registered first. Three queries.

    source: a slug. text: part of an issuer's name; issuer: the whole name. registered: "yes", "no" or "" for both.
    Only for those who see the whole inventory: a boundary is nobody's alone.
    """
    if not sees_everything(actor):
        raise NotFound("There is no such list for you.")
    wish = {"source": source, "text": text, "issuer": issuer, "registered": registered}
    with connection.cursor() as cursor:
        cursor.execute(_GROUPS, wish)
        groups = cursor.fetchall()
        cursor.execute(_SUBJECTS, [[row[0] for row in groups], [row[3] for row in groups]])
        subjects: dict[tuple[UUID, str], list[tuple[Any, ...]]] = {}
        for source_id, name, *found in cursor.fetchall():
            subjects.setdefault((source_id, name), []).append(tuple(found))
    records = TrustBoundary.objects.select_related("owner", "source").in_bulk([row[6] for row in groups if row[6]])
    rows = [_boundary(row, subjects.get((row[0], row[3]), []), records.get(row[6])) for row in groups]
    return BoundaryList(rows, groups[0][7] if groups else 0)


def access_boundary_record(*, actor: Actor, boundary_id: UUID) -> TrustBoundary:
    """One record, also a withdrawn one. Raises NotFound for what is absent and for what is not the actor's to see."""
    found = TrustBoundary.objects.select_related("owner", "source").filter(pk=boundary_id).first()
    # A program that may write names what it changes, and gets it back as the answer.
    if found is None or not (sees_everything(actor) or "inventory:write" in actor.scopes):
        raise NotFound("There is no such record.")
    return found


def list_boundary_records(*, actor: Actor) -> QuerySet[TrustBoundary]:
    """All records, also withdrawn ones; the edge orders and pages."""
    if not sees_everything(actor):
        return TrustBoundary.objects.none()
    return TrustBoundary.objects.select_related("owner", "source")


def list_trusting(*, actor: Actor, source_id: UUID, issuer: str) -> QuerySet[TrustRelation]:
    """The trust relations of one boundary that the actor may see; the edge orders and pages."""
    relations = TrustRelation.objects.filter(source=source_id, issuer=issuer, retired_at=None)
    if not sees_everything(actor):
        relations = relations.filter(identity__in=visible_identities(actor))
    return relations.select_related("identity")


@dataclass(frozen=True, slots=True)
class Registration:
    """Whether a trust is registered: by which record, and until when that was looked at."""

    record_id: UUID
    owner_id: UUID | None
    review_due: date
    covers: bool


def registrations_of(relations: Collection[TrustRelation]) -> Mapping[UUID, Registration]:
    """The record of each trust relation's boundary, by the relation's id; absent where nobody registered one.

    One query, for as many relations as wanted.
    """
    records = records_in({each.source_id for each in relations})
    return {
        each.pk: Registration(found.pk, found.owner_id, found.review_due, covers(found, each.subject, each.audience))
        for each in relations
        if (found := records.get((each.source_id, each.issuer)))
    }


def records_in(source_ids: Collection[UUID]) -> Mapping[tuple[UUID, str], TrustBoundary]:
    """Records in force, by source and issuer. One query."""
    records = TrustBoundary.objects.filter(source__in=source_ids, withdrawn_at=None)
    return {(each.source_id, each.issuer): each for each in records}


def needs_record(issuer: str, external_id: str) -> bool:
    """Whether a trust crosses a boundary: not within one cloud account, nor from a service of the platform itself."""
    sort = sort_of_issuer(issuer)
    if sort is IssuerSort.PLATFORM:
        return False
    fields = external_id.split(":")
    return not (sort is IssuerSort.ACCOUNT and len(fields) > 5 and issuer.endswith(f" {fields[4]}"))


def covers(record: TrustBoundary, subject: str, audience: str) -> bool:
    """Whether a trust accepts nothing beyond its record."""
    return lies_within(subject, audience, subjects=record.subjects, audiences=record.audiences)


def _boundary(row: tuple[Any, ...], subjects: Iterable[tuple[Any, ...]], record: TrustBoundary | None) -> Boundary:
    source_id, source, slug, issuer, identities, relations = row[:6]
    listed = list(subjects)
    lines = [
        SubjectLine(
            subject,
            audience,
            count,
            subject_looseness(issuer, subject),
            has_conditions,
            covers(record, subject, audience) if record else None,
        )
        for subject, audience, count, has_conditions, _ in listed
    ]
    lines.sort(key=lambda line: (_ORDER_OF_LOOSENESS[line.judgement.looseness], line.subject, line.audience))
    is_cut = bool(listed) and listed[0][4] > len(listed)
    return Boundary(source_id, source, slug, issuer, identities, relations, lines, is_cut, record)


def overdue_records(now: datetime) -> QuerySet[TrustBoundary]:
    """Records in force whose review date has passed."""
    return TrustBoundary.objects.filter(withdrawn_at=None, review_due__lt=now.date())
