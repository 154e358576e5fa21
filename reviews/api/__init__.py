"""REST for programs: reviews, their questions, schedules and orders. Programs read; only people decide."""

from django.urls import path

from reviews.api import campaigns, items, narrowing, orders, schedules, webhooks

urlpatterns = [
    path("campaigns/", campaigns.CampaignList.as_view(), name="api_campaigns"),
    path("campaigns/<uuid:campaign_id>/", campaigns.CampaignDetail.as_view(), name="api_campaign"),
    path("campaigns/<uuid:campaign_id>/progress/", campaigns.CampaignProgress.as_view(), name="api_campaign_progress"),
    path("items/", items.ItemList.as_view(), name="api_items"),
    path("items/<uuid:item_id>/", items.ItemDetail.as_view(), name="api_item"),
    path("items/<uuid:item_id>/decisions/", items.ItemDecisions.as_view(), name="api_item_decisions"),
    path("items/<uuid:item_id>/verdict/", narrowing.ItemVerdict.as_view(), name="api_item_verdict"),
    path("grants/<uuid:grant_id>/verdict/", narrowing.GrantVerdict.as_view(), name="api_grant_verdict"),
    path("grants/<uuid:grant_id>/suggestions/", narrowing.GrantSuggestions.as_view(), name="api_grant_suggestions"),
    path("grants/<uuid:grant_id>/questions/", narrowing.GrantQuestions.as_view(), name="api_grant_questions"),
    path("orders/", orders.OrderList.as_view(), name="api_orders"),
    path("orders/<uuid:order_id>/", orders.OrderDetail.as_view(), name="api_order"),
    path("orders/<uuid:order_id>/ticket/", webhooks.OrderTicketNote.as_view(), name="api_order_ticket"),
    path("webhooks/", webhooks.WebhookList.as_view(), name="api_webhooks"),
    path("webhooks/<uuid:endpoint_id>/", webhooks.WebhookDetail.as_view(), name="api_webhook"),
    path("webhooks/<uuid:endpoint_id>/rotate/", webhooks.WebhookRotate.as_view(), name="api_webhook_rotate"),
    path("webhooks/<uuid:endpoint_id>/test/", webhooks.WebhookTest.as_view(), name="api_webhook_test"),
    path("webhooks/<uuid:endpoint_id>/switch-off/", webhooks.WebhookSwitchOff.as_view(), name="api_webhook_off"),
    path("webhooks/<uuid:endpoint_id>/switch-on/", webhooks.WebhookSwitchOn.as_view(), name="api_webhook_on"),
    path("webhooks/<uuid:endpoint_id>/deliveries/", webhooks.DeliveryList.as_view(), name="api_webhook_deliveries"),
    path(
        "webhooks/<uuid:endpoint_id>/deliveries/<uuid:delivery_id>/send-again/",
        webhooks.DeliverySendAgain.as_view(),
        name="api_webhook_send_again",
    ),
    path("schedules/", schedules.ScheduleList.as_view(), name="api_schedules"),
    path("schedules/<uuid:schedule_id>/", schedules.ScheduleDetail.as_view(), name="api_schedule"),
]
