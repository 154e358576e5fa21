"""Answering questions: decide, decide many, take back, hand on; and who may."""

from reviews.decisions.absences import apply_delegations
from reviews.decisions.answers import AnswerNotPossible, ReasonRequired, answers_for, reason_is_required
from reviews.decisions.bulk import BulkResult, TooManyItems, decide_many
from reviews.decisions.deciding import decide
from reviews.decisions.delegating import (
    AlreadyAway,
    DelegationOver,
    DelegationRefused,
    create_delegation,
    end_delegation,
)
from reviews.decisions.drafts import drop_draft, foresee_drafts, list_drafts, save_draft, submit_drafts
from reviews.decisions.escalating import escalate_silent_items
from reviews.decisions.independence import SelfReview
from reviews.decisions.items import AccessChanged, CampaignNotOpen, NotAssigned, StaleItem
from reviews.decisions.recalling import NotRecallable, recall
from reviews.decisions.releasing import NothingToRelease, list_awaiting, refuse, release
from reviews.decisions.remarks import ask_remark, reply_to_remark
from reviews.decisions.rerouting import NotEligible, reassign_item, reroute_items_of, reroute_orphaned_items
from reviews.decisions.targets import TargetNotInside

__all__ = [
    "AccessChanged",
    "AlreadyAway",
    "AnswerNotPossible",
    "BulkResult",
    "CampaignNotOpen",
    "DelegationOver",
    "DelegationRefused",
    "NotAssigned",
    "NotEligible",
    "NotRecallable",
    "NothingToRelease",
    "ReasonRequired",
    "SelfReview",
    "StaleItem",
    "TargetNotInside",
    "TooManyItems",
    "answers_for",
    "apply_delegations",
    "ask_remark",
    "create_delegation",
    "decide",
    "decide_many",
    "drop_draft",
    "end_delegation",
    "escalate_silent_items",
    "foresee_drafts",
    "list_awaiting",
    "list_drafts",
    "reason_is_required",
    "reassign_item",
    "recall",
    "refuse",
    "release",
    "reply_to_remark",
    "reroute_items_of",
    "reroute_orphaned_items",
    "save_draft",
    "submit_drafts",
]
