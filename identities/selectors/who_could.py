"""“Who could do X on Z on date D?”

Four steps: the net over known permissions catches those that could concern the request; the kernel says of each what
it allows, denies, or makes depend on conditions; identities that held any of them at the moment are gone through in the
order of their names; and each is judged by everything it held together, so that a deny in one grant takes what another
gives. Nothing is cut off silently: a page that looked through many identities without filling up says where to go on.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import TextField
from django.db.models.functions import Cast

from governance.kernel.actors import Actor
from governance.kernel.decisions import Stand, together
from governance.kernel.permissions import Answer, Permission
from governance.kernel.questions import Finding, Question, find
from identities.models import GrantVersion, IdentityVersion, KnownPermission
from identities.selectors.as_of import members_before, past_identities
from identities.selectors.holders import Moved, moved_since
from identities.selectors.past_filter import PastFilter

Place = tuple[str, UUID]
"""Where a list stands: name of an identity at that time, and its id."""

# Up to so many versions it is quicker to start from them, beyond that to walk the identities.
FEW = 20_000
BATCH = 200
MOST_BATCHES = 20
REASONS = 3
NOT_YET_MADE = "the object was made after the rule: it covers only objects yet to come"


@dataclass(frozen=True, slots=True)
class Reason:
    """One grant that decided: its version then, and the sentences that an open answer hangs on."""

    version: GrantVersion
    label: str
    path: list[dict[str, Any]]
    allows: bool | None
    denies: bool | None
    allowed_if: tuple[str, ...]
    denied_if: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Could:
    """One identity with its answer: YES, or UNKNOWN where it depends on conditions.

    reasons: the first few grants behind it, those that allow without conditions first; `more` counts the rest.
    """

    identity: IdentityVersion
    answer: Answer
    reasons: list[Reason]
    more: int


@dataclass(frozen=True, slots=True)
class CouldPage:
    """A stretch of the answer in the order of names.

    last: where to go on, None at the end. is_full: whether it stopped because the page was full; otherwise it looked
    through as many identities as one page may.
    """

    rows: list[Could]
    last: Place | None
    is_full: bool = True


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the known permissions say: findings of those that say anything, by digest, and how many were judged."""

    question: Question
    findings: Mapping[bytes, Finding]
    caught: int

    def count(self, **stand: bool | None) -> int:
        """How many of them stand so: `count(allows=True)`."""
        ((name, value),) = stand.items()
        return sum(getattr(each.stand, name) is value for each in self.findings.values())

    def digests(self, answer: Answer | None) -> list[bytes]:
        """Those that can lead to this answer (None: to any but no).

        A deny under conditions opens every yes, and default privileges open the yes of what they give.
        """
        has_defaults = self.question.dialect == "postgresql"
        opened = has_defaults or any(each.stand.denies is None for each in self.findings.values())
        wanted: set[bool | None] = {True, None}
        if answer is Answer.YES:
            wanted = {True}
        elif answer is Answer.UNKNOWN and not opened:
            wanted = {None}
        return [digest for digest, each in self.findings.items() if each.stand.allows in wanted]


def judge(question: Question, at: datetime) -> Judgement:
    """Ask every known permission that the net catches. One query."""
    heads = question.heads
    caught = KnownPermission.objects.filter(
        dialect=question.dialect,
        action_heads__overlap=list(heads.actions),
        resource_heads__overlap=list(heads.resources),
    ).annotate(written=Cast("permission", TextField()))
    findings: dict[bytes, Finding] = {}
    number = 0
    for digest, written in caught.values_list("digest", "written").iterator(chunk_size=2_000):
        number += 1
        finding = find(question, _permission(written), at)
        if not finding.is_silent:
            findings[bytes(digest)] = finding
    return Judgement(question, findings, number)


