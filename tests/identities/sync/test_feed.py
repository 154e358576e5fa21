"""The change feed: whoever follows it sees every change exactly once, whatever commits when."""

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction

from governance.kernel.actors import Actor, ActorKind, Role, system_actor
from identities.models import Change, Source, SyncMode, SyncOrigin, SyncRun, SyncState
from identities.selectors import feed
from identities.selectors.feed import BadPosition, Position, end_of_feed, position_at, read_feed, read_position
from identities.sync.feed import take_feed_number

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EVERYBODY = system_actor("test")


def begin_run(source: Source, *, finished_at: datetime = NOW) -> SyncRun:
    return SyncRun.objects.create(
        source=source,
        mode=SyncMode.DELTA,
        origin=SyncOrigin.API,
        state=SyncState.APPLIED,
        actor_id="system:test",
        started_at=NOW,
        observed_at=NOW,
        finished_at=finished_at,
    )


def write_changes(run: SyncRun, number: int, *, kind: str = "grant", action: str = "added") -> list[int]:
    rows = [
        Change(run=run, object_kind=kind, object_id=uuid.uuid4(), external_id=f"{kind}-{n}", action=action)
        for n in range(number)
    ]
    return [row.pk for row in Change.objects.bulk_create(rows)]


def commit_run(source: Source, *parts: tuple[int, str, str], **more: Any) -> list[int]:
    """One applied run with these changes: (how many, kind, action). Returns their ids."""
    with transaction.atomic():
        run = begin_run(source, **more)
        ids = [pk for number, kind, action in parts for pk in write_changes(run, number, kind=kind, action=action)]
        take_feed_number(run)
    return ids


def follow(after: Position, *, limit: int = 7, actor: Actor = EVERYBODY, **wanted: Any) -> tuple[list[int], Position]:
    """Read on until nothing is left, as a client does: through the text of the cursor."""
    seen: list[int] = []
    while True:
        page = read_feed(actor=actor, after=after, limit=limit, **wanted)
        seen += [change.pk for change in page.changes]
        after = read_position(str(page.next)) if page.next.number else page.next
        if not page.has_more:
            return seen, after


@pytest.fixture
def sources(db: None, make_source: Any) -> list[Source]:
    return [make_source(slug) for slug in ("aws", "gcp", "ledger")]


def test_changes_come_in_the_order_of_their_commits_and_each_once(sources: list[Source]) -> None:
    written = [
        *commit_run(sources[0], (3, "identity", "added"), (30, "grant", "added")),
        *commit_run(sources[1], (1, "grant", "retired")),
        *commit_run(sources[0], (8, "grant", "changed")),
    ]

    seen, end = follow(Position())

    assert seen == written
    assert end == end_of_feed()


@pytest.mark.parametrize("limit", [1, 2, 5, 41, 42, 43, 100])
def test_where_the_pages_are_cut_makes_no_difference(limit: int, sources: list[Source]) -> None:
    written = [pk for n in range(6) for pk in commit_run(sources[n % 3], (7, "grant", "added"))]

    assert follow(Position(), limit=limit)[0] == written


def test_the_end_stays_a_place_to_go_on_from(sources: list[Source]) -> None:
    empty = read_feed(actor=EVERYBODY, after=Position(), limit=10)
    assert (empty.changes, empty.has_more) == ([], False)
    first = commit_run(sources[0], (2, "grant", "added"))
    seen, end = follow(read_position(str(empty.next)))
    again, same = follow(end)
    second = commit_run(sources[1], (2, "grant", "added"))

    assert (seen, again, same) == (first, [], end)
    assert follow(end)[0] == second


def test_a_run_that_changed_nothing_takes_no_number(sources: list[Source]) -> None:
    commit_run(sources[0], (1, "grant", "added"))
    commit_run(sources[0])
    commit_run(sources[1], (1, "grant", "added"))

    assert sorted(SyncRun.objects.values_list("feed_number", flat=True), key=lambda n: n or 0) == [None, 1, 2]


def test_a_number_is_only_taken_inside_the_transaction_of_its_run(committed_db: Any) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        take_feed_number(SyncRun())


