"""The inventory's addresses: pages by noun, and its part of the REST API (mounted at /api/v1/)."""

from django.urls import path

from identities.api import authorization as api_authorization
from identities.api import authzen as api_authzen
from identities.api import boundaries as api_boundaries
from identities.api import bulk as api_bulk
from identities.api import changes as api_changes
from identities.api import connections as api_connections
from identities.api import domains as api_domains
from identities.api import findings as api_findings
from identities.api import gateway as api_gateway
from identities.api import grants as api_grants
from identities.api import history as api_history
from identities.api import imports as api_imports
from identities.api import inventory as api_inventory
from identities.api import lifecycle as api_lifecycle
from identities.api import posture as api_posture
from identities.api import posture_rules as api_posture_rules
from identities.api import reach as api_reach
from identities.api import runs as api_runs
from identities.api import saved_views as api_saved_views
from identities.api import sources as api_sources
from identities.api import syncs as api_syncs
from identities.views import (
    access,
    agent_matrix,
    authorization,
    boundaries,
    bulk,
    catalogues,
    domains,
    finding_bulk,
    finding_page,
    findings,
    gateway,
    gateway_calls,
    gateway_switches,
    grants,
    history,
    history_export,
    identities,
    identity_edit,
    identity_life,
    identity_page,
    playground,
    posture,
    posture_policy,
    reach,
    rules,
    runs,
    saved_views,
    source_actions,
    source_forms,
    sources,
)

