"""Settings: the overview, one's own profile, and people."""

from typing import Any
from uuid import UUID

from allauth.mfa.utils import is_mfa_enabled
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.console.people.forms import (
    LeaveForm,
    NewPersonForm,
    PersonDetailsForm,
    RolesForm,
    show_refusal,
)
from governance.console.people.requests import PageRequest
from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.people import accounts
from governance.people.access import ROLE_DESCRIPTIONS, has_sleeping_roles
from governance.people.models import User
from governance.people.selectors import READERS, access_people, access_person
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.pagination import paginate
from governance.web.tables import Column, Table

PEOPLE = Table(
    [
        Column("name", "Person", sort="name", essential=True),
        Column("roles", "Roles"),
        Column("teams", "Teams"),
        Column("status", "Status"),
        Column("last_login", "Last sign-in", sort="last_login", nullable=True),
    ],
    default_sort="name",
)
FILTERS = [("", "Everybody"), ("here", "Here"), ("left", "Left")] + [
    (role.value, role.value.replace("_", " ").capitalize() + "s") for role in Role
]


@require_safe
@page()
def settings(request: PageRequest) -> HttpResponse:
    may_read = request.actor.has_role(*READERS)
    return render_page(request, "people/settings.html", {"may_read": may_read})


@require_safe
@page()
def profile(request: PageRequest) -> HttpResponse:
    """One's own account: password, second factor, sessions, roles."""
    context = {
        "person": access_person(request.actor, request.user.pk),
        "roles": _role_lines(request.user),
        "teams": request.user.teams.order_by("name"),
        "may_read": request.actor.has_role(*READERS),
        "has_second_factor": is_mfa_enabled(request.user),
        "has_sleeping_roles": has_sleeping_roles(request.user, auth_method=request.actor.auth_method),
    }
    return render_page(request, "people/profile.html", context)


@require_POST
@page()
def end_own_sessions(request: PageRequest) -> HttpResponse:
    """Sign out everywhere, here too."""
    accounts.end_sessions(user_id=request.user.pk, actor=request.actor, now=timezone.now())
    logout(request)
    return redirect("account_login")


@require_safe
@page(roles=READERS)
def user_list(request: PageRequest) -> HttpResponse:
    search = request.GET.get("q", "").strip()[:200]
    only = request.GET.get("only", "")
    table = PEOPLE.bind(request.GET)
    people = access_people(request.actor, search=search, only=only)
    found = paginate(people, table.sort_keys, cursor=request.GET.get("cursor", ""))
    context = {"table": table, "page": found, "search": search, "only": only, "filters": FILTERS}
    context["may_change"] = request.actor.has_role(Role.ADMINISTRATOR)
    return render_page(request, "people/user_list.html", context, fragment="people/_user_table.html")


@page(roles=[Role.ADMINISTRATOR])
def user_create(request: PageRequest) -> HttpResponse:
    form = NewPersonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            user = accounts.create_user(
                email=data["email"],
                name=data["name"],
                roles=data["roles"],
                actor=request.actor,
                now=timezone.now(),
            )
        except accounts.PersonRefused as error:
            show_refusal(form, error)
        else:
            messages.success(request, f"{user} was added. They set a password with “Forgot password?”.")
            return redirect("people:user_detail", user.pk)
    return render_page(request, "people/user_form.html", {"form": form}, status=_status(form))


@page(roles=READERS)
def user_detail(request: PageRequest, user_id: UUID) -> HttpResponse:
    """A person; POST saves the details."""
    person = access_person(request.actor, user_id)
    form = PersonDetailsForm(request.POST or None, initial=_details(person))
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            accounts.change_user(
                user_id=user_id,
                email=data["email"],
                name=data["name"],
                manager_id=data["manager"].pk if data["manager"] else None,
                may_sign_in=data["may_sign_in"] if person.left_at is None else accounts.UNCHANGED,
                expected_version=data["version"],
                actor=request.actor,
                now=timezone.now(),
            )
        except DomainError as error:
            show_refusal(form, error)
        else:
            messages.success(request, "Saved.")
            return redirect("people:user_detail", user_id)
    return _person_page(request, person, details=form, status=_status(form))


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def user_roles(request: PageRequest, user_id: UUID) -> HttpResponse:
    person = access_person(request.actor, user_id)
    form = RolesForm(request.POST)
    if form.is_valid():
        try:
            accounts.assign_roles(
                user_id=user_id,
                roles=form.cleaned_data["roles"],
                expected_version=form.cleaned_data["version"],
                actor=request.actor,
                now=timezone.now(),
            )
        except DomainError as error:
            show_refusal(form, error)
        else:
            messages.success(request, "The roles are in effect now.")
            return redirect("people:user_detail", user_id)
    return _person_page(request, person, roles=form, status=422)


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def user_leave(request: PageRequest, user_id: UUID) -> HttpResponse:
    person = access_person(request.actor, user_id)
    form = LeaveForm(request.POST)
    if form.is_valid():
        try:
            accounts.mark_left(
                user_id=user_id,
                left_at=form.left_at(),
                reason=form.cleaned_data["reason"],
                actor=request.actor,
                now=timezone.now(),
            )
        except DomainError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, f"{person} is marked as gone and signed out. Their open work moves to others.")
            return redirect("people:user_detail", user_id)
    return _person_page(request, person, leave=form, status=422)


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def user_return(request: PageRequest, user_id: UUID) -> HttpResponse:
    accounts.bring_back(user_id=user_id, actor=request.actor, now=timezone.now())
    messages.success(request, "They are here again, without roles.")
    return redirect("people:user_detail", user_id)


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def user_sessions(request: PageRequest, user_id: UUID) -> HttpResponse:
    accounts.end_sessions(user_id=user_id, actor=request.actor, now=timezone.now())
    messages.success(request, "They are signed out everywhere.")
    return redirect("people:user_detail", user_id)


def _person_page(
    request: PageRequest,
    person: User,
    *,
    details: PersonDetailsForm | None = None,
    roles: RolesForm | None = None,
    leave: LeaveForm | None = None,
    status: int = 200,
) -> HttpResponse:
    held = sorted(accounts.roles_of(person))
    context = {
        "person": person,
        "details": details or PersonDetailsForm(initial=_details(person)),
        "roles_form": roles or RolesForm(initial={"roles": held, "version": person.version}),
        "leave_form": leave or LeaveForm(initial={"left_on": timezone.now().date()}),
        "roles": _role_lines(person),
        "teams": person.teams.order_by("name"),
        "has_second_factor": is_mfa_enabled(person),
        "may_change": request.actor.has_role(Role.ADMINISTRATOR),
        "is_self": request.actor.person_id == person.pk,
    }
    return render_page(request, "people/user_detail.html", context, status=status)


def _details(person: User) -> dict[str, Any]:
    return {
        "name": person.name,
        "email": person.email,
        "manager": person.manager.email if person.manager else "",
        "may_sign_in": person.is_active,
        "version": person.version,
    }


def _role_lines(person: User) -> list[tuple[str, str]]:
    held = sorted(accounts.roles_of(person))
    return [(role.value.replace("_", " ").capitalize(), ROLE_DESCRIPTIONS[role]) for role in held]


def _status(form: Any) -> int:
    return 422 if form.errors else 200
