"""Limits of each answer: what makes progress is never cut, what is silent is, and nothing of the request waits again."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.test import RequestFactory

from governance.database import DEAD_PEER, connection_options
from governance.waiting import Patience, answered_within, each_within, long_answers, within
from governance.web.middleware import RequestContextMiddleware
from tests.plugins.stoppable import wait_until

SILENCE = 0.6
# For what has to come in time: more than a loaded machine makes a server late.
LONGER_SILENCE = 2.0
# Each row fills more than one buffer of the server, so it is sent as soon as it is there.
ROWS = "SELECT repeat('x', 20000) FROM (SELECT pg_sleep(0.25), generate_series(1, 18)) AS slowly"


def ask(statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def asked_still(statement: str) -> bool:
    return bool(
        ask(
            "SELECT 1 FROM pg_stat_activity"
            f" WHERE datname = current_database() AND state = 'active' AND query = '{statement}'"
        )
    )


@pytest.mark.usefixtures("committed_db")
def test_an_answer_that_keeps_coming_is_not_cut() -> None:
    begun = time.monotonic()

    with answered_within(Patience(LONGER_SILENCE)):
        rows = ask(ROWS)

    assert (len(rows), time.monotonic() - begun > 2 * LONGER_SILENCE) == (18, True)


@pytest.mark.usefixtures("committed_db")
def test_silence_ends_and_nothing_of_the_request_waits_again() -> None:
    patience = Patience(SILENCE)

    with answered_within(patience):
        with pytest.raises(OperationalError, match="did not answer within"):
            ask("SELECT pg_sleep(20)")
        connection.close()
        with pytest.raises(OperationalError, match="did not answer this request before"):
            ask("SELECT 1")

    # The server has been told so; it gets to it in a moment.
    wait_until(lambda: not asked_still("SELECT pg_sleep(20)"), 10)


@pytest.mark.usefixtures("committed_db")
def test_a_transaction_in_which_the_limit_was_reached_is_gone_as_a_whole() -> None:
    ask("SELECT 1")
    with answered_within(Patience(SILENCE)), pytest.raises(OperationalError), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE half_done (id int)")
        ask("SELECT pg_sleep(20)")

    assert ask("SELECT to_regclass('half_done')") == [(None,)]


@pytest.mark.usefixtures("committed_db")
def test_what_is_known_to_take_long_may() -> None:
    with answered_within(Patience(SILENCE)):
        with long_answers(20):
            ask(f"SELECT pg_sleep({2 * SILENCE})")
        with pytest.raises(OperationalError):
            ask(f"SELECT pg_sleep({2 * SILENCE})")


@pytest.mark.usefixtures("committed_db")
def test_where_no_limit_holds_the_driver_waits_as_ever() -> None:
    with long_answers(SILENCE):
        ask(f"SELECT pg_sleep({2 * SILENCE})")


@pytest.mark.usefixtures("committed_db")
def test_the_shorter_of_both_limits_holds() -> None:
    begun = time.monotonic()

    with answered_within(Patience(20)), within(SILENCE), pytest.raises(OperationalError):
        ask("SELECT pg_sleep(20)")

    assert time.monotonic() - begun < 10


@pytest.mark.usefixtures("committed_db")
def test_a_stream_is_limited_piece_by_piece_and_its_reader_may_be_slow() -> None:
    def pieces() -> Iterator[object]:
        yield ask("SELECT 1")
        yield ask("SELECT 2")
        yield ask("SELECT pg_sleep(20)")

    stream = each_within(pieces(), Patience(LONGER_SILENCE))

    assert next(stream) == [(1,)]
    time.sleep(1.5 * LONGER_SILENCE)  # the reader's time is not the database's
    assert next(stream) == [(2,)]
    ask(f"SELECT pg_sleep({1.5 * LONGER_SILENCE})")  # between the pieces nothing is limited
    with pytest.raises(OperationalError):
        next(stream)


@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize("is_stream", [False, True])
def test_every_request_has_the_limit_and_so_has_what_it_streams(
    rf: RequestFactory, settings: pytest.MonkeyPatch, is_stream: bool
) -> None:
    settings.DATABASE_ANSWER_SECONDS = SILENCE  # type: ignore[attr-defined]

    def answer(_: HttpRequest) -> HttpResponseBase:
        if is_stream:
            return StreamingHttpResponse(str(ask("SELECT pg_sleep(20)")) for _ in range(1))
        return HttpResponse(str(ask("SELECT pg_sleep(20)")))

    request = rf.get("/")
    request.resolver_match = None  # type: ignore[attr-defined]
    with pytest.raises(OperationalError):
        list(RequestContextMiddleware(answer)(request))  # type: ignore[arg-type]


@pytest.mark.usefixtures("committed_db")
def test_a_host_that_died_is_noticed_by_tcp_unless_the_operator_said_otherwise() -> None:
    ask("SELECT 1")
    held = connection.connection.info.get_parameters()

    given = connection_options({"tcp_user_timeout": 5_000}, connect_seconds=3)

    assert {name: held[name] for name in DEAD_PEER} == {name: str(value) for name, value in DEAD_PEER.items()}
    assert (given["tcp_user_timeout"], given["keepalives_idle"]) == (5_000, DEAD_PEER["keepalives_idle"])


def test_every_task_ends_by_itself() -> None:
    ours = [task for name, task in current_app.tasks.items() if not name.startswith(("celery.", "tests."))]

    assert ours
    assert [task.name for task in ours if not task.time_limit] == []


@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize(
    ("content_type", "ending"),
    [
        ("text/csv; charset=utf-8", b'"NOT COMPLETE: The database doesn\'t answer. Download it again."\r\n'),
        ("application/x-ndjson", b'"code": "database-away"'),
    ],
)
def test_a_download_that_was_cut_off_says_so_in_its_last_line(
    rf: RequestFactory, settings: Any, content_type: str, ending: bytes
) -> None:
    settings.DATABASE_ANSWER_SECONDS = SILENCE

    def pieces() -> Iterator[bytes]:
        yield b"a whole line\n"
        ask("SELECT pg_sleep(20)")
        yield b"never sent\n"

    request = rf.get("/")
    request.resolver_match = None
    response: Any = RequestContextMiddleware(lambda _: StreamingHttpResponse(pieces(), content_type=content_type))(
        request
    )  # type: ignore[arg-type,return-value]
    sent = []
    with pytest.raises(OperationalError):
        for piece in response:
            sent.append(piece)

    assert sent[0] == b"a whole line\n"
    assert ending in sent[-1] and len(sent) == 2
