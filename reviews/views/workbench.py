"""What the page of one question prints, put together from the item, its evidence and its answers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_datetime

from governance.kernel.actors import Actor, Role
from governance.kernel.permissions import Permission, describe
from governance.people.access import MAIL_LINK
from governance.people.models import User
from identities.models import CredentialKind, Environment, Revocability
from reviews.decisions import SelfReview, answers_for, reason_is_required
from reviews.decisions.answers import PASSING_ON
from reviews.decisions.independence import is_attestation, parties_of_item
from reviews.decisions.resolution import RULE_LABELS
from reviews.models import Answer, Decision, Order, ReviewItem
from reviews.selectors import UNDECIDED, explain_resolution, list_decisions
from reviews.states import UNSENT_ORDERS, CampaignState, ItemState, OrderState
from reviews.views.bench import Bench

MOVING = frozenset({OrderState.PLANNED, OrderState.EXECUTING, OrderState.APPLIED})
KEYS = {
    Answer.APPROVE: "a",
    Answer.KEEP: "a",
    Answer.APPROVE_UNTIL: "u",
    Answer.SCOPE_DOWN: "s",
    Answer.ROTATE: "s",
    Answer.REVOKE: "r",
    Answer.DEACTIVATE: "r",
    Answer.NOT_MINE: "m",
    Answer.DONT_KNOW: "w",
}
# An owner is asked about the need, not about the access: the same answers in an owner's words.
OWNERS_WORDS = {
    Answer.APPROVE: "Yes, still needed",
    Answer.KEEP: "Yes, still needed",
    Answer.APPROVE_UNTIL: "Yes, until a date",
    Answer.SCOPE_DOWN: "May be narrowed",
    Answer.REVOKE: "No, not needed",
    Answer.DEACTIVATE: "No, not needed",
    Answer.ROTATE: "Yes, after rotation",
    Answer.NOT_MINE: "Not mine",
    Answer.DONT_KNOW: "I don’t know",
}
ICONS = {
    Answer.APPROVE: "check",
    Answer.KEEP: "check",
    Answer.APPROVE_UNTIL: "calendar-check",
    Answer.SCOPE_DOWN: "cut",
    Answer.REVOKE: "ban",
    Answer.ROTATE: "rotate",
    Answer.DEACTIVATE: "power",
    Answer.NOT_MINE: "arrow-forward-up",
    Answer.DONT_KNOW: "help-hexagon",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer as the form offers it."""

    value: str
    label: str
    icon: str
    key: str
    is_suggested: bool
    needs_reason: bool
    is_passing_on: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What the person looking may do with the question. refusal: why they may not answer at all."""

    may_answer: bool
    attests: bool
    refusal: str


def page_of(item: ReviewItem, bench: Bench, actor: Actor) -> dict[str, Any]:
    """Everything about the question except the form."""
    decisions = list(list_decisions(item))
    standing = standing_of(item, actor)
    return {
        "item": item,
        "question": question_of(item),
        "seen": seen_of(item),
        "decisions": decisions,
        "standing": standing,
        "decider": decider_of(item),
        "choices": choices_of(item, attests=standing.attests),
        "held_groups": bench.held_groups(),
        "proposal": proposal_of(item),
        "trace": explain_resolution(item.resolution, RULE_LABELS),
        "native_text": _native_text(item),
        "may_hand_on": _may_hand_on(item, actor),
        **state_of(item, decisions, actor, bench.now),
    }


def state_of(item: ReviewItem, decisions: Sequence[Decision], actor: Actor, now: datetime) -> dict[str, Any]:
    """The answer that stands, its order, and whether it can still be taken back."""
    answer = last_answer(decisions)
    order = Order.objects.filter(decision=answer, restores=None).first() if answer else None
    recallable = answer is not None and _may_recall(item, answer, order, actor)
    seconds = 0
    if recallable and order is not None and order.state == OrderState.PLANNED:
        seconds = max(0, round((order.execute_after - now).total_seconds()))
    return {
        "answer": answer,
        "order": order,
        "may_recall": recallable,
        "recall_seconds": seconds,
        "is_moving": order is not None and order.state in MOVING and seconds < 3600,
    }


def last_answer(decisions: Sequence[Decision]) -> Decision | None:
    """The newest answer that nobody took back, other than passing the question on."""
    standing = [
        each
        for each in decisions
        if each.recalls_id is None and not hasattr(each, "recalled_by") and each.answer not in PASSING_ON
    ]
    return standing[-1] if standing else None


def _may_recall(item: ReviewItem, answer: Decision, order: Order | None, actor: Actor) -> bool:
    """Whether the button is worth showing; `recall` decides for itself."""
    if item.campaign.state != CampaignState.OPEN or answer.decided_by_id is None:
        return False
    wanted = ItemState.ATTESTED if answer.is_attestation else ItemState.DECIDED
    is_somebodys = answer.decided_by_id == actor.person_id or actor.has_role(Role.ADMINISTRATOR)
    is_unsent = order is None or order.state in UNSENT_ORDERS
    return item.state == wanted and is_unsent and (is_somebodys or item.campaign.manager_id == actor.person_id)


def standing_of(item: ReviewItem, actor: Actor) -> Standing:
    """Whether this person is asked, and whether their answer only attests."""
    if item.state not in UNDECIDED or item.campaign.state != CampaignState.OPEN or actor.person_id is None:
        return Standing(False, False, "")
    if item.assignee_id != actor.person_id:
        return Standing(False, False, f"This question is assigned to {item.assignee}.")
    try:
        attests = is_attestation(actor.person_id, parties_of_item(item), item.resolution)
    except SelfReview as refusal:
        return Standing(False, False, refusal.message)
    if attests and item.state == ItemState.ATTESTED:
        return Standing(False, True, "You own this identity, so somebody independent decides.")
    return Standing(True, attests, "")


def decider_of(item: ReviewItem) -> str:
    """Who decides after an owner's attestation, as far as the campaign names somebody."""
    person = item.campaign.independent_reviewer
    return str(person) if person else "An independent reviewer"


