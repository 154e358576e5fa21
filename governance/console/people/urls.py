"""Settings pages under `/settings/`; the API of people under `/api/v1/` is `api_urlpatterns`."""

from django.urls import path

from governance.console.people import api, views, views_import, views_teams, views_tokens

app_name = "people"
urlpatterns = [
    path("", views.settings, name="settings"),
    path("profile/", views.profile, name="profile"),
    path("profile/sign-out-everywhere/", views.end_own_sessions, name="end_own_sessions"),
    path("people/", views.user_list, name="user_list"),
    path("people/new/", views.user_create, name="user_create"),
    path("people/import/", views_import.upload, name="import"),
    path("people/import/<uuid:file_id>/", views_import.preview, name="import_preview"),
    path("people/<uuid:user_id>/", views.user_detail, name="user_detail"),
    path("people/<uuid:user_id>/roles/", views.user_roles, name="user_roles"),
    path("people/<uuid:user_id>/leave/", views.user_leave, name="user_leave"),
    path("people/<uuid:user_id>/return/", views.user_return, name="user_return"),
    path("people/<uuid:user_id>/sessions/", views.user_sessions, name="user_sessions"),
    path("teams/", views_teams.team_list, name="team_list"),
    path("teams/new/", views_teams.team_create, name="team_create"),
    path("teams/<uuid:team_id>/", views_teams.team_detail, name="team_detail"),
    path("tokens/", views_tokens.token_list, name="token_list"),
    path("tokens/<uuid:token_id>/revoke/", views_tokens.token_revoke, name="token_revoke"),
]

api_urlpatterns = [
    path("people/", api.PersonList.as_view(), name="api_people"),
    path("people/<uuid:person_id>/", api.PersonDetail.as_view(), name="api_person"),
    path("people/<uuid:person_id>/leave/", api.PersonLeft.as_view(), name="api_person_leave"),
    path("teams/", api.TeamList.as_view(), name="api_teams"),
    path("teams/<uuid:team_id>/", api.TeamDetail.as_view(), name="api_team"),
    path("tokens/", api.TokenList.as_view(), name="api_tokens"),
    path("tokens/<uuid:token_id>/revoke/", api.TokenRevoke.as_view(), name="api_token_revoke"),
    path("tokens/<uuid:token_id>/withhold/", api.TokenWithhold.as_view(), name="api_token_withhold"),
    path("tokens/<uuid:token_id>/give-back/", api.TokenGiveBack.as_view(), name="api_token_give_back"),
]
