"""The bench's own parts: what it says about figures, and that what it feeds the product is what the product takes."""

import json
from io import BytesIO
from pathlib import Path

import pytest
from django.utils import timezone

from governance.kernel.actors import system_actor
from identities.models import Credential, Grant, GrantVersion, Identity, Source, SyncMode, SyncOrigin, SyncState
from identities.services.sources import register_source
from identities.sync.receive import receive
from tests.bench import report
from tests.bench.__main__ import GROUPS
from tests.bench.estate import Variant, estate_lines, write_estate
from tests.bench.measures import TARGETS
from tests.bench.report import Row, Target
from tests.bench.users import Log, Pusher
from tests.bench.watch import judge_growth

AT_LEAST = Target("ratio", "min", 0.25, 0.5)


def test_the_median_of_paired_rounds_is_reported_with_its_extremes() -> None:
    row = report.make_row("x", [10.0, 30.0, 20.0], [40.0, 50.0, 100.0], unit="rows/s", target=AT_LEAST)

    assert (row.value, row.baseline, row.ratio) == (20.0, 50.0, 0.25)
    assert row.interval == (0.2, 0.6)
    assert row.met is True


def test_a_target_of_the_ratio_is_not_met_by_the_value() -> None:
    assert report.make_row("x", [100.0], [1000.0], unit="rows/s", target=AT_LEAST).met is False
    assert report.make_row("x", [100.0], unit="s", target=Target("value", "max", 60)).met is False


def test_a_size_that_is_not_the_targets_gets_no_verdict() -> None:
    row = report.make_row("x", [1.0], unit="s", target=Target("value", "max", 60), is_judged=False)
    assert row.met is None


def test_rounds_that_are_not_paired_are_refused() -> None:
    with pytest.raises(ValueError, match="2 rounds of ours, 1 of the baseline"):
        report.make_row("x", [1.0, 2.0], [1.0], unit="ms")


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert report.percentile([float(number) for number in range(1, 101)], 0.95) == 95.0
    assert report.percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert report.percentile([7.0], 0.95) == 7.0


def test_subjects_take_turns() -> None:
    order: list[str] = []

    def subject(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = report.in_turns([lambda: subject("a"), lambda: subject("b")], rounds=2)

    assert order == ["a", "b", "a", "b"]
    assert found == [[1.0, 3.0], [2.0, 4.0]]


def test_the_file_holds_what_was_promised(tmp_path: Path) -> None:
    file = tmp_path / "new" / "latest.json"
    report.write_json(file, [report.make_row("x", [1.23456789], [2.0], unit="ms", target=AT_LEAST)])

    (document,) = json.loads(file.read_text())

    assert set(document) == {"name", "value", "unit", "baseline", "ratio", "target", "interval", "met", "note"}
    assert document["value"] == 1.2346
    assert document["target"] == "ratio >= 0.25 (aim 0.5)"


def test_the_table_says_what_is_broken_and_what_is_missing() -> None:
    table = report.as_table([report.broken("x", "no server"), report.unavailable("y", "no page"), Row("z", 12345.0)])

    assert "BROKEN: no server" in table
    assert "not available: no page" in table
    assert "12,345" in table


def test_every_figure_belongs_to_one_group() -> None:
    names = [name for _, group in GROUPS for name in group]
    assert sorted(names) == sorted(TARGETS)


def test_the_same_estate_is_the_same_bytes(tmp_path: Path) -> None:
    first, second, other = (tmp_path / name for name in ("1", "2", "3"))

    for file, seed in ((first, 1), (second, 1), (other, 2)):
        write_estate(file, grants=300, seed=seed)

    assert first.read_bytes() == second.read_bytes() != other.read_bytes()


@pytest.mark.parametrize(("variant", "low", "high"), [(Variant.ONE_PERCENT, 0.006, 0.014), (Variant.HALF, 0.42, 0.52)])
def test_a_variant_differs_in_the_share_it_names(variant: Variant, low: float, high: float) -> None:
    before, after = (
        {line for line in estate_lines(grants=20_000, variant=which) if '"type":"grant"' in line}
        for which in (Variant.FIRST, variant)
    )
    assert low <= len(after - before) / 20_000 <= high


def test_an_estate_and_its_variant_are_taken_in_whole(committed_db: object, tmp_path: Path) -> None:
    source = _source()
    expected = []
    for variant in (Variant.FIRST, Variant.HALF):
        file = tmp_path / variant
        expected.append(write_estate(file, grants=200, variant=variant))
        run = _receive(source, file.read_bytes())
        assert run.state == SyncState.APPLIED, (run.problem, list(run.row_errors.values()))

    first, last = expected
    assert (first.grants, last.grants) == (200, Grant.objects.filter(retired_at=None).count())
    assert Identity.objects.count() == last.identities
    assert Credential.objects.count() == last.credentials
    assert GrantVersion.objects.filter(seen_until=None).count() == last.grants


@pytest.mark.parametrize("turn", [1, 2, 3, 4])
def test_what_a_client_of_the_load_believes_is_what_the_inventory_then_holds(committed_db: object, turn: int) -> None:
    source = _source()
    pusher = Pusher("bench", 120, "no token", 1, Log(), None)
    for _ in range(turn + 1):
        sending = pusher.pending or _next(pusher)
        body = _unpacked(sending.body, is_packed=sending.is_packed)
        mode = SyncMode.DELTA if "delta" in sending.query else SyncMode.SNAPSHOT
        run = _receive(source, body, mode=mode)
        assert run.state == SyncState.APPLIED, (run.problem, list(run.row_errors.values()))
        pusher.known, pusher.pending = sending.result, None

    told = {(id, record["label"]) for (kind, id), record in pusher.known.items() if kind == "grant"}

    assert set(Grant.objects.filter(retired_at=None).values_list("external_id", "label")) == told


def test_growth_is_told_from_noise() -> None:
    def sample(number: int, mb: float, ms: float) -> dict[str, object]:
        return {"at": number * 10, "memory_mb": {"web": mb}, "times": {"page": [ms] * 30}}

    steady = [sample(number, 200 + number % 3, 20 + number % 4) for number in range(30)]
    growing = [sample(number, 200 + number * 4, 20 + number * 2) for number in range(30)]

    assert judge_growth(steady)["grown"] == []
    assert len(judge_growth(growing)["grown"]) == 2


def _source() -> Source:
    return register_source(
        slug="bench", name="Bench", kind="push", environment="production", settings={}, max_retire_percent=60,
        actor=system_actor("test"), now=timezone.now(),
    )  # fmt: skip


def _receive(source: Source, body: bytes, mode: SyncMode = SyncMode.SNAPSHOT):  # type: ignore[no-untyped-def]
    return receive(
        source=source,
        lines=BytesIO(body),
        mode=mode,
        is_complete=mode == SyncMode.SNAPSHOT,
        origin=SyncOrigin.FILE,
        actor=system_actor("test"),
        now=timezone.now(),
    )


def _next(pusher: Pusher):  # type: ignore[no-untyped-def]
    pusher.number += 1
    return pusher._next()


def _unpacked(body: bytes, *, is_packed: bool) -> bytes:
    import gzip

    return gzip.decompress(body) if is_packed else body
