"""The cost of a run grows with what changed, never statement by row."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from identities.models import GrantVersion, Identity, SyncState

PERMISSION = b'{"dialect":"aws","statements":[{"actions":["sqs:*"],"resources":["arn:aws:sqs:eu-west-1:1:q%d"]}]}'

pytestmark = pytest.mark.django_db


def estate(number: int, *, name: str = "n") -> Iterator[bytes]:
    for n in range(number // 2):
        yield b'{"type":"identity","id":"i%d","kind":"bot","name":"%s%d"}' % (n, name.encode(), n)
        yield b'{"type":"grant","id":"g%d","identity":"i%d","permission":%s}' % (n, n, PERMISSION % (n % 50))
    yield b'{"type":"end","records":%d}' % number


def test_the_number_of_statements_does_not_depend_on_the_number_of_rows(make_source: Any, send: Any) -> None:
    small, large = make_source("small"), make_source("large")

    counts = []
    for source, number in ((small, 10), (large, 2_000)):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert send(source, [], lines=estate(number)).state == SyncState.APPLIED
        with CaptureQueriesContext(connection) as changed:
            assert send(source, [], lines=estate(number, name="m")).counts["identity"]["changed"] == number // 2
        counts.append((len(queries), len(changed)))

    # Few changes are noted for decisions one by one, many in one note: a statement more or less.
    assert all(abs(few - many) <= 1 for few, many in zip(*counts, strict=True)), counts
    assert max(counts[1]) < 90


def test_twenty_thousand_records_pass_without_being_held_in_memory(make_source: Any, send: Any) -> None:
    source = make_source()
    send(source, [], lines=estate(100))  # fills caches and compiles
    tracemalloc.start()
    run = send(source, [], lines=estate(20_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert run.counts["grant"]["added"] == 9_950
    assert Identity.objects.count() == GrantVersion.objects.count() == 10_000
    assert peak < 6 * 1024 * 1024, f"{peak:,} bytes for 20,000 records"


def test_only_what_changed_is_written(make_source: Any, send: Any) -> None:
    source = make_source()
    send(source, [], lines=estate(1_000))

    def xmins() -> dict[str, str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT external_id, ctid::text FROM identities_identity")
            return dict(cursor.fetchall())

    before = xmins()

    changed = [line.replace(b'"name":"n7"', b'"name":"other"') for line in estate(1_000)]
    run = send(source, changed)

    assert run.counts["identity"] == {"added": 0, "changed": 1, "retired": 0, "unchanged": 499}
    after = xmins()
    assert [name for name in before if before[name] != after[name]] == ["i7"]
