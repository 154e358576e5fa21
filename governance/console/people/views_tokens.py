"""Settings: API tokens. The secret is in one response and never again."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from governance.console.people.forms import TokenForm, show_refusal
from governance.console.people.requests import PageRequest
from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.people import tokens
from governance.people.selectors import READERS, access_tokens
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.pagination import SortKey, paginate

# In the session: the forms that made a token already, the latest few.
SENT, MOST_SENT = "token_forms_sent", 20


@page(roles=READERS)
def token_list(request: PageRequest) -> HttpResponse:
    """All tokens; POST creates one and shows its secret, once."""
    form = TokenForm(request.POST or None)
    secret, now = "", timezone.now()
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        if data["copy"] in request.session.get(SENT, ()):
            messages.info(request, "This form was sent before, and made one token. No second one was made.")
            return redirect("people:token_list")
        try:
            _, secret = tokens.create_token(
                name=data["name"],
                scopes=data["scopes"],
                expires_at=now + form.lifetime(),
                actor=request.actor,
                now=now,
            )
        except tokens.TokenRefused as error:
            show_refusal(form, error)
        else:
            _remember(request, data["copy"])
            form = TokenForm()
    keys = (SortKey("created_at", descending=True), SortKey("pk", descending=True))
    found = paginate(access_tokens(request.actor), keys, cursor=request.GET.get("cursor", ""))
    context = {"page": found, "form": form, "secret": secret, "now": now}
    context["may_change"] = request.actor.has_role(Role.ADMINISTRATOR)
    return render_page(request, "people/token_list.html", context, status=422 if form.errors else 200)


def _remember(request: PageRequest, copy: str) -> None:
    """The secret is told in the answer to the form, so that answer must stay; a reload of it makes no second token."""
    if copy:
        request.session[SENT] = [*request.session.get(SENT, ()), copy][-MOST_SENT:]


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def token_revoke(request: PageRequest, token_id: UUID) -> HttpResponse:
    try:
        token = tokens.revoke_token(token_id=token_id, actor=request.actor, now=timezone.now())
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"{token.name} no longer works.")
    return redirect("people:token_list")
