"""Every figure of the bench: how it is measured, beside what, and what it has to reach (docs/speed.md).

A group measures several rows on the same data. A group that fails gives broken rows, and the others go on.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from tests.bench import report
from tests.bench.client import Client, by_share, sign_in
from tests.bench.copying import Copying
from tests.bench.estate import Variant, write_estate
from tests.bench.place import Place
from tests.bench.report import Row, Target

FULL, SMALL = 1_000_000, 10_000
BIG_DB, SMALL_DB, PUSH_DB = "bench_big", "bench_small", "bench_push"
PUSH_ROWS, DRF_BATCH = 20_000, 1_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure. grants: of the large estate. campaign: grants that one campaign asks about."""

    name: str
    grants: int
    campaign: int
    rounds: int
    sync_rounds: int
    sync_seconds: float
    requests: int

    @property
    def is_full(self) -> bool:
        return self.grants >= FULL


QUICK = Size("quick", grants=50_000, campaign=5_000, rounds=5, sync_rounds=3, sync_seconds=120, requests=40)
WHOLE = Size("full", grants=FULL, campaign=100_000, rounds=5, sync_rounds=3, sync_seconds=330, requests=40)
SIZES = {size.name: size for size in (QUICK, WHOLE)}

TARGETS = {
    "sync_first_over_copy": Target("ratio", "min", 0.12, 0.25),
    "sync_unchanged_over_copy": Target("ratio", "min", 0.25, 0.5),
    "sync_1pct_over_copy": Target("ratio", "min", 0.25, 0.5),
    "sync_50pct_over_copy": None,
    "sync_peak_memory_mb": Target("value", "max", 300),
    "import_100k_statements_s": None,
    "push_create_over_drf": Target("ratio", "min", 20),
    "push_unchanged_over_drf": Target("ratio", "min", 60),
    "list_html_over_admin": Target("ratio", "max", 0.25),
    "list_size_independence": Target("ratio", "max", 1.3),
    "list_depth_independence": Target("ratio", "max", 1.3),
    "identities_size_independence": Target("ratio", "max", 1.3),
    "identities_depth_independence": Target("ratio", "max", 1.3),
    "search_p95_over_drf_icontains": Target("ratio", "max", 0.05),
    "identity_page_over_ping": Target("ratio", "max", 15),
    "warm_p99_over_cold": None,
    "as_of_p95_ms": Target("ratio", "max", 3),
    "campaign_open_100k_s": Target("value", "max", 60),
    "campaign_open_over_copy": Target("ratio", "min", 0.05),
    "audit_overhead_percent": Target("value", "max", 25),
    "audit_bulk_rows_per_s": Target("ratio", "min", 0.5),
    "audit_verify_over_sha256": Target("ratio", "min", 0.4),
    "audit_stream_rows_per_s": Target("ratio", "min", 0.5),
    "bulk_decide_per_s": Target("value", "min", 5_000),
    "bulk_decide_side_by_side_per_s": None,
    "workbench_size_independence": Target("ratio", "max", 1.3),
    "campaign_close_100k_s": None,
    "evidence_pack_100k_s": None,
    "evidence_pack_peak_memory_mb": Target("value", "max", 300),
    "campaign_excess_after_percent": Target("value", "max", 3),
    "campaign_calls_refused_after": Target("value", "max", 0),
    "campaign_later_calls_refused_per_million": None,
    "campaign_actions_per_nhi_first": None,
    "campaign_actions_per_nhi_second": None,
    "decisions_over_best_peer": Target("ratio", "min", 8),
    "decision_single_per_s": None,
    "decisions_size_independence": Target("ratio", "max", 1.3),
    "decision_http_p99_over_ping": Target("ratio", "max", 5),
    "decisions_agreement_percent": Target("value", "min", 100),
    "posture_full_s": Target("value", "max", 180),
    "overview_p95_over_ping": Target("ratio", "max", 30),
    "posture_full_over_incremental": Target("value", "min", 20),
    "proof_p50_ms": Target("value", "max", 0.1),
    "proof_p99_ms": Target("value", "max", 10),
    "right_size_per_s": None,
}


