"""Every URL of the product: pages by noun, `/api/v1/` for programs, health for operators."""

from django.urls import include, path

from governance.console import api_docs, audit_api, audit_export, retention_api
from governance.console.frameworks import api as frameworks_api
from governance.console.people.urls import api_urlpatterns as people_api
from governance.console.scim.urls import urlpatterns as scim
from identities.urls import api_urlpatterns as identities_api
from identities.urls import decision_urlpatterns
from reviews.urls import api_urlpatterns as reviews_api

handler400 = "governance.console.failures.bad_request"
handler403 = "governance.console.failures.forbidden"
handler404 = "governance.console.failures.not_found"
handler500 = "governance.console.failures.fault"
urlpatterns = [
    path("", include("governance.console.urls")),
    path("", include("governance.console.people.account_urls")),
    path("settings/", include("governance.console.people.urls")),
    path("", include("identities.urls")),
    path("", include("reviews.urls")),
    path("api/v1/openapi.json", api_docs.OpenApiDocument.as_view(), name="openapi"),
    path("api/v1/audit/events/", audit_api.AuditEventList.as_view(), name="api_audit_events"),
    path("api/v1/audit/export/", audit_export.AuditExport.as_view(), name="api_audit_export"),
    path("api/v1/audit/holds/", retention_api.HoldList.as_view(), name="api_holds"),
    path("api/v1/audit/holds/<uuid:hold_id>/lift/", retention_api.HoldLift.as_view(), name="api_hold_lift"),
    path("api/v1/audit/erasures/", retention_api.ErasureList.as_view(), name="api_erasures"),
    path("api/v1/frameworks/", frameworks_api.FrameworkList.as_view(), name="api_framework_list"),
    path(
        "api/v1/frameworks/<slug:framework_id>/",
        frameworks_api.FrameworkDetail.as_view(),
        name="api_framework_detail",
    ),
    path("api/v1/", include([*people_api, *identities_api, *reviews_api])),
    path("", include(decision_urlpatterns)),
    path("scim/v2/", include(scim)),
    path("api/docs/", api_docs.ApiReference.as_view(), name="api_docs"),
]
