"""The queue inside PostgreSQL when several workers start at the same moment."""

from concurrent.futures import ThreadPoolExecutor

import psycopg

from tests.database import CommittedDatabase

WORKERS, STARTS = 4, 20


def test_workers_that_start_together_do_not_trip_over_each_other(committed_db: CommittedDatabase) -> None:
    with psycopg.connect(committed_db.url, autocommit=True) as connection:
        connection.execute("SELECT pgmq.create('remit')")

    def start_many(_: int) -> int:
        with psycopg.connect(committed_db.url, autocommit=True) as connection:
            for _ in range(STARTS):
                connection.execute("SELECT pgmq.enable_notify_insert('remit', 0)")
        return STARTS

    with ThreadPoolExecutor(WORKERS) as threads:
        assert sum(threads.map(start_many, range(WORKERS))) == WORKERS * STARTS


def test_another_interval_is_taken_over(committed_db: CommittedDatabase) -> None:
    with psycopg.connect(committed_db.url, autocommit=True) as connection:
        connection.execute("SELECT pgmq.create('remit')")
        connection.execute("SELECT pgmq.enable_notify_insert('remit', 0)")
        connection.execute("SELECT pgmq.enable_notify_insert('remit', 250)")
        kept = connection.execute("SELECT throttle_interval_ms FROM pgmq.notify_insert_throttle").fetchall()

    assert kept == [(250,)]
