"""A question that is open now, and people who can look at it in a browser session."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.test import Client
from django.test.testcases import LiveServerThread
from django.urls import reverse
from django.utils import timezone

from governance.kernel.actors import Role
from governance.people.models import User
from reviews.models import ReviewItem


@pytest.fixture
def ask(make: SimpleNamespace) -> Callable[..., ReviewItem]:
    """`ask(permission, owner=…)`: one open question, answerable for another fortnight."""

    def go(permission: dict[str, Any] | None = None, **more: Any) -> ReviewItem:
        return make.item(permission, deadline_at=timezone.now() + timedelta(days=14), **more)

    return go


@pytest.fixture
def browse(sign_in: Callable[..., Client]) -> Callable[..., Client]:
    """`browse(user)`: a client with that person's session; `csrf=True` checks tokens as production does."""

    def go(user: User, *, csrf: bool = False, method: str = "password+totp") -> Client:
        return sign_in(Client(enforce_csrf_checks=csrf), user, method=method)

    return go


@pytest.fixture
def answer(browse: Callable[..., Client]) -> Callable[..., Any]:
    """`answer(item, "approve", by=user, reason=…)`: the form as the page sends it."""

    def go(item: ReviewItem, how: str, *, by: User | None = None, **fields: Any) -> Any:
        data = {"answer": how, "version": item.version, "reason": "", "until": ""} | fields
        return browse(by or item.assignee).post(reverse("reviews:item_answer", args=[item.pk]), data)

    return go


@pytest.fixture
def page_of(browse: Callable[..., Client]) -> Callable[..., str]:
    """`page_of(user, "reviews:inbox")`: the text of a page that opens."""

    def go(user: User, name: str, *args: Any, **query: str) -> str:
        response = browse(user).get(reverse(name, args=args), query)
        assert response.status_code == 200, response.content.decode()[:500]
        return str(response.content.decode())

    return go


@pytest.fixture
def reviewer(make: SimpleNamespace) -> User:
    person: User = make.person(Role.REVIEWER, name="Ravi Menon")
    return person


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
def visit(site: str, sign_in: Callable[..., Client], new_page: Callable[..., Any]) -> Callable[..., Any]:
    """`visit(user, "/inbox/", width=390, dark=True)`: a real browser page of that person."""

    def go(user: User, path: str, *, method: str = "password+totp", **options: Any) -> Any:
        key = sign_in(Client(), user, method=method).session.session_key
        page = new_page(**options)
        page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": site}])
        page.goto(site + path)
        return page

    return go
