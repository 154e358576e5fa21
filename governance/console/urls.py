"""Pages of the console itself, and the two addresses that machines ask."""

from django.urls import path

from governance.console import health, overview, retention, trail, views

app_name = "console"
urlpatterns = [
    path("", overview.overview, name="overview"),
    path("theme/", views.set_theme, name="theme"),
    path("styleguide/", views.styleguide, name="styleguide"),
    path("audit/", trail.audit_trail, name="audit_trail"),
    path("audit/events/<uuid:event_id>/", trail.audit_event, name="audit_event"),
    path("audit/retention/", retention.retention, name="retention"),
    path("audit/retention/holds/", retention.hold_place, name="hold_place"),
    path("audit/retention/holds/<uuid:hold_id>/lift/", retention.hold_lift, name="hold_lift"),
    path("audit/retention/erase/", retention.erase, name="erase"),
    path("audit/of/<slug:kind>/<str:subject_id>/", trail.audit_of, name="audit_of"),
    path("docs/problems", views.problems, name="problems"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
