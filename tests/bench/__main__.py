"""`make bench`: measure, print a table, write `.bench/latest.json`. See docs/speed.md."""

import argparse
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.bench import report
from tests.bench.deciding import measure_decisions
from tests.bench.desks import measure_desk, measure_pack
from tests.bench.estate import Variant
from tests.bench.headlines import measure_headline
from tests.bench.imports import measure_import
from tests.bench.lists import measure_identity, measure_lists, measure_search, measure_warm_up
from tests.bench.measures import (
    SIZES,
    TARGETS,
    Bench,
    measure_campaign,
    measure_history,
    measure_push,
    measure_sync,
)
from tests.bench.place import Place
from tests.bench.postures import measure_posture
from tests.bench.proofs import measure_proofs
from tests.bench.report import Row
from tests.bench.streams import measure_stream
from tests.bench.verifying import measure_verifying

OUTPUT = Path(".bench")
# In this order: the sync group leaves the database that the others read; the campaign's writes come last.
GROUPS: tuple[tuple[Callable[[Bench], list[Row]], tuple[str, ...]], ...] = (
    (
        measure_sync,
        (
            "sync_first_over_copy",
            "sync_unchanged_over_copy",
            "sync_1pct_over_copy",
            "sync_50pct_over_copy",
            "sync_peak_memory_mb",
        ),
    ),
    (
        measure_lists,
        (
            "list_html_over_admin",
            "list_size_independence",
            "list_depth_independence",
            "identities_size_independence",
            "identities_depth_independence",
        ),
    ),
    (measure_search, ("search_p95_over_drf_icontains",)),
    (measure_identity, ("identity_page_over_ping",)),
    (measure_warm_up, ("warm_p99_over_cold",)),
    (measure_history, ("as_of_p95_ms",)),
    (measure_import, ("import_100k_statements_s",)),
    (measure_push, ("push_create_over_drf", "push_unchanged_over_drf")),
    (measure_proofs, ("proof_p50_ms", "proof_p99_ms", "right_size_per_s")),
    (measure_verifying, ("audit_verify_over_sha256",)),
    (
        measure_campaign,
        ("campaign_open_100k_s", "campaign_open_over_copy", "audit_overhead_percent", "audit_bulk_rows_per_s"),
    ),
    (measure_posture, ("posture_full_s", "posture_full_over_incremental", "overview_p95_over_ping")),
    (measure_stream, ("audit_stream_rows_per_s",)),
    (
        measure_decisions,
        (
            "decisions_over_best_peer",
            "decision_single_per_s",
            "decisions_size_independence",
            "decision_http_p99_over_ping",
            "decisions_agreement_percent",
        ),
    ),
    (
        measure_desk,
        (
            "workbench_size_independence",
            "bulk_decide_per_s",
            "bulk_decide_side_by_side_per_s",
            "campaign_close_100k_s",
        ),
    ),
    (measure_pack, ("evidence_pack_100k_s", "evidence_pack_peak_memory_mb")),
    (
        measure_headline,
        (
            "campaign_excess_after_percent",
            "campaign_calls_refused_after",
            "campaign_later_calls_refused_per_million",
            "campaign_actions_per_nhi_first",
            "campaign_actions_per_nhi_second",
        ),
    ),
)


def main() -> int:
    """0: measured, whatever the figures say. 1: something could not be measured as it should."""
    options = _options()
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"  {time.monotonic() - began:6.0f} s  {text}", flush=True)

    # Told to end, what was started is ended and removed as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _remove_leftovers()
    folder = Path(options.folder or OUTPUT / f"place-{os.getpid()}").absolute()
    place = Place(folder, say)
    rows: list[Row] = []
    try:
        place.start()
        bench = Bench(place, SIZES[options.size], say)
        for measure, names in GROUPS:
            wanted = [name for name in names if not options.only or name in options.only]
            if wanted:
                say(f"measuring {', '.join(wanted)}")
                rows += [row for row in _run(measure, names, bench) if row.name in wanted]
                # What is there is kept, whatever happens to the rest.
                report.write_json(options.output, rows)
        if options.profile:
            _profile(bench, options.output.parent)
    finally:
        place.stop()
    print(f"\nSize {options.size}: {SIZES[options.size].grants:,} grants, {time.monotonic() - began:.0f} s\n")
    print(report.as_table(rows))
    print(f"\nWritten to {options.output}")
    return 1 if any(row.is_broken for row in rows) else 0


def _remove_leftovers() -> None:
    """What a run left that was killed; PostgreSQL ends with the process that started it."""
    for folder in OUTPUT.glob("place-*"):
        number = folder.name.rpartition("-")[2]
        if number.isdigit() and not Path("/proc", number).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _run(measure: Callable[[Bench], list[Row]], names: tuple[str, ...], bench: Bench) -> list[Row]:
    try:
        return measure(bench)
    except Exception as error:
        traceback.print_exc()
        return [report.broken(name, f"{type(error).__name__}: {error}"[:400], TARGETS[name]) for name in names]


def _profile(bench: Bench, folder: Path) -> None:
    """Where the time of pages goes, and of a first reading, as text files beside the report."""
    (identity,) = bench.place.fetch(
        bench.big,
        "SELECT identity_id FROM identities_grant WHERE retired_at IS NULL GROUP BY 1 HAVING count(*) = 20 LIMIT 1",
    )[0]
    pages = {"access": "/access/", "search": "/access/?access=ledger+data+0375", "identity": f"/identities/{identity}/"}
    for name, path in pages.items():
        text = bench.place.inside(bench.big, "profile_page", path=path)["text"]
        (folder / f"profile-{name}.txt").write_text(text)
    file = folder.absolute() / "profile-sync.pstats"
    bench.place.inside(
        bench.place.fresh("bench_profile"), "sync", file=str(bench.files[Variant.FIRST]), profile=str(file)
    )
    bench.say(f"profiles written to {folder}/profile-*")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure Remit beside its peers.")
    parser.add_argument("--size", choices=SIZES, default="quick")
    parser.add_argument(
        "--only", type=lambda text: set(text.split(",")) - {""}, default=set(), help="names, with commas"
    )
    parser.add_argument("--profile", action="store_true", help="also say where the time of pages and readings goes")
    parser.add_argument("--folder", help="where the throw-away server lives (default: below .bench)")
    parser.add_argument("--output", type=Path, default=OUTPUT / "latest.json")
    options = parser.parse_args()
    if unknown := options.only - set(TARGETS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}. Known: {', '.join(TARGETS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
