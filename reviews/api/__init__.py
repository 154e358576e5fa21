"""REST for programs: reviews, their questions, schedules and orders. Programs plan and read; only people decide."""

from django.urls import path

from reviews.api import campaigns, items, narrowing, orders, previews, schedules

urlpatterns = [
    path("campaigns/", campaigns.CampaignList.as_view(), name="api_campaigns"),
    path("campaigns/<uuid:campaign_id>/", campaigns.CampaignDetail.as_view(), name="api_campaign"),
    path("campaigns/<uuid:campaign_id>/progress/", campaigns.CampaignProgress.as_view(), name="api_campaign_progress"),
    path("campaigns/<uuid:campaign_id>/release/", campaigns.CampaignRelease.as_view(), name="api_campaign_release"),
    path("campaign-previews/", previews.CampaignPreviews.as_view(), name="api_campaign_previews"),
    path("items/", items.ItemList.as_view(), name="api_items"),
    path("items/<uuid:item_id>/", items.ItemDetail.as_view(), name="api_item"),
    path("items/<uuid:item_id>/decisions/", items.ItemDecisions.as_view(), name="api_item_decisions"),
    path("items/<uuid:item_id>/verdict/", narrowing.ItemVerdict.as_view(), name="api_item_verdict"),
    path("grants/<uuid:grant_id>/verdict/", narrowing.GrantVerdict.as_view(), name="api_grant_verdict"),
    path("grants/<uuid:grant_id>/suggestions/", narrowing.GrantSuggestions.as_view(), name="api_grant_suggestions"),
    path("grants/<uuid:grant_id>/questions/", narrowing.GrantQuestions.as_view(), name="api_grant_questions"),
    path("orders/", orders.OrderList.as_view(), name="api_orders"),
    path("orders/<uuid:order_id>/", orders.OrderDetail.as_view(), name="api_order"),
    path("schedules/", schedules.ScheduleList.as_view(), name="api_schedules"),
    path("schedules/<uuid:schedule_id>/", schedules.ScheduleDetail.as_view(), name="api_schedule"),
    path("schedules/<uuid:schedule_id>/approve/", schedules.ScheduleApprove.as_view(), name="api_schedule_approve"),
    path("schedules/<uuid:schedule_id>/pause/", schedules.SchedulePause.as_view(), name="api_schedule_pause"),
    path("schedules/<uuid:schedule_id>/resume/", schedules.ScheduleResume.as_view(), name="api_schedule_resume"),
    path("schedules/<uuid:schedule_id>/run/", schedules.ScheduleRun.as_view(), name="api_schedule_run"),
]
