"""Take what the rules say: findings open, come back, change, and are fixed by the reading that passes them.

Called once per part of an evaluation, inside its transaction. What is known of the objects that were judged is read
once, compared here, and only what differs is written, in a fixed number of statements per `AT_ONCE` rows.

A finding ends in three ways only: the rule passes, the rule no longer applies, or the object is gone. *Not assessable*
ends nothing: it says since when the finding could not be judged.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import F

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from identities.models import (
    AcceptanceEnd,
    Credential,
    Finding,
    FindingAcceptance,
    FindingSeverity,
    FindingStep,
    FixedHow,
    Identity,
    Source,
    TrustRelation,
)
from identities.posture.findings.comparing import Known, Plan, Said, as_json, compare, read_outcomes
from identities.posture.findings.steps import end_acceptances, note_steps
from identities.posture.results import ObjectKind, Outcome

JUDGE = system_actor("posture")
AT_ONCE = 2_000
# Critical findings that get a record of their own in one pass; the pass's record counts them all.
MOST_TOLD = 50

_KNOWN = """
WITH asked AS MATERIALIZED (SELECT unnest(%(ids)s::uuid[]) AS id),
found AS (
    SELECT f.id FROM asked JOIN identities_finding f ON f.object_id = asked.id
    UNION
    -- What hangs on an identity that was judged and is no longer there was not judged itself.
    SELECT f.id FROM asked JOIN identities_finding f ON f.identity_id = asked.id AND f.state <> 'fixed'
)
SELECT f.id, f.rule, f.object_id, f.identity_id, f.state, f.severity, f.digest,
       f.unjudged_since IS NOT NULL, f.unjudged_why,
       coalesce(i.retired_at, c.retired_at, t.retired_at) IS NOT NULL
FROM found JOIN identities_finding f USING (id)
LEFT JOIN identities_identity i ON i.id = f.identity_id
LEFT JOIN identities_credential c ON f.object_kind = 'credential' AND c.id = f.object_id
LEFT JOIN identities_trustrelation t ON f.object_kind = 'trust' AND t.id = f.object_id
"""
_OPEN = """
INSERT INTO identities_finding (
    id, rule, object_kind, object_id, source_id, identity_id, severity, arithmetic, evidence, digest, policy_id, state,
    found_at, opened_at, changed_at, fixed_how, reopened, unjudged_why, version)
SELECT gen_random_uuid(), r.rule, r.object_kind, r.object_id, r.source_id, r.identity_id, r.severity,
       r.arithmetic::jsonb, r.evidence::jsonb, decode(r.digest, 'hex'), %(policy)s, 'open',
       %(now)s, %(now)s, %(now)s, '', 0, '[]', 1
FROM unnest(%(rule)s::text[], %(object_kind)s::text[], %(object_id)s::uuid[], %(source_id)s::uuid[],
            %(identity_id)s::uuid[], %(severity)s::int[], %(arithmetic)s::text[], %(evidence)s::text[],
            %(digest)s::text[])
     AS r(rule, object_kind, object_id, source_id, identity_id, severity, arithmetic, evidence, digest)
-- Another evaluation may have said the same a moment ago.
ON CONFLICT (object_id, rule, object_kind) DO NOTHING
RETURNING id, rule, object_kind, object_id, severity
"""
_SAID = """
UPDATE identities_finding f
SET severity = r.severity, arithmetic = r.arithmetic::jsonb, evidence = r.evidence::jsonb,
    digest = decode(r.digest, 'hex'), policy_id = %(policy)s, changed_at = %(now)s,
    unjudged_since = NULL, unjudged_why = '[]', version = f.version + 1 {more}
FROM unnest(%(id)s::uuid[], %(severity)s::int[], %(arithmetic)s::text[], %(evidence)s::text[], %(digest)s::text[])
     AS r(id, severity, arithmetic, evidence, digest)
WHERE f.id = r.id AND {state}
RETURNING f.id, f.rule, f.object_kind, f.object_id, f.severity
"""
_CHANGE = _SAID.format(more="", state="f.state <> 'fixed'")
# Whoever was to see to it before shall see to it again, unless they have left.
_REOPEN = _SAID.format(
    more=""", state = CASE WHEN EXISTS (SELECT FROM people_user u WHERE u.id = f.assignee_id AND u.left_at IS NULL)
                      THEN 'assigned' ELSE 'open' END,
    assignee_id = (SELECT u.id FROM people_user u WHERE u.id = f.assignee_id AND u.left_at IS NULL),
    opened_at = %(now)s, fixed_at = NULL, fixed_how = '', reopened = f.reopened + 1""",
    state="f.state = 'fixed'",
)
_FIX = """
UPDATE identities_finding f
SET state = 'fixed', fixed_at = %(now)s, fixed_how = r.how, changed_at = %(now)s, unjudged_since = NULL,
    unjudged_why = '[]', version = f.version + 1
