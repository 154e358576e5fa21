"""What people may want for findings: somebody to see to them, or an exception and its end.

A wish judges each finding by itself (`refusal`, `is_so`) and then writes all that it may change at once; one finding
and ten thousand go the same way. The rules of an exception are in `docs/findings.md`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol
from uuid import UUID

from django.db.models import F, Value

from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from governance.kernel.errors import Conflict, DomainError, Forbidden
from governance.people.models import User
from identities.models import (
    AcceptanceEnd,
    Finding,
    FindingAcceptance,
    FindingSeverity,
    FindingState,
    FindingStep,
)
from identities.models.finding import LONGEST_ACCEPTANCE
from identities.posture.findings.recording import back_to_work
from identities.posture.findings.standing import Standing, may_approve, may_handle, person_behind
from identities.posture.findings.steps import end_acceptances, note_steps

LONGEST_FOR_CRITICAL = timedelta(days=90)
LONGEST_TEXT = 2_000
SHORTEST_TEXT = 10
_WORD = re.compile(r"\w")


class NotYours(Forbidden):
    """The finding belongs to others."""

    code = "finding-not-yours"


class TooClose(Forbidden):
    """Somebody would excuse what is their own."""

    code = "self-approval"
    title = "Nobody approves their own exception"


class WrongState(Conflict):
    """The finding or its exception is no longer, or not yet, what the wish needs."""

    code = "finding-state"


class InvalidWish(DomainError):
    """A field that nobody could mean; `details["field"]` names it."""

    code = "invalid-finding-wish"


NOT_YOURS = "Only administrators, campaign managers and whoever owns the identity see to its findings."
NO_APPROVER = "Only a signed-in administrator or campaign manager approves or refuses exceptions."
IS_FIXED = "It is fixed already: a later reading showed it."
IS_ACCEPTED = "An exception holds, so there is nothing to do until it ends."
IS_ASKED = "An exception was asked for already."
NONE_ASKED = "Nobody asked for an exception."
NO_EXCEPTION = "There is no exception to withdraw."
IS_OVER = "The exception would end in the past. Ask for it again with a later end."
TOO_LONG = f"An exception for a critical finding lasts at most {LONGEST_FOR_CRITICAL.days} days."


class Wish(Protocol):
    """One thing that people may want for any number of findings."""

    verb: ClassVar[Verb]
    name: ClassVar[str]

    def check(self, actor: Actor, now: datetime) -> None:
        """Refuse what could be meant for no finding at all. Raises InvalidWish, Forbidden."""

    def refusal(self, standing: Standing, actor: Actor, now: datetime) -> DomainError | None:
        """Why this finding stays as it is."""

    def is_so(self, standing: Standing) -> bool:
        """Whether nothing would change."""

    def write(self, standings: Sequence[Standing], actor: Actor, now: datetime) -> None:
        """Change all of these, in a fixed number of statements."""

    def told(self, standing: Standing) -> tuple[dict[str, Any], dict[str, Any]]:
        """Old and new as the trail keeps them."""

    @property
    def text(self) -> str:
        """Free text for the erasable part of the record."""


@dataclass(frozen=True, slots=True)
class Assign:
    """Let this person see to it, or nobody in particular."""

    assignee: User | None
    verb: ClassVar[Verb] = Verb.FINDING_ASSIGNED
    name: ClassVar[str] = "assign"
    text: ClassVar[str] = ""

    def check(self, actor: Actor, now: datetime) -> None:
        if self.assignee is not None and (self.assignee.left_at is not None or not self.assignee.is_active):
            raise InvalidWish("This person has left or cannot sign in, so nobody would see to it.", field="assignee")

    def refusal(self, standing: Standing, actor: Actor, now: datetime) -> DomainError | None:
        if not may_handle(standing, actor):
            return NotYours(NOT_YOURS)
        return _over(standing.finding)

    def is_so(self, standing: Standing) -> bool:
        return standing.finding.assignee_id == getattr(self.assignee, "pk", None)

    def write(self, standings: Sequence[Standing], actor: Actor, now: datetime) -> None:
        state = FindingState.OPEN if self.assignee is None else FindingState.ASSIGNED
        _touched(standings).update(assignee=self.assignee, state=state, changed_at=now, version=F("version") + 1)
        step = FindingStep.UNASSIGNED if self.assignee is None else FindingStep.ASSIGNED
        facts = {"to": str(self.assignee.pk)} if self.assignee else {}
        note_steps(step, {each.finding.pk: facts for each in standings}, now=now, by=actor.person_id)

    def told(self, standing: Standing) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"assignee": _id(standing.finding.assignee_id)}, {"assignee": _id(getattr(self.assignee, "pk", None))}


@dataclass(frozen=True, slots=True)
class Request:
    """Ask for an exception: why it may stay, what holds the risk meanwhile, and until when."""

    reason: str
    compensating_control: str
    until: datetime
    verb: ClassVar[Verb] = Verb.FINDING_ACCEPTANCE_REQUESTED
    name: ClassVar[str] = "request"

    @property
    def text(self) -> str:
        return f"{self.reason}\n\n{self.compensating_control}"

    def check(self, actor: Actor, now: datetime) -> None:
        if person_behind(actor) is None:
            raise Forbidden("An exception is asked for by a person, who then answers for it.")
        for name in ("reason", "compensating_control"):
            _check_text(name, getattr(self, name))
        if self.until <= now:
            raise InvalidWish("The exception has to end after now.", field="until")
        if self.until > now + LONGEST_ACCEPTANCE:
            raise InvalidWish(f"An exception lasts at most {LONGEST_ACCEPTANCE.days} days.", field="until")

    def refusal(self, standing: Standing, actor: Actor, now: datetime) -> DomainError | None:
        if not may_handle(standing, actor):
            return NotYours(NOT_YOURS)
        if standing.is_asked_for:
            return WrongState(IS_ASKED)
        is_long = self.until > now + LONGEST_FOR_CRITICAL
        if is_long and standing.finding.severity == FindingSeverity.CRITICAL:
            return InvalidWish(TOO_LONG, field="until")
        return _over(standing.finding)

    def is_so(self, standing: Standing) -> bool:
        return False

    def write(self, standings: Sequence[Standing], actor: Actor, now: datetime) -> None:
        person = person_behind(actor)
        assert person is not None  # noqa: S101 - `check` refused whoever stands for nobody
        FindingAcceptance.objects.bulk_create(
            FindingAcceptance(
                finding=each.finding,
                severity=each.finding.severity,
                reason=self.reason.strip(),
                compensating_control=self.compensating_control.strip(),
                requested_by_id=person,
                requested_at=now,
                until=self.until,
            )
            for each in standings
        )
        _touched(standings).update(changed_at=now, version=F("version") + 1)
        facts = {"until": self.until.isoformat()}
        note_steps(FindingStep.REQUESTED, {each.finding.pk: facts for each in standings}, now=now, by=person)

    def told(self, standing: Standing) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {"until": self.until, "severity": FindingSeverity(standing.finding.severity).word}


@dataclass(frozen=True, slots=True)
class Approve:
    """Let the exception hold that was asked for."""

    verb: ClassVar[Verb] = Verb.FINDING_ACCEPTED
    name: ClassVar[str] = "approve"
    text: ClassVar[str] = ""

    def check(self, actor: Actor, now: datetime) -> None:
        if not may_approve(actor):
            raise Forbidden(NO_APPROVER)

    def refusal(self, standing: Standing, actor: Actor, now: datetime) -> DomainError | None:
        asked = standing.acceptance if standing.is_asked_for else None
        if asked is None:
            return WrongState(NONE_ASKED)
        if standing.conflict:
            return TooClose(standing.conflict)
        return WrongState(IS_OVER) if asked.until <= now else None

    def is_so(self, standing: Standing) -> bool:
        return False

    def write(self, standings: Sequence[Standing], actor: Actor, now: datetime) -> None:
        asked = FindingAcceptance.objects.filter(pk__in=[each.acceptance.pk for each in standings if each.acceptance])
        asked.update(approver_id=actor.person_id, accepted_at=now)
        _touched(standings).update(state=FindingState.ACCEPTED, changed_at=now, version=F("version") + 1)
        facts = {each.finding.pk: {"until": _until(each)} for each in standings}
        note_steps(FindingStep.ACCEPTED, facts, now=now, by=actor.person_id)

    def told(self, standing: Standing) -> tuple[dict[str, Any], dict[str, Any]]:
        asked = standing.acceptance
        new = {
            "state": str(FindingState.ACCEPTED),
            "until": _until(standing),
            "requested_by": _id(asked.requested_by_id if asked else None),
            "severity": FindingSeverity(standing.finding.severity).word,
        }
        return {"state": str(standing.finding.state)}, new


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse the exception that was asked for; the finding stays to be fixed."""

    reason: str
    verb: ClassVar[Verb] = Verb.FINDING_ACCEPTANCE_REFUSED
    name: ClassVar[str] = "refuse"

    @property
    def text(self) -> str:
        return self.reason

    def check(self, actor: Actor, now: datetime) -> None:
        if not may_approve(actor):
            raise Forbidden(NO_APPROVER)
        _check_text("reason", self.reason)

    def refusal(self, standing: Standing, actor: Actor, now: datetime) -> DomainError | None:
        return None if standing.is_asked_for else WrongState(NONE_ASKED)

    def is_so(self, standing: Standing) -> bool:
        return False

    def write(self, standings: Sequence[Standing], actor: Actor, now: datetime) -> None:
        _end(standings, AcceptanceEnd.REFUSED, actor, now)

    def told(self, standing: Standing) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {"until": _until(standing)}


