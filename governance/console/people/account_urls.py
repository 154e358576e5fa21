"""Ways in: sign-in, password and second factor by allauth, and the link from a mail."""

from typing import NoReturn

from django.http import Http404, HttpRequest
from django.urls import include, path

from governance.console.people import views_mail_link


def not_offered(request: HttpRequest, **parameters: str) -> NoReturn:
    """An address of the library that this product does not have."""
    raise Http404


urlpatterns = [
    # Addresses come from administrators or the directory: nobody signs up, and changing one's own address would
    # change whose inbox one gets. Codes by mail are not offered either; links are, see `mail_link`.
    *[
        path(f"accounts/{closed}", not_offered)
        for closed in ("email/", "signup/", "confirm-email/", "confirm-email/<str:key>/", "login/code/confirm/")
    ],
    path("accounts/", include("allauth.account.urls")),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("m/<str:token>/", views_mail_link.mail_link, name="mail_link"),
]
