"""Fetch what is known about identities, set-based: a fixed number of queries for `CHUNK` of them, whatever they hold.

What a source cannot report is `Missing`, and so is what it left out where nobody can tell that from "there is none"
(docs/posture.md, "What is unknown").
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from governance.kernel.observing import Window
from governance.kernel.permissions import Permission
from identities.posture import rows
from identities.posture.facts import (
    CredentialFacts,
    GrantFacts,
    IdentityFacts,
    Missing,
    PersonFacts,
    ToolFacts,
    TrustFacts,
    UseFacts,
)
from identities.posture.grant_use import GrantUseRow, SeenUse, SeenUses, grant_uses
from identities.posture.legacy import application_grant, as_said
from identities.posture.permissions_known import KnownFacts, facts_of, permissions_of
from identities.posture.policy import Policy, policy_in_force
from identities.posture.sources import SourceState, states_of
from identities.posture.use import Observed, Seen, observe, watched_time
from identities.selectors.authorization import Declared, declared_of
from identities.selectors.boundaries import covers, needs_record, records_in
from identities.selectors.reach import hops_of
from identities.selectors.reach.hop import Hop

CHUNK = 2_000
_NOBODY_SAID = Missing("not_reported")
_NO_LABEL = Missing("unlabelled")
_STALE = Missing("stale")


def gather(identity_ids: Collection[UUID], *, now: datetime, policy: Policy | None = None) -> Iterator[IdentityFacts]:
    """The facts of those of these identities that are live, in chunks, in no particular order.

    policy: whose lists of issuers hold; the one in force unless given.
    """
    numbers = policy or policy_in_force()
    ids = list(identity_ids)
    for start in range(0, len(ids), CHUNK):
        yield from _Chunk(ids[start : start + CHUNK], now, numbers).facts()


@dataclass(slots=True)
class _Chunk:
    ids: Sequence[UUID]
    now: datetime
    policy: Policy

    def facts(self) -> Iterator[IdentityFacts]:
        identities = [rows.IdentityRow(*row) for row in _asked(rows.IDENTITIES, self.ids)]
        if not identities:
            return
        ids = [row.id for row in identities]
        hops = hops_of(ids)
        further = {hop.identity_id for found in hops.values() for hop in found}
        states = states_of({row.source_id for row in identities}, now=self.now)
        grants = _by_first(_asked(rows.GRANTS, list({*ids, *further})))
        known = facts_of({row[2] for found in grants.values() for row in found})
        use = _Use(ids, {row.id: row.source_id for row in identities}, grants)
        hung = _Hung(ids, self.policy, {row.source_id for row in identities})
        declared = declared_of(ids)
        holdings: dict[UUID, tuple[GrantFacts, ...]] = {}
        for identity_id, found in grants.items():
            holdings[identity_id] = tuple(_grant(row, known[row[2]], states) for row in found)
        for row in identities:
            state = states[row.source_id]
            own_hops = hops.get(row.id, ())
            yield _identity(
                row,
                self.now,
                state,
                hung,
                (*holdings.get(row.id, ()), *_of_application(row, declared.get(row.id))),
                use.of(row, state),
                own_hops,
                {hop.identity_id: holdings.get(hop.identity_id, ()) for hop in own_hops},
                tuple(_tools(grants.get(row.id, ()), known)),
                declared.get(row.id),
            )


def _asked(statement: str, ids: Sequence[UUID]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"ids": list(ids)})
        return cursor.fetchall()


def _by_first(found: Sequence[tuple[Any, ...]]) -> dict[UUID, list[tuple[Any, ...]]]:
    grouped: dict[UUID, list[tuple[Any, ...]]] = defaultdict(list)
    for row in found:
        grouped[row[0]].append(row)
    return grouped


# --- grants -----------------------------------------------------------------------------------------------------------


def _grant(row: tuple[Any, ...], known: KnownFacts, states: Mapping[UUID, SourceState]) -> GrantFacts:
    (_, grant_id, digest, source_id, label, path, valid_until, first_seen, reviewed, approved, sensitivity, place,
     _) = row  # fmt: skip
    ends = [moment for moment in (valid_until, known.until) if moment is not None]
    state = states.get(source_id)
    places: frozenset[str] | Missing = _NO_LABEL
    if place in rows.ENVIRONMENTS:
        places = rows.ENVIRONMENTS[place]
    elif state is not None:
        places = rows.ENVIRONMENTS.get(state.facts.environment, _NO_LABEL)
    return GrantFacts(
        id=grant_id,
        digest=digest,
        dialect=known.dialect,
        segment=known.segment,
        classes=known.classes,
        is_privileged=known.is_privileged,
        breadth=known.breadth,
        primitives=known.primitives,
        direct_primitives=known.direct_primitives,
        is_admin_equivalent=known.is_admin_equivalent,
        has_wildcard_resource=known.has_wildcard_resource,
        has_wildcard_action=known.has_wildcard_action,
        condition_sorts=known.condition_sorts,
        ends_at=min(ends) if ends else None,
        first_seen_at=first_seen,
        reviewed_at=reviewed,
        approved_until=approved,
        is_parsed=known.is_parsed,
        resource_environments=places,
        touches_restricted_data=rows.SENSITIVITY.get(sensitivity, _NO_LABEL),
        path_kinds=rows.kinds_of(path),
        label=label,
    )


def _tools(found: Sequence[tuple[Any, ...]], known: Mapping[bytes, KnownFacts]) -> Iterator[ToolFacts]:
    for row in found:
        facts = known[row[2]]
        for server, tool, classes in facts.tools:
            sorts = facts.condition_sorts
            has_condition = not isinstance(sorts, Missing) and bool(sorts)
            is_asked = has_condition and not isinstance(sorts, Missing) and "per_request" in sorts
            # Whether a client asks its user before each call stands in no grant.
            approval: bool | Missing = True if is_asked else Missing("not_covered")
            yield ToolFacts(
                grant_id=row[1],
                server=server,
                tool=tool,
                classes=classes,
                has_condition=has_condition,
                needs_approval=approval,
            )


# --- use --------------------------------------------------------------------------------------------------------------


class _Use:
    """What logs showed of a chunk of identities. The permissions themselves are read only where some log watches."""

    def __init__(
        self, ids: Sequence[UUID], source_of: Mapping[UUID, UUID], grants: Mapping[UUID, Sequence[tuple[Any, ...]]]
    ) -> None:
        of_one: dict[UUID, list[Window]] = defaultdict(list)
        of_source: dict[UUID, list[Window]] = defaultdict(list)
        for source, identity, *told in _asked_of(rows.WINDOWS, ids, set(source_of.values())):
            (of_source[source] if identity is None else of_one[identity]).append(_window(told))
        self._windows = {pk: (*of_one[pk], *of_source[source]) for pk, source in source_of.items()}
        watched = [pk for pk in ids if self._windows[pk]]
        self._seen = _by_first(_asked(rows.USES, watched)) if watched else {}
        self._grants = grants
        self._digests = {pk: {row[2] for row in grants.get(pk, ())} for pk in ids}
        self._permissions: dict[bytes, Permission | None] = (
            permissions_of({digest for pk in watched for digest in self._digests[pk]}) if watched else {}
        )

    def of(self, identity: rows.IdentityRow, state: SourceState) -> UseFacts:
        windows = self._windows[identity.id]
        since, until = watched_time(windows)
        observed = self._observed(identity.id, windows, is_stale=not state.facts.is_fresh)
        told = identity.attributes
        places = rows.words(told, "used_from_environments")
        return UseFacts(
            watched_from=since,
            watched_until=until,
            last_used_at=_last_use(identity, state, is_watched=bool(windows)),
            unused_share=observed.unused_share,
            has_excess=observed.has_excess,
            interactive_at=rows.moment(told, "interactive_at", Missing("no_log")),
            callers=rows.whole(told, "callers", Missing("no_log")),
            environments=Missing("no_log") if places is None else frozenset(places),
            grants=tuple(self._of_grants(identity, windows)) if windows else (),
        )

    def _of_grants(self, identity: rows.IdentityRow, windows: tuple[Window, ...]) -> Iterator[GrantUseRow]:
        seen = self._seen.get(identity.id, ())
        return grant_uses(
            (identity.id, identity.source_id),
            ((row[1], row[-1], row[2], rows.kinds_of(row[5])) for row in self._grants.get(identity.id, ())),
            self._permissions,
            SeenUses((SeenUse(*told) for _, *told in seen), is_whole=len(seen) < rows.MOST_USES),
            windows,
        )

    def _observed(self, identity_id: UUID, windows: tuple[Window, ...], *, is_stale: bool) -> Observed:
        digests = self._digests[identity_id]
        if not windows:
            return _WITHOUT_LOG if digests else Observed(0.0, has_excess=False)
        if is_stale:
            return Observed(_STALE, _STALE)
        uses = [Seen(action, resource) for _, action, resource, _ in self._seen.get(identity_id, ())]
        return observe({digest: self._permissions.get(digest) for digest in digests}, uses, windows)


_WITHOUT_LOG = Observed(Missing("no_log"), Missing("no_log"))


def _asked_of(statement: str, ids: Sequence[UUID], sources: Collection[UUID]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"ids": list(ids), "sources": list(sources)})
        return cursor.fetchall()


def _window(told: Sequence[Any]) -> Window:
    log, since, until, written = told
    observable = rows.read_json(written)
    actions, resources = (tuple(observable.get(name) or ()) for name in ("actions", "resources"))
    return Window(log, since, until, actions, resources)


def _last_use(identity: rows.IdentityRow, state: SourceState, *, is_watched: bool) -> datetime | Missing | None:
    if not state.facts.is_fresh:
        return _STALE
    if identity.last_seen_at is not None:
        return identity.last_seen_at
    return None if is_watched or state.reports("last_used") else Missing("no_log")


# --- what hangs on an identity ----------------------------------------------------------------------------------------


class _Hung:
    """Credentials, trusts, teams and removals of a chunk."""

    def __init__(self, ids: Sequence[UUID], policy: Policy, sources: Collection[UUID]) -> None:
        self.credentials = _by_first(_asked(rows.CREDENTIALS, ids))
        marks = {row[9] for found in self.credentials.values() for row in found if row[9]}
        self.elsewhere = _counted(rows.SAME_FINGERPRINT, marks)
        self.trusts = _by_first(_asked(rows.TRUSTS, ids))
        issuers = {row[2] for found in self.trusts.values() for row in found}
        self.places = {issuer: frozenset(places) for issuer, places in _named(rows.ISSUER_ENVIRONMENTS, issuers)}
        self.records = records_in(sources) if self.trusts else {}
        self.removals = {row[0]: row for row in _asked(rows.REMOVALS, ids)}
        self.policy = policy


def _named(statement: str, names: Collection[str]) -> list[tuple[Any, ...]]:
    if not names:
        return []
    with connection.cursor() as cursor:
        cursor.execute(statement, {"names": list(names)})
        return cursor.fetchall()


def _counted(statement: str, names: Collection[str]) -> dict[str, int]:
    return dict(_named(statement, names))


def _identity(
    row: rows.IdentityRow,
    now: datetime,
    state: SourceState,
    hung: _Hung,
    grants: tuple[GrantFacts, ...],
    use: UseFacts,
    hops: tuple[Hop, ...],
    grants_by_hop: Mapping[UUID, tuple[GrantFacts, ...]],
    tools: tuple[ToolFacts, ...],
    declared: Declared | None,
) -> IdentityFacts:
    told = row.attributes
    workloads, holders = rows.words(told, "workloads"), rows.words(told, "human_holders")
    vendor = rows.text(told, "vendor") or ""
    removed = hung.removals.get(row.id)
    return IdentityFacts(
        id=row.id,
        name=row.name,
        kind=row.kind,
        now=now,
        source=state.facts,
        is_enabled=row.status == "active",
        environment=_NO_LABEL if row.environment == "unknown" else row.environment,
        created_at=row.created_at or Missing(_absent(state, "created_at", _NOBODY_SAID).reason),
        first_seen_at=row.first_seen_at,
        is_platform_managed=rows.is_of_platform(state.facts.kind, row.external_id, told),
        is_third_party=True if vendor else rows.flag(told, "third_party", _NOBODY_SAID),
        vendor=vendor,
        authz_model=declared.model if declared else rows.text(told, "authz_model") or _NOBODY_SAID,
        has_interactive_login=rows.flag(told, "interactive_login", rows.flag(told, "console_password", _NOBODY_SAID)),
        acts_for=row.acts_for,
        people=tuple(_people(row)),
        workloads=_NOBODY_SAID if workloads is None else tuple(workloads),
        credentials=tuple(_credential(each, state, hung) for each in hung.credentials.get(row.id, ())),
        trusts=tuple(_trust(each, row, hung) for each in hung.trusts.get(row.id, ())),
        grants=grants,
        use=use,
        hops=hops,
        grants_by_hop=grants_by_hop,
        tools=tools,
        human_holders=Missing("not_covered") if holders is None else tuple(holders),
        removed_but_present=tuple(removed[2]) if removed and state.was_read_after(removed[3]) else (),
        attributes=told,
        removals=removed[1] if removed else 0,
        expected_cadence_days=row.declared_cadence or rows.cadence(told),
        custody=row.custody,
    )


def _people(row: rows.IdentityRow) -> Iterator[PersonFacts]:
    for role, person, left_at in (
        ("owner", row.owner, row.owner_left_at),
        ("backup", row.backup, row.backup_left_at),
        ("sponsor", row.sponsor, row.sponsor_left_at),
    ):
        if person is not None:
            yield PersonFacts(id=person, role=role, is_active=left_at is None, departed_at=left_at)
    if row.team is not None:
        yield PersonFacts(id=row.team, role="team", is_active=row.is_team_active)


def _absent(state: SourceState, covered_by: str, none: Any) -> Any:
    """What an empty field means: nothing, where the source reports this and was asked; else that nobody knows."""
    if state.reports(covered_by):
        return none
    return Missing("not_reported" if state.facts.covers.get(covered_by) else "not_covered")


def _credential(row: tuple[Any, ...], state: SourceState, hung: _Hung) -> CredentialFacts:
    (_, pk, kind, status, created, expires, never_expires, rotated, used, fingerprint, storage, audience, told,
     holder, holder_left) = row  # fmt: skip
    told = rows.read_json(told)
    return CredentialFacts(
        id=pk,
        kind=kind,
        is_active=status == "active",
        created_at=created or Missing(_absent(state, "credential_created_at", _NOBODY_SAID).reason),
        expires_at=None if never_expires else expires or _NOBODY_SAID,
        last_rotated_at=rotated or _absent(state, "credential_last_rotated", None),
        last_used_at=used or _absent(state, "credential_last_used", None),
        storage=rows.storage(storage),
        audience=audience or _NOBODY_SAID,
        fingerprint=fingerprint or _NOBODY_SAID,
        same_elsewhere=hung.elsewhere[fingerprint] - 1 if fingerprint else _NOBODY_SAID,
        ttl_seconds=rows.whole(told, "ttl_seconds", _NOBODY_SAID),
        sender_constrained=rows.flag(told, "sender_constrained", _NOBODY_SAID),
        attested=rows.flag(told, "attested", _NOBODY_SAID),
        key_exportable=rows.flag(told, "key_exportable", _NOBODY_SAID),
        method=rows.text(told, "method") or _NOBODY_SAID,
        key_algorithm=rows.text(told, "key_algorithm") or _NOBODY_SAID,
        key_bits=rows.whole(told, "key_bits", _NOBODY_SAID),
        created_by=holder or Missing("not_recorded"),
        attributes=told,
        creator_departed_at=holder_left if holder else Missing("not_recorded"),
    )


def _of_application(row: rows.IdentityRow, declared: Declared | None) -> tuple[GrantFacts, ...]:
    """What everybody can do there who is signed in, where signing in is all that the application asks."""
    if declared is None:
        return ()
    said = as_said(declared, row.attributes)
    found = application_grant(said, identity_id=row.id, first_seen_at=row.first_seen_at)
    return (found,) if found else ()


def _trust(row: tuple[Any, ...], of: rows.IdentityRow, hung: _Hung) -> TrustFacts:
    _, pk, issuer, subject, audience, conditions = row
    record = hung.records.get((of.source_id, issuer))
    return TrustFacts(
        id=pk,
        issuer=issuer,
        subject=subject,
        audience=audience,
        is_public_issuer=rows.is_public(issuer, hung.policy),
        conditions=orjson.loads(conditions) if conditions else {},
        are_conditions_known=conditions is not None,
        issuer_environments=hung.places.get(issuer) or _NO_LABEL,
        is_registered=(record is not None and covers(record, subject, audience))
        if needs_record(issuer, of.external_id)
        else None,
    )