@dataclass
class Bench:
    """One run: the place, the size, and data that several groups share, made when first asked for."""

    place: Place
    size: Size
    say: Callable[[str], None] = print
    _clients: list[Client] = field(default_factory=list)

    # --- data -----------------------------------------------------------------------------------------------------

    @cached_property
    def files(self) -> dict[Variant, Path]:
        """The large estate as files."""
        found = {}
        for variant in Variant:
            found[variant] = self.place.folder / f"estate-{variant}.ndjson"
            write_estate(found[variant], grants=self.size.grants, variant=variant)
        return found

    @cached_property
    def big(self) -> str:
        """A database with the large estate, some history, and vacuumed; made here unless the sync group left one."""
        database = self.place.fresh(BIG_DB)
        self.sync(database, self.files[Variant.FIRST])
        self.sync(database, self.files[Variant.ONE_PERCENT])
        self.place.settle(database)
        return database

    @cached_property
    def small(self) -> str:
        """The same with 10,000 grants."""
        database = self.place.fresh(SMALL_DB)
        for variant in (Variant.FIRST, Variant.ONE_PERCENT):
            file = self.place.folder / f"small-{variant}.ndjson"
            write_estate(file, grants=SMALL, variant=variant)
            self.sync(database, file)
        self.place.settle(database)
        return database

    @cached_property
    def baselines(self) -> dict[str, Any]:
        """The peers' tables, filled with the large estate."""
        filled = self.place.inside_baselines("fill_baselines", product=self.place.url(self.big))
        from tests.bench.place import BASELINES

        self.place.settle(BASELINES)
        return filled

    @cached_property
    def big_web(self) -> int:
        return self.place.web(self.big).port

    @cached_property
    def small_web(self) -> int:
        return self.place.web(self.small).port

    @cached_property
    def baselines_web(self) -> int:
        return self.place.web_of_baselines().port

    def sync(self, database: str, file: Path) -> dict[str, Any]:
        """One reading in a process of its own; raises unless it was applied."""
        result = self.place.inside(database, "sync", file=str(file))
        if result["state"] != "applied":
            raise RuntimeError(f"the reading of {file.name} was not applied: {result['problem']} {result['errors']}")
        return result

    # --- clients --------------------------------------------------------------------------------------------------

    def person(self, port: int) -> Client:
        """Signed in through the form."""
        client = self.keep(Client(port))
        sign_in(client, self.place.facts["keeper"], self.place.facts["password"])
        return client

    def program(self, port: int) -> Client:
        """With an API token of the product."""
        return self.keep(Client(port, token=self.place.facts["token"]))

    def admin(self) -> Client:
        """Signed in to Django's admin."""
        assert self.baselines
        client = self.keep(Client(self.baselines_web))
        sign_in(client, "keeper", self.place.facts["password"], path="/admin/login/?next=/admin/", field="username")
        return client

    def drf(self) -> Client:
        return self.keep(Client(self.baselines_web, token=self.baselines["token"], scheme="Token"))

    def keep(self, client: Client) -> Client:
        """Hold it until the run ends."""
        self._clients.append(client)
        return client

    def row(self, name: str, ours: Sequence[float], theirs: Sequence[float] = (), **more: Any) -> Row:
        """A row with the target of its name, judged at full size only unless said otherwise."""
        return report.make_row(name, ours, theirs, target=TARGETS[name], **{"is_judged": True} | more)


# --- sync -------------------------------------------------------------------------------------------------------------


