"""The rows that facts are made of: one statement per table for a whole chunk, and how single values are read.

What senders put into `attributes` is theirs: absent means nobody said, and what makes no sense counts as absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any, TypeVar
from uuid import UUID

import orjson

from governance.kernel.federation import IssuerSort, sort_of_issuer
from identities.models import Environment
from identities.posture.facts import Missing
from identities.posture.policy import Policy

MOST_USES = 5_000
LONGEST_LABEL = 200

IDENTITIES = """
SELECT i.id, i.source_id, i.external_id, i.name, i.kind, i.status, i.custody, i.effective_environment, i.acts_for,
       i.attributes, i.created_at, i.first_seen_at, i.last_seen_at,
       i.owner_id, o.left_at, i.backup_owner_id, b.left_at, i.sponsor_id, s.left_at, i.team_id,
       i.team_id IS NOT NULL AND EXISTS (
           SELECT FROM people_team_members m JOIN people_user u ON u.id = m.user_id
           WHERE m.team_id = i.team_id AND u.left_at IS NULL),
       i.expected_cadence_days
FROM identities_identity i
LEFT JOIN people_user o ON o.id = i.owner_id
LEFT JOIN people_user b ON b.id = i.backup_owner_id
LEFT JOIN people_user s ON s.id = i.sponsor_id
WHERE i.id = ANY(%(ids)s::uuid[]) AND i.retired_at IS NULL
"""
GRANTS = f"""
SELECT g.identity_id, g.id, v.digest, g.source_id, left(g.label, {LONGEST_LABEL}), g.path::text, v.valid_until,
       g.first_seen_at, g.reviewed_at, g.approved_until, g.native_ref ->> 'sensitivity', g.native_ref ->> 'environment',
       v.id
FROM identities_grant g
JOIN identities_grantversion v ON v.grant_id = g.id AND v.seen_until IS NULL
WHERE g.identity_id = ANY(%(ids)s::uuid[]) AND g.retired_at IS NULL
ORDER BY g.id
"""  # noqa: S608 - constants of this module
CREDENTIALS = """
SELECT c.identity_id, c.id, c.kind, c.status, c.created_at, c.expires_at, c.never_expires, c.last_rotated_at,
       c.last_used_at, c.fingerprint, c.storage, c.audience, c.attributes, c.holder_id, h.left_at
FROM identities_credential c LEFT JOIN people_user h ON h.id = c.holder_id
WHERE c.identity_id = ANY(%(ids)s::uuid[]) AND c.retired_at IS NULL
ORDER BY c.identity_id, c.id
"""
SAME_FINGERPRINT = """
SELECT fingerprint, count(*) FROM identities_credential
WHERE fingerprint = ANY(%(names)s::text[]) AND fingerprint <> '' AND retired_at IS NULL GROUP BY fingerprint
"""
TRUSTS = """
SELECT identity_id, id, issuer, subject, audience, conditions::text FROM identities_trustrelation
WHERE identity_id = ANY(%(ids)s::uuid[]) AND retired_at IS NULL ORDER BY identity_id, id
"""
ISSUER_ENVIRONMENTS = """
SELECT t.issuer, array_agg(DISTINCT i.effective_environment)
FROM identities_trustrelation t JOIN identities_identity i ON i.id = t.identity_id
WHERE t.issuer = ANY(%(names)s::text[]) AND t.retired_at IS NULL AND i.retired_at IS NULL
  AND i.effective_environment <> 'unknown'
GROUP BY t.issuer
"""
# How many grants of an identity Remit had removed, which of them are there, and the last moment of any removal.
REMOVALS = """
SELECT identity_id, count(*), array_remove(array_agg(CASE WHEN retired_at IS NULL THEN label END), NULL),
       max(removal_expected_at)