def test_filters_narrow_and_the_cursor_still_reaches_the_end(sources: list[Source]) -> None:
    commit_run(sources[0], (20, "identity", "added"), (20, "grant", "added"))
    theirs = commit_run(sources[1], (2, "grant", "retired"), (2, "credential", "retired"))
    mine = commit_run(sources[0], (1, "grant", "retired"))

    assert follow(Position(), action="retired")[0] == theirs + mine
    assert follow(Position(), action="retired", kind="grant")[0] == theirs[:2] + mine
    assert follow(Position(), action="retired", source=sources[0])[0] == mine
    assert follow(Position(), kind="trust") == ([], end_of_feed())


def test_a_filter_that_finds_little_looks_at_a_bounded_part_and_goes_on_from_there(
    sources: list[Source], monkeypatch: Any
) -> None:
    monkeypatch.setattr(feed, "LOOKED_THROUGH", 10)
    monkeypatch.setattr(feed, "RUNS_AT_ONCE", 2)
    commit_run(sources[0], (25, "grant", "added"))
    for _ in range(6):
        commit_run(sources[1], (1, "grant", "added"))
    wanted = commit_run(sources[2], (1, "trust", "added"))

    first = read_feed(actor=EVERYBODY, after=Position(), limit=5, kind="trust")

    assert (first.changes, first.has_more) == ([], True)
    assert follow(Position(), kind="trust")[0] == wanted
    assert follow(Position(), source=sources[2])[0] == wanted


def test_who_may_see_only_some_sources_gets_only_theirs(sources: list[Source], make_user: Any) -> None:
    owner = make_user(Role.OWNER)
    Source.objects.filter(pk=sources[1].pk).update(owner=owner)
    commit_run(sources[0], (3, "grant", "added"))
    mine = commit_run(sources[1], (3, "grant", "added"))
    person = Actor(kind=ActorKind.PERSON, id=str(owner.pk), label="x", roles=frozenset({Role.OWNER}))
    stranger = Actor(kind=ActorKind.API_CLIENT, id="t", label="t", scopes=frozenset({"reviews:read"}))

    assert follow(Position(), actor=person)[0] == mine
    assert follow(Position(), actor=stranger)[0] == []


def test_since_a_time_misses_nothing_that_came_after_it(sources: list[Source]) -> None:
    commit_run(sources[0], (1, "grant", "added"), finished_at=NOW - timedelta(days=2))
    # Committed in another order than they say they ended.
    later = commit_run(sources[1], (1, "grant", "added"), finished_at=NOW + timedelta(seconds=2))
    later += commit_run(sources[2], (1, "grant", "added"), finished_at=NOW - timedelta(seconds=1))

    assert follow(position_at(NOW))[0] == later
    assert follow(position_at(NOW + timedelta(days=1)))[0] == []
    assert len(follow(position_at(NOW - timedelta(days=9)))[0]) == 3


@pytest.mark.parametrize(
    "text",
    ["", "now", "1", "1-end", "١-end-000000000000", "-1-end-000000000000", "1-1-zzzzzzzzzzzz", "9" * 40 + "-1-" + "0" * 12,
     "999999999999999999-1-000000000000", "1-2-000000000000", "2-end-000000000000", "0-end-0123456789ab", "1-end-000000000000\n"],
)  # fmt: skip
def test_a_cursor_of_no_place_is_refused(text: str, sources: list[Source]) -> None:
    commit_run(sources[0], (1, "grant", "added"))

    with pytest.raises(BadPosition):
        read_position(text)


def test_a_cursor_from_before_a_restored_backup_is_noticed(sources: list[Source]) -> None:
    commit_run(sources[0], (1, "grant", "added"))
    lost = str(end_of_feed())
    Change.objects.all().delete()
    SyncRun.objects.all().delete()
    commit_run(sources[0], (1, "grant", "added"))

    with pytest.raises(BadPosition, match="restored backup"):
        read_position(lost)


# --- what runs at the same time ----------------------------------------------------------------------------------


def in_thread(work: Callable[[], Any]) -> Any:
    try:
        return work()
    finally:
        connections.close_all()


@pytest.fixture
def pool(committed_db: Any) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as workers:
        yield workers


def test_a_run_that_wrote_first_and_committed_last_is_not_missed(pool: ThreadPoolExecutor, make_source: Any) -> None:
    slow, quick = make_source("slow"), make_source("quick")
    has_written, may_end = threading.Event(), threading.Event()

    def write_slowly() -> list[int]:
        with transaction.atomic():
            run = begin_run(slow)
            ids = write_changes(run, 3)
            has_written.set()
            assert may_end.wait(20)
            take_feed_number(run)
        return ids

    waiting = pool.submit(in_thread, write_slowly)
    assert has_written.wait(20)
    quickly = commit_run(quick, (3, "grant", "added"))
    seen, place = follow(Position())
    may_end.set()
    slowly = waiting.result(20)

    assert min(quickly) > max(slowly), "or there is nothing to see here"
    assert seen == quickly
    assert follow(place)[0] == slowly
    assert follow(Position())[0] == quickly + slowly


