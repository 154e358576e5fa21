"""Reviews: one file per concept."""

from reviews.models.campaign import Campaign
from reviews.models.item import Answer, Decision, ItemKind, ReviewItem
from reviews.models.mail import MailKind, ReviewMail
from reviews.models.order import Order, OrderAction
from reviews.models.schedule import DeadlinePolicy, ReviewerRule, ReviewSchedule
from reviews.models.watch import DormantIdentity, HitOutcome, ReviewWatch, Trigger, WatchCursor, WatchHit

__all__ = [
    "Answer",
    "Campaign",
    "DeadlinePolicy",
    "Decision",
    "DormantIdentity",
    "HitOutcome",
    "ItemKind",
    "MailKind",
    "Order",
    "OrderAction",
    "ReviewItem",
    "ReviewMail",
    "ReviewSchedule",
    "ReviewWatch",
    "ReviewerRule",
    "Trigger",
    "WatchCursor",
    "WatchHit",
]
