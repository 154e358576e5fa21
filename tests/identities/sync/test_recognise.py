"""Lines that were read before are not read again, and nothing is lost by that."""

import json
import random
from typing import Any

import pytest
from django.db import connection

from identities.models import Change, Grant, Identity, Source, SyncRun, SyncState
from identities.sync import recognise
from identities.sync import records as records_module
from identities.sync.records import RecordReader

pytestmark = pytest.mark.django_db


@pytest.fixture
def read_lines(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the lines that were really read, of all runs so far."""
    seen: list[int] = []
    original = RecordReader._row

    def watched(self: RecordReader, line: int, data: bytes) -> Any:
        seen.append(line)
        return original(self, line, data)

    monkeypatch.setattr(RecordReader, "_row", watched)
    return seen


def estate(records: Any, number: int = 20, **more: Any) -> list[dict[str, Any]]:
    return [
        made
        for n in range(number)
        for made in (
            records.identity(f"i{n}", **more),
            records.grant(f"g{n}", f"i{n}"),
            records.credential(f"c{n}", f"i{n}"),
            records.trust(f"t{n}", f"i{n}"),
        )
    ]


def state_of(source: Source) -> list[tuple[Any, ...]]:
    """What the inventory says, without the hash of the line that said it."""
    found: list[tuple[Any, ...]] = []
    with connection.cursor() as cursor:
        for table in ("identity", "credential", "grant", "trustrelation"):
            cursor.execute(
                f"SELECT '{table}', external_id, retired_at IS NULL, encode(content_hash, 'hex')"
                f" FROM identities_{table} WHERE source_id = %s ORDER BY external_id",
                [source.pk],
            )
            found += cursor.fetchall()
    return found


def test_the_same_snapshot_again_reads_nothing_but_its_end(
    make_source: Any, send: Any, records: Any, read_lines: list[int]
) -> None:
    source = make_source()
    send(source, estate(records))
    read_lines.clear()

    run = send(source, estate(records))

    assert read_lines == [81]
    assert run.records == 80
    assert {kind: run.counts[kind]["unchanged"] for kind in ("identity", "grant", "credential", "trust")} == {
        "identity": 20,
        "grant": 20,
        "credential": 20,
        "trust": 20,
    }
    assert Change.objects.filter(run=run).count() == 0


def test_only_the_lines_that_differ_are_read(make_source: Any, send: Any, records: Any, read_lines: list[int]) -> None:
    source = make_source()
    said = estate(records)
    send(source, said)
    read_lines.clear()
    said[4] = records.identity("i1", purpose="Sends invoices")

    run = send(source, said)

    assert read_lines == [5, 81]
    assert (run.counts["identity"]["changed"], run.counts["identity"]["unchanged"]) == (1, 19)
    assert Identity.objects.get(external_id="i1").purpose == "Sends invoices"


def test_an_object_whose_line_is_missing_is_retired_and_its_return_is_read(
    make_source: Any, send: Any, records: Any, read_lines: list[int]
) -> None:
    source = make_source()
    said = estate(records)
    send(source, said)

    gone = send(source, [record for record in said if record["id"] != "g3"])
    read_lines.clear()
    back = send(source, said)

    assert gone.counts["grant"] == {"added": 0, "changed": 0, "retired": 1, "unchanged": 19}
    assert 14 in read_lines
    assert back.counts["grant"] == {"added": 1, "changed": 0, "retired": 0, "unchanged": 19}
    assert Grant.objects.get(external_id="g3").retired_at is None


def test_a_recognised_line_given_twice_is_a_duplicate(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    said = estate(records)
    send(source, said)

    run = send(source, [*said, records.grant("g5", "i5")])

    assert run.state == SyncState.REJECTED
    assert [(error.line, error.code) for error in run.row_errors.all()] == [(81, "duplicate")]


def test_another_line_about_a_recognised_object_is_a_duplicate(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    said = estate(records)
    send(source, said)

    run = send(source, [*said, records.grant("g5", "i6", label="Another")])

    assert run.state == SyncState.REJECTED
    assert [(error.line, error.code) for error in run.row_errors.all()] == [(81, "duplicate")]


def test_a_recognised_grant_without_its_identity_is_refused(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    said = estate(records)
    send(source, said)

    run = send(source, [record for record in said if record["id"] != "i7"])

    assert run.state == SyncState.REJECTED
    assert {error.code for error in run.row_errors.all()} == {"unknown-identity"}
    assert run.row_errors.count() == 3  # its grant, its credential, its trust relation


def test_a_recognised_line_after_the_end_is_refused(make_source: Any, send: Any, records: Any, as_lines: Any) -> None:
    source = make_source()
    said = estate(records)
    send(source, said)
    lines = [*as_lines(said[:-1]), json.dumps(said[-1]).encode()]

    run = send(source, [], lines=lines)

    assert run.state == SyncState.REJECTED
    assert "after-end" in {error.code for error in run.row_errors.all()}


def test_the_same_words_in_another_order_change_nothing_and_are_recognised_from_then_on(
    make_source: Any, send: Any, records: Any, read_lines: list[int]
) -> None:
    source = make_source()
    said = estate(records)
    send(source, said)
    turned = [dict(reversed(record.items())) for record in said]

    first = send(source, turned)
    read_lines.clear()
    send(source, turned)

    assert Change.objects.filter(run=first).count() == 0
    assert read_lines == [81]


def test_another_version_of_the_rules_reads_everything_anew(
    make_source: Any, send: Any, records: Any, read_lines: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source()
    send(source, estate(records))
    read_lines.clear()
    monkeypatch.setattr(recognise, "_rules", lambda: b"other rules")

    send(source, estate(records))

    assert len(read_lines) == 81


def test_another_default_of_the_source_reads_everything_anew(make_source: Any, send: Any, records: Any) -> None:
    source = make_source(environment="production")
    send(source, estate(records))
    Source.objects.filter(pk=source.pk).update(environment="staging")

    send(Source.objects.get(pk=source.pk), estate(records))

    assert set(Identity.objects.values_list("environment", flat=True)) == {"staging"}


def test_an_object_that_a_delta_changed_is_read_again_by_the_next_snapshot(
    make_source: Any, send: Any, records: Any
) -> None:
    source = make_source()
    send(source, estate(records))
    send(source, [records.identity("i2", purpose="By a delta")], mode="delta", end=False)

    run = send(source, estate(records))

    assert run.counts["identity"]["changed"] == 1
    assert Identity.objects.get(external_id="i2").purpose == ""


def test_two_sources_with_the_same_lines_do_not_recognise_each_others(
    make_source: Any, send: Any, records: Any
) -> None:
    first, second = make_source("first"), make_source("second")
    send(first, estate(records))

    run = send(second, estate(records))

    assert run.counts["grant"]["added"] == 20


def test_a_small_snapshot_does_not_look_through_the_whole_inventory(
    make_source: Any, send: Any, records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source()
    send(source, estate(records, 50))
    source.refresh_from_db()
    monkeypatch.setattr(recognise, "_MATCH", "SELECT 1 / 0")

    run = send(source, estate(records, 1), is_complete=False)

    assert run.state == SyncState.APPLIED


@pytest.mark.parametrize("seed", range(12))
def test_recognising_leads_to_the_same_inventory_as_reading_everything(
    seed: int, make_source: Any, send: Any, records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    fast, slow = make_source("fast"), make_source("slow")

    for _ in range(5):
        names = sorted(chance.sample(range(12), 8))
        said = []
        for n in names:
            said.append(records.identity(f"i{n}", purpose=chance.choice(["", "one", "two"])))
            if chance.random() < 0.7:
                last_used_at = chance.choice(["2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"])
                said.append(records.credential(f"c{n}", f"i{n}", last_used_at=last_used_at))
            said += [
                records.grant(f"g{n}-{m}", f"i{chance.choice(names)}", label=chance.choice("ab"))
                for m in range(chance.randrange(3))
            ]
        chance.shuffle(said)
        with_recognition = send(fast, said)
        with monkeypatch.context() as patch:
            patch.setattr(recognise, "_knows_lines", lambda source: False)
            without = send(slow, said)

        assert with_recognition.counts == without.counts
        assert state_of(fast) == state_of(slow)
        assert [run.state for run in SyncRun.objects.all()] == ["applied"] * SyncRun.objects.count()


def test_the_hash_of_a_line_depends_on_the_key() -> None:
    assert records_module.line_hash(b"{}", b"a") != records_module.line_hash(b"{}", b"b")
    assert len(records_module.line_hash(b"{}", b"a")) == 16
