"""What one identity is decided by, as one small value; read from the database in one statement.

One statement sees one moment, so what is known of an identity never mixes two states of it. The contents of
permissions are read afterwards where no process-wide program of the same digest is at hand: a version never changes.
"""

from collections.abc import Collection, Container, Iterable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection

from governance.kernel import dialects
from governance.kernel.dialects import Dialect
from governance.kernel.documents import Permission
from identities.pdp.programs import FastRule, Program

_READ = """
SELECT i.id, i.source_id, i.external_id, i.kind, i.status, i.effective_environment, i.acts_for,
    i.retired_at IS NOT NULL, i.attributes::text, (i.tags || i.source_tags)::text[], p.assurance_lower, held.grants,
    proofs.credentials, trusted.relations
FROM identities_identity i
LEFT JOIN identities_identityposture p ON p.identity_id = i.id
LEFT JOIN LATERAL (
    SELECT array_agg(ARRAY[
        encode(v.digest, 'hex'), v.id::text, g.id::text, CASE WHEN g.is_privileged THEN 'p' END,
        extract(epoch FROM v.valid_from)::text, extract(epoch FROM v.valid_until)::text,
        CASE WHEN g.reviewed_at IS NULL THEN NULL WHEN g.reviewed_digest = v.digest THEN 'same' ELSE 'other' END,
        extract(epoch FROM g.approved_until)::text, nullif(g.withheld_why, ''),
        g.narrowed_to::text]) AS grants
    FROM identities_grant g JOIN identities_grantversion v ON v.grant_id = g.id AND v.seen_until IS NULL
    WHERE g.identity_id = i.id AND g.retired_at IS NULL
) held ON true
LEFT JOIN LATERAL (
    SELECT array_agg(ARRAY[c.external_id, c.fingerprint, c.status, extract(epoch FROM c.expires_at)::text])
        AS credentials
    FROM identities_credential c WHERE c.identity_id = i.id AND c.retired_at IS NULL
) proofs ON true
LEFT JOIN LATERAL (
    SELECT array_agg(ARRAY[t.issuer, t.subject, t.audience]) AS relations
    FROM identities_trustrelation t WHERE t.identity_id = i.id AND t.retired_at IS NULL
) trusted ON true
WHERE i.id = ANY(%s::uuid[])
"""
_CONTENTS = "SELECT digest, permission::text FROM identities_grantversion WHERE id = ANY(%s::uuid[])"
_NAMED = """
SELECT i.external_id, i.id, i.retired_at IS NOT NULL, i.source_id FROM identities_identity i
WHERE i.external_id = ANY(%s) AND i.source_id = ANY(%s::uuid[])
"""


class Terms(NamedTuple):
    """On which terms a grant counts, beside what it permits. Times are seconds since 1970.

    review: "" where nobody reviewed it, "same" where what was reviewed is what is held, else "other". narrowed: the
    permission that a review left of it, where one narrowed it. withheld: why it is not honoured, or "".
    is_bounded: whether any of these says anything, the review aside.
    """

    is_privileged: bool
    valid_from: float | None
    valid_until: float | None
    review: str
    approved_until: float | None
    withheld: str
    narrowed: Program | None
    is_bounded: bool


class CredentialFacts(NamedTuple):
    """What is asked of a credential that was presented. expires_at: seconds since 1970."""

    external_id: str
    fingerprint: str
    is_active: bool
    expires_at: float | None


class TrustFacts(NamedTuple):
    """Who authenticates; empty where the source says no more."""

    issuer: str
    subject: str
    audience: str


class Held(NamedTuple):
    """One rule of a grant, what it concerns first: that is what is looked at most.

    starts: the beginnings of its resources, where it concerns all that begins so and nothing else.
    """

    actions: Container[str]
    resources: Container[str]
    starts: tuple[str, ...] | None
    rule: FastRule
    terms: Terms
    program: Program


class Principal:
    """One identity, and every rule of every grant that it holds now, by dialect. key: its id as text."""

    __slots__ = (
        "acts_for",
        "assurance",
        "attributes",
        "credentials",
        "digests",
        "environment",
        "external_id",
        "id",
        "is_active",
        "is_retired",
        "key",
        "kind",
        "rules",
        "size",
        "source_id",
        "tags",
        "trust",
    )  # fmt: skip

    id: UUID
    source_id: UUID
    external_id: str
    kind: str
    environment: str
    acts_for: str
    is_active: bool
    is_retired: bool
    attributes: Mapping[str, Any]
    tags: tuple[str, ...]
    assurance: int | None
    credentials: tuple[CredentialFacts, ...]
    trust: tuple[TrustFacts, ...]
    key: str
    rules: tuple[tuple[Dialect, tuple[Held, ...]], ...]
    digests: tuple[bytes, ...]
    size: int


