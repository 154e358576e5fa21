"""A small inventory of two systems, and browser sessions to look at it with."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.test import Client
from django.test.testcases import LiveServerThread
from django.utils import timezone

from governance.kernel.actors import Role, system_actor
from governance.people.access import SESSION_AUTH_METHOD
from governance.people.models import RoleAssignment, User
from identities.models import Identity, Source, SyncMode, SyncOrigin, SyncRun
from identities.sync.receive import receive

READ_TABLE = {
    "dialect": "postgresql",
    "statements": [{"actions": ["SELECT"], "resources": ["table:ledger/public/payments"]}],
}
ALL_OF_TABLE = {
    "dialect": "postgresql",
    "statements": [
        {"actions": ["SELECT", "INSERT", "DELETE", "TRUNCATE"], "resources": ["table:ledger/public/payments"]}
    ],
}


def lines_of(records: list[dict[str, Any]]) -> list[bytes]:
    lines = [json.dumps(record).encode() for record in records]
    return [*lines, b'{"type":"end","records":%d}' % len(lines)]


def push(source: Source, records: list[dict[str, Any]], **more: Any) -> SyncRun:
    """One complete snapshot through the real engine; it must be applied unless `state` says otherwise."""
    state = more.pop("state", "applied")
    wish = {"mode": SyncMode.SNAPSHOT, "is_complete": True, "origin": SyncOrigin.API} | more
    run = receive(source=source, lines=lines_of(records), actor=system_actor("test"), now=timezone.now(), **wish)
    assert run.state == state, run.problem
    return run


def payments_records() -> list[dict[str, Any]]:
    """Two identities: one with all there is to say, one about which hardly anything is reported."""
    # Midnight, so that two calls of one test say the same.
    now = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    ago = lambda days: (now - timedelta(days=days)).isoformat()  # noqa: E731
    window = {"from": ago(90), "until": ago(0)}
    return [
        {
            "type": "identity", "id": "etl", "name": "etl nightly", "kind": "database_user", "environment": "staging",
            "purpose": "Copies payments", "owner": "somebody.else@example.org", "created_at": ago(800),
        },
        {"type": "identity", "id": "bot-7", "name": "helper bot", "kind": "ai_agent", "acts_for": "support team"},
        {
            "type": "credential", "id": "etl-password", "identity": "etl", "kind": "password", "created_at": ago(700),
            "never_expires": True, "storage": "vault",
        },
        {"type": "credential", "id": "bot-token", "identity": "bot-7", "kind": "token"},
        {"type": "grant", "id": "g-all", "identity": "etl", "label": "ALL on payments", "permission": ALL_OF_TABLE,
         "path": [{"kind": "role", "id": "writers", "label": "writers"}], "revocability": "shared_role", "shared_with": 3},
        {"type": "grant", "id": "g-bot", "identity": "bot-7", "label": "SELECT on payments", "permission": READ_TABLE},
        {"type": "usage", "identity": "etl", "action": "SELECT", "resource": "table:ledger/public/payments",
         "last_seen_at": ago(1), "count": 40},
        {"type": "usage_window", "identity": "etl", "log": "statements", **window,
         "observable": {"actions": ["SELECT", "INSERT", "DELETE"], "resources": ["table:*/*/*"]}},
        {"type": "trust", "id": "t-bot", "identity": "bot-7", "issuer": "https://issuer.example.org", "subject": "bot"},
    ]  # fmt: skip


def fill() -> SimpleNamespace:
    """`payments` with two identities and `lonely` with one; nobody here owns any of them yet."""
    sources = {
        slug: Source.objects.create(
            slug=slug,
            name=slug.capitalize(),
            kind="push",
            environment="production",
            max_retire_percent=50,
            coverage={"credentials": True, "credential_last_used": False, "grants": True, "last_used": False},
            capabilities=["read"],
        )
        for slug in ("payments", "lonely")
    }
    run = push(sources["payments"], payments_records())
    push(sources["lonely"], [{"type": "identity", "id": "solo", "name": "solo", "kind": "workload"}])
    found = {identity.external_id: identity for identity in Identity.objects.all()}
    return SimpleNamespace(
        payments=sources["payments"], lonely=sources["lonely"], run=run,
        etl=found["etl"], bot=found["bot-7"], solo=found["solo"], all_grant=found["etl"].grants.get(),
    )  # fmt: skip


@pytest.fixture
def inventory(db: None) -> SimpleNamespace:
    return fill()


@pytest.fixture
def push_again() -> Callable[..., SyncRun]:
    """`push_again(source, records)`: another complete snapshot."""
    return push


@pytest.fixture
def snapshot() -> Callable[[], list[dict[str, Any]]]:
    """The records of `payments`, to be changed and pushed again."""
    return payments_records


@pytest.fixture
def browse(sign_in: Callable[..., Client]) -> Callable[..., Client]:
    """`browse(user)`: a client with that person's session."""

    def go(user: User, method: str = "password+totp") -> Client:
        return sign_in(Client(), user, method=method)

    return go


@pytest.fixture
def admin(make_user: Callable[..., User], browse: Callable[..., Client]) -> Client:
    return browse(make_user(Role.ADMINISTRATOR))


@pytest.fixture
def shown(committed_db: Any) -> Iterator[SimpleNamespace]:
    """The application on an address, a filled inventory, and the cookies of an administrator."""
    inventory = fill()
    user = User.objects.create_user("ada@example.org", None, name="Ada Ochieng")
    RoleAssignment.objects.create(user=user, role=Role.ADMINISTRATOR)
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    session = client.session
    session[SESSION_AUTH_METHOD] = "password+totp"
    session.save()
    server = LiveServerThread("127.0.0.1", static_handler=StaticFilesHandler)
    server.daemon = True
    server.start()
    server.is_ready.wait()
    if server.error:
        raise server.error
    site = f"http://127.0.0.1:{server.port}"
    cookies = [{"name": django_settings.SESSION_COOKIE_NAME, "value": session.session_key, "url": site}]
    yield SimpleNamespace(site=site, cookies=cookies, inventory=inventory)
    server.terminate()
