"""A reviewer's desk with very many questions on it: how its pages answer, how fast many answers go through, how it closes."""

from tests.bench.client import by_share, rounds_of_latency
from tests.bench.estate import write_estate
from tests.bench.inside import KEEPER
from tests.bench.measures import Bench
from tests.bench.report import Row, percentile

FEW = 1_000
MANY_AT_ONCE = 10_000
ANSWERED_IN_PACK = 10_000
# As many as the web server has processes.
CALLERS = 2
INBOX = "/inbox/"


def measure_desk(bench: Bench) -> list[Row]:
    """The inbox of somebody who is asked everything, at two sizes; answers in bulk; the end of such a review."""
    many = _desk(bench, "bench_desk", bench.size.campaign)
    few = _desk(bench, "bench_desk_small", FEW)
    pages = _pages(bench, many, few)
    number = min(MANY_AT_ONCE, bench.size.campaign // 4)
    told = bench.place.inside(many, "bulk_decide", number=number, rounds=3)
    beside = bench.place.inside(many, "bulk_decide", number=number, rounds=3, callers=CALLERS)
    bench.say(f"  answers that were not taken: {told['refused'] | beside['refused']}")
    closed = bench.place.inside(many, "close_campaign")
    note = f"keep and escalate, {closed['items']:,} questions that nobody answered; {closed['state']} afterwards"
    return [
        pages,
        bench.row(
            "bulk_decide_per_s",
            told["per_s"],
            unit="rows/s",
            note=f"approve, {number:,} rows in calls of {told['at_once']}, a record each",
            is_judged=number >= MANY_AT_ONCE,
        ),
        bench.row(
            "bulk_decide_side_by_side_per_s",
            beside["per_s"],
            unit="rows/s",
            note=f"the same by {CALLERS} callers at once, each with its own questions",
        ),
        bench.row("campaign_close_100k_s", [closed["seconds"]], unit="s", note=note, is_judged=bench.size.is_full),
    ]


def measure_pack(bench: Bench) -> list[Row]:
    """The evidence of a closed review as a file, some of its questions answered and the others not."""
    database = _desk(bench, "bench_packs", bench.size.campaign)
    number = min(ANSWERED_IN_PACK, bench.size.campaign // 2)
    bench.place.inside(database, "bulk_decide", number=number, rounds=1)
    bench.place.inside(database, "close_campaign")
    built = bench.place.inside(database, "evidence_pack")
    size = f"{built['items']:,} questions, {built['lines']:,} events, a file of {built['file_mb']:.0f} MB"
    return [
        bench.row(
            "evidence_pack_100k_s", [built["seconds"]], unit="s", note=f"{size}; peak memory {built['peak_mb']:.0f} MB",
            is_judged=bench.size.is_full,
        ),
        bench.row(
            "evidence_pack_peak_memory_mb", [built["peak_mb"]], unit="MB", note=f"whole process; {size}",
            is_judged=bench.size.is_full,
        ),
    ]  # fmt: skip


def _desk(bench: Bench, database: str, grants: int) -> str:
    """A database in which the keeper is asked about so many grants."""
    place = bench.place
    place.fresh(database)
    file = place.folder / f"{database}.ndjson"
    write_estate(file, grants=grants, prefix="d-", seed=9)
    bench.sync(database, file)
    place.settle(database)
    opened = place.inside(database, "open_campaign", scope="source=estate", reviewer=KEEPER)
    if opened["state"] != "open" or opened["items"] != grants:
        raise RuntimeError(f"the review did not open over {grants:,} grants: {opened}")
    place.settle(database)
    return database


def _pages(bench: Bench, many: str, few: str) -> Row:
    clients = {name: bench.person(bench.place.web(database).port) for name, database in (("many", many), ("few", few))}
    for client in clients.values():
        answer = client.get(INBOX)
        if answer.status != 200:
            raise RuntimeError(f"{INBOX} answers {answer.status}")
    found = rounds_of_latency(
        {name: (client, [INBOX]) for name, client in clients.items()},
        rounds=bench.size.rounds,
        number=bench.size.requests,
        warm_up=12,
    )
    p50 = {name: percentile([each for one in rounds for each in one], 0.5) for name, rounds in found.items()}
    note = f"p95 of {INBOX} with {bench.size.campaign:,} over {FEW:,} questions; p50 {p50['many']:.0f} and {p50['few']:.0f} ms"
    return bench.row(
        "workbench_size_independence", by_share(found["many"], 0.95), by_share(found["few"], 0.95), unit="ms", note=note
    )
