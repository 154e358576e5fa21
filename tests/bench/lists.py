"""How pages answer: beside Django's admin and DRF's search, at two sizes, at the beginning and deep inside."""

import html
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlencode

from tests.bench import report
from tests.bench.client import Answer, Client, by_share, rounds_of_latency
from tests.bench.measures import SMALL, TARGETS, Bench
from tests.bench.place import COLD_WSGI
from tests.bench.report import Row

ACCESS, IDENTITIES = "/access/", "/identities/"
_CURSOR = re.compile(r"[?&](?:amp;)?cursor=([^\"&]+)")
DEPTH = 0.9
# Substrings as people type them: rare, middling, and in the middle of a word.
WORDS = ("ledger data 0375", "refunds data 12", "ettlement-prod", "vault extra", "ments data 4711", "kyc-staging-0001")


@dataclass(frozen=True, slots=True)
class Listing:
    """A list page, and the names of its two rows."""

    path: str
    size_row: str
    depth_row: str


LISTINGS = (
    Listing(ACCESS, "list_size_independence", "list_depth_independence"),
    Listing(IDENTITIES, "identities_size_independence", "identities_depth_independence"),
)


def measure_lists(bench: Bench) -> list[Row]:
    """The lists: beside the admin's, at 10,000 and at all rows, at the first page and at 90 %."""
    rows: list[Row] = []
    ours, little = bench.person(bench.big_web), bench.person(bench.small_web)
    for listing in LISTINGS:
        first = ours.get(listing.path)
        if first.status != 200:
            names = [listing.size_row, listing.depth_row, *(["list_html_over_admin"] if listing.path == ACCESS else [])]
            rows += [
                report.unavailable(name, f"{listing.path} answers {first.status}", TARGETS[name]) for name in names
            ]
            continue
        if listing.path == ACCESS:
            rows.append(_beside_admin(bench, ours))
        rows += _independence(bench, listing, ours, little, first)
    return rows


def _beside_admin(bench: Bench, ours: Client) -> Row:
    admin = bench.admin()
    found = rounds_of_latency(
        {"ours": (ours, [ACCESS]), "admin": (admin, ["/admin/baselines/grant/"])},
        rounds=bench.size.rounds, number=bench.size.requests, warm_up=12, seconds=12,
    )  # fmt: skip
    note = f"p50, 50 rows a page, {bench.size.grants:,} grants on both sides; p95 {_p95(found['ours'])} and {_p95(found['admin'])} ms"
    return bench.row(
        "list_html_over_admin", by_share(found["ours"], 0.5), by_share(found["admin"], 0.5), unit="ms", note=note
    )


def _independence(bench: Bench, listing: Listing, ours: Client, little: Client, first: Answer) -> list[Row]:
    subjects = {"first": (ours, [listing.path]), "small": (little, [listing.path])}
    deep, why = _deep_page(bench, listing, first)
    if deep:
        subjects["deep"] = (ours, [deep])
    found = rounds_of_latency(subjects, rounds=bench.size.rounds, number=bench.size.requests, warm_up=12)
    value = by_share(found["first"], 0.95)
    medians = f"p50 {_p50(found['first'])} ms"
    rows = [
        bench.row(
            listing.size_row, value, by_share(found["small"], 0.95), unit="ms",
            note=f"p95 of {listing.path} at {bench.size.grants:,} over {SMALL:,} grants; {medians} and {_p50(found['small'])} ms",
        )
    ]  # fmt: skip
    if not deep:
        return [*rows, report.unavailable(listing.depth_row, why, TARGETS[listing.depth_row])]
    return [
        *rows,
        bench.row(
            listing.depth_row, by_share(found["deep"], 0.95), value, unit="ms",
            note=f"p95 of the page at {DEPTH:.0%} over the first; p50 {_p50(found['deep'])} ms and {medians[4:]}",
        ),
    ]  # fmt: skip


