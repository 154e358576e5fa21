"""PostgreSQL hangs instead of ending: it is stopped (SIGSTOP), or lives and does not answer this one question.

The web server is the one that `make run` starts, two processes with four threads each. docs/operations.md states the
limits that are held to here.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg
import pytest
from django.test import Client
from django.utils import timezone

from governance.people.access import SESSION_AUTH_METHOD
from governance.people.models import User
from governance.people.tokens import create_token
from governance.waiting import ASK_AFTER_SECONDS, CANCEL_SECONDS
from tests.identities.gateway.conftest import make_admin, make_source, push_agents, tools
from tests.plugins.brokers import free_port
from tests.plugins.stoppable import Cluster, dump_of, start_web, wait_until

pytestmark = pytest.mark.slow
CONNECT = 2
# More than the silence after which a second connection asks, so that both limits can be seen.
ANSWER = ASK_AFTER_SECONDS + 2
REST = 2.0
SCOPES = ["inventory:read", "sync:write", "people:provision", "audit:read"]
PAGES = ["/", "/identities/", "/access/?kind=ai_agent&privileged=no", "/identities.csv", "/inbox/", "/audit/"]
DOCUMENTS = ["/api/v1/identities/", "/api/v1/grants/?kind=bot", "/api/v1/audit/events/", "/scim/v2/Users"]
PUSH = "/api/v1/sources/agents/syncs/?mode=delta"


@pytest.fixture(scope="module")
def place(
    pristine_database: str, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimpleNamespace]:
    """`cluster`, and `ask(path)`, `push()`: status, headers and body of the web server's answer."""
    folder = tmp_path_factory.mktemp("silent")
    cluster = Cluster(folder / "cluster")
    web = None
    try:
        made = dump_of(pristine_database, django_db_blocker, folder / "dump", _fill)
        cluster.load(folder / "dump")
        port = free_port()
        url = f"{cluster.server.admin_url()}&connect_timeout={CONNECT}"
        web = start_web(port, url, folder / "web.log", DATABASE_ANSWER_SECONDS=str(ANSWER))
        ask, push = _doors(f"http://127.0.0.1:{port}", made)
        wait_until(lambda: _status(ask, "/identities/") == 200)
        yield SimpleNamespace(cluster=cluster, ask=ask, push=push, log=folder / "web.log")
    finally:
        cluster.send(signal.SIGCONT)
        if web is not None:
            web.send_signal(signal.SIGTERM)
            web.wait(30)
        cluster.end()


def test_every_page_and_document_ends_and_goes_on_by_itself(place: Any) -> None:
    doors = {path: (lambda path=path: place.ask(path)) for path in (*PAGES, *DOCUMENTS)} | {"push": place.push}
    before = {name: ask().status_code for name, ask in doors.items()}
    assert before == dict.fromkeys((*PAGES, *DOCUMENTS), 200) | {"push": 201}

    with _stopped(place.cluster), ThreadPoolExecutor(len(doors)) as all_at_once:
        # Twice: with the connections that were open before, and without any that can be used.
        rounds = [dict(zip(doors, all_at_once.map(_timed, doors.values()), strict=True)) for _ in range(2)]
        alive, alive_after = _timed(lambda: place.ask("/healthz"))

    for answers in rounds:
        assert {name: answer.status_code for name, (answer, _) in answers.items()} == dict.fromkeys(doors, 503)
        # Eight threads for eleven: the last ones wait for a thread, and then for the database.
        assert max(seconds for _, seconds in answers.values()) < 2 * (2 * CONNECT) + REST
        for name, (answer, _) in answers.items():
            assert int(answer.headers["Retry-After"]) > 0, name
        for path in DOCUMENTS[:-1]:
            assert answers[path][0].headers["Content-Type"] == "application/problem+json"
            assert answers[path][0].json()["code"] == "database-away"
        assert answers[DOCUMENTS[-1]][0].json()["status"] == "503"
        assert "The database doesn&#x27;t answer" in answers["/identities/"][0].text
    assert (alive.status_code, alive_after < REST) == (200, True)
    for name, ask in doors.items():
        assert wait_until(lambda ask=ask: ask().status_code in (200, 201)), name


def test_a_server_that_stops_in_the_middle_of_a_question_is_noticed(place: Any) -> None:
    with _held(place.cluster, "identities_identity") as waiting, ThreadPoolExecutor(2) as both:
        answers = [both.submit(_timed, lambda path=path: place.ask(path)) for path in ("/identities/", DOCUMENTS[0])]
        wait_until(lambda: waiting() == 2)
        with _stopped(place.cluster):
            outcomes = [answer.result() for answer in answers]

    assert [answer.status_code for answer, _ in outcomes] == [503, 503]
    assert max(seconds for _, seconds in outcomes) < ASK_AFTER_SECONDS + CONNECT + REST
    assert wait_until(lambda: _status(place.ask, "/identities/") == 200)


