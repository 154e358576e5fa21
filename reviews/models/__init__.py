"""Reviews: one file per concept."""

from reviews.models.campaign import Campaign
from reviews.models.item import Answer, Decision, ItemKind, ReviewItem
from reviews.models.mail import MailKind, ReviewMail
from reviews.models.order import Order, OrderAction
from reviews.models.reasoning import IntervalReasoning
from reviews.models.schedule import DeadlinePolicy, ReviewerRule, ReviewSchedule

__all__ = [
    "Answer",
    "Campaign",
    "DeadlinePolicy",
    "Decision",
    "IntervalReasoning",
    "ItemKind",
    "MailKind",
    "Order",
    "OrderAction",
    "ReviewItem",
    "ReviewMail",
    "ReviewSchedule",
    "ReviewerRule",
]
