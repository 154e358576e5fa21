"""What an answer would do at the source, worked out before anybody agrees to it."""

from dataclasses import dataclass
from typing import Protocol

from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission, describe
from identities import provisioning
from identities.connectors.contract import NotPossible, Plan, SourceChanged
from identities.connectors.spelled import spell
from identities.models import Credential, Grant, GrantVersion, Identity
from reviews.models import Answer, OrderAction, ReviewItem
from reviews.remediation.own_grants import is_own, narrowing_text
from reviews.remediation.own_grants import plan_ending as plan_ending_here
from reviews.remediation.rotating import ending_text, plan_ending, rotation_text

ACTION_OF: dict[str, OrderAction] = {
    Answer.REVOKE: OrderAction.REVOKE,
    Answer.APPROVE_UNTIL: OrderAction.REVOKE,
    Answer.SCOPE_DOWN: OrderAction.NARROW,
    Answer.DEACTIVATE: OrderAction.DEACTIVATE,
    Answer.QUARANTINE: OrderAction.QUARANTINE,
    Answer.ROTATE: OrderAction.ROTATE,
    Answer.RETIRE: OrderAction.QUARANTINE,
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """What will happen when the answer is submitted.

    action is None for answers that change nothing. plan is what the connector will execute; where it is None,
    `instructions` say what a person has to do (a task), or `problem` says why no plan could be made yet (the source
    did not answer; the worker will plan when the order is due).
    """

    action: OrderAction | None = None
    plan: Plan | None = None
    instructions: str = ""
    problem: str = ""

    @property
    def is_task(self) -> bool:
        return self.action is not None and self.plan is None and bool(self.instructions)


class Subject(Protocol):
    """Whatever names the object of a change: a review item or an order."""

    identity: Identity
    grant: Grant | None
    credential: Credential | None


def may_order(answer: str) -> bool:
    """Whether this answer places an order, now or for a later day."""
    return answer in ACTION_OF


def asks_source(answer: str) -> bool:
    """Whether preparing the answer means to call the source: not for what changes nothing, or is planned on its day."""
    return answer in ACTION_OF and answer != Answer.APPROVE_UNTIL


def prepare(*, item: ReviewItem, answer: str, target: Permission | None = None) -> Prepared:
    """Plan what `answer` would do. Calls the source: outside transactions only. An unwilling source is no error."""
    action = ACTION_OF.get(answer)
    if action is None:
        return Prepared()
    if not asks_source(answer):
        # The source may change until then, so the plan is made on the day.
        return Prepared(action=action)
    try:
        return prepare_action(action=action, subject=item, version=item.grant_version, target=target)
    except DomainError as problem:
        return Prepared(action=action, problem=problem.message)


@dataclass(slots=True)
class _Holder:
    """A grant that nobody asks about, as the subject of a change that is only tried."""

    identity: Identity
    grant: Grant | None
    credential: Credential | None = None


def prepare_narrowing(*, grant: Grant, version: GrantVersion, target: Permission) -> Prepared:
    """Plan a narrowing that nobody has decided. Calls the source: outside transactions only; changes nothing."""
    action = OrderAction.NARROW
    try:
        return prepare_action(action=action, subject=_Holder(grant.identity, grant), version=version, target=target)
    except DomainError as problem:
        return Prepared(action=action, problem=problem.message)


def prepare_action(
    *, action: OrderAction, subject: Subject, version: GrantVersion | None, target: Permission | None
) -> Prepared:
    """Plan one change, or say what a person has to do where the source or its connector cannot.

    Raises SourceUnreachable, SourceChanged, and whatever is wrong with the source's settings or secrets.
    """
    if action == OrderAction.ROTATE:
        return _prepare_rotation(subject)
    try:
        return Prepared(action=action, plan=_plan(action, subject, version, target))
    except SourceChanged:
        raise
    except NotPossible as refusal:
        text = _task_text(action, subject, version, target)
        return Prepared(action=action, instructions=f"{refusal.message}\n\n{text}", problem=refusal.message)


def others_of(prepared: Prepared | None, grant: Grant | None) -> list[str]:
    """Who else is touched, as sentences; empty means nobody. Call it only for something that was planned or tried."""
    if prepared and prepared.plan and prepared.plan.side_effects:
        return list(prepared.plan.side_effects)
    if grant is None or not grant.shared_with:
        return []
    count = grant.shared_with
    others = "1 other identity holds" if count == 1 else f"{count} other identities hold"
    if prepared and prepared.plan:
        return [f"{others} the same and {'keeps' if count == 1 else 'keep'} it: only this identity changes."]
    return [f"{others} the same. Whoever makes this change has to spare them."]


def _plan(action: OrderAction, subject: Subject, version: GrantVersion | None, target: Permission | None) -> Plan:
    if action == OrderAction.QUARANTINE:
        return provisioning.plan_quarantine(identity=subject.identity)
    if action == OrderAction.DEACTIVATE and subject.credential is not None:
        return provisioning.plan_deactivate(credential=subject.credential)
    if subject.grant is None or version is None:
        raise NotPossible("There is no grant to change.")
    if is_own(subject.grant):
        if action == OrderAction.NARROW:
            raise NotPossible("Remit ends what was granted on request, and does not rewrite it.")
        return plan_ending_here(subject.grant, version)
    if action == OrderAction.NARROW and target is not None:
        return provisioning.plan_narrow(grant=subject.grant, version=version, target=target)
    return provisioning.plan_revoke(grant=subject.grant, version=version)


def _task_text(action: OrderAction, subject: Subject, version: GrantVersion | None, target: Permission | None) -> str:
    name = f"{subject.identity.name} in {subject.identity.source.name}"
    if action == OrderAction.DEACTIVATE and subject.credential is not None:
        kind = subject.credential.get_kind_display().lower()
        return f"Deactivate the {kind} “{subject.credential.external_id}” of {name}."
    if action == OrderAction.QUARANTINE:
        return f"Lock {name} out: no sign-in and no open session may remain."
    label = subject.grant.label if subject.grant else ""
    if action == OrderAction.NARROW and target is not None and is_own(subject.grant):
        return narrowing_text(target)
    if action == OrderAction.NARROW and target is not None:
        kept = "\n".join(f"- {sentence}" for sentence in describe(target))
        text = f"Change the access “{label}” of {name} so that only this remains:\n{kept}"
        return text + _native_text(subject.grant, version, target)
    held = "\n".join(f"- {sentence}" for sentence in (version.plain if version else []))
    return f"Take the access “{label}” away from {name}. It may now:\n{held}" + _native_text(
        subject.grant, version, None
    )


def _native_text(grant: Grant | None, version: GrantVersion | None, target: Permission | None) -> str:
    """The same change in the words of the system, between fences, where its dialect is one that we can write."""
    if grant is None or version is None:
        return ""
    native = spell(provisioning.grant_ref(grant, version), target)
    return f"\n\nIn the system itself:\n\n```\n{native}\n```" if native else ""


def _prepare_rotation(subject: Subject) -> Prepared:
    """End the old credential where its successor is in use already; else ask a person for a new one first."""
    try:
        plan = plan_ending(subject)
    except SourceChanged:
        raise
    except NotPossible as refusal:
        text = f"{refusal.message}\n\n{ending_text(subject)}"
        return Prepared(action=OrderAction.ROTATE, instructions=text, problem=refusal.message)
    if plan is None:
        return Prepared(action=OrderAction.ROTATE, instructions=rotation_text(subject))
    return Prepared(action=OrderAction.ROTATE, plan=plan)
