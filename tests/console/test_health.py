"""Health answers quickly and truly, whatever is broken."""

import json
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import RequestFactory
from django.utils import timezone

from governance.console import health, tasks


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that accepts connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.django_db
def test_a_tick_is_the_sign_of_life_of_the_worker() -> None:
    before = health.check_records()["worker"]

    tasks.tick()

    assert (before.ok, before.detail) == (False, "no sign of life yet")
    after = health.check_records()["worker"]
    assert after.ok and after.age_seconds is not None and after.age_seconds < 5


@pytest.mark.django_db
def test_a_worker_that_fell_silent_is_not_alive() -> None:
    cache.set("heartbeat.worker", timezone.now() - timedelta(seconds=31))

    check = health.check_records()["worker"]

    assert (check.ok, check.detail) == (False, "silent for more than 30 s")


@pytest.mark.django_db
def test_waiting_migrations_are_counted() -> None:
    from django.db.migrations.recorder import MigrationRecorder

    before = health.check_records()["migrations"]
    MigrationRecorder.Migration.objects.filter(app="governance", name="0002_message_queue_notify_once").delete()

    after = health.check_records()["migrations"]

    assert (before.ok, before.detail) == (True, "all applied")
    assert (after.ok, after.detail.split(":")[0]) == (False, "1 waiting")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}/0", "amqp://guest:guest@127.0.0.1:{port}//"])
def test_a_broker_that_accepts_and_then_is_silent_does_not_hold_the_answer_up(
    url: str, silent_port: int, settings: Any
) -> None:
    settings.CELERY_BROKER_URL = url.format(port=silent_port)
    began = time.monotonic()

    check = health.check_broker()

    assert not check.ok
    assert time.monotonic() - began < 2 * health.PROBE_SECONDS, "it was asked once"


def test_redis_answers(redis_broker_url: str, settings: Any) -> None:
    settings.CELERY_BROKER_URL = redis_broker_url

    assert health.check_broker() == health.Check(True, "answers")


def test_rabbitmq_answers(rabbitmq_broker_url: str, settings: Any) -> None:
    settings.CELERY_BROKER_URL = rabbitmq_broker_url

    assert health.check_broker() == health.Check(True, "answers")


def test_a_database_that_is_silent_does_not_hold_the_answer_up(
    silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = {"host": "127.0.0.1", "port": silent_port, "dbname": "remit", "user": "remit"}
    monkeypatch.setattr(health, "connection", _ConnectionTo(parameters))
    began = time.monotonic()

    checks = health.run_checks()

    assert {name: check.ok for name, check in checks.items() if name != "broker"} == dict.fromkeys(
        ("database", "worker", "beat", "migrations", "trail", "gateway"), False
    )
    assert time.monotonic() - began < 3 * health.PROBE_SECONDS, "each of the two was asked once"


def test_not_ready_is_503_and_names_what_is_missing(rf: RequestFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = {"database": health.Check(True, "answers"), "beat": health.Check(False, "silent", 99.5)}
    monkeypatch.setattr(health, "_probe", health._SharedResult(lambda: checks, keep_seconds=1))

    response = health.readyz(rf.get("/readyz"))

    assert response.status_code == 503
    assert json.loads(response.content) == {
        "status": "not ready",
        "checks": {
            "database": {"ok": True, "detail": "answers"},
            "beat": {"ok": False, "detail": "silent", "age_seconds": 99.5},
        },
    }


def test_many_callers_share_one_probe() -> None:
    asked = []
    probe = health._SharedResult(lambda: asked.append(1) or {}, keep_seconds=60)

    for _ in range(20):
        probe.result()

    assert len(asked) == 1


class _ConnectionTo:
    """Stands in for Django's connection only as the holder of an address."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self._parameters = parameters

    def get_connection_params(self) -> dict[str, Any]:
        return self._parameters
