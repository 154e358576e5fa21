"""Pages of the console itself, and the two addresses that machines ask."""

from django.urls import path

from governance.console import health, overview, trail, views
from governance.console.metrics.views import metrics

app_name = "console"
urlpatterns = [
    path("", overview.overview, name="overview"),
    path("theme/", views.set_theme, name="theme"),
    path("styleguide/", views.styleguide, name="styleguide"),
    path("audit/", trail.audit_trail, name="audit_trail"),
    path("audit/events/<uuid:event_id>/", trail.audit_event, name="audit_event"),
    path("audit/of/<slug:kind>/<str:subject_id>/", trail.audit_of, name="audit_of"),
    path("docs/problems", views.problems, name="problems"),
    path("healthz", health.healthz, name="healthz"),
    path("metrics", metrics, name="metrics"),
    path("readyz", health.readyz, name="readyz"),
]