def _deep_page(bench: Bench, listing: Listing, first: Answer) -> tuple[str, str]:
    """The address of the page at 90 % depth, or why there is none."""
    cursors = [unquote(html.unescape(found)) for found in _CURSOR.findall(first.text) if found != "last"]
    if not cursors:
        return "", "the first page names no next one"
    found = bench.place.inside(bench.big, "cursor", given=cursors[0], depth=DEPTH)
    if why := found.get("missing"):
        return "", why
    return f"{listing.path}?{urlencode({'cursor': found['cursor']})}", ""


def measure_search(bench: Bench) -> list[Row]:
    """Substring search: the access list's (the identities list's where there is none) beside DRF's icontains."""
    ours = bench.person(bench.big_web)
    path = ACCESS if ours.get(ACCESS).status == 200 else IDENTITIES
    field = "access" if path == ACCESS else "q"  # what a grant says, or whom an identity is called
    pages = [f"{path}?{urlencode({field: word})}" for word in WORDS]
    theirs = [f"/api/grants/?{urlencode({'search': word})}" for word in WORDS]
    rounds, requests = bench.size.rounds, bench.size.requests
    found = rounds_of_latency(
        {"ours": (ours, pages), "drf": (bench.drf(), theirs)}, rounds=rounds, number=requests, warm_up=12, seconds=12
    )
    note = f"p95 of {path}?{field}= as a whole page, beside DRF's JSON; p50 {_p50(found['ours'])} and {_p50(found['drf'])} ms"
    return [
        bench.row(
            "search_p95_over_drf_icontains",
            by_share(found["ours"], 0.95),
            by_share(found["drf"], 0.95),
            unit="ms",
            note=note,
        )
    ]


def measure_identity(bench: Bench) -> list[Row]:
    """The page of an identity with 20 grants, beside an empty answer of a plain Django project."""
    rows = bench.place.fetch(
        bench.big,
        "SELECT identity_id FROM identities_grant WHERE retired_at IS NULL GROUP BY 1 HAVING count(*) = 20 ORDER BY 1 LIMIT 40",
    )
    pages = [f"/identities/{identity}/" for (identity,) in rows]
    ping = bench.keep(Client(bench.baselines_web))
    person = bench.admin()
    found = rounds_of_latency(
        {"ours": (bench.person(bench.big_web), pages), "ping": (ping, ["/ping"]), "who": (person, ["/who"])},
        rounds=bench.size.rounds, number=bench.size.requests, warm_up=12,
    )  # fmt: skip
    note = (
        f"p50, {len(pages)} identities with 20 grants each; p95 {_p95(found['ours'])} and {_p95(found['ping'])} ms; "
        f"a ping that knows who asks (session and user from the database) {_p50(found['who'])} ms"
    )
    ours, theirs = by_share(found["ours"], 0.5), by_share(found["ping"], 0.5)
    return [bench.row("identity_page_over_ping", ours, theirs, unit="ms", note=note)]


def measure_warm_up(bench: Bench) -> list[Row]:
    """A mixed round of pages on warmed workers, beside workers without warm-up and with Python's own collector."""
    row = bench.place.fetch(bench.big, "SELECT identity_id FROM identities_grant WHERE retired_at IS NULL LIMIT 1")
    pages = [IDENTITIES, f"/identities/{row[0][0]}/", "/inbox/", "/sources/", "/reviews/"]
    cold = bench.person(bench.place.web(bench.big, COLD_WSGI).port)
    found = rounds_of_latency(
        {"warm": (bench.person(bench.big_web), pages), "cold": (cold, pages)},
        rounds=bench.size.rounds, number=bench.size.requests * 2, warm_up=10,
    )  # fmt: skip
    note = (
        f"p99 of five pages in turn, from the 10th request on; p50 {_p50(found['warm'])} and {_p50(found['cold'])} ms"
    )
    return [
        bench.row(
            "warm_p99_over_cold", by_share(found["warm"], 0.99), by_share(found["cold"], 0.99), unit="ms", note=note
        )
    ]


def _p50(rounds: list[list[float]]) -> str:
    return report.shown(report.percentile([ms for times in rounds for ms in times], 0.5))


def _p95(rounds: list[list[float]]) -> str:
    return report.shown(report.percentile([ms for times in rounds for ms in times], 0.95))
