"""Settings: teams."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.console.people.forms import TeamForm, show_refusal
from governance.console.people.requests import PageRequest
from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.people import teams
from governance.people.selectors import READERS, access_team, access_teams
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.pagination import SortKey, paginate


@require_safe
@page(roles=READERS)
def team_list(request: PageRequest) -> HttpResponse:
    keys = (SortKey("name"), SortKey("pk"))
    found = paginate(access_teams(request.actor), keys, cursor=request.GET.get("cursor", ""))
    may_change = request.actor.has_role(Role.ADMINISTRATOR)
    return render_page(request, "people/team_list.html", {"page": found, "may_change": may_change})


@page(roles=[Role.ADMINISTRATOR])
def team_create(request: PageRequest) -> HttpResponse:
    form = TeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            team = teams.create_team(
                name=data["name"], member_ids=data["members"], actor=request.actor, now=timezone.now()
            )
        except DomainError as error:
            show_refusal(form, error)
        else:
            messages.success(request, f"The team {team} was added.")
            return redirect("people:team_detail", team.pk)
    return render_page(request, "people/team_form.html", {"form": form}, status=422 if form.errors else 200)


@page(roles=READERS)
def team_detail(request: PageRequest, team_id: UUID) -> HttpResponse:
    """A team; POST saves it."""
    team = access_team(request.actor, team_id)
    members = list(team.members.order_by("name"))
    initial = {"name": team.name, "members": "\n".join(m.email for m in members), "version": team.version}
    form = TeamForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            teams.change_team(
                team_id=team_id,
                name=data["name"],
                member_ids=data["members"],
                expected_version=data["version"],
                actor=request.actor,
                now=timezone.now(),
            )
        except DomainError as error:
            show_refusal(form, error)
        else:
            messages.success(request, "Saved.")
            return redirect("people:team_detail", team_id)
    context = {"team": team, "members": members, "form": form}
    context["may_change"] = request.actor.has_role(Role.ADMINISTRATOR)
    return render_page(request, "people/team_detail.html", context, status=422 if form.errors else 200)