app_name = "identities"
urlpatterns = [
    path("identities/", identities.identity_list, name="identity_list"),
    path("identities.csv", identities.identity_csv, name="identity_csv"),
    path("identities.ndjson", identities.identity_ndjson, name="identity_ndjson"),
    path("access/", access.access_list, name="access_list"),
    path("access.csv", access.access_csv, name="access_csv"),
    path("access.ndjson", access.access_ndjson, name="access_ndjson"),
    path("findings/", findings.finding_list, name="finding_list"),
    path("findings.csv", findings.finding_csv, name="finding_csv"),
    path("findings.ndjson", findings.finding_ndjson, name="finding_ndjson"),
    path("findings/bulk/", finding_bulk.finding_bulk, name="finding_bulk"),
    path("findings/of-identity/<uuid:identity_id>/", findings.findings_of_identity, name="findings_of_identity"),
    path("findings/<uuid:finding_id>/", finding_page.finding_detail, name="finding_detail"),
    path("findings/<uuid:finding_id>/assign/", finding_page.finding_assign, name="finding_assign"),
    path("findings/<uuid:finding_id>/request/", finding_page.finding_request, name="finding_request"),
    path("findings/<uuid:finding_id>/approve/", finding_page.finding_approve, name="finding_approve"),
    path("findings/<uuid:finding_id>/refuse/", finding_page.finding_refuse, name="finding_refuse"),
    path("findings/<uuid:finding_id>/withdraw/", finding_page.finding_withdraw, name="finding_withdraw"),
    path("identities/owners/", identity_edit.identity_owners_import, name="identity_owners_import"),
    path("identities/of-person/<uuid:user_id>/", identities.person_panel, name="person_panel"),
    path("identities/bulk/", bulk.identity_bulk, name="identity_bulk"),
    path("identities/<uuid:identity_id>/", identity_page.identity_detail, name="identity_detail"),
    path("identities/<uuid:identity_id>/take-source/", identity_edit.identity_take_source, name="identity_take_source"),
    path("identities/<uuid:identity_id>/life/", identity_life.identity_life, name="identity_life"),
    path("identities/<uuid:identity_id>/life/register/", identity_life.identity_register, name="identity_register"),
    path("identities/<uuid:identity_id>/life/cadence/", identity_life.identity_cadence, name="identity_cadence"),
    path("identities/<uuid:identity_id>/history/", history.identity_history, name="identity_history"),
    path("identities/<uuid:identity_id>/as-of/", history.identity_as_of, name="identity_as_of"),
    path("history/", history.history, name="history"),
    path("history/who-could/", history.history_who_could, name="history_who_could"),
    path("history/who-could.csv", history_export.who_could_csv, name="who_could_csv"),
    path("history/who-could.json", history_export.who_could_json, name="who_could_json"),
    path("identities/<uuid:identity_id>/reach/", reach.identity_reach, name="identity_reach"),
    path("identities/<uuid:identity_id>/reach/reach.csv", reach.identity_reach_csv, name="identity_reach_csv"),
    path(
        "identities/<uuid:identity_id>/authorization/",
        authorization.identity_authorization,
        name="identity_authorization",
    ),
    path("boundaries/", boundaries.boundary_list, name="boundary_list"),
    path("boundaries.csv", boundaries.boundary_csv, name="boundary_csv"),
    path("boundaries/of/<slug:slug>/", boundaries.boundary_of, name="boundary_of"),
    path("boundaries/new/", boundaries.boundary_create, name="boundary_create"),
    path("boundaries/<uuid:boundary_id>/", boundaries.boundary_detail, name="boundary_detail"),
    path("boundaries/<uuid:boundary_id>/edit/", boundaries.boundary_edit, name="boundary_edit"),
    path("boundaries/<uuid:boundary_id>/review/", boundaries.boundary_review, name="boundary_review"),
    path("boundaries/<uuid:boundary_id>/withdraw/", boundaries.boundary_withdraw, name="boundary_withdraw"),
    path("identities/<uuid:identity_id>/edit/", identity_edit.identity_edit, name="identity_edit"),
    path("playground/", playground.playground, name="playground"),
    path("playground/agents/", agent_matrix.agent_matrix, name="agent_matrix"),
    path("identities/<uuid:identity_id>/posture/", posture.identity_posture, name="identity_posture"),
    path("posture/", posture.posture, name="posture"),
    path("posture/changes/", posture.posture_changes, name="posture_changes"),
    path("posture/rules/", posture.posture_rules, name="posture_rules"),
    path("posture/rules/<str:rule_id>/", rules.posture_rule, name="posture_rule"),
    path("posture/catalogues/", catalogues.catalogues, name="catalogues"),
    path("settings/posture-policy/", posture_policy.posture_policy, name="posture_policy"),
    path("settings/posture-policy/edit/", posture_policy.posture_policy_edit, name="posture_policy_edit"),
    path(
        "settings/posture-policy/versions/<int:number>/",
        posture_policy.posture_policy_version,
        name="posture_policy_version",
    ),
    path("saved-views/", saved_views.saved_view_list, name="saved_view_list"),
    path("saved-views/<uuid:view_id>/", saved_views.saved_view_edit, name="saved_view_edit"),
    path("saved-views/<uuid:view_id>/delete/", saved_views.saved_view_delete, name="saved_view_delete"),
    path("grants/<uuid:grant_id>/", grants.grant_detail, name="grant_detail"),
    path("settings/domains/", domains.domain_list, name="domain_list"),
    path("settings/domains/new/", domains.domain_create, name="domain_create"),
    path("settings/domains/<slug:domain>/", domains.domain_edit, name="domain_edit"),
    path("sources/", sources.source_list, name="source_list"),
    path("sources/new/", source_forms.source_create, name="source_create"),
    path("sources/new/check/", source_forms.source_check_new, name="source_check_new"),
    path("sources/<slug:slug>/", sources.source_detail, name="source_detail"),
    path("sources/<slug:slug>/edit/", source_forms.source_edit, name="source_edit"),
    path("sources/<slug:slug>/edit/check/", source_forms.source_check_edit, name="source_check_edit"),
    path("sources/<slug:slug>/authorization/", authorization.source_authorization, name="source_authorization"),
    path("sources/<slug:slug>/read/", sources.source_read, name="source_read"),
    path("sources/<slug:slug>/check/", source_actions.source_check, name="source_check"),
    path("sources/<slug:slug>/preview/", source_actions.source_preview, name="source_preview"),
    path("sources/<slug:slug>/preview/<uuid:run_id>/", source_actions.source_previewing, name="source_previewing"),
    path("sources/<slug:slug>/import/", source_actions.source_import, name="source_import"),
    path("gateway/", gateway.gateway, name="gateway"),
    path("gateway/calls/", gateway_calls.gateway_calls, name="gateway_calls"),
    path("gateway/servers/new/", gateway.gateway_server_create, name="gateway_server_create"),
    path("gateway/servers/<slug:server_name>/", gateway.gateway_server, name="gateway_server"),
    path("gateway/servers/<slug:server_name>/switch/", gateway.gateway_server_switch, name="gateway_server_switch"),
    path("gateway/servers/<slug:server_name>/accept/", gateway.gateway_tools_accept, name="gateway_tools_accept"),
    path("gateway/cut-off/", gateway_switches.cut_off_create, name="cut_off_create"),
    path("gateway/cut-offs/<uuid:cut_off_id>/restore/", gateway_switches.cut_off_restore, name="cut_off_restore"),
    path("identities/<uuid:identity_id>/agent-token/", gateway_switches.agent_token_link, name="agent_token_link"),
    path("runs/<uuid:run_id>/", runs.sync_run_detail, name="sync_run_detail"),
    path("runs/<uuid:run_id>/accept/", runs.sync_run_accept, name="sync_run_accept"),
    path("runs/<uuid:run_id>/reject/", runs.sync_run_reject, name="sync_run_reject"),
    path("runs/<uuid:run_id>/cancel/", runs.sync_run_cancel, name="sync_run_cancel"),
    path("runs/<uuid:run_id>/take-in/", runs.sync_run_take_in, name="sync_run_take_in"),
    path("runs/<uuid:run_id>/would-change/", runs.sync_run_would_change, name="sync_run_would_change"),
    path("runs/<uuid:run_id>/refused/", runs.sync_run_refused, name="sync_run_refused"),
]
api_urlpatterns = [
    *api_bulk.urlpatterns,
    *api_inventory.urlpatterns,
    *api_saved_views.urlpatterns,
    *api_grants.urlpatterns,
    *api_findings.urlpatterns,
    *api_sources.urlpatterns,
    *api_domains.urlpatterns,
    *api_connections.urlpatterns,
    *api_imports.urlpatterns,
    *api_syncs.urlpatterns,
    *api_runs.urlpatterns,
    *api_changes.urlpatterns,
    *api_history.urlpatterns,
    *api_posture.urlpatterns,
    *api_posture_rules.urlpatterns,
    *api_lifecycle.urlpatterns,
    *api_gateway.urlpatterns,
    *api_reach.urlpatterns,
    *api_boundaries.urlpatterns,
    *api_authorization.urlpatterns,
]
decision_urlpatterns = api_authzen.urlpatterns
