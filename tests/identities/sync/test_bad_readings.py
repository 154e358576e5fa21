"""Every kind of bad reading gets a clear answer, names the place, and leaves the inventory as it was."""

import gzip
import json
from io import BytesIO
from typing import Any

import pytest

from identities.models import SyncMode, SyncRun, SyncState
from identities.sync.lines import read_lines

IDENTITY = b'{"type":"identity","id":"etl","kind":"service_account"}'
END = b'{"type":"end","records":%d}'
PERMISSION = {"dialect": "aws", "statements": [{"actions": ["sqs:*"], "resources": ["*"]}]}

pytestmark = pytest.mark.django_db


def identity(**members: Any) -> bytes:
    return json.dumps({"type": "identity", "id": "etl", "kind": "service_account", **members}).encode()


def credential(**members: Any) -> bytes:
    return json.dumps({"type": "credential", "id": "k", "identity": "etl", "kind": "api_key", **members}).encode()


def grant(**members: Any) -> bytes:
    return json.dumps({"type": "grant", "id": "g", "identity": "etl", "permission": PERMISSION, **members}).encode()


def usage(**members: Any) -> bytes:
    seen = {"last_seen_at": "2026-11-01T00:00:00Z"}
    return json.dumps({"type": "usage", "identity": "etl", "action": "a", "resource": "r", **seen, **members}).encode()


def raw(members: bytes) -> bytes:
    return b'{"type":"identity","id":"etl","kind":"service_account","attributes":{"a":%s}}' % members


def ended(*lines: bytes) -> list[bytes]:
    return [*lines, END % len(lines)]


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl"

