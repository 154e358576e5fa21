"""Reviews: one file per concept."""

from reviews.models.ask import Ask
from reviews.models.campaign import Campaign
from reviews.models.item import Answer, Decision, ItemKind, ReviewItem
from reviews.models.mail import MailKind, ReviewMail
from reviews.models.order import Order, OrderAction
from reviews.models.schedule import DeadlinePolicy, ReviewerRule, ReviewSchedule

__all__ = [
    "Answer",
    "Ask",
    "Campaign",
    "DeadlinePolicy",
    "Decision",
    "ItemKind",
    "MailKind",
    "Order",
    "OrderAction",
    "ReviewItem",
    "ReviewMail",
    "ReviewSchedule",
    "ReviewerRule",
]