@dataclass(frozen=True, slots=True)
class Withdraw:
    """End an exception, or take the wish for one back; the finding has to be fixed again."""

    verb: ClassVar[Verb] = Verb.FINDING_ACCEPTANCE_WITHDRAWN
    name: ClassVar[str] = "withdraw"
    text: ClassVar[str] = ""

    def check(self, actor: Actor, now: datetime) -> None:
        return

    def refusal(self, standing: Standing, actor: Actor, now: datetime) -> DomainError | None:
        if not may_handle(standing, actor):
            return NotYours(NOT_YOURS)
        return None if standing.acceptance is not None else WrongState(NO_EXCEPTION)

    def is_so(self, standing: Standing) -> bool:
        return False

    def write(self, standings: Sequence[Standing], actor: Actor, now: datetime) -> None:
        _end(standings, AcceptanceEnd.WITHDRAWN, actor, now)

    def told(self, standing: Standing) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"state": str(standing.finding.state)}, {"until": _until(standing)}


def _end(standings: Sequence[Standing], how: AcceptanceEnd, actor: Actor, now: datetime) -> None:
    ids = [each.finding.pk for each in standings]
    end_acceptances(ids, how, now=now, by=person_behind(actor))
    back_to_work(ids)
    _touched(standings).update(changed_at=now, version=F("version") + Value(1))


def _over(finding: Finding) -> DomainError | None:
    if finding.state == FindingState.FIXED:
        return WrongState(IS_FIXED)
    return WrongState(IS_ACCEPTED) if finding.state == FindingState.ACCEPTED else None


def _check_text(name: str, text: str) -> None:
    words = name.replace("_", " ")
    if len(text.strip()) < SHORTEST_TEXT or not _WORD.search(text):
        raise InvalidWish(f"Write the {words} in a sentence: at least {SHORTEST_TEXT} characters.", field=name)
    if len(text) > LONGEST_TEXT or "\x00" in text:
        raise InvalidWish(f"The {words} has at most {LONGEST_TEXT:,} characters, all of them printable.", field=name)


def _touched(standings: Sequence[Standing]) -> Any:
    return Finding.objects.filter(pk__in=[each.finding.pk for each in standings])


def _until(standing: Standing) -> str | None:
    return standing.acceptance.until.isoformat() if standing.acceptance else None


def _id(pk: UUID | None) -> str | None:
    return str(pk) if pk else None
