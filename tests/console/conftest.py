"""The console over real data: reviews, orders and a sealed trail."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.db import connection
from django.test import Client
from django.test.testcases import LiveServerThread
from django.utils import timezone

from governance.people.access import PASSWORD, SESSION_AUTH_METHOD
from governance.people.models import User
from reviews.decisions import decide
from reviews.models import Answer, ReviewItem
from tests.reviews import conftest as make


@pytest.fixture
def signed_in() -> Callable[..., Client]:
    """`signed_in(user)`: a client with a session of this person."""

    def go(user: User) -> Client:
        client = Client()
        client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        session = client.session
        session[SESSION_AUTH_METHOD] = PASSWORD
        session.save()
        return client

    return go


@pytest.fixture
def seal() -> Callable[[], None]:
    """What a commit does: seals everything recorded so far."""

    def go() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")

    return go


@pytest.fixture
def decided_item() -> Callable[..., ReviewItem]:
    """`decided_item(owner)`: one of two questions about the owner's identity, answered with a reason."""

    def make_one(owner: User, reason: str = "Nobody calls it.") -> ReviewItem:
        identity = make.make_identity(make.make_source(name="Ledger", owner=owner), owner=owner)
        grants = [make.make_grant(identity) for _ in range(2)]
        campaign = make.make_campaign(
            scope=f"source={identity.source.slug}", deadline_at=timezone.now() + timedelta(days=9)
        )
        item = make.get_item(campaign, grants[0])
        decide(
            item=item,
            version=item.version,
            answer=Answer.REVOKE,
            actor=make.actor(owner),
            now=timezone.now(),
            reason=reason,
        )
        return item

    return make_one


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
def browse(site: str, signed_in: Callable[..., Client], new_page: Callable[..., Any]) -> Callable[..., Any]:
    """`browse(user, "/audit/", dark=True, width=390)`: that page in a real browser, signed in."""

    def go(user: User | None, path: str, **options: Any) -> Any:
        page = new_page(**options)
        if user is not None:
            key = signed_in(user).session.session_key
            page.context.add_cookies([{"name": django_settings.SESSION_COOKIE_NAME, "value": key, "url": site}])
        page.goto(site + path)
        return page

    return go
