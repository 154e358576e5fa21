"""Reviews: one file per concept."""

from reviews.models.campaign import Campaign
from reviews.models.draft import Draft
from reviews.models.item import Answer, Change, Decision, ItemKind, ReviewItem
from reviews.models.mail import MailKind, ReviewMail
from reviews.models.order import Order, OrderAction
from reviews.models.remark import Remark
from reviews.models.schedule import DeadlinePolicy, ReviewerRule, ReviewSchedule

__all__ = [
    "Answer",
    "Campaign",
    "Change",
    "DeadlinePolicy",
    "Decision",
    "Draft",
    "ItemKind",
    "MailKind",
    "Order",
    "OrderAction",
    "Remark",
    "ReviewItem",
    "ReviewMail",
    "ReviewSchedule",
    "ReviewerRule",
]