def test_a_second_run_waits_for_the_number_of_the_first(pool: ThreadPoolExecutor, make_source: Any) -> None:
    """And sees it then: a look that began before the first committed would give the same number twice."""
    first, second = make_source("first"), make_source("second")

    with transaction.atomic():
        run = begin_run(first)
        write_changes(run, 1)
        take_feed_number(run)
        waiting = pool.submit(in_thread, lambda: commit_run(second, (1, "grant", "added")))
        time.sleep(0.5)
        assert not waiting.done()
    waiting.result(20)

    assert dict(SyncRun.objects.values_list("source__slug", "feed_number")) == {"first": 1, "second": 2}


def test_a_number_that_was_rolled_back_is_given_again(pool: ThreadPoolExecutor, make_source: Any) -> None:
    source = make_source()
    with pytest.raises(RuntimeError), transaction.atomic():
        run = begin_run(source)
        write_changes(run, 1)
        take_feed_number(run)
        raise RuntimeError
    commit_run(source, (1, "grant", "added"))

    assert SyncRun.objects.get().feed_number == 1


def test_a_reader_who_polls_during_interleaved_commits_sees_each_change_exactly_once(
    pool: ThreadPoolExecutor, make_source: Any
) -> None:
    sources = [make_source(f"s{n}") for n in range(5)]
    is_over = threading.Event()

    def write(source: Source) -> list[int]:
        chance, written = random.Random(source.slug), []
        for _ in range(12):
            with transaction.atomic():
                run = begin_run(source)
                for _ in range(chance.randint(0, 4)):
                    written += write_changes(run, chance.randint(1, 5))
                    time.sleep(chance.random() * 0.01)
                take_feed_number(run)
                time.sleep(chance.random() * 0.005)
        return written

    def poll(limit: int) -> list[int]:
        seen: list[int] = []
        place = Position()
        while True:
            was_over = is_over.is_set()
            more, place = follow(place, limit=limit)
            seen += more
            if was_over:
                return seen

    readers = [pool.submit(in_thread, lambda limit=limit: poll(limit)) for limit in (1, 3, 50)]
    writers = [pool.submit(in_thread, lambda source=source: write(source)) for source in sources]
    try:
        written = [pk for writer in writers for pk in writer.result(60)]
    finally:
        is_over.set()
    order = follow(Position(), limit=1000)[0]

    assert sorted(order) == sorted(written)
    assert order != sorted(order), "commits did not interleave, so nothing was tried"
    for reader in readers:
        assert reader.result(60) == order


# --- what it costs -----------------------------------------------------------------------------------------------


def most_rows(plan: dict[str, Any]) -> int:
    """The most rows that any node of an executed plan gave on, all its loops together."""
    return max(int(plan["Actual Rows"] * plan["Actual Loops"]), *(most_rows(each) for each in plan.get("Plans", ())), 0)


@pytest.fixture
def long_history(sources: list[Source]) -> list[Source]:
    """Runs of many sizes, among them one with most of 60,000 changes."""
    for number, size in enumerate([1] * 300 + [50_000] + [1] * 300 + [9_400]):
        run = begin_run(sources[number % 3])
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO identities_change (run_id, object_kind, object_id, external_id, action)"
                " SELECT %s, 'grant', gen_random_uuid(), 'g' || n, 'added' FROM generate_series(1, %s) n",
                [run.pk, size],
            )
        take_feed_number(run)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE identities_change; ANALYZE identities_syncrun")
    return sources


def test_a_page_reads_a_page_and_not_the_history(long_history: list[Source]) -> None:
    statements: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().startswith(("SELECT", "WITH")):
            statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        for start in (0, 150, 300, 301, 450, 601):
            for source in (None, long_history[0]):
                read_feed(actor=EVERYBODY, after=Position(start, 0 if start else None), limit=100, source=source)

    assert len(statements) >= 36
    for sql, params in statements:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
            plan = cursor.fetchone()[0][0]["Plan"]
        assert most_rows(plan) <= 1_000, sql
