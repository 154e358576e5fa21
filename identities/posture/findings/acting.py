"""Carry out what people want for findings: one, or many at once with a preview that says what would happen to each.

The preview and the act judge every finding by the same wish. The preview's digest names what was judged, and the act
refuses when it would judge anything else.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from governance.audit import log
from governance.kernel.actors import Actor
from governance.kernel.errors import Conflict, DomainError
from governance.people.models import User
from identities.models import Finding
from identities.posture.findings.recording import lock, subject_of
from identities.posture.findings.standing import Standing, standings_of
from identities.posture.findings.wishes import Approve, Assign, Refuse, Request, Wish, Withdraw
from identities.selectors.findings import list_findings, visible_findings
from identities.selectors.selection import Selection, SelectionChanged
from identities.services.request_keys import Once, remember, require_new

MOST_FINDINGS = 10_000
MOST_NAMED = 1_000
SHOWN = 50
GONE = "There is no such finding, or it is not yours to see."
IS_SO = "It is so already."


class FindingChanged(Conflict):
    """The finding is no longer what was seen: another reading, or somebody else."""

    code = "finding-changed"


class TooManyFindings(DomainError):
    """More findings than one act takes."""

    code = "too-many-findings"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a wish means for one finding. refusal: why it stays as it is."""

    standing: Standing
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class BulkAct:
    """What a wish would do or did. `digest` names the selection as judged. gone: ids that the actor cannot see."""

    digest: str
    changes: list[Judgement] = field(repr=False)
    refused: list[Judgement] = field(repr=False)
    gone: int = 0

    @property
    def selected(self) -> int:
        return len(self.changes) + len(self.refused) + self.gone

    @property
    def reasons(self) -> list[tuple[str, int]]:
        counted = Counter(each.refusal for each in self.refused)
        return [*counted.most_common(), *([(GONE, self.gone)] if self.gone else [])]


def assign_finding(*, finding: Finding, version: int, assignee: User | None, actor: Actor, now: datetime) -> Finding:
    """Let this person see to it, or nobody in particular. Raises what `act_on_finding` raises."""
    return act_on_finding(finding=finding, version=version, wish=Assign(assignee), actor=actor, now=now)


def request_acceptance(
    *,
    finding: Finding,
    version: int,
    reason: str,
    compensating_control: str,
    until: datetime,
    actor: Actor,
    now: datetime,
) -> Finding:
    """Ask for an exception, at most 365 days long, 90 where it is critical; somebody else has to approve it."""
    wish = Request(reason, compensating_control, until)
    return act_on_finding(finding=finding, version=version, wish=wish, actor=actor, now=now)


def approve_acceptance(*, finding: Finding, version: int, actor: Actor, now: datetime) -> Finding:
    """Let the exception hold. Never by whoever asked, owns the identity, holds its credential or is to fix it."""
    return act_on_finding(finding=finding, version=version, wish=Approve(), actor=actor, now=now)


def refuse_acceptance(*, finding: Finding, version: int, reason: str, actor: Actor, now: datetime) -> Finding:
    """Say no to the exception that was asked for; the finding stays to be fixed."""
    return act_on_finding(finding=finding, version=version, wish=Refuse(reason), actor=actor, now=now)


def withdraw_acceptance(*, finding: Finding, version: int, actor: Actor, now: datetime) -> Finding:
    """End an exception, or take the wish for one back."""
    return act_on_finding(finding=finding, version=version, wish=Withdraw(), actor=actor, now=now)


def act_on_finding(*, finding: Finding, version: int, wish: Wish, actor: Actor, now: datetime) -> Finding:
    """Carry a wish out on one finding as it was seen, with one record.

    Raises FindingChanged, what the wish itself refuses (InvalidWish, NotYours, TooClose, WrongState) and Forbidden.
    """
    wish.check(actor, now)
    with transaction.atomic(durable=True):
        lock([finding.pk])
        found = _loaded(Finding.objects.filter(pk=finding.pk))
        if not found or found[0].version != version:
            raise FindingChanged("The finding changed since you opened it. Look again.")
        (standing,) = standings_of(found, actor)
        refusal = wish.refusal(standing, actor, now)
        if refusal is not None:
            raise refusal
        if not wish.is_so(standing):
            wish.write([standing], actor, now)
            log.record_many([_record(wish, standing, actor, now)])
    return _loaded(Finding.objects.filter(pk=finding.pk))[0]