def _may_hand_on(item: ReviewItem, actor: Actor) -> bool:
    """Whether the form is worth showing; `reassign_item` decides for itself."""
    if item.state not in UNDECIDED or item.campaign.state != CampaignState.OPEN or actor.auth_method == MAIL_LINK:
        return False
    return actor.person_id in {item.assignee_id, item.campaign.manager_id} or actor.has_role(Role.ADMINISTRATOR)


def _native_text(item: ReviewItem) -> str:
    return json.dumps(item.grant_version.permission, indent=2) if item.grant_version else ""


def question_of(item: ReviewItem) -> str:
    """The question in one sentence."""
    name = item.identity.name
    if item.credential is not None:
        kind = CredentialKind(item.credential.kind).label
        return f"Should {name} keep its {kind[0].lower() + kind[1:]} “{item.credential.external_id}”?"
    sentences = plain_of(item)
    if len(sentences) == 1 and len(sentences[0]) <= 110:
        return f"Should {name} still be able to {sentences[0]}?"
    return f"Should {name} keep the access “{item.grant.label if item.grant else ''}”?"


def plain_of(item: ReviewItem) -> list[str]:
    """What the access may do, as it was shown when the review opened."""
    plain: list[str] = item.seen.get("plain") or (item.grant_version.plain if item.grant_version else [])
    return plain


def seen_of(item: ReviewItem) -> dict[str, Any]:
    """The frozen evidence with times instead of texts, ready to print."""
    seen = dict(item.seen)
    use = dict(seen.get("use") or {})
    for name in ("at", "since", "until"):
        use[name] = _moment(use.get(name))
    owner = seen.get("owner")
    return {
        **seen,
        "use": use,
        "plain": plain_of(item),
        "path": [_link_of_path(step) for step in seen.get("path") or []],
        "uses": [use | {"at": _moment(use.get("at"))} for use in seen.get("uses") or []],
        "windows": [_window(window) for window in seen.get("windows") or []],
        "credentials": [_credential(each) for each in seen.get("credentials") or []],
        "credential": _credential(seen["credential"]) if seen.get("credential") else None,
        "owner": User.objects.filter(pk=UUID(owner)).first() if owner else None,
        "revocability_label": _label(Revocability, seen.get("revocability")),
        "environment_label": _label(Environment, (seen.get("identity") or {}).get("environment", "unknown")),
        "taken_at": _moment(seen.get("taken_at")),
        "last_used_at": _moment((seen.get("identity") or {}).get("last_used_at")),
    }


def choices_of(item: ReviewItem, *, attests: bool) -> list[Choice]:
    """The answers, in the order and words in which they are offered."""
    return [
        Choice(
            value=answer.value,
            label=OWNERS_WORDS[answer] if attests else answer.label,
            icon=ICONS[answer],
            key=KEYS[answer],
            is_suggested=answer.value == item.recommendation,
            needs_reason=reason_is_required(item, answer),
            is_passing_on=answer in PASSING_ON,
        )
        for answer in answers_for(item)
    ]


def proposal_of(item: ReviewItem) -> dict[str, Any] | None:
    """Who proposed to narrow this and why, where somebody did."""
    proposal = item.seen.get("proposal")
    if not proposal:
        return None
    by = User.objects.filter(pk=UUID(proposal["by"])).first() if proposal.get("by") else None
    return {"by": by, "why": proposal.get("why", ""), "plain": describe(Permission.from_json(proposal["target"]))}


def _link_of_path(step: Mapping[str, Any]) -> str:
    kind = str(step.get("kind", "")).replace("_", " ")
    label = step.get("label") or step.get("id") or ""
    return f"{kind} {label}".strip()


def _window(window: Mapping[str, Any]) -> dict[str, Any]:
    return {"log": window.get("log", ""), "since": _moment(window.get("from")), "until": _moment(window.get("until"))}


def _credential(credential: Mapping[str, Any]) -> dict[str, Any]:
    times = ("created_at", "expires_at", "last_rotated_at", "last_used_at")
    return {
        **credential,
        "kind_label": _label(CredentialKind, credential.get("kind")),
        **{name: _moment(credential.get(name)) for name in times},
    }


def _label(choices: Any, value: str | None) -> str:
    return str(choices(value).label) if value in choices.values else str(value or "")


def _moment(text: str | None) -> datetime | None:
    return parse_datetime(text) if text else None