FROM identities_grant
WHERE identity_id = ANY(%(ids)s::uuid[]) AND removal_expected_at IS NOT NULL GROUP BY identity_id
"""
WINDOWS = """
SELECT source_id, identity_id, log, observed_from, observed_until, observable FROM identities_usagewindow
WHERE source_id = ANY(%(sources)s::uuid[]) AND (identity_id IS NULL OR identity_id = ANY(%(ids)s::uuid[]))
ORDER BY log, identity_id
"""
USES = f"""
SELECT asked.id, u.action, u.resource, u.last_seen_at
FROM unnest(%(ids)s::uuid[]) AS asked (id)
CROSS JOIN LATERAL (
    SELECT action, resource, last_seen_at FROM identities_usage WHERE identity_id = asked.id
    ORDER BY action, resource LIMIT {MOST_USES}
) u
"""  # noqa: S608 - constants of this module


@dataclass(frozen=True)
class IdentityRow:
    """One row of `IDENTITIES`. told: attributes as JSON text."""

    id: UUID
    source_id: UUID
    external_id: str
    name: str
    kind: str
    status: str
    custody: str
    environment: str
    acts_for: str
    told: str
    created_at: datetime | None
    first_seen_at: datetime
    last_seen_at: datetime | None
    owner: UUID | None
    owner_left_at: datetime | None
    backup: UUID | None
    backup_left_at: datetime | None
    sponsor: UUID | None
    sponsor_left_at: datetime | None
    team: UUID | None
    is_team_active: bool
    declared_cadence: int | None

    @cached_property
    def attributes(self) -> dict[str, Any]:
        return read_json(self.told)


ENVIRONMENTS = {place: frozenset({place}) for place in Environment.values if place != Environment.UNKNOWN}
"""Each environment as the set of just it; grants by the thousand share these."""

SENSITIVITY = {"restricted": True, "confidential": True, "internal": False, "public": False}
"""What a sender may say of the data that a grant reaches (`native_ref.sensitivity`)."""

# What a source says about where it keeps a secret itself, which is nothing about where its holder does.
_NOT_THE_HOLDER = frozenset({"as a hash", "outside, by reference"})
_T = TypeVar("_T")


@lru_cache(maxsize=4_096)
def kinds_of(path: str) -> tuple[str, ...]:
    """The kinds of the steps of a grant's path, given as JSON text: thousands of grants share a few."""
    return tuple(dict.fromkeys(str(step.get("kind", "")) for step in orjson.loads(path)))


_NOTHING: dict[str, Any] = {}  # shared, and never written


def read_json(told: str) -> dict[str, Any]:
    """What a raw cursor gives of a JSON column, which is text. Most objects are empty."""
    found: dict[str, Any] = orjson.loads(told) if told != "{}" else _NOTHING
    return found


def text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return value.strip() if isinstance(value, str) else ""


def flag(told: Mapping[str, Any], name: str, absent: _T) -> bool | _T:
    value = told.get(name)
    return value if isinstance(value, bool) else absent


def whole(told: Mapping[str, Any], name: str, absent: _T) -> int | _T:
    value = told.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else absent


def words(told: Mapping[str, Any], name: str) -> list[str] | None:
    """A list of texts; None where nobody gave one."""
    value = told.get(name)
    return list(value) if isinstance(value, list) and all(isinstance(each, str) for each in value) else None


def moment(told: Mapping[str, Any], name: str, absent: _T) -> datetime | _T | None:
    """A time with its zone; None where the sender says that there is none."""
    if name in told and told[name] is None:
        return None
    try:
        found = datetime.fromisoformat(told.get(name, ""))
    except (TypeError, ValueError):
        return absent
    return found.astimezone(UTC) if found.tzinfo else absent


def cadence(told: Mapping[str, Any]) -> int | None:
    """How rarely it may be used, in days, as its source says; what people declared outweighs it."""
    found = whole(told, "expected_cadence_days", None)
    return found if found and found <= 3_650 else None


def storage(said: str) -> str | Missing:
    if not said or said in _NOT_THE_HOLDER:
        return Missing("not_reported")
    # A reference tells where to look, not what is there.
    return Missing("reference_only") if said.startswith(("env:", "file:")) else said


def is_public(issuer: str, policy: Policy) -> bool:
    """Whether anybody in the world who has an account there could be vouched for by this issuer."""
    return policy.lists.is_public(issuer) or sort_of_issuer(issuer) in (IssuerSort.PUBLIC, IssuerSort.ANYBODY)


_SYSTEM_NAMESPACES = ("kube-system:", "kube-public:", "kube-node-lease:")


def is_of_platform(kind: str, external_id: str, told: Mapping[str, Any]) -> bool:
    """Whether the platform made this identity for itself, so that nobody here could own it. By explicit list.

    Of what came in files the identifiers tell which platform it is.
    """
    if kind == "aws" or external_id.startswith("arn:aws"):
        path = text(told, "path")
        return path.startswith(("/aws-service-role/", "/aws-reserved/"))
    if kind == "kubernetes" or "subject_kind" in told:
        account = external_id.removeprefix("system:serviceaccount:")
        if account != external_id:
            return account.startswith(_SYSTEM_NAMESPACES)
        return external_id.startswith("system:")
    return kind == "postgresql" and external_id.startswith("pg_")
