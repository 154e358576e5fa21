"""Secrets are recognised by name and by shape; everything around them stays readable."""

import pytest

from governance.kernel.redaction import MARK, redact, redact_event, redact_text


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("connect to postgresql://remit:hunter2@db:5432/remit failed", "hunter2"),
        ("amqp://user:pa/ss%40word@host//", "pa/ss%40word"),
        ("host=db user=remit password=hunter2 dbname=x", "hunter2"),
        ("host=db password='hun ter2' dbname=x", "hun ter2"),
        ('{"client_secret": "hunter2", "a": 1}', "hunter2"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENG", "wJalrXUtnFEMIK7MDENG"),
        ("Authorization: Bearer eyJhbGciOi.eyJzdWIi.c2ln", "eyJzdWIi"),
        ("Authorization: Basic dXNlcjpodW50ZXIy", "dXNlcjpodW50ZXIy"),
        ("token remit_0a1b2c3d_Zm9vYmFyYmF6cXV4Zm9vYmFy is unknown", "Zm9vYmFyYmF6"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8G"),
        ("Gone: /m/kQ3vN1p8sD5fG7hJ9kL2zX4c/", "kQ3vN1p8"),
        ("GET /accounts/password/reset/key/2f-cxk1-8d7a6b5c4d/", "8d7a6b5c4d"),
        ("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----", "MC4CAQAw"),
        ("api_key: hunter2, region: eu", "hunter2"),
    ],
)
def test_a_secret_is_gone_and_its_surroundings_stay(text, secret):
    redacted = redact_text(text)

    assert secret not in redacted
    assert MARK in redacted
    assert redacted.split(MARK)[0] == text[: len(redacted.split(MARK)[0])]


@pytest.mark.parametrize(
    "text",
    [
        "Order 3f2a of https://db.example.org:5432/ledger was sent",
        "http://[::1]:8000/metrics answered 200",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "The token is unknown, expired or revoked.",
        "A password has at least 12 characters.",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact_text(text) == text


def test_names_count_at_any_depth_and_numbers_stay():
    event = {"event": "x", "status": 200, "headers": {"Authorization": "opaque", "Accept": "text/html"}}
    event |= {"list": [{"db_password": "p", "password_length": 12}], "api_key": "k", "task": "reviews.drain_orders"}

    assert redact_event(None, "info", event) == {
        "event": "x",
        "status": 200,
        "headers": {"Authorization": MARK, "Accept": "text/html"},
        "list": [{"db_password": MARK, "password_length": 12}],
        "api_key": MARK,
        "task": "reviews.drain_orders",
    }


def test_a_value_that_contains_itself_ends():
    loop: dict = {}
    loop["again"] = loop

    assert MARK in str(redact(loop))
