"""Addresses of SCIM 2.0. Without a slash at the end, as RFC 7644 writes them."""

from django.urls import path

from governance.console.scim import views

urlpatterns = [
    path("ServiceProviderConfig", views.ServiceProvider.as_view(), name="scim_provider"),
    path("ResourceTypes", views.ResourceTypes.as_view(), name="scim_types"),
    path("ResourceTypes/<str:name>", views.ResourceTypes.as_view(), name="scim_type"),
    path("Schemas", views.Schemas.as_view(), name="scim_schemas"),
    path("Schemas/<str:name>", views.Schemas.as_view(), name="scim_schema"),
    path("Users", views.Users.as_view(), name="scim_users"),
    path("Users/<uuid:user_id>", views.OneUser.as_view(), name="scim_user"),
    path("Groups", views.Groups.as_view(), name="scim_groups"),
    path("Groups/<uuid:team_id>", views.OneGroup.as_view(), name="scim_group"),
]
