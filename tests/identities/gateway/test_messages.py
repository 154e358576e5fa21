"""JSON-RPC is read strictly: what two readers could understand in two ways is refused. No database."""

import json
from typing import Any

import pytest

from identities.gateway.messages import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, BadMessage, Message, read, written

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "git_log"}}


def said(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in {**CALL, **changes}.items() if value is not ...}).encode()


def test_a_request_a_notification_and_an_answer_are_told_apart() -> None:
    assert read(said()) == Message("tools/call", {"name": "git_log"}, 1)
    assert read(said(id=...)) == Message("tools/call", {"name": "git_log"}, None)
    assert read(said(method=..., params=..., result={})) == Message("", {}, 1)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", PARSE_ERROR),
        (b"{", PARSE_ERROR),
        (b"\xff\xfe", PARSE_ERROR),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": NaN}}', PARSE_ERROR),
        (b"[" * 100_000, PARSE_ERROR),
        (b'{"a":' * 40 + b"1" + b"}" * 40, INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping"}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"name":"a","name":"b"}}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"name":"\\ud800"}}', INVALID_REQUEST),
        (b"x" * (1024 * 1024 + 1), INVALID_REQUEST),
        (b"[]", INVALID_REQUEST),
        (b"[1]", INVALID_REQUEST),
        (b'"text"', INVALID_REQUEST),
        (said(jsonrpc="1.0"), INVALID_REQUEST),
        (said(id=None), INVALID_REQUEST),
        (said(id=True), INVALID_REQUEST),
        (said(id=1.5), INVALID_REQUEST),
        (said(id=2**60), INVALID_REQUEST),
        (said(id="x" * 300), INVALID_REQUEST),
        (said(method=""), INVALID_REQUEST),
        (said(method=7), INVALID_REQUEST),
        (said(method="tools/call\n"), INVALID_REQUEST),
        (said(result={}), INVALID_REQUEST),
        (said(method=..., params=..., result={}, error={}), INVALID_REQUEST),
        (said(params=[1]), INVALID_PARAMS),
        (json.dumps([CALL] * 21).encode(), INVALID_REQUEST),
    ],
)
def test_what_is_no_message_is_refused_with_the_protocols_code(body: bytes, code: int) -> None:
    with pytest.raises(BadMessage) as refused:
        read(body)

    assert refused.value.code == code


def test_what_is_written_can_be_read_again() -> None:
    assert read(written({**CALL, "params": {"name": "grüße ✓"}})) == Message("tools/call", {"name": "grüße ✓"}, 1)
