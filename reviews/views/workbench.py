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
from reviews.decisions.independence import is_attestation, parties_of_item
from reviews.decisions.resolution import RULE_LABELS
from reviews.decisions.stages import may_owners_answer, others_waiting, stages_of, standing_votes
from reviews.models import PASSING_ON, Answer, Decision, ItemKind, Order, ReviewItem
from reviews.policies.outcomes import Strategy
from reviews.selectors import UNDECIDED, explain_resolution, list_decisions
from reviews.states import UNSENT_ORDERS, CampaignState, ItemState, OrderState
from reviews.views.bench import Bench
from reviews.views.trigger import carried_of, protest_of, trigger_of

MOVING = frozenset({OrderState.PLANNED, OrderState.EXECUTING, OrderState.APPLIED})
KEYS = {
    Answer.APPROVE: "a",
    Answer.KEEP: "a",
    Answer.MINE: "a",
    Answer.RETIRE: "r",
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
    Answer.MINE: "It is mine",
    Answer.RETIRE: "Retire it",
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
    Answer.MINE: "user-check",
    Answer.RETIRE: "archive",
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
    """What the person looking may do with the question. refusal: why they may not answer at all.

    votes: several people answer in this stage, so that what this one says is not yet the outcome.
    """

    may_answer: bool
    attests: bool
    refusal: str
    votes: bool = False

    @property
    def verb(self) -> str:
        """What the button does, in its own words."""
        return "Attest" if self.attests else "Give your vote" if self.votes else "Decide"


def page_of(item: ReviewItem, bench: Bench, actor: Actor) -> dict[str, Any]:
    """Everything about the question except the form."""
    decisions = list(list_decisions(item, actor=actor))
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
        "trigger": trigger_of(item),
        "protest": protest_of(item),
        "carried": carried_of(last_answer(decisions)),
        "trace": explain_resolution(item.resolution, RULE_LABELS),
        "native_text": _native_text(item),
        "may_hand_on": may_hand_on(item, actor),
        **state_of(item, decisions, actor, bench.now),
    }


def state_of(item: ReviewItem, decisions: Sequence[Decision], actor: Actor, now: datetime) -> dict[str, Any]:
    """The answer that stands, its order, and whether it can still be taken back."""
    answer = last_answer(decisions)
    order = Order.objects.filter(decision=answer, restores=None).first() if answer else None
    mine = answer
    if answer is not None and answer.decided_by_id is None and answer.stage is not None:
        # Several people answered: what can be taken back is one's own part in it.
        mine = last_answer([each for each in decisions if each.decided_by_id == actor.person_id])
    recallable = mine is not None and _may_recall(item, mine, order, actor)
    seconds = 0
    if recallable and order is not None and order.state == OrderState.PLANNED:
        seconds = max(0, round((order.execute_after - now).total_seconds()))
    return {
        "answer": answer,
        "strategy": strategy_of(answer),
        "next_up": _next_up(item, answer, actor),
        "order": order,
        "may_recall": recallable,
        "recallable": mine,
        "recall_seconds": seconds,
        "is_moving": order is not None and order.state in MOVING and seconds < 3600,
    }


def strategy_of(decision: Decision | None) -> str:
    """The strategy that made one decision of several answers, in words; empty for every other decision."""
    known = {strategy.value: strategy.label for strategy in Strategy}
    return known.get(decision.decided_by_policy, "") if decision else ""


def _next_up(item: ReviewItem, answer: Decision | None, actor: Actor) -> str:
    """Who comes next, where the answer that stands does not end the question."""
    if answer is None or not answer.is_attestation or item.state not in UNDECIDED:
        return ""
    waiting = others_waiting(item, actor.person_id)
    if actor.person_id in others_waiting(item, None):
        return "You decide, with this in mind." if not waiting else "You are asked as well, beside others."
    if item.stage == answer.stage:
        return f"{len(waiting)} more are asked in this stage." if len(waiting) > 1 else f"{item.assignee} is asked too."
    return f"{item.assignee} decides next." if is_last_stage(item) else f"Next is stage {item.stage}: {item.assignee}."


