"""REST for programs: reviews, their questions, schedules and orders. Programs read; only people decide."""

from django.urls import path

from reviews.api import brakes, campaigns, items, narrowing, orders, schedules

urlpatterns = [
    path("campaigns/", campaigns.CampaignList.as_view(), name="api_campaigns"),
    path("campaigns/<uuid:campaign_id>/", campaigns.CampaignDetail.as_view(), name="api_campaign"),
    path("campaigns/<uuid:campaign_id>/rounds/", campaigns.CampaignRounds.as_view(), name="api_campaign_rounds"),
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
    path("brakes/", brakes.BrakeList.as_view(), name="api_brakes"),
    path("brakes/<uuid:brake_id>/", brakes.BrakeDetail.as_view(), name="api_brake"),
    path("schedules/", schedules.ScheduleList.as_view(), name="api_schedules"),
    path("schedules/<uuid:schedule_id>/", schedules.ScheduleDetail.as_view(), name="api_schedule"),
]