# name: (lines of a complete snapshot, line, pointer, code)
BAD: dict[str, tuple[list[bytes], int, str, str]] = {
    "empty body": ([], 1, "", "empty"),
    "only an end record": (ended(), 1, "", "empty"),
    "only blank lines": ([b"", b"  "], 2, "", "empty"),
    "no end record": ([IDENTITY], 2, "", "no-end"),
    "wrong count": ([IDENTITY, END % 2], 2, "/records", "wrong-count"),
    "end is not last": ([*ended(IDENTITY), identity(id="b")], 3, "", "after-end"),
    "two end records": ([IDENTITY, END % 1, END % 1], 3, "", "after-end"),
    "end without a count": ([IDENTITY, b'{"type":"end"}'], 2, "/records", "missing"),
    "partial last line": (ended(IDENTITY, IDENTITY[:30]), 2, "", "malformed-json"),
    "bad UTF-8": (ended(identity(name="x").replace(b'"x"', b'"\xff\xfe"')), 1, "", "bad-utf8"),
    "NUL as a byte": (ended(identity(name="x").replace(b'"x"', b'"\x00"')), 1, "", "malformed-json"),
    "NUL escaped": (ended(identity(name="a\x00b")), 1, "/name", "character"),
    "NUL in an attribute": (ended(identity(attributes={"a": "\x00"})), 1, "/attributes/a", "character"),
    "NUL in the name of an attribute": (ended(identity(attributes={"\x00": 1})), 1, "/attributes", "character"),
    "half a surrogate pair": (ended(identity(purpose="x").replace(b'"x"', b'"\\ud800"')), 1, "/purpose", "character"),
    "line break in a name": (ended(identity(name="a\nb")), 1, "/name", "character"),
    "array instead of object": (ended(b'["identity"]'), 1, "", "wrong-type"),
    "number instead of object": (ended(b"7"), 1, "", "wrong-type"),
    "pretty-printed array of everything": ([b"[", b"  {", b'  "type": "identity"'], 1, "", "malformed-json"),
    "text with commas": (ended(b"id,name,owner"), 1, "", "malformed-json"),
    "no type": (ended(b'{"id":"etl"}'), 1, "/type", "missing"),
    "type is a list": (ended(b'{"type":["identity"]}'), 1, "/type", "unknown-type"),
    "unknown record type": (ended(b'{"type":"human","id":"x"}'), 1, "/type", "unknown-type"),
    "unknown field": (ended(identity(nmae="x")), 1, "/nmae", "unknown-field"),
    "missing id": (ended(b'{"type":"identity","kind":"bot"}'), 1, "/id", "missing"),
    "id is null": (ended(identity(id=None)), 1, "/id", "missing"),
    "id is a number": (ended(identity(id=7)), 1, "/id", "wrong-type"),
    "id is empty": (ended(identity(id=" ")), 1, "/id", "empty"),
    "id too long": (ended(identity(id="x" * 513)), 1, "/id", "too-long"),
    "grant id too long for the index": (ended(IDENTITY, grant(id="ü" * 1010)), 2, "/id", "too-long"),
    "unknown kind": (ended(identity(kind="human")), 1, "/kind", "unknown-value"),
    "kind is a list": (ended(identity(kind=["bot"])), 1, "/kind", "wrong-type"),
    "owner is no address": (ended(identity(owner="the data team")), 1, "/owner", "no-email"),
    "duplicate ids": (ended(IDENTITY, IDENTITY), 2, "/id", "duplicate"),
    "duplicate usage": (ended(IDENTITY, usage(), usage()), 3, "/id", "duplicate"),
    "duplicate keys": (ended(b'{"type":"identity","id":"a","id":"b","kind":"bot"}'), 1, "", "malformed-json"),
    "duplicate keys deep inside": (ended(raw(b'{"x":{"y":1,"y":2}}')), 1, "", "malformed-json"),
    "secret by name": (ended(credential(password="hunter2")), 1, "/password", "secret"),
    "secret by name in attributes": (ended(identity(attributes={"db": {"Client-Secret": "x"}})), 1, "/attributes/db/Client-Secret", "secret"),
    "secret by name in a list": (ended(identity(attributes={"l": [{"api_key": "x"}]})), 1, "/attributes/l/0/api_key", "secret"),
    "private key": (ended(identity(purpose="-----BEGIN RSA PRIVATE KEY-----\nMIIE")), 1, "/purpose", "secret"),
    "JSON web token": (ended(identity(attributes={"note": JWT})), 1, "/attributes/note", "secret"),
    "GitHub token as an id": (ended(credential(id="ghp_" + "a1B2" * 9)), 1, "/id", "secret"),
    "Slack token": (ended(identity(name="xoxb-1234567890-abcdef")), 1, "/name", "secret"),
    "AWS key id where it is no id": (ended(identity(attributes={"k": "AKIAIOSFODNN7EXAMPLE"})), 1, "/attributes/k", "secret"),
    "password in an address": (ended(identity(attributes={"dsn": "postgresql://etl:pw@db/x"})), 1, "/attributes/dsn", "secret"),
    "grant without identity": (ended(IDENTITY, b'{"type":"grant","id":"g"}'), 2, "/identity", "missing"),
    "grant of an unknown identity": (ended(IDENTITY, grant(identity="nobody")), 2, "/identity", "unknown-identity"),
    "credential of an unknown identity": (ended(IDENTITY, credential(identity="nobody")), 2, "/identity", "unknown-identity"),
    "usage of an unknown identity": (ended(IDENTITY, usage(identity="nobody")), 2, "/identity", "unknown-identity"),
    "created in the future": (ended(identity(created_at="2031-01-01T00:00:00Z")), 1, "/created_at", "in-the-future"),
    "used in the future": (ended(IDENTITY, credential(last_used_at="2026-11-24T00:00:00Z")), 2, "/last_used_at", "in-the-future"),
    "used before it was made": (
        ended(IDENTITY, credential(created_at="2026-02-01T00:00:00Z", last_used_at="2026-01-01T00:00:00Z")), 2, "/last_used_at", "clock",
    ),
    "expired before it was made": (
        ended(IDENTITY, credential(created_at="2026-02-01T00:00:00Z", expires_at="2026-01-01T00:00:00Z")), 2, "/expires_at", "clock",
    ),
    "order hidden by fractions": (
        ended(identity(created_at="2026-01-01T00:00:00.500Z", last_used_at="2026-01-01T00:00:00Z")), 1, "/last_used_at", "clock",
    ),
    "first seen after last seen": (ended(IDENTITY, usage(first_seen_at="2026-11-02T00:00:00Z")), 2, "/last_seen_at", "clock"),
    "counted from after last seen": (ended(IDENTITY, usage(counted_from="2026-11-02T00:00:00Z")), 2, "/last_seen_at", "clock"),
    "no time zone": (ended(identity(created_at="2026-01-01T00:00:00")), 1, "/created_at", "no-time"),
    "only a date": (ended(identity(created_at="2026-01-01")), 1, "/created_at", "no-time"),
    "31 February": (ended(identity(created_at="2026-02-31T00:00:00Z")), 1, "/created_at", "no-time"),
    "time as a number": (ended(identity(created_at=1767225600)), 1, "/created_at", "wrong-type"),
    "year 9999": (ended(IDENTITY, credential(expires_at="9999-12-31T23:59:59-01:00")), 2, "/expires_at", "no-time"),
    "year 1": (ended(identity(created_at="0001-01-01T00:00:00+01:00")), 1, "/created_at", "no-time"),
    "digits of another script": (ended(identity(created_at="２０２６-01-01T00:00:00Z")), 1, "/created_at", "no-time"),
    "never expires, but does": (
        ended(IDENTITY, credential(never_expires=True, expires_at="2027-01-01T00:00:00Z")), 2, "/never_expires", "contradiction",
    ),
    "unknown dialect": (ended(IDENTITY, grant(permission=PERMISSION | {"dialect": "klingon"})), 2, "/permission/dialect", "invalid-permission"),
    "permission is a text": (ended(IDENTITY, grant(permission="all")), 2, "/permission", "invalid-permission"),
    "permission without actions": (
        ended(IDENTITY, grant(permission={"dialect": "aws", "statements": [{"resources": ["*"]}]})),
        2, "/permission/statements/0/actions", "invalid-permission",
    ),
    "nested without end": (ended(raw(b"[" * 100_000 + b"]" * 100_000)), 1, "", "too-deep"),
    "nested too deep": (ended(raw(b"[" * 40 + b"]" * 40)), 1, "/attributes/a" + "/0" * 16, "too-deep"),
    "permission nested too deep": (ended(IDENTITY, grant(permission=0).replace(b": 0", b": " + b"[" * 400 + b"]" * 400)), 2, "/permission", "invalid-permission"),
    "fraction": (ended(raw(b"1.5")), 1, "", "malformed-json"),
    "exponent": (ended(raw(b"1e400")), 1, "", "malformed-json"),
    "NaN": (ended(raw(b"NaN")), 1, "", "malformed-json"),
    "Infinity": (ended(raw(b"-Infinity")), 1, "", "malformed-json"),
    "huge number": (ended(raw(b"9" * 5000)), 1, "", "malformed-json"),
    "number beyond 2^53": (ended(raw(b"9007199254740993")), 1, "", "malformed-json"),
    "negative count": (ended(IDENTITY, usage(count=-1)), 2, "/count", "negative"),
    "negative shared_with": (ended(IDENTITY, grant(shared_with=-1)), 2, "/shared_with", "negative"),
    "shared_with beyond the column": (ended(IDENTITY, grant(shared_with=2**31)), 2, "/shared_with", "too-large"),
    "count is a truth value": (ended(IDENTITY, usage(count=True)), 2, "/count", "wrong-type"),
    "attributes are a list": (ended(identity(attributes=[1])), 1, "/attributes", "wrong-type"),
    "path is no list": (ended(IDENTITY, grant(path="writers")), 2, "/path", "wrong-type"),
    "path step without kind": (ended(IDENTITY, grant(path=[{"id": "x"}])), 2, "/path/0/kind", "missing"),
    "path step with more": (ended(IDENTITY, grant(path=[{"kind": "role", "x": 1}])), 2, "/path/0/x", "unknown-field"),
    "observable without actions": (
        ended(b'{"type":"usage_window","log":"l","from":"2026-01-01T00:00:00Z","until":"2026-02-01T00:00:00Z","observable":{"resources":["*"]}}'),
        1, "/observable/actions", "wrong-type",
    ),
    "window that ends before it begins": (
        ended(b'{"type":"usage_window","log":"l","from":"2026-02-01T00:00:00Z","until":"2026-01-01T00:00:00Z","observable":{"actions":["*"],"resources":["*"]}}'),
        1, "/until", "clock",
    ),
    "retire in a snapshot": (ended(IDENTITY, b'{"type":"retire","of":"grant","id":"g"}'), 2, "/type", "retire-in-snapshot"),
    "usage key too long for the index": (ended(IDENTITY, usage(resource="ü" * 1000)), 2, "/resource", "too-long"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_snapshot_is_refused_whole_and_names_the_place(
    name: str, make_source: Any, send: Any, checksums: Any
) -> None:
    lines, line, pointer, code = BAD[name]
    source = make_source()
    send(source, ended(identity(id="known")))
    before = checksums() | {"audit_auditevent": ""}

    run = send(source, lines or [b""])

    assert run.state == SyncState.REJECTED
    assert run.problem["code"] == "sync-rejected" and run.problem["status"] == 422
    found = list(run.row_errors.order_by("line", "pk").values_list("line", "pointer", "code"))
    assert (line, pointer, code) in found, found
    assert checksums() | {"audit_auditevent": ""} == before


def test_the_answer_never_repeats_a_secret(make_source: Any, send: Any) -> None:
    run = send(make_source(), ended(identity(attributes={"note": JWT}), credential(password="hunter2")))

    said = json.dumps([run.problem, list(run.row_errors.values_list("pointer", "reason"))])
    assert run.row_errors.count() == 2
    assert JWT not in said and "hunter2" not in said


@pytest.mark.parametrize("attributes", [
    {"password_set": True}, {"password": True}, {"token_type": "Bearer"}, {"secret_arn": "arn:aws:x"}, {"max_tokens": 4096},
    {"last_password_change": "2026-01-01"}, {"url": "https://example.org/a:b@c"}, {"sha": "a" * 40},
])  # fmt: skip
def test_what_only_speaks_of_secrets_is_no_secret(attributes: Any, make_source: Any, send: Any) -> None:
    run = send(make_source(), ended(identity(attributes=attributes)))

    assert run.state == SyncState.APPLIED, list(run.row_errors.values())


def test_every_bad_line_is_named_up_to_a_thousand(make_source: Any, send: Any) -> None:
    few = send(make_source(), ended(*[identity(id=f"i{n}", kind="x") for n in range(30)]))
    many = send(make_source("other"), ended(*[identity(id=f"i{n}", kind="x") for n in range(3000)]))

    assert few.row_errors.count() == 30 and "30 problems found in 30 records" in few.problem["detail"]
    assert many.row_errors.count() == 1000


def test_blank_lines_count_for_nothing(make_source: Any, send: Any) -> None:
    run = send(make_source(), [b"", IDENTITY, b"", END % 1, b""])

    assert (run.state, run.records) == (SyncState.APPLIED, 1)


@pytest.mark.parametrize(("lines", "code"), [
    ([b'{"type":"retire","of":"grant","id":"never"}'], "unknown-object"),
    ([b'{"type":"retire","of":"usage","id":"x"}'], "unknown-value"),
    ([b'{"type":"retire","of":"identity","id":"etl"}', IDENTITY], "contradiction"),
    ([b'{"type":"retire","of":"identity","id":"etl"}', grant()], "unknown-identity"),
    ([grant(identity="gone")], "unknown-identity"),
])  # fmt: skip
def test_a_delta_that_contradicts_the_inventory_is_refused(lines: Any, code: str, make_source: Any, send: Any) -> None:
    source = make_source()
    send(source, ended(IDENTITY, identity(id="gone")))
    send(source, ended(IDENTITY))

    run = send(source, lines, mode=SyncMode.DELTA)

    assert run.state == SyncState.REJECTED
    assert [error.code for error in run.row_errors.all()] == [code]


def body(*lines: bytes) -> bytes:
    return b"\n".join(ended(*lines)) + b"\n"


def bomb() -> bytes:
    return gzip.compress(b'{"type":"identity","id":"' + b"x" * 900 + b'"}\n' * 1 + b" " * 900_000 + b"\n" * 30_000_000)


# name: (bytes, announced as gzip, status, code)
UNREADABLE: dict[str, tuple[bytes, bool, int, str]] = {
    "truncated gzip": (gzip.compress(body(*[identity(id=f"i{n}") for n in range(500)]))[:-200], True, 422, "unreadable-body"),
    "gzip without its last bytes": (gzip.compress(body(IDENTITY))[:-4], True, 422, "unreadable-body"),
    "not gzip though announced": (body(IDENTITY), True, 422, "unreadable-body"),
    "gzip with damage inside": (gzip.compress(body(IDENTITY), mtime=0)[:20] + b"\x00\xff" * 20, True, 422, "unreadable-body"),
    "gzip though not announced": (gzip.compress(body(IDENTITY)), False, 422, "unreadable-body"),
    "byte order mark": (b"\xef\xbb\xbf" + body(IDENTITY), False, 422, "unreadable-body"),
    "line of 50 MB": (b'{"type":"identity","id":"' + b"x" * 50_000_000 + b'"}\n', False, 413, "too-large"),
    "gzip bomb": (bomb(), True, 413, "too-large"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_body_is_refused_whole(
    name: str, make_source: Any, send: Any, actor: Any, now: Any, checksums: Any
) -> None:
    data, is_gzip, status, code = UNREADABLE[name]
    before = checksums() | {"audit_auditevent": ""}

    run = send(make_source(), [], lines=read_lines(BytesIO(data), is_gzip=is_gzip))

    assert (run.state, run.problem["status"], run.problem["code"]) == (SyncState.REJECTED, status, code)
    assert checksums() | {"audit_auditevent": ""} == before


def test_too_large_a_body_is_refused(make_source: Any, send: Any, settings: Any) -> None:
    settings.SYNC_MAX_BODY_BYTES = 1000

    run = send(make_source(), [], lines=read_lines(BytesIO(body(*[identity(id=f"i{n}") for n in range(50)]))))

    assert run.problem["status"] == 413


def test_too_many_records_are_refused(make_source: Any, send: Any, settings: Any) -> None:
    settings.SYNC_MAX_RECORDS = 10

    run = send(make_source(), ended(*[identity(id=f"i{n}") for n in range(11)]))

    assert run.problem["status"] == 413 and "more than 10 records" in run.problem["detail"]


def test_several_gzip_members_in_a_row_are_one_body(make_source: Any, send: Any) -> None:
    packed = gzip.compress(IDENTITY + b"\n") + gzip.compress(END % 1 + b"\n")

    run = send(make_source(), [], lines=read_lines(BytesIO(packed), is_gzip=True))

    assert run.state == SyncState.APPLIED


def test_a_last_line_without_its_line_end_is_read(make_source: Any, send: Any) -> None:
    run = send(make_source(), [], lines=read_lines(BytesIO(body(IDENTITY).rstrip(b"\n"))))

    assert run.state == SyncState.APPLIED


def test_windows_line_ends_are_read(make_source: Any, send: Any) -> None:
    run = send(make_source(), [], lines=read_lines(BytesIO(body(IDENTITY).replace(b"\n", b"\r\n"))))

    assert run.state == SyncState.APPLIED
    assert SyncRun.objects.count() == 1