def test_a_question_that_is_not_answered_ends_here_and_at_the_server(place: Any) -> None:
    with _held(place.cluster, "identities_identity") as waiting:
        answer, seconds = _timed(lambda: place.ask("/identities/"))
        # The server has been told so; it gets to it in a moment.
        wait_until(lambda: waiting() == 0, REST)

    assert answer.status_code == 503
    assert ANSWER <= seconds < ANSWER + CANCEL_SECONDS + REST
    assert _status(place.ask, "/identities/") == 200


def test_a_reading_may_wait_longer_for_one_answer(place: Any) -> None:
    with _held(place.cluster, "identities_credential") as waiting, ThreadPoolExecutor(1) as aside:
        pushed = aside.submit(place.push)
        wait_until(lambda: waiting(longer_than=ANSWER + 1) == 1)
        assert not pushed.done()
        waiting.release()
        assert pushed.result().status_code == 201


def test_a_reading_still_notices_that_nobody_is_there(place: Any) -> None:
    with _held(place.cluster, "identities_credential") as waiting, ThreadPoolExecutor(1) as aside:
        pushed = aside.submit(place.push)
        wait_until(lambda: waiting() == 1)
        with _stopped(place.cluster):
            answer, seconds = _timed(pushed.result)

    assert (answer.status_code, answer.json()["code"]) == (503, "database-failed")
    assert seconds < ASK_AFTER_SECONDS + CONNECT + REST
    assert wait_until(lambda: place.push().status_code == 201)


class _Held:
    """A lock of somebody else's on a table, and who waits for it."""

    def __init__(self, url: str, table: str) -> None:
        self._lock, self._looking = psycopg.connect(url), psycopg.connect(url, autocommit=True)
        self._lock.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())

    def __call__(self, *, longer_than: float = 0) -> int:
        row = self._looking.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND clock_timestamp() - query_start > %s * interval '1 second'",
            [longer_than],
        ).fetchone()
        assert row
        return int(row[0])

    def release(self) -> None:
        self._lock.rollback()

    def close(self) -> None:
        self._lock.close()
        self._looking.close()


@contextmanager
def _held(cluster: Cluster, table: str) -> Iterator[_Held]:
    held = _Held(cluster.server.admin_url(), table)
    try:
        yield held
    finally:
        held.close()


@contextmanager
def _stopped(cluster: Cluster) -> Iterator[None]:
    cluster.send(signal.SIGSTOP)
    try:
        yield
    finally:
        cluster.send(signal.SIGCONT)


def _fill() -> SimpleNamespace:
    """An agent, an administrator's session, and a token that may read, push and provision."""
    admin, now = make_admin(), timezone.now()
    push_agents(make_source(), {"clock": [tools("get_current_time", server="time")]})
    _, token = create_token(name="machine", scopes=SCOPES, expires_at=now + timedelta(days=1), actor=admin, now=now)
    client = Client()
    client.force_login(User.objects.get(pk=admin.id), backend="allauth.account.auth_backends.AuthenticationBackend")
    session = client.session
    session[SESSION_AUTH_METHOD] = "password+totp"
    session.save()
    return SimpleNamespace(token=token, session=session.session_key)


def _doors(base: str, made: SimpleNamespace) -> tuple[Callable[[str], httpx.Response], Callable[[], httpx.Response]]:
    bearer = {"Authorization": f"Bearer {made.token}"}
    lines = [{"type": "identity", "id": "clock", "name": "clock", "kind": "ai_agent"}, {"type": "end", "records": 1}]
    body = "\n".join(json.dumps(line) for line in lines)

    def ask(path: str) -> httpx.Response:
        is_program = path.startswith(("/api/", "/scim/"))
        cookies = {} if is_program or path == "/healthz" else {"session": made.session}
        return httpx.get(base + path, headers=bearer if is_program else {}, cookies=cookies, timeout=120)

    def push() -> httpx.Response:
        return httpx.post(
            base + PUSH, headers=bearer | {"Content-Type": "application/x-ndjson"}, content=body, timeout=120
        )

    return ask, push


def _status(ask: Callable[[str], httpx.Response], path: str) -> int:
    try:
        return ask(path).status_code
    except httpx.TransportError:
        return 0  # it has not begun to listen


def _timed(ask: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.monotonic()
    return ask(), time.monotonic() - begun
