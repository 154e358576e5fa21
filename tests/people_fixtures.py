"""People, sessions and API tokens for every test: `make_user`, `sign_in`, `make_token`, `admin_actor`."""

import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from governance.kernel.actors import Actor, Role
from governance.people.access import PASSWORD, SCOPES, SESSION_AUTH_METHOD, actor_for_user
from governance.people.models import ApiToken, RoleAssignment, User
from governance.people.tokens import create_token

KNOWN_PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True, scope="session")
def _fast_passwords() -> None:
    """Password hashes are slow on purpose; nothing here tests how slow."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def make_user(db: None) -> Callable[..., User]:
    """`make_user(Role.REVIEWER, name="Ada", password=None)`: a person with these roles, without going through a use case."""

    def make(*roles: Role, email: str = "", name: str = "", role: Role | None = None, **fields: Any) -> User:
        tag = uuid.uuid4().hex[:8]
        password = fields.pop("password", KNOWN_PASSWORD)
        user = User.objects.create_user(
            email or f"person-{tag}@example.org", password, name=name or f"Person {tag}", **fields
        )
        held = {*roles, role} - {None}
        RoleAssignment.objects.bulk_create(RoleAssignment(user=user, role=name) for name in held)
        return user

    return make


@pytest.fixture
def sign_in() -> Callable[..., Client]:
    """`sign_in(client, user, method="password+totp")`: a session as if proved by `method`; returns the client."""

    def go(client: Client, user: User, method: str = PASSWORD) -> Client:
        client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        session = client.session
        session[SESSION_AUTH_METHOD] = method
        session.save()
        return client

    return go


@pytest.fixture
def actor_of() -> Callable[..., Actor]:
    """`actor_of(user)`: the person as the actor of a use case."""

    def make(user: User, auth_method: str = PASSWORD) -> Actor:
        return actor_for_user(user, auth_method=auth_method)

    return make


@pytest.fixture
def admin_actor(make_user: Callable[..., User], actor_of: Callable[..., Actor]) -> Actor:
    """Some administrator."""
    return actor_of(make_user(Role.ADMINISTRATOR))


@pytest.fixture
def make_token(admin_actor: Actor) -> Callable[..., tuple[ApiToken, str]]:
    """`token, plain = make_token(["sync:write"])`; all scopes by default. Use `HTTP_AUTHORIZATION=f"Bearer {plain}"`."""

    def make(scopes: Iterable[str] = SCOPES, **fields: Any) -> tuple[ApiToken, str]:
        now = fields.pop("now", timezone.now())
        wish = {"name": "test client", "expires_at": now + timedelta(days=30), "actor": admin_actor}
        return create_token(scopes=scopes, now=now, **(wish | fields))

    return make
