"""One JSON line per request and task, and no secret in any of them, wherever it came in; nor in a mail."""

import io
import json
import logging

import pytest
import structlog
from celery import shared_task
from django.core import mail
from django.test import Client
from django.urls import path

from governance import urls
from governance.kernel.actors import Role

pytestmark = pytest.mark.django_db
SECRETS = {
    "password": "Tr0ub4dor-and-3-more",
    "dsn": "hunter2hunter2",
    "bearer": "c2VjcmV0LWJlYXJlci10b2tlbi12YWx1ZQ",
    "link": "kQ3vN1p8sD5fG7hJ9kL2zX4cV6bN8m",
    "argument": "argument-that-nobody-may-read",
    "cookie": "sessionidsessionidsessionid",
}
DSN = f"postgresql://reader:{SECRETS['dsn']}@db.example.org:5432/ledger"


@pytest.fixture
def lines():
    """Everything that is logged from now on, as the product writes it."""
    formatters = [handler.formatter for handler in logging.getLogger().handlers]
    (made,) = [each for each in formatters if isinstance(each, structlog.stdlib.ProcessorFormatter)]
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(made)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


def _explode(request):
    raise RuntimeError(f"could not connect to {DSN} with password={SECRETS['password']}")


# What a broken page of ours would be.
urlpatterns = [*urls.urlpatterns, path("explode/", _explode, name="explode")]


@shared_task(name="tests.fail")
def fail(**kwargs):
    raise RuntimeError(f"cannot use {kwargs['where']} (token={kwargs['token']})")


def test_no_secret_reaches_a_log_or_a_mail_wherever_it_comes_in(lines, sign_in, make_user, settings):
    settings.ROOT_URLCONF = __name__
    client = Client(raise_request_exception=False)
    client.cookies["session"] = SECRETS["cookie"]
    administrator = make_user(Role.ADMINISTRATOR)

    client.post("/accounts/login/", {"login": administrator.email, "password": SECRETS["password"]})
    client.post("/accounts/password/reset/", {"email": administrator.email})
    client.get("/api/v1/sources/", HTTP_AUTHORIZATION=f"Bearer {SECRETS['bearer']}")
    client.get("/api/v1/sources/", HTTP_AUTHORIZATION=f"Bearer remit_0a1b2c3d_{SECRETS['bearer']}")
    client.get(f"/m/{SECRETS['link']}/")
    client.get(f"/nowhere?token={SECRETS['bearer']}")
    client.get("/explode/")
    sign_in(client, administrator)
    client.post("/sources/new/", {"name": "Ledger", "kind": "postgresql", "dsn": DSN, "password": SECRETS["password"]})
    client.post("/settings/webhooks/new/", {"name": "W", "url": f"https://u:{SECRETS['password']}@example.org/"})
    fail.apply(kwargs={"where": DSN, "token": SECRETS["argument"]})
    logging.getLogger("some.library").error("Connecting with %s", {"Authorization": f"Bearer {SECRETS['bearer']}"})
    structlog.get_logger("x").warning("settings", database={"PASSWORD": SECRETS["password"]}, cookie=SECRETS["cookie"])

    written = json.dumps(lines()) + "".join(f"{each.subject}{each.body}" for each in mail.outbox)
    assert [name for name, secret in SECRETS.items() if secret in written] == []
    events = [line["event"] for line in lines()]
    assert events.count("request") == 9
    assert "[redacted]" in written


def test_a_request_is_one_line_with_what_an_operator_looks_for_and_no_name(lines, sign_in, make_user, client):
    person = make_user(Role.AUDITOR, name="Ada Lovelace", email="ada@example.org")
    sign_in(client, person)

    client.get("/orders/?q=private", HTTP_X_REQUEST_ID="abcdef0123456789")

    (line,) = [line for line in lines() if line["event"] == "request"]
    assert {name: line[name] for name in ("request_id", "method", "view", "status", "actor", "level")} == {
        "request_id": "abcdef0123456789",
        "method": "GET",
        "view": "reviews:order_list",
        "status": 200,
        "actor": str(person.pk),
        "level": "info",
    }
    assert line["ms"] > 0
    assert not {"ada", "private"} & set(json.dumps(line).lower().split('"'))


def test_probes_are_quiet(lines, client):
    client.get("/healthz")

    assert [line["level"] for line in lines() if line["event"] == "request"] == ["debug"]


def test_a_task_is_one_line_without_its_arguments(lines):
    fail.apply(kwargs={"where": "x", "token": "y"})

    (line,) = [line for line in lines() if line["event"] == "task"]
    assert (line["task"], line["state"], line["level"]) == ("tests.fail", "FAILURE", "error")
    assert line["ms"] >= 0
    assert "task" not in structlog.contextvars.get_contextvars()


def test_line_ends_and_control_characters_cannot_forge_a_line(lines):
    structlog.get_logger("x").warning('bad\n{"event": "request"}', name="a\r\nb\x1b[31m\u2028c")

    (line,) = lines()
    assert line["event"] == 'bad\n{"event": "request"}'
    assert line["name"] == "a\r\nb\x1b[31m\u2028c"
