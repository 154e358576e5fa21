"""A signed-in browser on the real application, without the rest of the product's processes."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.test import Client, RequestFactory
from django.test.testcases import LiveServerThread

from governance.kernel.actors import Role
from governance.people.access import SESSION_AUTH_METHOD
from governance.people.models import RoleAssignment, User


@pytest.fixture(autouse=True)
def _own_urls(settings: Any) -> None:
    """The kit stands on its own: sign-in, settings and the console's own pages are enough to try it."""
    settings.ROOT_URLCONF = "tests.people_urls"


@pytest.fixture
def site(committed_db: Any) -> Iterator[str]:
    """The address of the application, served from a thread on a database of its own."""
    server = LiveServerThread("127.0.0.1", static_handler=StaticFilesHandler)
    server.daemon = True
    server.start()
    server.is_ready.wait()
    if server.error:
        raise server.error
    yield f"http://127.0.0.1:{server.port}"
    server.terminate()


@pytest.fixture
def session_cookies(committed_db: Any) -> Callable[..., list[dict[str, str]]]:
    """`session_cookies(site, Role.REVIEWER)`: cookies of somebody who signed in with two factors."""

    def make(site: str, *roles: Role) -> list[dict[str, str]]:
        user = User.objects.create_user("ada@example.org", None, name="Ada Ochieng")
        RoleAssignment.objects.bulk_create(RoleAssignment(user=user, role=role) for role in roles)
        client = Client()
        client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        session = client.session
        session[SESSION_AUTH_METHOD] = "password+totp"
        session.save()
        return [{"name": django_settings.SESSION_COOKIE_NAME, "value": session.session_key, "url": site}]

    return make


@pytest.fixture
def rf() -> RequestFactory:
    return RequestFactory()
