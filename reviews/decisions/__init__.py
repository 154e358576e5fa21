"""Answering questions: decide, decide many, take back, hand on; and who may."""

from reviews.decisions.answers import AnswerNotPossible, ReasonRequired, answers_for, reason_is_required
from reviews.decisions.bulk import BulkResult, TooManyItems, decide_many
from reviews.decisions.deciding import decide
from reviews.decisions.independence import SelfReview
from reviews.decisions.items import AccessChanged, CampaignNotOpen, NotAssigned, StaleItem
from reviews.decisions.recalling import NotRecallable, recall
from reviews.decisions.releasing import NothingToRelease, list_awaiting, refuse, release
from reviews.decisions.rerouting import NotEligible, reassign_item, reroute_items_of, reroute_orphaned_items
from reviews.decisions.targets import TargetNotInside

__all__ = [
    "AccessChanged",
    "AnswerNotPossible",
    "BulkResult",
    "CampaignNotOpen",
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
    "decide",
    "decide_many",
    "list_awaiting",
    "reason_is_required",
    "reassign_item",
    "recall",
    "refuse",
    "release",
    "reroute_items_of",
    "reroute_orphaned_items",
]
