"""Judge identities and write down what came of it: those that are asked for, those that changed, or all.

One chunk, one transaction: scores, history, counts, findings and the marks that led there are written together or not
at all, by the policy that is in force then. Evaluators take turns chunk by chunk (an advisory lock that ends with the
transaction), so several do no harm; one that is killed leaves its chunk as it was, and the next one does it.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import connection, transaction

from governance.kernel.collecting import uncollected
from identities.models import (
    Finding,
    FindingState,
    Identity,
    IdentityPosture,
    PostureCursor,
    PostureMark,
)
from identities.posture.findings.recording import take_outcomes
from identities.posture.gathering import CHUNK, gather
from identities.posture.grant_use import GrantUseRow, write_grant_uses
from identities.posture.judging import CATALOGUE_VERSION, Judgement, digest_of, judge
from identities.posture.noting import locked_cursor, note_changes, pass_key
from identities.posture.policy import Policy, policy_in_force
from identities.posture.populations import judge_sources
from identities.posture.results import ObjectKind, Outcome, Result
from identities.posture.rules import ALL
from identities.posture.writing import write

_TURN = "hashtextextended('identities.posture', 0)"
MARKS_AT_ONCE = 20_000


class Busy(Exception):
    """Another evaluator is at work, and will come to what is left."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """looked_at: identities whose facts were gathered. judged: those of them that were judged, because something about
    them is not as it was when they were judged last. gone: identities that are no longer there.
    """

    looked_at: int = 0
    judged: int = 0
    gone: int = 0

    def __add__(self, other: "Evaluated") -> "Evaluated":
        return Evaluated(self.looked_at + other.looked_at, self.judged + other.judged, self.gone + other.gone)


def evaluate(identity_ids: Collection[UUID], *, now: datetime) -> Evaluated:
    """Look at these identities and judge those whose facts, policy or catalogue are others, or whose time has come."""
    done = Evaluated()
    ids = sorted(identity_ids)
    for start in range(0, len(ids), CHUNK):
        with transaction.atomic(durable=True):
            _take_turn()
            done += _evaluate(ids[start : start + CHUNK], policy_in_force(), now)
    return done


def evaluate_changes(*, now: datetime, patience: bool = True) -> Evaluated:
    """Judge what changed since last time, what time alone may have changed, and, after a new policy or catalogue,
    everything; then the sources that were read. What it costs follows the change.

    It goes on until nothing is left, and may be stopped and repeated at any moment. patience: whether it waits for
    another evaluator's chunk; otherwise it raises `Busy`.
    """
    take_turn = partial(_take_turn, patience=patience)
    done = Evaluated()
    sources: set[UUID] = set()
    while True:
        noted = note_changes(policy=policy_in_force(), now=now)
        sources |= noted.sources
        done += _until_none(lambda: _marked(now, take_turn))
        if not noted.has_more:
            break
    done += _until_none(lambda: _due(now, take_turn))
    done += _until_none(lambda: _passing(now, take_turn))
    _evaluate_sources(sources, now)
    return done


def evaluate_all(*, now: datetime) -> Evaluated:
    """Have every identity looked at, after whatever changed. A pass that was cut off goes on where it stopped."""
    with transaction.atomic(durable=True):
        cursor = locked_cursor()
        if not cursor.is_passing:
            cursor.pass_key = ""  # what begins a pass is that something else judges
            cursor.save()
    return evaluate_changes(now=now)


def _until_none(take: Callable[[], Evaluated | None]) -> Evaluated:
    done = Evaluated()
    while (part := take()) is not None:
        done += part
    return done


# --- chunks -----------------------------------------------------------------------------------------------------------


def _marked(now: datetime, take_turn: Callable[[], None]) -> Evaluated | None:
    """The identities with the oldest marks. Only the marks that were seen go: a later change left one of its own."""
    with transaction.atomic(durable=True):
        take_turn()
        marks = list(PostureMark.objects.order_by("pk").values_list("pk", "identity_id")[:MARKS_AT_ONCE])
        if not marks:
            return None
        ids: dict[UUID, list[int]] = {}
        for pk, identity_id in marks:
            if identity_id in ids or len(ids) < CHUNK:
                ids.setdefault(identity_id, []).append(pk)
        done = _evaluate(list(ids), policy_in_force(), now)
        PostureMark.objects.filter(pk__in=[pk for seen in ids.values() for pk in seen]).delete()
    return done


def _due(now: datetime, take_turn: Callable[[], None]) -> Evaluated | None:
    with transaction.atomic(durable=True):
        take_turn()
        due = IdentityPosture.objects.filter(due_at__lte=now).order_by("due_at")
        ids = list(due.values_list("identity_id", flat=True)[:CHUNK])
        return _evaluate(ids, policy_in_force(), now) if ids else None


def _passing(now: datetime, take_turn: Callable[[], None]) -> Evaluated | None:
    """The next identities of a pass over everything. Its place moves with what is written, unless another began."""
    with transaction.atomic(durable=True):
        take_turn()
        policy = policy_in_force()
        cursor = PostureCursor.objects.filter(pk=1, is_passing=True, pass_key=pass_key(policy)).first()
        if cursor is None:
            return None
        identities = Identity.objects.filter(retired_at=None).order_by("pk")
        if cursor.pass_after is not None:
            identities = identities.filter(pk__gt=cursor.pass_after)
        ids = list(identities.values_list("pk", flat=True)[:CHUNK])
        done = _evaluate(ids, policy, now) if ids else None
        place = {"pass_after": ids[-1]} if ids else {"pass_after": None, "is_passing": False}
        PostureCursor.objects.filter(pk=1, pass_key=cursor.pass_key, pass_after=cursor.pass_after).update(**place)
        return done


def _take_turn(*, patience: bool = True) -> None:
    with connection.cursor() as cursor:
        if patience:
            cursor.execute(f"SELECT pg_advisory_xact_lock({_TURN})")
            return
        cursor.execute(f"SELECT pg_try_advisory_xact_lock({_TURN})")
        if not cursor.fetchone()[0]:
            raise Busy


# --- one chunk --------------------------------------------------------------------------------------------------------


def _evaluate(ids: Sequence[UUID], policy: Policy, now: datetime) -> Evaluated:
    with uncollected():
        return _judged_and_written(ids, policy, now)


def _judged_and_written(ids: Sequence[UUID], policy: Policy, now: datetime) -> Evaluated:
    known = _known(ids)
    live: set[UUID] = set()
    judgements: list[Judgement] = []
    uses: list[GrantUseRow] = []
    for facts in gather(ids, now=now, policy=policy):
        live.add(facts.id)
        uses += facts.use.grants
        digest = digest_of(facts)
        if not _stands(known.get(facts.id), digest, policy, now):
            judgements.append(judge(facts, policy, digest=digest))
    write_grant_uses(uses, identity_ids=ids)
    gone = [pk for pk in ids if pk not in live and pk in known]
    if judgements or gone:
        write(judgements, gone=gone, policy_number=policy.number, now=now)
        outcomes = _worth_saying(judgements)
        take_outcomes(outcomes, assessed=assessed(judgements, gone), policy_number=policy.number, now=now)
    return Evaluated(len(live), len(judgements), len(gone))


def _worth_saying(judgements: Sequence[Judgement]) -> list[Outcome]:
    """What fails, and whatever else is said of what has a finding: of fifty rules most have nothing to say of most."""
    ids = [judgement.facts.id for judgement in judgements]
    unfixed = Finding.objects.filter(identity__in=ids).exclude(state=FindingState.FIXED)
    found = set(unfixed.values_list("rule", "object_id"))
    return [
        outcome
        for judgement in judgements
        for outcome in judgement.outcomes
        if outcome.result is Result.FAIL or (outcome.rule, outcome.object_id) in found
    ]


_Known = tuple[bytes, int, str, datetime | None]


def _known(ids: Sequence[UUID]) -> dict[UUID, _Known]:
    rows = IdentityPosture.objects.filter(pk__in=ids)
    columns = ("pk", "facts_digest", "policy_id", "catalogue_version", "due_at")
    return {
        pk: (bytes(digest), number, version, due) for pk, digest, number, version, due in rows.values_list(*columns)
    }


def _stands(known: _Known | None, digest: bytes, policy: Policy, now: datetime) -> bool:
    """Whether what was said last still holds, so that there is nothing to say."""
    if known is None:
        return False
    then, number, version, due = known
    is_due = due is not None and due <= now
    return not is_due and then == digest and number == policy.number and version == CATALOGUE_VERSION


def assessed(judgements: Sequence[Judgement], gone: Collection[UUID]) -> Mapping[str, frozenset[UUID]]:
    """By rule, every object that was judged: also those of which it had nothing to say, and those that are gone."""
    objects: dict[ObjectKind, set[UUID]] = defaultdict(set)
    for judgement in judgements:
        facts = judgement.facts
        objects[ObjectKind.IDENTITY].add(facts.id)
        objects[ObjectKind.CREDENTIAL].update(credential.id for credential in facts.credentials)
        objects[ObjectKind.TRUST].update(trust.id for trust in facts.trusts)
    identities = objects[ObjectKind.IDENTITY] | set(gone)
    of_kind = {kind: frozenset(identities | objects[kind]) for kind in ObjectKind}
    return {rule.id: of_kind[rule.object_kind] for rule in ALL}


def _evaluate_sources(source_ids: Collection[UUID], now: datetime) -> None:
    if not source_ids:
        return
    with transaction.atomic(durable=True):
        _take_turn()
        policy = policy_in_force()
        by_rule: dict[str, set[UUID]] = defaultdict(set)
        told = judge_sources(now, policy, source_ids)
        for outcome in told:
            by_rule[outcome.rule].add(outcome.object_id)
        take_outcomes(told, assessed=by_rule, policy_number=policy.number, now=now)
