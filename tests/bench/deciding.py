"""How many requests the decision point answers, beside the fastest policy engines that Python can call.

The same principals with the same grants, the same questions in the same batches, in turns. Ours includes what a peer has
no need of: the check of freshness, live status, the log, use. The principals asked are warmed on both sides; how long a
first question takes is told beside.
"""

import gc
import resource
import threading
import time
from collections.abc import Callable, Sequence
from random import Random
from statistics import median
from typing import Any

import orjson

from tests.bench import report
from tests.bench.client import Client
from tests.bench.decision_cases import SEED, Rule, name_of, questions_of, rules_of
from tests.bench.measures import Bench
from tests.bench.report import Row

BATCH, GRANTS = 100, 20
CLIENTS = 8


def measure_decisions(bench: Bench) -> list[Row]:
    """Batches of 100 beside the peers, single questions, 10, 1,000 and 100,000 identities, and over HTTP."""
    is_full = bench.size.is_full
    many, few, least = (100_000, 1_000, 10) if is_full else (2_000, 200, 10)
    asked, rounds = (1_000 if is_full else 200), bench.size.rounds
    found = {}
    for number in (many, few, least):
        database = bench.place.fresh(f"bench_decisions_{number}")
        bench.place.inside(database, "hold_decisions", identities=number)
        bench.place.settle(database)
        found[number] = bench.place.inside(
            database, "ask_decisions", identities=number, asked=asked, rounds=rounds, beside=number == many,
        )  # fmt: skip
    big, small, smallest = found[many], found[few], found[least]
    best = max(big["peers"], key=lambda name: sorted(big["peers"][name])[rounds // 2])
    note = (
        f"{many:,} identities of {GRANTS} grants, batches of {BATCH} for one principal, {big['asked']:,} principals asked; best peer: "
        f"{best}; {', '.join(f'{name} {report.shown(sorted(rates)[rounds // 2])}/s' for name, rates in big['peers'].items())}; "
        f"first question of a principal {big['first_ms']:.2f} ms; memory {big['memory_mb']:.0f} MB for {big['remembered']:,} principals"
    )
    rows = [
        bench.row("decisions_over_best_peer", big["batches"], big["peers"][best], unit="decisions/s", note=note),
        bench.row("decision_single_per_s", big["single"], unit="decisions/s", note="one question a call, each with its check of freshness"),
        bench.row(
            "decisions_size_independence",
            [1e6 / rate for rate in big["batches"]],
            [1e6 / rate for rate in small["batches"]],
            unit="µs/decision",
            note=f"{many:,} beside {few:,} identities; {least}: {_micros(smallest):.1f} µs a decision",
        ),
        bench.row("decisions_agreement_percent", [big["agreement"]], unit="%", note=f"{big['compared']:,} generated questions, with cedarpy"),
    ]  # fmt: skip
    rows.append(_over_http(bench, f"bench_decisions_{many}", many))
    for number in found:
        bench.place.drop(f"bench_decisions_{number}")
    return rows


def _micros(found: dict[str, Any]) -> float:
    return 1e6 / median(found["batches"])


def _over_http(bench: Bench, database: str, identities: int) -> Row:
    """p99 of a question over HTTP while eight clients ask, beside p99 of ping under the same."""
    web, ping = bench.place.web(database), bench.place.web_of_baselines()
    token = bench.place.facts["token"]
    random = Random(SEED)
    numbers = [random.randrange(identities) for _ in range(50)]
    bodies = [
        orjson.dumps(question.body())
        for number in numbers
        for question in questions_of(number, rules_of(number), 4, random)
    ]
    each = 400 if bench.size.is_full else 100
    try:
        ours, theirs = [], []
        _asked_by_many(web.port, token, bodies, each)
        for _ in range(bench.size.rounds):
            ours.append(_asked_by_many(web.port, token, bodies, each))
            theirs.append(_asked_by_many(ping.port, "", [], each))
    finally:
        web.stop()
        ping.stop()
    note = f"{CLIENTS} keep-alive clients, {each} questions each a round, /access/v1/evaluation"
    return bench.row("decision_http_p99_over_ping", ours, theirs, unit="ms", note=note)


def _asked_by_many(port: int, token: str, bodies: Sequence[bytes], each: int) -> float:
    """p99 in ms over all clients."""
    times: list[float] = []
    barrier = threading.Barrier(CLIENTS)
    wrong: list[str] = []

    def ask(first: int) -> None:
        client = Client(port, token=token)
        mine = []
        barrier.wait()
        for number in range(each):
            if bodies:
                body = bodies[(first * 31 + number) % len(bodies)]
                answer = client.post("/access/v1/evaluation", body, "application/json")
                if answer.status != 200 or b'"decision"' not in answer.body:
                    wrong.append(f"{answer.status} {answer.body[:200]!r}")
            else:
                answer = client.get("/ping")
            mine.append(answer.ms)
        times.extend(mine)
        client.close()

    threads = [threading.Thread(target=ask, args=[number]) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise RuntimeError(f"{len(wrong)} wrong answers, such as {wrong[0]}")
    return report.percentile(times, 0.99)


# --- inside ----------------------------------------------------------------------------------------------------------


def hold(identities: int) -> dict[str, Any]:
    """Fill the inventory: so many identities of 20 grants each. What decisions do not read is left bare."""
    from django.db import connection

    from governance.kernel.permissions import Permission

    with connection.cursor() as cursor:
        _drop_indexes(cursor)
        cursor.execute("UPDATE identities_source SET last_success_at = now() + interval '1 hour' WHERE slug = 'estate'")
        cursor.execute("SELECT id FROM identities_source WHERE slug = 'estate'")
        source = cursor.fetchone()[0]
        cursor.execute("CREATE TEMPORARY TABLE holding (number int, place int, digest bytea, permission jsonb)")
        known: dict[Rule, tuple[bytes, str]] = {}
        with cursor.copy("COPY holding (number, place, digest, permission) FROM STDIN") as copy:
            for number in range(identities):
                for place, rule in enumerate(rules_of(number, GRANTS)):
                    written = known.get(rule)
                    if written is None:
                        document = rule.document()
                        written = Permission.from_json(document).digest(), orjson.dumps(document).decode()
                        if len(known) < 5_000:
                            known[rule] = written
                    copy.write_row((number, place, *written))
        cursor.execute(_IDENTITIES, {"source": source, "number": identities})
        cursor.execute(_GRANTS, {"source": source})
        cursor.execute(_VERSIONS)
        cursor.execute("SELECT count(*) FROM identities_grantversion")
        return {"grants": cursor.fetchone()[0]}


_IDENTITIES = """
INSERT INTO identities_identity (id, source_id, external_id, kind, name, status, custody, environment, purpose,
    source_owner, source_sponsor, acts_for, source_tags, attributes, purpose_edited, environment_edited, tags, version,
    grant_count, privileged_count, credential_count, first_seen_at, last_changed_at, content_hash)
SELECT gen_random_uuid(), %(source)s, 'agent-' || lpad(n::text, 6, '0'), 'ai_agent', 'agent ' || n, 'active', 'unknown',
    'production', '', '', '', '', '{}', '{}', '', '', '{}', 1, 20, 0, 0, now(), now(), ''
FROM generate_series(0, %(number)s - 1) n
"""
_GRANTS = """
INSERT INTO identities_grant (id, source_id, identity_id, external_id, label, path, revocability, shared_with, native_ref,
    segment, is_privileged, first_seen_at, last_changed_at, content_hash)
SELECT gen_random_uuid(), %(source)s, i.id, h.number || '/' || h.place, 'grant ' || h.place, '[]', 'here', 0, '{}', '',
    false, now(), now(), ''
FROM holding h JOIN identities_identity i ON i.external_id = 'agent-' || lpad(h.number::text, 6, '0')
"""
_VERSIONS = """
INSERT INTO identities_grantversion (id, grant_id, number, permission, digest, plain, segment, privilege_classes,
    is_privileged, catalogue_version, seen_from)
SELECT gen_random_uuid(), g.id, 1, h.permission, h.digest, '[]', '', '{}', false, '1', now()
FROM holding h JOIN identities_grant g ON g.external_id = h.number || '/' || h.place
"""


def _drop_indexes(cursor: Any) -> None:
    """What lists and searches need would only make the filling slow."""
    cursor.execute(
        "SELECT indexname FROM pg_indexes WHERE tablename IN ('identities_grant', 'identities_identity',"
        " 'identities_grantversion') AND indexdef NOT LIKE 'CREATE UNIQUE%%' AND indexname NOT LIKE '%%of_identity%%'"
        " AND indexname NOT LIKE '%%like'"
    )
    for (name,) in cursor.fetchall():
        cursor.execute(f'DROP INDEX "{name}"')


def ask(identities: int, asked: int, rounds: int, beside: bool) -> dict[str, Any]:
    """Rates by round: `batches`, `single`, and of each peer; agreement with Cedar, and what it costs."""
    from django.utils import timezone

    from identities.pdp.deciding import decide, decide_many
    from identities.pdp.freshness import MEMORY
    from identities.pdp.logging import RECORDER
    from tests.bench.decision_peers import PEERS

    random = Random(SEED)
    # Of few identities each is asked so much more often that a round is as long.
    chosen = random.sample(range(identities), min(asked, identities)) * max(1, asked // identities)
    rules = {name_of(number): rules_of(number, GRANTS) for number in chosen}
    batches = [list(questions_of(number, rules[name_of(number)], BATCH, random)) for number in chosen]
    ours = [[question.request() for question in batch] for batch in batches]
    now = timezone.now()
    # Each round ends with all of its log written, so that none of it is done while somebody else is measured.
    began = time.perf_counter()
    answers = [[answer.permit for answer in decide_many(batch, now=now)] for batch in ours]
    first_ms = (time.perf_counter() - began) * 1000 / len(ours)
    RECORDER.flush()

    def rate_of(work: Any, prepared: Sequence[Any], end: Callable[[], Any] = lambda: None) -> float:
        started = time.perf_counter()
        for batch in prepared:
            work(batch)
        end()
        return len(prepared) * BATCH / (time.perf_counter() - started)

    subjects: list[Any] = [lambda: rate_of(lambda batch: decide_many(batch, now=now), ours, RECORDER.flush)]
    names, agreement, compared = [], 100.0, 0
    if beside:
        for peer in (make(rules) for make in PEERS):
            prepared = [peer.prepared(batch) for batch in batches]
            said = [peer.decide(batch) for batch in prepared[:50]]
            if peer.name == "cedarpy":
                said = [peer.decide(batch) for batch in prepared]
                flat = [
                    (a, b)
                    for mine, theirs in zip(answers, said, strict=True)
                    for a, b in zip(mine, theirs, strict=True)
                ]
                compared, agreement = len(flat), 100.0 * sum(a == b for a, b in flat) / len(flat)
            elif said != answers[:50]:
                raise RuntimeError(f"{peer.name} answers otherwise")
            names.append(peer.name)
            # A slow peer is asked a part of the same.
            part = prepared[: max(1, len(prepared) // 5)]
            subjects.append(lambda peer=peer, part=part: rate_of(peer.decide, part))
    # As a web process does once it is warm (docs/speed.md); it serves the peers as well.
    gc.collect()
    gc.freeze()
    results = report.in_turns(subjects, rounds=rounds)
    singles = [batch[0] for batch in ours]
    single = []
    for _ in range(rounds):
        started = time.perf_counter()
        for request in singles:
            decide(request, now=now)
        RECORDER.flush()
        single.append(len(singles) / (time.perf_counter() - started))
    return {
        "batches": results[0],
        "single": single,
        "peers": dict(zip(names, results[1:], strict=True)),
        "agreement": agreement,
        "compared": compared,
        "first_ms": first_ms,
        "asked": asked,
        "memory_mb": MEMORY.size / 2**20,
        "remembered": len(MEMORY),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
