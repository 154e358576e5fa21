"""Judging a whole estate, and judging it again after one percent of it changed."""

from statistics import median

from tests.bench import report
from tests.bench.client import Client, by_share, rounds_of_latency
from tests.bench.estate import Variant
from tests.bench.measures import Bench
from tests.bench.report import Row

POSTURE_DB = "bench_posture"
CHANGED_PERCENT = 1


def measure_posture(bench: Bench) -> list[Row]:
    """Seconds for everything, and how many times that is what a change of one identity in a hundred takes.

    All that a changed identity holds is changed: spread over the estate, one grant in a hundred would concern one
    identity in nine, and that many would have to be judged.
    """
    place = bench.place
    database = place.fresh(POSTURE_DB)
    bench.sync(database, bench.files[Variant.FIRST])
    place.settle(database)
    whole = place.inside(database, "evaluate_posture")
    bench.say(f"  everything: {whole['seconds']:.1f} s for {whole['judged']:,} identities, {whole['peak_mb']:.0f} MB")
    place.settle(database)
    overview = _overview(bench, database)
    ours, parts = [], []
    for number in range(min(3, bench.size.rounds)):
        changed = place.inside(database, "change_identities", percent=CHANGED_PERCENT, salt=number)
        part = place.inside(database, "evaluate_posture")
        if part["judged"] != changed["identities"]:
            raise RuntimeError(f"{changed['identities']} identities changed, and {part['judged']} were judged")
        bench.say(f"  {part['judged']:,} changed: {part['seconds']:.2f} s")
        parts.append(part["seconds"])
        ours.append(whole["seconds"] / part["seconds"])
    note = f"{whole['judged']:,} identities with {bench.size.grants:,} grants, {whole['peak_mb']:.0f} MB"
    middle = sorted(parts)[len(parts) // 2]
    return [
        bench.row("posture_full_s", [whole["seconds"]], unit="s", note=note, is_judged=bench.size.is_full),
        bench.row(
            "posture_full_over_incremental",
            ours,
            unit="times",
            note=f"{CHANGED_PERCENT} % of the identities with all that they hold, {report.shown(middle)} s",
            is_judged=bench.size.is_full,
        ),
        overview,
    ]


def _overview(bench: Bench, database: str) -> Row:
    """The overview and the pages of posture over all that was judged, in turns with an empty answer."""
    web = bench.place.web(database)
    person, ping = bench.person(web.port), bench.keep(Client(bench.baselines_web))
    found = rounds_of_latency(
        {
            "overview": (person, ["/"]),
            "posture": (person, ["/posture/"]),
            "findings": (person, ["/findings/"]),
            "ping": (ping, ["/ping"]),
        },
        rounds=bench.size.rounds, number=bench.size.requests, warm_up=12,
    )  # fmt: skip
    web.stop()
    others = ", ".join(
        f"/{name}/ {report.shown(median(by_share(found[name], 0.95)))} ms" for name in ("posture", "findings")
    )
    return bench.row(
        "overview_p95_over_ping",
        by_share(found["overview"], 0.95),
        by_share(found["ping"], 0.95),
        unit="ms",
        note=f"p95; {others}",
        is_judged=bench.size.is_full,
    )
