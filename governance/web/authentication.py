"""How programs prove themselves to the API: a bearer token, and nothing else.

Sessions of people are not accepted here, so that no page on another site can make a browser call the API
(ASVS 5.0 3.5.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from governance.kernel.actors import Actor
from governance.people.access import SCOPES, actor_for_token
from governance.people.models import ApiToken
from governance.people.tokens import InvalidToken, authenticate_token

if TYPE_CHECKING:
    # At run time this import would be a circle: views read the settings that name this module.
    from rest_framework.views import APIView

SCHEME = "Bearer"


@dataclass(frozen=True, slots=True)
class ApiClient:
    """What `request.user` is for a program: enough for permissions and throttling, and no person."""

    pk: UUID
    actor: Actor
    is_authenticated: bool = True
    is_active: bool = True


class ApiTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer remit_…`. Sets `request.actor`; every failure looks the same (401)."""

    def authenticate(self, request: Request) -> tuple[ApiClient, ApiToken] | None:
        credentials = self.credentials(request)
        if credentials is None:
            return None
        try:
            token = authenticate_token(credentials, now=timezone.now())
        except InvalidToken as error:
            raise AuthenticationFailed(error.message, code=error.code) from error
        actor = actor_for_token(token, request_id=getattr(request, "request_id", ""))
        # On the plain request too: middleware and log lines see that one.
        request._request.actor = actor  # type: ignore[attr-defined]
        return ApiClient(pk=token.pk, actor=actor), token

    def credentials(self, request: Request) -> str | None:
        """The token that was sent, or None where none was."""
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        return credentials.strip() if scheme.lower() == SCHEME.lower() else None

    def authenticate_header(self, request: Request) -> str:
        return f'{SCHEME} realm="Remit API"'


class HasScope(BasePermission):
    """Let a program in whose token has the view's `required_scope`.

    `required_scope` is a scope, several of which one is enough, or a mapping from action (or lower-case HTTP method) to
    these. A view without one is a mistake and fails loudly instead of being open.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        client = request.user
        if not isinstance(client, ApiClient):
            return False
        method = (request.method or "").lower()
        if method == "options" or not hasattr(view, method):
            return True  # a description of the endpoint, or 405
        scopes = required_scopes(view, method)
        self.message = f"The API token lacks the scope {' or '.join(scopes)}."
        return not client.actor.scopes.isdisjoint(scopes)


def required_scopes(view: Any, method: str) -> tuple[str, ...]:
    """The scopes of which this view asks one for this method. Raises `ImproperlyConfigured` when it names none."""
    declared = getattr(view, "required_scope", None)
    if isinstance(declared, Mapping):
        declared = declared.get(getattr(view, "action", None)) or declared.get(method)
    scopes = (declared,) if isinstance(declared, str) else tuple(declared or ())
    if not scopes or not SCOPES.issuperset(scopes):
        raise ImproperlyConfigured(f"{type(view).__name__} names no known scope for {method}.")
    return scopes


class ApiTokenScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document describes the bearer token."""

    target_class = "governance.web.authentication.ApiTokenAuthentication"
    name = "apiToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An API token, created under Settings → API tokens. Shown once, expires, has scopes.",
        }
