"""By what requests are decided beyond what grants say: the decision policy, version by version."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Conflict, DomainError
from identities.models import DecisionPolicy
from identities.services.sources import require_role

_CHOICES = {
    ("approval", "required_for"): ("none", "privileged", "all"),
    ("trust", "issuer"): ("when_named", "always"),
    ("delegation", "unknown"): ("not_assessed", "deny"),
    ("log", "permits"): ("each", "aggregated", "sampled"),
    ("log", "denies"): ("each", "aggregated"),
}
_NUMBERS = {
    ("staleness", "seconds"): (60, 366 * 86_400),
    ("assurance", "least"): (0, 4),
    ("assurance", "least_privileged"): (0, 4),
    ("log", "one_in"): (1, 1_000_000),
}
MOST_REASON = 2_000


class InvalidDecisionPolicy(DomainError):
    """The document is no decision policy; `field` is the place."""

    code = "invalid-decision-policy"
    title = "This is no decision policy"


class PolicyMoved(Conflict):
    """Somebody changed the policy meanwhile."""

    code = "policy-moved"
    title = "The policy has changed since you looked"


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy in force, ready to be asked. Every field is what `docs/decisions.md` says of its name.

    staleness_seconds: None leaves it to the freshness limit of each source.
    """

    number: int
    staleness_seconds: int | None = None
    approval: str = "none"
    least_assurance: int = 0
    least_assurance_privileged: int = 0
    issuer: str = "when_named"
    unknown_delegators: str = "not_assessed"
    log_permits: str = "aggregated"
    log_denies: str = "each"
    one_in: int = 100

    @classmethod
    def from_document(cls, number: int, document: Mapping[str, Any]) -> "Policy":
        """Raises InvalidDecisionPolicy."""
        said = checked(document)
        return cls(
            number=number,
            staleness_seconds=said["staleness"]["seconds"],
            approval=said["approval"]["required_for"],
            least_assurance=said["assurance"]["least"],
            least_assurance_privileged=said["assurance"]["least_privileged"],
            issuer=said["trust"]["issuer"],
            unknown_delegators=said["delegation"]["unknown"],
            log_permits=said["log"]["permits"],
            log_denies=said["log"]["denies"],
            one_in=said["log"]["one_in"],
        )


def checked(document: Any) -> dict[str, dict[str, Any]]:
    """The document, whole and well-formed. Raises InvalidDecisionPolicy naming the first place that is not."""
    if not isinstance(document, Mapping):
        raise InvalidDecisionPolicy("A decision policy is an object.", field="")
    found: dict[str, dict[str, Any]] = {}
    for section, name in (*_CHOICES, *_NUMBERS):
        part = document.get(section)
        if not isinstance(part, Mapping) or name not in part:
            raise InvalidDecisionPolicy(f"{section}.{name} is missing.", field=f"/{section}/{name}")
        found.setdefault(section, {})[name] = _value(section, name, part[name])
    for section, part in document.items():
        for name in part if isinstance(part, Mapping) else [""]:
            if name not in found.get(section, {}):
                raise InvalidDecisionPolicy(f"{section}.{name} is nothing known.", field=f"/{section}/{name}")
    return found


def _value(section: str, name: str, value: Any) -> Any:
    at = f"/{section}/{name}"
    if choices := _CHOICES.get((section, name)):
        if value not in choices:
            raise InvalidDecisionPolicy(f"{section}.{name} is one of {', '.join(choices)}.", field=at)
        return value
    low, high = _NUMBERS[section, name]
    if value is None and (section, name) == ("staleness", "seconds"):
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidDecisionPolicy(f"{section}.{name} is a whole number from {low} to {high:,}.", field=at)
    return value


def read_policy() -> Policy:
    """The policy in force. Raises InvalidDecisionPolicy where the row was written by somebody else."""
    row = DecisionPolicy.objects.order_by("-number").first()
    if row is None:
        raise InvalidDecisionPolicy("There is no decision policy.", field="")
    return Policy.from_document(row.number, row.document)


def change_decision_policy(
    *, number: int, document: Mapping[str, Any], reason: str, actor: Actor, now: datetime
) -> DecisionPolicy:
    """Decide by another policy from now on. number: of the one in force when the change was thought of.

    Raises Forbidden, InvalidDecisionPolicy, PolicyMoved.
    """
    require_role(actor, Role.ADMINISTRATOR)
    if not reason.strip() or len(reason) > MOST_REASON:
        raise InvalidDecisionPolicy(f"Say why, in at most {MOST_REASON:,} characters.", field="reason")
    written = checked(document)
    with transaction.atomic(durable=True):
        current = DecisionPolicy.objects.select_for_update().order_by("-number").first()
        if current is None or current.number != number:
            raise PolicyMoved("Somebody has changed the decision policy meanwhile. Look again.")
        made = DecisionPolicy.objects.create(
            number=number + 1,
            document=written,
            reason=reason.strip(),
            created_by_id=actor.person_id,
            created_at=now,
        )
        log.record(
            verb=Verb.DECISION_POLICY_CHANGED,
            actor=actor,
            subject=log.Subject("decision_policy", str(made.number), f"Decision policy {made.number}"),
            now=now,
            old={"number": number, **current.document},
            new={"number": made.number, **written},
            reason=reason,
        )
    return made