def who_could(
    *,
    actor: Actor,
    judgement: Judgement,
    at: datetime,
    answer: Answer | None = None,
    after: Place | None = None,
    limit: int = 50,
) -> CouldPage:
    """The identities that could do it, visible to the actor, by name: up to `limit` beyond `after`.

    judgement: of `judge`, for the same moment. answer: only those that could for certain (YES), or only those for whom
    it depends (UNKNOWN); None means both.
    """
    search = _Search(actor, judgement, at, answer)
    found: list[_Held] = []
    for _ in range(MOST_BATCHES):
        places = search.places_after(after)
        for held in search.held_at(places):
            if answer not in (None, held.answer) or held.answer is Answer.NO:
                continue
            if len(found) == limit:
                return CouldPage(_explained(found, at), found[-1].place)
            found.append(held)
        if len(places) < BATCH:
            return CouldPage(_explained(found, at), None)
        after = places[-1][:2]
    return CouldPage(_explained(found, at), after, is_full=False)


@lru_cache(maxsize=4_096)
def _permission(written: str) -> Permission:
    return Permission.from_json(orjson.loads(written))


_SEEN = """v.seen_from <= %s AND (v.seen_until IS NULL OR v.seen_until > %s)
    AND (v.valid_from IS NULL OR v.valid_from <= %s) AND (v.valid_until IS NULL OR v.valid_until > %s)"""
