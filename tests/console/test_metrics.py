"""`/metrics`: closed by default, true figures, nobody's name."""

import re

import pytest
from django.db import connection

from governance import measuring
from governance.console.metrics import figures, views
from governance.console.metrics.exposition import Family, render
from reviews.models import Order
from tests.reviews import conftest as make

pytestmark = pytest.mark.django_db
LINE = re.compile(r'^(remit_[a-z0-9_]+)(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? (\S+)$')


@pytest.fixture(autouse=True)
def _no_earlier_answer(monkeypatch):
    monkeypatch.setattr(views, "_kept", (float("-inf"), ""))


def figures_of(text):
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = LINE.match(line)
            assert match, line
            found[match[1] + (match[2] or "")] = float(match[4])
    return found


def test_it_is_closed_to_everybody_without_a_token_of_the_scope(client, make_token, sign_in, admin_actor):
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", HTTP_AUTHORIZATION="Bearer remit_x_guessed").status_code == 401
    _, other = make_token(["audit:read"])
    assert client.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {other}").status_code == 403
    _, right = make_token(["metrics:read"])
    answer = client.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {right}")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")


@pytest.mark.parametrize(
    ("came_from", "more", "status"),
    [
        ("10.1.2.3", {}, 200),
        ("192.0.2.1", {}, 401),
        ("10.1.2.3", {"HTTP_X_FORWARDED_FOR": "10.1.2.3"}, 401),
        ("", {}, 401),
    ],
    ids=["named", "another", "through a proxy", "none"],
)
def test_an_address_that_the_operator_named_needs_no_token(client, settings, came_from, more, status):
    settings.METRICS_ALLOWED_ADDRESSES = ["10.0.0.0/8"]

    assert client.get("/metrics", REMOTE_ADDR=came_from, **more).status_code == status


def test_the_figures_are_those_of_the_database_and_name_nobody(client, settings):
    settings.METRICS_ALLOWED_ADDRESSES = ["127.0.0.1"]
    source = make.make_source(name="Secret ledger", slug="secret-ledger", kind="push")
    identity = make.make_identity(source, name="svc-secret")
    Order.objects.create(source=source, identity=identity, action="revoke", execute_after=make.NOW)

    text = client.get("/metrics").content.decode()

    found = figures_of(text)
    assert found['remit_orders{state="planned"}'] == 1
    assert found['remit_sources{kind="push",freshness="never"}'] == 1
    assert found["remit_restore_holds"] == 0
    assert found['remit_events_last_hour{verb="user.sign_in_failed"}'] == 0
    assert [name for name, value in found.items() if name.startswith("remit_group_failed") and value] == []
    assert "secret" not in text.lower()


def test_requests_are_told_by_the_name_of_the_view_and_never_by_path_or_method_of_the_caller(
    client, settings, monkeypatch
):
    monkeypatch.setattr(measuring, "MOST", len(measuring._Process.series) + 100)  # other tests asked for every page
    settings.METRICS_ALLOWED_ADDRESSES = ["127.0.0.1"]
    client.get("/metrics")
    views._kept = (float("-inf"), "")
    before = figures_of(client.get("/metrics").content.decode())

    client.get("/healthz")
    client.get("/secret-path/")
    client.generic("SECRETS", "/healthz")
    views._kept = (float("-inf"), "")
    text = client.get("/metrics").content.decode()

    found = figures_of(text)
    for series in (
        'method="GET",status="2xx",view="console:healthz"',
        'method="GET",status="4xx",view="none"',
        'method="other",status="4xx",view="console:healthz"',
    ):
        name = f"remit_request_seconds_count{{{series}}}"
        assert found[name] - before.get(name, 0) == 1, name
    assert found["remit_database_up"] == 1 and 'remit_request_seconds_bucket{le="+Inf"' in text
    assert "secret" not in text.lower()


def test_a_group_that_cannot_be_read_is_named_and_the_others_are_there(client, settings, monkeypatch):
    settings.METRICS_ALLOWED_ADDRESSES = ["127.0.0.1"]

    def _broken(now):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(1)")
        yield Family("remit_never", "Never.")

    monkeypatch.setattr(figures, "STATEMENT_MILLISECONDS", 20)
    monkeypatch.setattr(figures, "GROUPS", (_broken, figures._build))

    found = figures_of(client.get("/metrics").content.decode())

    assert found['remit_group_failed{group="broken"}'] == 1
    assert found['remit_group_failed{group="build"}'] == 0


def test_scraping_costs_a_fixed_number_of_queries_and_is_shared(client, settings, django_assert_max_num_queries):
    settings.METRICS_ALLOWED_ADDRESSES = ["127.0.0.1"]
    for _ in range(5):
        make.make_source()

    with django_assert_max_num_queries(60):
        client.get("/metrics")
    with django_assert_max_num_queries(0):
        client.get("/metrics")


def test_labels_cannot_break_a_line():
    text = render([Family("remit_x", "Two\nlines.").add(1.5, label='a"b\\c\nd')])

    assert text == '# HELP remit_x Two\\nlines.\n# TYPE remit_x gauge\nremit_x{label="a\\"b\\\\c\\nd"} 1.5\n'
