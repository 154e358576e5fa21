"""Reviews: one file per concept."""

from reviews.models.campaign import Campaign
from reviews.models.item import Answer, Decision, ItemKind, ReviewItem
from reviews.models.mail import MailKind, ReviewMail
from reviews.models.order import Order, OrderAction, OrderStage
from reviews.models.schedule import DeadlinePolicy, ReviewerRule, ReviewSchedule
from reviews.models.window import ChangeWindow, Freeze

__all__ = [
    "Answer",
    "Campaign",
    "ChangeWindow",
    "DeadlinePolicy",
    "Decision",
    "Freeze",
    "ItemKind",
    "MailKind",
    "Order",
    "OrderAction",
    "OrderStage",
    "ReviewItem",
    "ReviewMail",
    "ReviewSchedule",
    "ReviewerRule",
]
