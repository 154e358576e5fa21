"""Judging a whole estate, and judging it again after one percent of it changed."""

from tests.bench import report
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
    ]
