"""What is known about one identity, as values: all that assurance, exposure and rules may look at.

A fact that could not be found out is a `Missing` with its reason, never a guess and never an empty value: `None` says
"the source reports it, and there is none". Times are UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from identities.posture.grant_use import GrantUseRow
from identities.selectors.reach.hop import Hop


@dataclass(frozen=True, slots=True)
class Missing:
    """A fact that nobody could find out. reason: a code, e.g. "not_covered", "stale", "no_log", "unparsed"."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """The system that an identity belongs to. covers: field name → whether its connector can report it at all."""

    id: UUID
    slug: str
    kind: str
    environment: str
    is_fresh: bool
    last_success_at: datetime | None
    covers: Mapping[str, bool] = field(default_factory=dict)
    error: str = ""

    def can_report(self, name: str) -> bool:
        return self.covers.get(name) is True


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonFacts:
    """Who answers for an identity, as "owner", "backup", "sponsor" or "team"; is_active: Missing where nobody says."""

    id: UUID
    role: str
    is_active: bool | Missing
    departed_at: datetime | Missing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialFacts:
    """One way in which an identity proves itself.

    ttl_seconds: life of what is issued. same_elsewhere: other credentials or identities with the same fingerprint.
    method: of sign-in where it is known ("ropc", "oauth_implicit", …). attested, sender_constrained, key_exportable:
    three-valued, Missing = not known.
    """

    id: UUID
    kind: str
    is_active: bool
    created_at: datetime | Missing | None
    expires_at: datetime | Missing | None
    last_rotated_at: datetime | Missing | None
    last_used_at: datetime | Missing | None
    storage: str | Missing
    audience: str | Missing
    fingerprint: str | Missing
    same_elsewhere: int | Missing
    ttl_seconds: int | Missing | None
    sender_constrained: bool | Missing
    attested: bool | Missing
    key_exportable: bool | Missing
    method: str | Missing
    key_algorithm: str | Missing
    key_bits: int | Missing
    created_by: UUID | Missing | None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    creator_departed_at: datetime | Missing | None = Missing("not_recorded")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFacts:
    """An issuer whose word lets this identity in. conditions: further claims that must hold, {"claim": "pattern"}.

    are_conditions_known: whether the source told them at all. issuer_environments: those of every identity here that
    the same issuer lets in. is_registered: whether somebody registered the trust and it lies inside that record; None
    where there is nothing to register, because no boundary is crossed.
    """

    id: UUID
    issuer: str
    subject: str
    audience: str
    is_public_issuer: bool
    conditions: Mapping[str, str] = field(default_factory=dict)
    are_conditions_known: bool = False
    issuer_environments: frozenset[str] | Missing = Missing("not_told")
    is_registered: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantFacts:
    """One removable thing that it holds, as far as posture needs it.

    What follows from the permission alone is worked out once per permission, however many hold it: segment, classes,
    breadth ("one", "set", "service", "account", "organisation"), primitives (names from the escalation catalogue),
    direct_primitives (the part of them that needs nothing else), has_condition, condition_sorts ("time", "network",
    "attribute", "per_request", "unknown").
    """

    id: UUID
    digest: bytes
    dialect: str
    segment: str
    classes: frozenset[str]
    is_privileged: bool
    breadth: str | Missing
    primitives: tuple[str, ...]
    direct_primitives: tuple[str, ...]
    is_admin_equivalent: bool
    has_wildcard_resource: bool
    has_wildcard_action: bool
    condition_sorts: frozenset[str] | Missing
    ends_at: datetime | Missing | None
    first_seen_at: datetime
    reviewed_at: datetime | None
    approved_until: datetime | None
    is_parsed: bool
    resource_environments: frozenset[str] | Missing
    touches_restricted_data: bool | Missing
    path_kinds: tuple[str, ...] = ()
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UseFacts:
    """What logs showed. watched_from: None where no log watches this identity.

    unused_share: of its privileged and writing parts, 0 to 1, over the time that was watched. has_excess: whether any
    of them was watched for long enough and not used. callers: how many distinct workloads used it. grants: what is
    known of the use of each grant, for lists and scopes; no rule looks at it.
    """

    watched_from: datetime | None
    watched_until: datetime | None
    last_used_at: datetime | Missing | None
    unused_share: float | Missing
    interactive_at: datetime | Missing | None
    callers: int | Missing
    environments: frozenset[str] | Missing
    has_excess: bool | Missing = Missing("no_log")
    grants: tuple[GrantUseRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFacts:
    """One tool that an AI agent may call. classes: from our own catalogue, never from the server's annotations."""

    grant_id: UUID
    server: str
    tool: str
    classes: frozenset[str]
    has_condition: bool
    needs_approval: bool | Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityFacts:
    """Everything about one identity at `now`.

    authz_model: how the application behind it decides ("per_request", "roles", "static_allow_list_only",
    "login_implies_all"), Missing where nobody said. is_platform_managed: made and kept by the platform; who owns it is
    no question. grants are those that it holds itself; `hops` are where it could go on, and `grants_by_hop` what it
    could do there. removals: how many grants Remit had removed; removed_but_present: those that a later reading still
    shows. expected_cadence_days: how rarely it may be used without being dormant, as somebody declared.
    custody: who keeps what it signs in with ("self_held", "assumable", "platform_managed", "unknown").
    """

    id: UUID
    name: str
    kind: str
    now: datetime
    source: SourceFacts
    is_enabled: bool
    environment: str | Missing
    created_at: datetime | Missing | None
    first_seen_at: datetime
    is_platform_managed: bool
    is_third_party: bool | Missing
    vendor: str
    authz_model: str | Missing
    has_interactive_login: bool | Missing
    acts_for: str
    people: tuple[PersonFacts, ...]
    workloads: tuple[str, ...] | Missing
    credentials: tuple[CredentialFacts, ...]
    trusts: tuple[TrustFacts, ...]
    grants: tuple[GrantFacts, ...]
    use: UseFacts
    hops: tuple[Hop, ...] = ()
    grants_by_hop: Mapping[UUID, tuple[GrantFacts, ...]] = field(default_factory=dict)
    tools: tuple[ToolFacts, ...] = ()
    human_holders: tuple[str, ...] | Missing = ()
    removed_but_present: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    removals: int = 0
    expected_cadence_days: int | None = None
    custody: str = "unknown"

    @property
    def is_privileged(self) -> bool:
        return any(grant.is_privileged for grant in self.grants)

    @property
    def is_production(self) -> bool:
        return self.environment == "production"
