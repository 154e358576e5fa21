"""Reviews: one file per concept."""

from reviews.models.campaign import Campaign
from reviews.models.item import Answer, Decision, ItemKind, ReviewItem
from reviews.models.mail import MailKind, ReviewMail
from reviews.models.order import Order, OrderAction
from reviews.models.schedule import DeadlinePolicy, ReviewerRule, ReviewSchedule
from reviews.models.webhook import DeliveryState, OrderTicket, WebhookDelivery, WebhookEndpoint, WebhookPurpose

__all__ = [
    "Answer",
    "Campaign",
    "DeadlinePolicy",
    "Decision",
    "DeliveryState",
    "ItemKind",
    "MailKind",
    "Order",
    "OrderAction",
    "OrderTicket",
    "ReviewItem",
    "ReviewMail",
    "ReviewSchedule",
    "ReviewerRule",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookPurpose",
]
