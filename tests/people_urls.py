"""The URLs that the tests of people need, without the other areas."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from governance.console.people.urls import api_urlpatterns
from governance.console.scim.urls import urlpatterns as scim
from governance.web.access import page


@page()
def inbox(request: HttpRequest) -> HttpResponse:
    """Stands for the inbox of reviews: says who came, how, and with which roles."""
    actor = request.actor
    return HttpResponse(f"{actor.id} {actor.auth_method} {','.join(sorted(actor.roles))}")


urlpatterns = [
    path("", include("governance.console.urls")),
    path("", include("governance.console.people.account_urls")),
    path("settings/", include("governance.console.people.urls")),
    path("api/v1/", include(api_urlpatterns)),
    path("scim/v2/", include(scim)),
    path("inbox/", inbox),
]
