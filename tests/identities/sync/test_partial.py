"""Good records are applied although others are not, on request; nothing that may stand among the refused is retired."""

import gzip
import json
from typing import Any

import pytest

from governance.kernel.actors import system_actor
from identities.models import Grant, Identity, Source, SyncMode, SyncRun, SyncState
from identities.sync import refused
from identities.sync.held import accept_held

pytestmark = pytest.mark.django_db
SECRET = "ghp_" + "a1B2" * 9


def refused_of(run: SyncRun) -> list[dict[str, Any]]:
    run.refresh_from_db()
    return [json.loads(line) for line in gzip.decompress(bytes(run.refused_payload or b"")).splitlines()]


def test_good_records_apply_and_bad_ones_are_kept_with_their_reasons(make_source: Any, send: Any, records: Any) -> None:
    said = [records.identity("a"), {"type": "identity", "id": "b", "kind": "ghost"}, records.grant("g", "a")]

    run = send(make_source(), said, skip_bad=True)

    assert run.state == SyncState.APPLIED
    assert (run.is_partial, run.refused, run.counts["grant"]["added"]) == (True, 1, 1)
    assert [(each["line"], each["code"], json.loads(each["record"])["id"]) for each in refused_of(run)] == [
        (2, "unknown-value", "b")
    ]
    assert [error.line for error in run.row_errors.all()] == [2]


def test_what_leans_on_a_refused_record_is_refused_too(make_source: Any, send: Any, records: Any) -> None:
    said = [records.identity("a"), records.identity("b", kind="ghost"), records.grant("g", "b")]

    run = send(make_source(), said, skip_bad=True)

    assert [(each["line"], each["code"]) for each in refused_of(run)] == [(2, "unknown-value"), (3, "unknown-identity")]
    assert list(Identity.objects.values_list("external_id", flat=True)) == ["a"]


def test_duplicates_are_refused_and_the_first_stays(make_source: Any, send: Any, records: Any) -> None:
    said = [records.identity("a", name="First"), records.identity("a", name="Second")]

    run = send(make_source(), said, skip_bad=True)

    assert Identity.objects.get().name == "First"
    assert [each["line"] for each in refused_of(run)] == [2]


def test_a_partial_run_retires_nothing_by_absence(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    send(source, [records.identity("a"), records.identity("b"), records.grant("g", "a")])
    complete_at = Source.objects.get().last_complete_at

    run = send(source, [records.identity("a"), records.identity("b", kind="ghost")], skip_bad=True)

    assert run.state == SyncState.APPLIED
    assert not Identity.objects.exclude(retired_at=None).exists()
    assert not Grant.objects.exclude(retired_at=None).exists()
    assert Source.objects.get().last_complete_at == complete_at


def test_without_a_bad_record_it_is_a_run_like_any_other(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    send(source, [records.identity("a"), records.identity("b")])

    run = send(source, [records.identity("a")], skip_bad=True)

    assert not run.is_partial
    assert run.counts["identity"]["retired"] == 1


def test_a_secret_is_named_and_not_kept(make_source: Any, send: Any, records: Any) -> None:
    run = send(make_source(), [records.identity("a"), records.identity("b", purpose=SECRET)], skip_bad=True)

    kept = refused_of(run)
    assert [(each["line"], each["code"], "record" in each) for each in kept] == [(2, "secret", False)]
    assert SECRET not in json.dumps(kept)


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({"type": "identity", "id": "x", "kind": "ghost", "attributes": {"note": SECRET}}),
        json.dumps({"type": "identity", "id": "x", "kind": "ghost", "attributes": {"db_password": SECRET[4:]}}),
        f'{{"type":"identity","id":"x","note":"{SECRET}"',
        f'{{"type":"identity","id":"x","api_key" : "{SECRET[4:]}"',
        f'{{"password":"{SECRET[4:]}","password":"","type":"identity"}}',
        '{"type":"identity","id":"x","kind":"ghost","attributes":{"note":"\\u0067hp_' + SECRET[4:] + '"}}',
        '{"type":"identity","id":"x","a":' + "[" * 900 + '"\\u0067hp_' + SECRET[4:] + '"' + "]" * 900 + "}",
    ],
    ids=["shaped", "named", "shaped, no JSON", "named, no JSON", "named twice", "escaped", "deep"],
)
@pytest.mark.parametrize("is_held", [False, True], ids=["applied", "held"])
def test_a_secret_behind_another_fault_is_not_kept_either(
    line: str, is_held: bool, make_source: Any, send: Any, records: Any
) -> None:
    source = make_source(max_retire_percent=0)
    send(source, [records.identity("a")])
    last = records.retire("identity", "a") if is_held else records.identity("b")
    lines = [line.encode(), json.dumps(last).encode(), b'{"type":"end","records":2}']

    run = send(source, [], lines=lines, mode=SyncMode.DELTA, skip_bad=True)

    kept = gzip.decompress(bytes(run.held_payload if is_held else run.refused_payload))
    assert run.state == (SyncState.HELD if is_held else SyncState.APPLIED) and run.is_partial
    assert SECRET[4:].encode() not in kept
    if is_held:
        applied = accept_held(run=run, actor=system_actor("test"), now=run.finished_at)
        assert (applied.state, applied.refused) == (SyncState.APPLIED, 1)


@pytest.mark.parametrize(
    "lines",
    [
        [b'{"type":"identity","id":"a","kind":"bot"}'],
        [b'{"type":"identity","id":"a","kind":"bot"}', b'{"type":"end","records":7}'],
        [b'{"type":"end","records":0}'],
        [b'{"type":"end","records":0}', b'{"type":"identity","id":"a","kind":"bot"}'],
    ],
    ids=["no end", "wrong count", "empty", "after the end"],
)
def test_a_body_that_is_not_whole_is_refused_whole(make_source: Any, send: Any, lines: list[bytes]) -> None:
    run = send(make_source(), [], lines=lines, skip_bad=True)

    assert run.state == SyncState.REJECTED
    assert not Identity.objects.exists()


def test_too_many_bad_records_are_refused_whole(
    make_source: Any, send: Any, records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("identities.sync.receive.MOST_SKIPPED", 3)

    run = send(make_source(), [records.identity(f"i{n}", kind="ghost") for n in range(5)], skip_bad=True)

    assert run.state == SyncState.REJECTED
    assert refused.MOST_SKIPPED == 50_000


def test_an_unchanged_record_that_lost_its_identity_is_kept(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    said = [records.identity("a"), records.grant("g", "a")]
    send(source, said)

    run = send(source, [records.identity("a", kind="ghost"), said[1]], skip_bad=True)

    assert run.state == SyncState.APPLIED
    assert [each["line"] for each in refused_of(run)] == [1]
    assert Grant.objects.get().retired_at is None
