"""Pages of the console itself, and the two addresses that machines ask."""

from django.urls import path

from governance.console import audit_export, health, overview, retention, seals, trail, views
from governance.console.frameworks import views as frameworks
from governance.console.metrics.views import metrics

app_name = "console"
urlpatterns = [
    path("", overview.overview, name="overview"),
    path("theme/", views.set_theme, name="theme"),
    path("styleguide/", views.styleguide, name="styleguide"),
    path("audit/", trail.audit_trail, name="audit_trail"),
    path("audit/seals/", seals.audit_seals, name="audit_seals"),
    path("audit/events/<uuid:event_id>/", trail.audit_event, name="audit_event"),
    path("audit/events/<uuid:event_id>/proof/", trail.audit_event_proof, name="audit_event_proof"),
    path("audit/events/<uuid:event_id>/payload/", trail.audit_event_payload, name="audit_event_payload"),
    path("audit/export/", audit_export.audit_export, name="audit_export"),
    path("audit/retention/", retention.retention, name="retention"),
    path("audit/retention/holds/", retention.hold_place, name="hold_place"),
    path("audit/retention/holds/<uuid:hold_id>/lift/", retention.hold_lift, name="hold_lift"),
    path("audit/retention/erase/", retention.erase, name="erase"),
    path("audit/of/<slug:kind>/<str:subject_id>/", trail.audit_of, name="audit_of"),
    path("frameworks/", frameworks.framework_list, name="framework_list"),
    path("frameworks/<slug:framework_id>/", frameworks.framework_detail, name="framework_detail"),
    path("frameworks/<slug:framework_id>/csv/", frameworks.framework_csv, name="framework_csv"),
    path("docs/problems", views.problems, name="problems"),
    path("healthz", health.healthz, name="healthz"),
    path("metrics", metrics, name="metrics"),
    path("readyz", health.readyz, name="readyz"),
]
