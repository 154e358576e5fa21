"""Write a new version of the policy. The old ones stay: every score says by which it was judged."""

from datetime import datetime
from typing import Any

from django.db import transaction

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Conflict
from governance.people.access import require_role
from identities.models import PosturePolicy
from identities.posture.policy import InvalidPolicy, completed, first_document, parse_policy, policy_in_force

EVALUATE_TASK = "identities.evaluate_posture"
LONGEST_REASON = 2_000


class PolicyUnchanged(Conflict):
    """The document says what the policy in force says already."""

    code = "policy-unchanged"
    title = "Nothing would change"


class PolicyChanged(Conflict):
    """Somebody else wrote a version since this one was begun."""

    code = "policy-changed"
    title = "The policy changed since you read it"


def set_policy(*, document: object, reason: str, version: int, actor: Actor, now: datetime) -> PosturePolicy:
    """Put a policy in force as a new version; everything is then judged by it in the background.

    document: the whole policy, in the form of `policy.toml`. version: the number that the actor saw in force. Raises
    `InvalidPolicy`, `PolicyUnchanged`, `PolicyChanged`, `Forbidden`.
    """
    require_role(actor, Role.ADMINISTRATOR)
    why = checked_reason(reason)
    before = policy_in_force()
    parse_policy(document, number=before.number + 1)
    with transaction.atomic(durable=True):
        latest = PosturePolicy.objects.select_for_update().order_by("-number").first()
        assert latest is not None  # noqa: S101 - policy_in_force wrote one
        if latest.number != version:
            raise PolicyChanged("Somebody wrote a new version since you opened this one. Look at it first.")
        changed = differences(completed(latest.document), completed(document))
        if not changed:
            raise PolicyUnchanged("This is what the policy in force says already.")
        policy = PosturePolicy.objects.create(
            number=latest.number + 1,
            document=completed(document),
            reason=why,
            created_by_id=actor.person_id,
            created_at=now,
        )
        log.record(
            verb=Verb.POSTURE_POLICY_CHANGED,
            actor=actor,
            subject=log.Subject("posture_policy", str(policy.number), f"posture policy {policy.number}"),
            now=now,
            old={name: as_text(old) for name, (old, _) in changed.items()},
            new={name: as_text(new) for name, (_, new) in changed.items()},
            reason=why,
        )
        dispatch.after_commit(EVALUATE_TASK)
    return policy


def checked_reason(reason: str) -> str:
    """A policy moves identities from box to box, so it is written down why. Raises `InvalidPolicy`."""
    text = reason.strip()
    if not text or len(text) > LONGEST_REASON:
        why = f"takes a text of 1 to {LONGEST_REASON:,} characters"
        raise InvalidPolicy("Say why the policy changes.", errors=[{"pointer": "/reason", "reason": why}])
    return text


def differences(before: Any, after: Any, at: str = "") -> dict[str, tuple[Any, Any]]:
    """The values that differ, by their place: {"weights.breadth": (20, 15)}."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for name in dict.fromkeys((*before, *after)):
            found |= differences(before.get(name), after.get(name), f"{at}.{name}" if at else name)
        return found
    return {} if before == after else {at: (before, after)}


def as_text(value: Any) -> str | list[str] | None:
    """As the trail keeps it, which takes no fractions."""
    if isinstance(value, list):
        return [str(each) for each in value]
    return None if value is None else f"{value:g}" if isinstance(value, int | float) else str(value)


def delivered() -> dict[str, Any]:
    """Version 1, for whoever wants to begin from it."""
    return first_document()
