"""End what time alone ends: exceptions whose end has come, work of people who have left, findings of what is gone.

Each part is a use case of its own, safe to repeat and to interrupt: it goes on until nothing is left, `AT_ONCE` at a
time, each time in one transaction.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from identities.models import AcceptanceEnd, Finding, FindingAcceptance, FindingState, FindingStep, FixedHow
from identities.posture.findings.recording import Taken, back_to_work, finding_subject, fix, lock, tell_pass
from identities.posture.findings.steps import end_acceptances, note_steps

SETTLER = system_actor("posture")
AT_ONCE = 1_000
# What was judged ends in its pass; this finds what no pass met, from whichever side it went.
_OF_THE_GONE = """
SELECT f.id FROM identities_finding f
LEFT JOIN identities_identity i ON i.id = f.identity_id
LEFT JOIN identities_credential c ON f.object_kind = 'credential' AND c.id = f.object_id
LEFT JOIN identities_trustrelation t ON f.object_kind = 'trust' AND t.id = f.object_id
WHERE f.state <> 'fixed' AND coalesce(i.retired_at, c.retired_at, t.retired_at) IS NOT NULL
LIMIT %s
"""


def settle_findings(*, now: datetime) -> int:
    """Exceptions that are over, and work of people who left. Returns how many findings that changed."""
    return _until_done(_expire, now) + _until_done(_unassign, now)


def close_gone_findings(*, now: datetime) -> int:
    """Findings of identities, credentials and trusts that no source holds any more. Returns how many."""
    return _until_done(_close_gone, now)


def _until_done(step: Callable[[datetime], int], now: datetime) -> int:
    total = 0
    while done := step(now):
        total += done
        if done < AT_ONCE:
            break
    return total


def _expire(now: datetime) -> int:
    """The finding has to be fixed again, or excused anew."""
    with transaction.atomic(durable=True):
        due = FindingAcceptance.objects.filter(ended_at=None, until__lte=now).order_by("until")
        lock(list(due.values_list("finding_id", flat=True)[:AT_ONCE]))
        over = list(due.select_related("finding").only(*_TOLD)[:AT_ONCE])
        ids = [each.finding_id for each in over]
        end_acceptances(ids, AcceptanceEnd.EXPIRED, now=now)
        back_to_work(ids)
        Finding.objects.filter(pk__in=ids).update(changed_at=now, version=F("version") + 1)
        log.record_many([_expired(each, now) for each in over])
    return len(over)


_TOLD = ("finding", "accepted_at", "until", "finding__rule")


def _expired(acceptance: FindingAcceptance, now: datetime) -> log.Record:
    return log.Record(
        verb=Verb.FINDING_ACCEPTANCE_EXPIRED,
        actor=SETTLER,
        subject=finding_subject(acceptance.finding_id, acceptance.finding.rule),
        now=now,
        old={"until": acceptance.until},
        context={"was_accepted": acceptance.accepted_at is not None},
    )


def _unassign(now: datetime) -> int:
    """Whoever left sees to nothing: the finding is open to others again."""
    with transaction.atomic(durable=True):
        left = Finding.objects.filter(assignee__left_at__lte=now, state=FindingState.ASSIGNED)
        lock(list(left.values_list("pk", flat=True)[:AT_ONCE]))
        found = dict(left.values_list("pk", "rule")[:AT_ONCE])
        Finding.objects.filter(pk__in=list(found)).update(
            assignee=None, state=FindingState.OPEN, changed_at=now, version=F("version") + 1
        )
        note_steps(FindingStep.UNASSIGNED, {pk: {"why": "left"} for pk in found}, now=now)
        log.record_many([_unassigned(pk, rule, now) for pk, rule in found.items()])
    return len(found)


def _unassigned(pk: UUID, rule: str, now: datetime) -> log.Record:
    return log.Record(
        verb=Verb.FINDING_ASSIGNED,
        actor=SETTLER,
        subject=finding_subject(pk, rule),
        now=now,
        new={"assignee": None},
        context={"why": "left"},
    )


def _close_gone(now: datetime) -> int:
    with transaction.atomic(durable=True):
        gone = _gone()
        lock(gone)
        fixed = fix(dict.fromkeys(gone, FixedHow.RETIRED), now=now)
        tell_pass(Taken(fixed=fixed), now=now)
    return fixed


def _gone() -> Sequence[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(_OF_THE_GONE, [AT_ONCE])
        return [row[0] for row in cursor.fetchall()]
