"""Reviews: one file per concept."""

from reviews.models.access_request import AccessRequest
from reviews.models.ask import Ask
from reviews.models.brake import Brake, BrakeScope, BrakeState, BudgetUse, OrderHold, SourceBudget
from reviews.models.campaign import Campaign
from reviews.models.delegation import Delegation
from reviews.models.draft import Draft
from reviews.models.evidence import Acknowledgement, EvidencePack, PackedOrder, PackState
from reviews.models.item import KEEPING, PASSING_ON, Answer, Change, Decision, ItemKind, ReviewItem
from reviews.models.mail import MailKind, ReviewMail
from reviews.models.measure import CampaignFigures, EstateMeasure
from reviews.models.nudge import Nudge, NudgeKind
from reviews.models.order import Order, OrderAction, OrderStage
from reviews.models.reasoning import IntervalReasoning
from reviews.models.remark import Remark
from reviews.models.restored import RestoreHold
from reviews.models.schedule import DeadlinePolicy, ReviewerRule, ReviewSchedule
from reviews.models.urgency import UrgentRelease
from reviews.models.viewing import Viewing
from reviews.models.watch import DormantIdentity, HitOutcome, ReviewWatch, Trigger, WatchCursor, WatchHit
from reviews.models.webhook import DeliveryState, OrderTicket, WebhookDelivery, WebhookEndpoint, WebhookPurpose
from reviews.models.window import ChangeWindow, Freeze

__all__ = [
    "KEEPING",
    "PASSING_ON",
    "AccessRequest",
    "Acknowledgement",
    "Answer",
    "Ask",
    "Brake",
    "BrakeScope",
    "BrakeState",
    "BudgetUse",
    "Campaign",
    "CampaignFigures",
    "Change",
    "ChangeWindow",
    "DeadlinePolicy",
    "Decision",
    "Delegation",
    "DeliveryState",
    "DormantIdentity",
    "Draft",
    "EstateMeasure",
    "EvidencePack",
    "Freeze",
    "HitOutcome",
    "IntervalReasoning",
    "ItemKind",
    "MailKind",
    "Nudge",
    "NudgeKind",
    "Order",
    "OrderAction",
    "OrderHold",
    "OrderStage",
    "OrderTicket",
    "PackState",
    "PackedOrder",
    "Remark",
    "RestoreHold",
    "ReviewItem",
    "ReviewMail",
    "ReviewSchedule",
    "ReviewWatch",
    "ReviewerRule",
    "SourceBudget",
    "Trigger",
    "UrgentRelease",
    "Viewing",
    "WatchCursor",
    "WatchHit",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookPurpose",
]