_COUNT = f"""
SELECT count(*) FROM (
    SELECT 1 FROM identities_grantversion v WHERE v.digest = ANY(%s) AND {_SEEN} LIMIT {FEW + 1}
) counted
"""  # noqa: S608 - constants of this module
_PLACES = "SELECT iv.name, iv.identity_id, iv.id"
# Starts from the versions: they are few.
_FROM_VERSIONS = f"""
WITH held AS MATERIALIZED (SELECT v.grant_id FROM identities_grantversion v WHERE v.digest = ANY(%s) AND {_SEEN}),
moved AS MATERIALIZED (SELECT * FROM unnest(%s::uuid[], %s::uuid[]) m(grant_id, identity_id)),
holder AS MATERIALIZED (
    SELECT DISTINCT coalesce(moved.identity_id, g.identity_id) AS identity_id
    FROM held JOIN identities_grant g ON g.id = held.grant_id LEFT JOIN moved ON moved.grant_id = g.id
)
{_PLACES} FROM holder JOIN ({{identities}}) iv ON iv.identity_id = holder.identity_id
"""  # noqa: S608
# Starts from the names and looks at the grants of each until the page is full.
_FROM_NAMES = f"""
{_PLACES} FROM ({{identities}}) iv
CROSS JOIN LATERAL (
    (SELECT 1 FROM identities_grant g JOIN identities_grantversion v ON v.grant_id = g.id
     WHERE g.identity_id = iv.identity_id AND v.digest = ANY(%s) AND {_SEEN} LIMIT 1)
    UNION ALL (SELECT 1 WHERE iv.identity_id = ANY(%s)) LIMIT 1
) hit
"""  # noqa: S608
_BEYOND = " WHERE (iv.name, iv.identity_id) > (%s, %s)"
_ORDER = f" ORDER BY iv.name, iv.identity_id LIMIT {BATCH}"
_HELD = f"""
SELECT coalesce(moved.identity_id, g.identity_id), v.id, v.digest, g.path::text
FROM identities_grant g
JOIN identities_grantversion v ON v.grant_id = g.id
LEFT JOIN unnest(%s::uuid[], %s::uuid[]) moved(grant_id, identity_id) ON moved.grant_id = g.id
WHERE (g.identity_id = ANY(%s) OR g.id = ANY(%s)) AND v.digest = ANY(%s) AND {_SEEN}
ORDER BY g.label, g.id
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class _Piece:
    """One grant version that has something to say."""

    version: UUID
    finding: Finding

    @property
    def rank(self) -> int:
        return 0 if self.finding.stand.allows else 1 if self.finding.stand.allows is None else 2


@dataclass(frozen=True, slots=True)
class _Held:
    """What one identity held of it."""

    place: Place
    identity: int
    answer: Answer
    pieces: list[_Piece]

    @property
    def telling(self) -> list[_Piece]:
        """The pieces that led to the answer, the strongest first."""
        said = [each for each in self.pieces if each.finding.stand.allows is not False or self.answer is not Answer.YES]
        if self.answer is Answer.YES:
            said = [each for each in said if each.finding.stand.allows]
        return sorted(said, key=lambda each: each.rank)


class _Search:
    """One question at one moment, gone through batch by batch."""

    def __init__(self, actor: Actor, judged: Judgement, at: datetime, answer: Answer | None) -> None:
        self.findings = judged.findings
        self.moments = [at] * 4
        self.wanted = judged.digests(answer)
        self.moved = moved_since(at) if self.wanted else Moved()
        identities = past_identities(actor, PastFilter(), at).order_by().values("id", "name", "identity_id")
        self.identities, self.given = identities.query.sql_with_params()
        self.are_few = bool(self.wanted) and _rows(_COUNT, [self.wanted, *self.moments])[0][0] <= FEW

    def places_after(self, after: Place | None) -> list[tuple[str, UUID, int]]:
        """The next identities that held anything which could lead to the answer, with their version."""
        if not self.wanted:
            return []
        if self.are_few:
            statement = _FROM_VERSIONS.format(identities=self.identities)
            parameters = [self.wanted, *self.moments, *self.moved.arrays, *self.given]
        else:
            statement = _FROM_NAMES.format(identities=self.identities)
            parameters = [*self.given, self.wanted, *self.moments, list(set(self.moved.holders))]
        if after is not None:
            statement += _BEYOND
            parameters += after
        return _rows(statement + _ORDER, parameters)

    def held_at(self, places: Sequence[tuple[str, UUID, int]]) -> list[_Held]:
        """Each of these identities, judged by everything it held together."""
        if not places:
            return []
        ids = [identity for _, identity, _ in places]
        moved = [grant for identity in ids for grant in self.moved.held_by(identity)] if self.moved else []
        parameters = [*self.moved.arrays, ids, moved, list(self.findings), *self.moments]
        pieces: dict[UUID, list[_Piece]] = defaultdict(list)
        for holder, version, digest, path in _rows(_HELD, parameters):
            pieces[holder].append(_Piece(version, _as_reached(self.findings[bytes(digest)], path)))
        return [
            _Held(
                (name, identity),
                version,
                together(piece.finding.stand for piece in pieces[identity]),
                pieces[identity],
            )
            for name, identity, version in places
        ]


def _as_reached(finding: Finding, path: str) -> Finding:
    """Default privileges are rights on what does not exist yet: they allow nothing on what was there before them."""
    stand = finding.stand
    if stand.allows is False or not any(step.get("kind") == "default_privileges" for step in orjson.loads(path)):
        return finding
    return Finding(Stand(allows=None, denies=stand.denies), (*finding.allowed_if, NOT_YET_MADE), finding.denied_if)


def _explained(found: Sequence[_Held], at: datetime) -> list[Could]:
    """Load what the page says about each. Three queries."""
    shown = {held.place: held.telling[:REASONS] for held in found}
    versions_then = IdentityVersion.objects.select_related("source", "owner", "team", "identity")
    identities = versions_then.in_bulk([held.identity for held in found])
    versions = GrantVersion.objects.select_related("grant", "grant__source").in_bulk(
        [piece.version for pieces in shown.values() for piece in pieces]
    )
    before = members_before((version.grant_id for version in versions.values()), at)
    return [
        Could(
            identities[held.identity],
            held.answer,
            [_reason(versions[piece.version], piece.finding, before) for piece in shown[held.place]],
            more=len(held.telling) - len(shown[held.place]),
        )
        for held in found
    ]


def _reason(version: GrantVersion, finding: Finding, before: Mapping[tuple[UUID, str], Any]) -> Reason:
    grant = version.grant
    return Reason(
        version=version,
        label=before.get((grant.pk, "label"), grant.label),
        path=before.get((grant.pk, "path"), grant.path),
        allows=finding.stand.allows,
        denies=finding.stand.denies,
        allowed_if=finding.allowed_if,
        denied_if=finding.denied_if,
    )


def _rows(statement: str, parameters: Sequence[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()