class Programs:
    """Compiled permissions by digest, each as long as somebody in memory holds it.

    Identities of one role hold the same permission, so most programs serve many. Not safe between threads by itself.
    """

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[Program, int]] = {}
        self.size = 0

    def get(self, digest: bytes) -> Program | None:
        found = self._kept.get(digest)
        return found[0] if found else None

    def hold(self, digests: Iterable[bytes], known: Mapping[bytes, Program]) -> None:
        """Somebody in memory holds these from now on."""
        for digest in digests:
            found = self._kept.get(digest)
            if found is None:
                program = known[digest]
                self.size += program.size
                self._kept[digest] = (program, 1)
            else:
                self._kept[digest] = (found[0], found[1] + 1)

    def release(self, digests: Iterable[bytes]) -> None:
        for digest in digests:
            program, holders = self._kept[digest]
            if holders == 1:
                del self._kept[digest]
                self.size -= program.size
            else:
                self._kept[digest] = (program, holders - 1)

    def clear(self) -> None:
        self._kept.clear()
        self.size = 0


class Loaded(NamedTuple):
    """What one reading found. programs: every program that the principals hold."""

    principals: dict[UUID, Principal]
    programs: dict[bytes, Program]


def read_principals(ids: Collection[UUID], programs: Programs) -> Loaded:
    """Those of these identities that exist, retired ones too. programs: those at hand."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, [list(ids)])
        rows = cursor.fetchall()
        known, unread = _known(rows, programs)
        if unread:
            cursor.execute(_CONTENTS, [list(unread.values())])
            for digest, written in cursor.fetchall():
                known[bytes(digest)] = Program(Permission.from_json(orjson.loads(written)))
    return Loaded({row[0]: _principal(row, known) for row in rows}, known)


def read_names(names: Collection[str], source_ids: Collection[UUID]) -> dict[str, list[tuple[UUID, bool, UUID]]]:
    """Identities with these external ids in these sources: (id, whether it is retired, source)."""
    found: dict[str, list[tuple[UUID, bool, UUID]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_NAMED, [list(names), list(source_ids)])
        for name, *rest in cursor.fetchall():
            found.setdefault(name, []).append((rest[0], rest[1], rest[2]))
    return found


def _known(rows: list[tuple[Any, ...]], programs: Programs) -> tuple[dict[bytes, Program], dict[bytes, str]]:
    """Programs at hand, and of the others one version each that has the content."""
    known: dict[bytes, Program] = {}
    unread: dict[bytes, str] = {}
    for row in rows:
        for grant in row[11] or ():
            digest = bytes.fromhex(grant[0])
            if digest in known or digest in unread:
                continue
            found = programs.get(digest)
            if found is None:
                unread[digest] = grant[1]
            else:
                known[digest] = found
    return known, unread


def _principal(row: tuple[Any, ...], known: Mapping[bytes, Program]) -> Principal:
    made = Principal()
    (made.id, made.source_id, made.external_id, made.kind, status, made.environment, made.acts_for, made.is_retired,
     attributes, tags, made.assurance, grants, credentials, relations) = row  # fmt: skip
    made.key = str(made.id)
    made.is_active = status == "active"
    made.attributes = orjson.loads(attributes)
    made.tags = tuple(tags)
    made.credentials = tuple(
        CredentialFacts(name, fingerprint, state == "active", _seconds(expires))
        for name, fingerprint, state, expires in credentials or ()
    )
    made.trust = tuple(TrustFacts(*relation) for relation in relations or ())
    rules: dict[str, list[Held]] = {}
    digests: list[bytes] = []
    for grant in grants or ():
        digest = bytes.fromhex(grant[0])
        program, terms = known[digest], terms_of(grant)
        digests.append(digest)
        held = rules.setdefault(program.dialect.name, [])
        held += [Held(rule.actions, rule.resources, rule.starts, rule, terms, program) for rule in program.rules]
    made.rules = tuple((dialects.get(name), tuple(held)) for name, held in rules.items())
    made.digests = tuple(digests)
    made.size = 900 + len(attributes) * 3 + 100 * len(made.tags) + 400 * len(made.credentials)
    made.size += 400 * len(made.trust) + 80 * len(digests) + 100 * sum(map(len, rules.values()))
    return made


_known_terms: dict[tuple[str | None, ...], Terms] = {}
_MOST_TERMS = 20_000


def terms_of(grant: list[str | None]) -> Terms:
    """The terms in a row of `_READ`; the same object for the same terms, most of which are none at all."""
    key = tuple(grant[3:])
    found = _known_terms.get(key)
    if found is None:
        privileged, valid_from, valid_until, review, approved_until, withheld, narrowed = key
        found = Terms(
            is_privileged=privileged is not None,
            valid_from=_seconds(valid_from),
            valid_until=_seconds(valid_until),
            review=review or "",
            approved_until=_seconds(approved_until),
            withheld=withheld or "",
            narrowed=Program(Permission.from_json(orjson.loads(narrowed))) if narrowed else None,
            is_bounded=any((valid_from, valid_until, approved_until, withheld, narrowed)),
        )
        if len(_known_terms) >= _MOST_TERMS:
            _known_terms.clear()
        _known_terms[key] = found
    return found


def _seconds(text: str | None) -> float | None:
    return None if text is None else float(text)