def is_last_stage(item: ReviewItem) -> bool:
    """Whether no configured stage stands behind the present one."""
    return item.stage >= len(stages_of(item.campaign).stages)


def last_answer(decisions: Sequence[Decision]) -> Decision | None:
    """The newest answer that nobody took back, other than passing the question on."""
    standing = [
        each
        for each in decisions
        if each.recalls_id is None
        and not hasattr(each, "recalled_by")
        and each.answer not in PASSING_ON
        and not (each.is_attestation and each.stage is None)
    ]
    return standing[-1] if standing else None


def _may_recall(item: ReviewItem, answer: Decision, order: Order | None, actor: Actor) -> bool:
    """Whether the button is worth showing; `recall` decides for itself."""
    if item.campaign.state != CampaignState.OPEN or answer.decided_by_id is None:
        return False
    is_shared = answer.is_attestation and answer.stage == item.stage and answer.round == item.round
    wanted = {ItemState.ATTESTED} if answer.is_attestation else {ItemState.DECIDED}
    if is_shared:
        wanted = {ItemState.OPEN, ItemState.ATTESTED, ItemState.DECIDED}
    is_somebodys = answer.decided_by_id == actor.person_id or actor.has_role(Role.ADMINISTRATOR)
    is_unsent = order is None or order.state in UNSENT_ORDERS
    return item.state in wanted and is_unsent and (is_somebodys or item.campaign.manager_id == actor.person_id)


def standing_of(item: ReviewItem, actor: Actor) -> Standing:
    """Whether this person is asked, and whether their answer only attests."""
    if item.state not in UNDECIDED or item.campaign.state != CampaignState.OPEN or actor.person_id is None:
        return Standing(False, False, "")
    asked = others_waiting(item, None)
    if actor.person_id not in asked:
        return Standing(False, False, f"This question is assigned to {item.assignee}.")
    try:
        attests = is_attestation(actor.person_id, parties_of_item(item), item.resolution)
    except SelfReview as refusal:
        return Standing(False, False, refusal.message)
    if attests and not may_owners_answer(item):
        return Standing(False, True, "You own this identity, so somebody independent decides.")
    return Standing(True, attests, "", votes=len(asked) > 1 or _others_were_heard(item))


def _others_were_heard(item: ReviewItem) -> bool:
    """Whether somebody gave their vote in the present stage before."""
    return stages_of(item.campaign).at(item.stage).people > 1 and bool(standing_votes(item, stage=item.stage))


def decider_of(item: ReviewItem) -> str:
    """Who decides after an owner's attestation, as far as the campaign names somebody."""
    if not is_last_stage(item):
        return "The next stage"
    person = item.campaign.independent_reviewer
    return str(person) if person else "An independent reviewer"


def thanks_for(item: ReviewItem, decision: Decision) -> str:
    """What the person reads after their answer. item: as it was when they answered."""
    if decision.answer in PASSING_ON:
        return "Thank you. Somebody else is asked now."
    if not decision.is_attestation:
        return f"Decided: {Answer(decision.answer).label.lower()}."
    if decision.stage is None:
        return "Thank you. The question was settled meanwhile; what you said is kept beside it."
    item.refresh_from_db()
    if item.state == ItemState.DECIDED:
        return "Thank you. With your answer the question is decided."
    if item.stage == decision.stage:
        return "Thank you. Others are asked as well, and your answer counts with theirs."
    return f"Thank you. {item.assignee} is asked next, with what you said."


def may_hand_on(item: ReviewItem, actor: Actor) -> bool:
    """Whether the form is worth showing; `reassign_item` decides for itself."""
    if item.state not in UNDECIDED or item.campaign.state != CampaignState.OPEN or actor.auth_method == MAIL_LINK:
        return False
    return actor.person_id in {*others_waiting(item, None), item.campaign.manager_id} or actor.has_role(
        Role.ADMINISTRATOR
    )


def _native_text(item: ReviewItem) -> str:
    return json.dumps(item.grant_version.permission, indent=2) if item.grant_version else ""


def question_of(item: ReviewItem) -> str:
    """The question in one sentence."""
    name = item.identity.name
    if item.kind == ItemKind.OWNERSHIP:
        return f"Is {name} yours?"
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