def measure_sync(bench: Bench) -> list[Row]:
    """First load, nothing changed, 1 % changed, 50 % changed: rows per second beside COPY of the same rows."""
    files, place = bench.files, bench.place
    ours: dict[str, list[float]] = {"first": [], "unchanged": [], "one_percent": [], "half": []}
    bare: dict[str, list[float]] = {name: [] for name in ours}
    indexed: list[float] = []
    peaks: list[float] = []
    copying: Copying | None = None
    began, last = time.monotonic(), 0.0
    for number in range(bench.size.sync_rounds):
        if number and time.monotonic() - began + last > bench.size.sync_seconds:
            break
        started = time.monotonic()
        database = place.fresh(BIG_DB)
        for name, variant in (
            ("first", Variant.FIRST),
            ("unchanged", Variant.FIRST),
            ("one_percent", Variant.ONE_PERCENT),
            ("half", Variant.HALF),
        ):
            if name == "half" and number:
                continue
            result = bench.sync(database, files[variant])
            _expect(name, result["counts"]["grant"], bench.size.grants)
            ours[name].append(
                sum(result["counts"]["grant"][each] for each in ("added", "changed", "unchanged")) / result["seconds"]
            )
            peaks.append(result["peak_mb"])
            bench.say(f"  {name}: {result['seconds']:.1f} s, {result['peak_mb']:.0f} MB")
            if copying is None:
                copying = Copying(place.url(database), "identities_grant", most=bench.size.grants)
            if name == "first":
                place.settle(database)
                indexed.append(copying.run(is_indexed=True))
            else:
                bare[name].append(copying.run(is_indexed=False))
        last = time.monotonic() - started
    place.settle(BIG_DB)
    bench.__dict__["big"] = BIG_DB  # the last round's database serves the groups that follow
    rows = f"{bench.size.grants:,} grants"
    return [
        bench.row("sync_first_over_copy", ours["first"], indexed, unit="grants/s", note=f"{rows}; COPY into a table with the same indexes"),
        bench.row("sync_unchanged_over_copy", ours["unchanged"], bare["unchanged"], unit="grants/s", note=f"{rows}; COPY into a bare table"),
        bench.row("sync_1pct_over_copy", ours["one_percent"], bare["one_percent"], unit="grants/s", note="0.8 % changed, 0.1 % gone, 0.1 % new"),
        bench.row("sync_50pct_over_copy", ours["half"], bare["half"], unit="grants/s", note="40 % changed, 5 % gone, 5 % new"),
        bench.row("sync_peak_memory_mb", [max(peaks)], unit="MB", note="the most memory of any of these runs"),
    ]  # fmt: skip


def _expect(name: str, counts: dict[str, int], grants: int) -> None:
    """A fast run that did the wrong thing is no result."""
    total = counts["added"] + counts["changed"] + counts["unchanged"]
    share = (counts["added"] + counts["changed"]) / grants
    sound = {
        "first": counts["added"] == grants,
        "unchanged": counts["unchanged"] == grants,
        "one_percent": 0.005 < share < 0.015,
        "half": 0.4 < share < 0.55,
    }[name]
    if not sound or abs(total - grants) > grants * 0.02:
        raise RuntimeError(f"{name}: the run counted {counts} of {grants:,} grants")


# --- push -------------------------------------------------------------------------------------------------------------


def measure_push(bench: Bench) -> list[Row]:
    """One request with 20,000 grants, beside DRF with a thousand at a time (its best size), each one transaction."""
    place = bench.place
    assert bench.baselines
    database = place.fresh(PUSH_DB)
    port = place.web(database).port
    client, drf = bench.program(port), bench.drf()
    created, unchanged, theirs, again = [], [], [], []
    for number in range(1 + min(3, bench.size.sync_rounds)):
        file = place.folder / "push.ndjson"
        write_estate(file, grants=PUSH_ROWS, prefix=f"p{number}-")
        body = file.read_bytes()
        first, drf_first = _push(client, body, "added"), _push_drf(bench, drf)
        second, drf_second = _push(client, body, "unchanged"), _push_drf(bench, drf)
        if number:  # the first round warms both up
            created.append(first), theirs.append(drf_first), unchanged.append(second), again.append(drf_second)
    note = f"ours {PUSH_ROWS:,} grants in one request, DRF {DRF_BATCH:,} per request"
    return [
        bench.row("push_create_over_drf", created, theirs, unit="grants/s", note=note),
        bench.row("push_unchanged_over_drf", unchanged, again, unit="grants/s", note=note + "; DRF creates, it knows no unchanged rows"),
    ]  # fmt: skip


def _push(client: Client, body: bytes, expected: str) -> float:
    answer = client.post("/api/v1/sources/estate/syncs/", body, "application/x-ndjson")
    document = orjson.loads(answer.body)
    if answer.status != 201 or document["counts"]["grant"][expected] != PUSH_ROWS:
        raise RuntimeError(f"the push answered {answer.status}: {answer.text[:500]}")
    return PUSH_ROWS / answer.ms * 1000