FROM unnest(%(id)s::uuid[], %(how)s::text[]) AS r(id, how)
WHERE f.id = r.id AND f.state <> 'fixed'
RETURNING f.id, r.how
"""
_UNJUDGE = """
UPDATE identities_finding f
SET unjudged_since = coalesce(f.unjudged_since, %(now)s), unjudged_why = r.why::jsonb, version = f.version + 1
FROM unnest(%(id)s::uuid[], %(why)s::text[]) AS r(id, why)
WHERE f.id = r.id AND f.state <> 'fixed'
RETURNING f.id
"""
# One order for everybody who changes several findings, so that nobody waits in a circle.
_LOCK = "SELECT f.id FROM identities_finding f WHERE f.id = ANY(%(ids)s::uuid[]) ORDER BY f.id FOR NO KEY UPDATE"
_BACK_TO_WORK = """
UPDATE identities_finding SET state = CASE WHEN assignee_id IS NULL THEN 'open' ELSE 'assigned' END
WHERE id = ANY(%(ids)s::uuid[]) AND state = 'accepted'
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one pass changed. changed: failing still, by other severity or evidence; unjudged: not assessable now."""

    opened: int = 0
    reopened: int = 0
    fixed: int = 0
    changed: int = 0
    unjudged: int = 0
    critical: int = 0

    @property
    def is_empty(self) -> bool:
        return self == Taken()


def take_outcomes(
    outcomes: Iterable[Outcome], *, assessed: Mapping[str, Collection[UUID]], policy_number: int, now: datetime
) -> Taken:
    """Bring the findings of the objects that were judged in step with what the rules say of them. An inner step.

    outcomes: what the rules said; passes may be left out. assessed: by rule, every object that was judged in this pass,
    so that one without an outcome has passed. Ids of retired objects belong there too: their findings end as *retired*.
    Leaves one record if anything changed, and one for each critical finding that opened (`MOST_TOLD` at most).
    """
    judged = read_outcomes(outcomes, assessed)
    plan = compare(judged, _known(judged.objects))
    return _write(plan, policy_number, now)


def _known(objects: Sequence[UUID]) -> list[Known]:
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, {"ids": list(objects)})
        return [_known_from(row) for row in cursor.fetchall()]


def _known_from(row: Any) -> Known:
    pk, rule, object_id, identity_id, state, severity, digest, is_unjudged, why, is_gone = row
    return Known(pk, rule, object_id, identity_id, state, severity, bytes(digest), is_unjudged, _list(why), is_gone)


def _list(value: Any) -> list[str]:
    return orjson.loads(value) if isinstance(value, str | bytes) else value


def _write(plan: Plan, policy: int, now: datetime) -> Taken:
    lock(plan.touched)
    opened = _open(plan.opened, policy, now)
    reopened = _say(_REOPEN, plan.reopened, policy, now)
    note_steps(FindingStep.REOPENED, {row[0]: {"severity": row[4], "policy": policy} for row in reopened}, now=now)
    changed = _say(_CHANGE, plan.changed, policy, now)
    _note_severities(plan.severities, policy, now)
    fixed = fix(plan.fixed, now=now)
    unjudged = _unjudge(plan.unjudged, now)
    new = [*opened, *reopened]
    critical = [row for row in new if row[4] == FindingSeverity.CRITICAL]
    taken = Taken(len(opened), len(reopened), fixed, len(changed), len(unjudged), len(critical))
    by_rule = dict(sorted(Counter(row[1] for row in new).items()))
    tell_pass(taken, now=now, context={"policy": policy, "opened_by_rule": by_rule})
    log.record_many([_critical(row, policy, now) for row in critical[:MOST_TOLD]])
    return taken


def fix(how: Mapping[UUID, FixedHow], *, now: datetime) -> int:
    """End these findings, with their exceptions. An inner step; returns how many were not fixed before."""
    if not how:
        return 0
    fixed = _run(_FIX, {"id": list(how), "how": [str(each) for each in how.values()], "now": now})
    note_steps(FindingStep.FIXED, {pk: {"how": told} for pk, told in fixed}, now=now)
    end_acceptances([pk for pk, _ in fixed], AcceptanceEnd.FIXED, now=now)
    return len(fixed)


def _unjudge(why: Mapping[UUID, list[str]], now: datetime) -> list[Any]:
    if not why:
        return []
    return _run(_UNJUDGE, {"id": list(why), "why": [as_json(each) for each in why.values()], "now": now})


def back_to_work(finding_ids: Sequence[UUID]) -> None:
    """Whatever of these was accepted has to be done again. An inner step, after the exception ended."""
    _run(_BACK_TO_WORK, {"ids": list(finding_ids)})


def lock(finding_ids: Sequence[UUID]) -> None:
    """Hold these findings until the transaction ends, in the order that everybody keeps to."""
    if finding_ids:
        _run(_LOCK, {"ids": list(finding_ids)})


def _open(said: Sequence[Said], policy: int, now: datetime) -> list[Any]:
    places = _places([each.outcome for each in said])
    # An object that is gone meanwhile, or that the inventory never held, has no finding.
    placed = [each for each in said if each.outcome.object_id in places]
    opened: list[Any] = []
    for some in _parts(placed):
        values = _columns(some) | {
            "rule": [each.outcome.rule for each in some],
            "object_kind": [str(each.outcome.object_kind) for each in some],
            "object_id": [each.outcome.object_id for each in some],
            "identity_id": [places[each.outcome.object_id][0] for each in some],
            "source_id": [places[each.outcome.object_id][1] for each in some],
        }
        opened += _run(_OPEN, values | {"policy": policy, "now": now})
    return opened


def _places(outcomes: Sequence[Outcome]) -> dict[UUID, tuple[UUID | None, UUID]]:
    """The identity and the source of each object that is there: one query per kind of object."""
    ids: dict[ObjectKind, list[UUID]] = {}
    for outcome in outcomes:
        ids.setdefault(outcome.object_kind, []).append(outcome.object_id)
    found: dict[UUID, tuple[UUID | None, UUID]] = {}
    if wanted := ids.get(ObjectKind.IDENTITY):
        rows = Identity.objects.filter(pk__in=wanted, retired_at=None)
        found |= {pk: (pk, source) for pk, source in rows.values_list("pk", "source_id")}
    hanging: tuple[tuple[ObjectKind, Any], ...] = (
        (ObjectKind.CREDENTIAL, Credential),
        (ObjectKind.TRUST, TrustRelation),
    )
    for kind, model in hanging:
        if wanted := ids.get(kind):
            rows = model.objects.filter(pk__in=wanted, retired_at=None, identity__retired_at=None)
            found |= {pk: (of, source) for pk, of, source in rows.values_list("pk", "identity_id", "source_id")}
    if wanted := ids.get(ObjectKind.SOURCE):
        found |= {pk: (None, pk) for pk in Source.objects.filter(pk__in=wanted).values_list("pk", flat=True)}
    return found


def _say(statement: str, said: Sequence[tuple[UUID, Said]], policy: int, now: datetime) -> list[Any]:
    rows: list[Any] = []
    for some in _parts(said):
        values = _columns([each for _, each in some]) | {"id": [pk for pk, _ in some]}
        rows += _run(statement, values | {"policy": policy, "now": now})
    return rows


def _columns(said: Sequence[Said]) -> dict[str, list[Any]]:
    return {
        "severity": [each.severity for each in said],
        "arithmetic": [each.arithmetic for each in said],
        "evidence": [each.evidence for each in said],
        "digest": [each.digest.hex() for each in said],
    }


def _note_severities(severities: Mapping[UUID, tuple[int, int]], policy: int, now: datetime) -> None:
    """An exception was made for what was known then: a finding that became worse needs another one."""
    told = {pk: {"from": before, "to": after, "policy": policy} for pk, (before, after) in severities.items()}
    note_steps(FindingStep.SEVERITY, told, now=now)
    exceeded = FindingAcceptance.objects.filter(
        finding__in=[pk for pk, (before, after) in severities.items() if after > before],
        ended_at=None,
        severity__lt=F("finding__severity"),
    )
    worse = list(exceeded.values_list("finding_id", flat=True))
    if worse:
        end_acceptances(worse, AcceptanceEnd.WORSENED, now=now)
        back_to_work(worse)


def tell_pass(taken: Taken, *, now: datetime, context: Mapping[str, Any] | None = None) -> None:
    """One record of what a pass changed, where it changed anything. An inner step."""
    if taken.is_empty:
        return
    log.record(
        verb=Verb.FINDINGS_CHANGED,
        actor=JUDGE,
        subject=log.Subject("findings", "all", "findings"),
        now=now,
        new={name: getattr(taken, name) for name in taken.__slots__},
        context=context,
    )


def _critical(row: Any, policy: int, now: datetime) -> log.Record:
    pk, rule, kind, *_ = row
    return log.Record(
        verb=Verb.FINDING_OPENED,
        actor=JUDGE,
        subject=finding_subject(pk, rule),
        now=now,
        new={"rule": rule, "severity": FindingSeverity.CRITICAL.word, "object_kind": kind},
        context={"policy": policy},
    )


def finding_subject(pk: UUID, rule: str) -> log.Subject:
    """A finding as the trail names it."""
    return log.Subject("finding", str(pk), rule)


def subject_of(finding: Finding) -> log.Subject:
    return finding_subject(finding.pk, finding.rule)


def _parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), AT_ONCE):
        yield rows[start : start + AT_ONCE]


def _run(statement: str, parameters: Mapping[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []
