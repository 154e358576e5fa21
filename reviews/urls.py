"""Pages of reviews by noun, and their REST resources."""

from django.urls import path

from reviews import api
from reviews.views import brakes, campaigns, inbox, items, narrowing, orders, panel, schedules

app_name = "reviews"

urlpatterns = [
    path("inbox/", inbox.inbox, name="inbox"),
    path("inbox/count/", inbox.inbox_count, name="inbox_count"),
    path("inbox/answers/", inbox.items_bulk, name="items_bulk"),
    path("reviews/items/<uuid:item_id>/", items.item_detail, name="item_detail"),
    path("reviews/items/<uuid:item_id>/answer/", items.item_answer, name="item_answer"),
    path("reviews/items/<uuid:item_id>/preview/", items.item_preview, name="item_preview"),
    path("reviews/items/<uuid:item_id>/recall/", items.item_recall, name="item_recall"),
    path("reviews/items/<uuid:item_id>/reassign/", items.item_reassign, name="item_reassign"),
    path("reviews/", campaigns.campaign_list, name="campaign_list"),
    path("reviews/schedules/", schedules.schedule_list, name="schedule_list"),
    path("reviews/schedules/new/", schedules.schedule_create, name="schedule_create"),
    path("reviews/schedules/preview/", schedules.schedule_preview, name="schedule_preview"),
    path("reviews/schedules/<uuid:schedule_id>/", schedules.schedule_detail, name="schedule_detail"),
    path("reviews/schedules/<uuid:schedule_id>/edit/", schedules.schedule_edit, name="schedule_edit"),
    path("reviews/schedules/<uuid:schedule_id>/pause/", schedules.schedule_pause, name="schedule_pause"),
    path("reviews/schedules/<uuid:schedule_id>/resume/", schedules.schedule_resume, name="schedule_resume"),
    path("reviews/schedules/<uuid:schedule_id>/run/", schedules.schedule_run, name="schedule_run"),
    path("reviews/of-identity/<uuid:identity_id>/", panel.of_identity, name="of_identity"),
    path("reviews/narrow/<uuid:grant_id>/", narrowing.narrow_grant, name="narrow_grant"),
    path("reviews/narrow/<uuid:grant_id>/preview/", narrowing.narrow_preview, name="narrow_preview"),
    path("reviews/narrow/<uuid:grant_id>/ask/", narrowing.narrow_ask, name="narrow_ask"),
    path("reviews/<uuid:campaign_id>/", campaigns.campaign_detail, name="campaign_detail"),
    path("reviews/<uuid:campaign_id>/close/", campaigns.campaign_close, name="campaign_close"),
    path("reviews/<uuid:campaign_id>/ask-again/", campaigns.campaign_ask_again, name="campaign_ask_again"),
    path("reviews/<uuid:campaign_id>/cancel/", campaigns.campaign_cancel, name="campaign_cancel"),
    path("orders/", orders.order_list, name="order_list"),
    path("orders/brakes/", brakes.brake_list, name="brake_list"),
    path("orders/brakes/budget/", brakes.brake_budget, name="brake_budget"),
    path("orders/brakes/<uuid:brake_id>/", brakes.brake_detail, name="brake_detail"),
    path("orders/brakes/<uuid:brake_id>/release/", brakes.brake_release, name="brake_release"),
    path("orders/brakes/<uuid:brake_id>/call-off/", brakes.brake_call_off, name="brake_call_off"),
    path("orders/<uuid:order_id>/call-off/", orders.order_call_off, name="order_call_off"),
    path("orders/<uuid:order_id>/", orders.order_detail, name="order_detail"),
    path("orders/<uuid:order_id>/restore/", orders.order_restore, name="order_restore"),
    path("orders/<uuid:order_id>/retry/", orders.order_retry, name="order_retry"),
    path("orders/<uuid:order_id>/settle/", orders.order_settle, name="order_settle"),
    path("orders/<uuid:order_id>/task-done/", orders.order_task_done, name="order_task_done"),
]

api_urlpatterns = api.urlpatterns