def _push_drf(bench: Bench, client: Client) -> float:
    filled = bench.baselines
    permission = {"dialect": "aws", "statements": [{"actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::acme/*"]}]}
    rows = [
        {
            "source": filled["source"],
            "identity": filled["identity"],
            "external_id": f"pushed/{uuid4()}",
            "label": f"payments data {number}",
            "permission": permission,
            "path": [{"kind": "role", "id": "writers", "label": "Writers"}],
            "revocability": "via_group",
            "shared_with": 2,
        }
        for number in range(DRF_BATCH)
    ]
    answer = client.post("/api/grants/", orjson.dumps(rows), "application/json")
    if answer.status != 201:
        raise RuntimeError(f"DRF answered {answer.status}: {answer.text[:500]}")
    return DRF_BATCH / answer.ms * 1000


# --- campaigns and audit ----------------------------------------------------------------------------------------------


def measure_campaign(bench: Bench) -> list[Row]:
    """Open a review over many grants, beside COPY of its questions; single decisions and bulk records, with audit."""
    place, size = bench.place, bench.size
    database = bench.big
    file = place.folder / "campaign.ndjson"
    write_estate(file, grants=size.campaign, prefix="c-", seed=7)
    result = place.inside(database, "sync", file=str(file), source="second")
    if result["state"] != "applied":
        raise RuntimeError(f"the campaign's estate was not applied: {result['problem']} {result['errors']}")
    place.settle(database)
    opened = place.inside(database, "open_campaign", scope="source=second")
    if opened["state"] != "open" or opened["items"] != size.campaign:
        raise RuntimeError(f"the campaign did not open over {size.campaign:,} grants: {opened}")
    bench.say(f"  campaign over {opened['items']:,} grants: {opened['seconds']:.1f} s")
    copying = Copying(place.url(database), "reviews_reviewitem", most=size.campaign)
    copies = [copying.run(is_indexed=True) for _ in range(3)]
    rate = opened["items"] / opened["seconds"]
    is_full = size.campaign >= 100_000
    short = "" if is_full else f"over {size.campaign:,} grants only, so no verdict on the time"
    rows = [
        bench.row("campaign_open_100k_s", [opened["seconds"]], unit="s", note=short, is_judged=is_full),
        bench.row("campaign_open_over_copy", [rate] * 3, copies, unit="items/s", note="COPY into a table with the same indexes"),
    ]  # fmt: skip
    return rows + _decisions(bench, database, opened["campaign"]) + _bulk(bench, database, opened["campaign"])


def _decisions(bench: Bench, database: str, campaign: str) -> list[Row]:
    found = bench.place.inside(database, "decide", campaign=campaign, number=40, rounds=5)
    audited, plain = by_share(found["audited"], 0.5), by_share(found["plain"], 0.5)
    percent = [(with_it / without - 1) * 100 for with_it, without in zip(audited, plain, strict=True)]
    note = f"median of one decision {report.shown(audited[0])} ms with its records, {report.shown(plain[0])} ms without"
    return [bench.row("audit_overhead_percent", percent, unit="%", note=note)]


def _bulk(bench: Bench, database: str, campaign: str) -> list[Row]:
    number = min(10_000, bench.size.campaign)
    found = bench.place.inside(database, "bulk_audit", campaign=campaign, number=number, rounds=5)
    middle = {name: sorted(rates)[2] for name, rates in found.items() if name != "rows"}
    note = (
        f"{number:,} questions by COPY as an opening review writes them, a sealed record each, one transaction; by "
        f"bulk_create the ratio is {middle['audited_orm'] / middle['plain_orm']:.2f}; the records alone {report.shown(middle['alone'])}/s"
    )
    return [bench.row("audit_bulk_rows_per_s", found["audited"], found["plain"], unit="rows/s", note=note)]


# --- history ----------------------------------------------------------------------------------------------------------


def measure_history(bench: Bench) -> list[Row]:
    """The access of one identity as of an earlier moment, beside its access now; in process, without pages."""
    found = bench.place.inside(bench.big, "as_of", number=200, rounds=5)
    if why := found.get("missing"):
        return [report.unavailable("as_of_p95_ms", why, TARGETS["as_of_p95_ms"])]
    past, now = by_share(found["past"], 0.95), by_share(found["now"], 0.95)
    return [bench.row("as_of_p95_ms", past, now, unit="ms", note="200 identities, one query each, p95 per round")]