def preview_act(*, selection: Selection, wish: Wish, actor: Actor, now: datetime) -> BulkAct:
    """What `act_on_findings` would do at this moment; nothing is written. Raises what that raises."""
    wish.check(actor, now)
    return _judge(_loaded(_selected(selection, actor, now)), wish, selection, actor, now)


def act_on_findings(
    *,
    selection: Selection,
    wish: Wish,
    digest: str | None,
    actor: Actor,
    now: datetime,
    once: Once[BulkAct] | None = None,
) -> BulkAct:
    """Carry one wish out on many findings, in one transaction, with one record for each that changed.

    digest: of the preview; None takes whatever is selected by now. Findings that the wish refuses stay as they are.
    once: the key under which the sender may ask again and gets the same answer. Raises Forbidden, InvalidWish,
    TooManyFindings, SelectionChanged, KeyReused, AlreadyDone.
    """
    wish.check(actor, now)
    with transaction.atomic(durable=True):
        if once is not None:
            require_new(once)
        ids = [finding.pk for finding in _loaded(_selected(selection, actor, now))]
        lock(ids)
        act = _judge(_loaded(Finding.objects.filter(pk__in=ids)), wish, selection, actor, now)
        if digest is not None and digest != act.digest:
            raise SelectionChanged("One of them changed, or others match by now. Look again.")
        if act.changes:
            standings = [each.standing for each in act.changes]
            wish.write(standings, actor, now)
            log.record_many(_record(wish, each, actor, now, act) for each in standings)
        if once is not None:
            remember(once, act, now=now)
    return act


def _selected(selection: Selection, actor: Actor, now: datetime) -> QuerySet[Finding]:
    if selection.filters is not None:
        return list_findings(actor=actor, filters=selection.filters, now=now)
    if len(selection.ids) > MOST_NAMED:
        raise TooManyFindings(f"At most {MOST_NAMED:,} findings are named at once; use a filter for more.")
    return visible_findings(actor).filter(pk__in=selection.ids)


def _loaded(findings: QuerySet[Finding]) -> list[Finding]:
    """By id, with what standing needs. Raises TooManyFindings."""
    found = list(
        findings.select_related("identity", "source", "assignee").defer("evidence").order_by("pk")[: MOST_FINDINGS + 1]
    )
    if len(found) > MOST_FINDINGS:
        raise TooManyFindings(
            f"More than {MOST_FINDINGS:,} findings match. Narrow the filter and take them in parts.", most=MOST_FINDINGS
        )
    return found


def _judge(findings: Sequence[Finding], wish: Wish, selection: Selection, actor: Actor, now: datetime) -> BulkAct:
    judged = [_judgement(standing, wish, actor, now) for standing in standings_of(findings, actor)]
    gone = len(set(selection.ids)) - len(findings) if selection.filters is None else 0
    return BulkAct(
        digest=_digest(findings, judged),
        changes=[each for each in judged if not each.refusal],
        refused=[each for each in judged if each.refusal],
        gone=gone,
    )


def _judgement(standing: Standing, wish: Wish, actor: Actor, now: datetime) -> Judgement:
    refusal = wish.refusal(standing, actor, now)
    if refusal is not None:
        return Judgement(standing, refusal.message)
    return Judgement(standing, IS_SO if wish.is_so(standing) else "")


def _digest(findings: Iterable[Finding], judged: Iterable[Judgement]) -> str:
    """Names these findings in these versions, and what was said of each."""
    found = hashlib.sha256()
    for finding, each in zip(findings, judged, strict=True):
        found.update(finding.pk.bytes + finding.version.to_bytes(8) + (b"-" if each.refusal else b"+"))
    return found.hexdigest()[:32]


def _record(wish: Wish, standing: Standing, actor: Actor, now: datetime, act: BulkAct | None = None) -> log.Record:
    old, new = wish.told(standing)
    return log.Record(
        verb=wish.verb,
        actor=actor,
        subject=subject_of(standing.finding),
        now=now,
        old=old,
        new=new,
        reason=wish.text,
        # The same on every record of one act: what it belonged to.
        context={"bulk": act.digest, "changed": len(act.changes), "selected": act.selected} if act else None,
    )
