"""A membership whose remaining rights lie in several databases: one transaction each, and nobody in between."""

import json
import subprocess
import sys
from contextlib import contextmanager

import psycopg
import pytest

from governance.kernel.permissions import Permission
from identities.connectors.contract import ExecutionState, GrantRef, NotPossible, Plan, VerificationState
from identities.connectors.postgresql import execute as executing

WORKER = """
import json, sys
from identities.connectors.contract import Plan
from identities.connectors.postgresql import PostgreSQL
work = json.load(sys.stdin)
PostgreSQL(work["settings"], {"password": "only-for-this-test"}).execute(Plan.from_json(work["plan"]))
"""


class Two:
    """`payments` and a second database with a table `stock`; `bi` is in the group `writers`, which reads and writes both."""

    def __init__(self, governed):
        self.governed = governed
        self.second = governed.name("second")
        governed.admin.execute(governed.fill("CREATE DATABASE {second} OWNER {owner}").encode())
        self.there("CREATE TABLE public.stock (id int); GRANT SELECT, INSERT ON public.stock TO {writers}")
        governed.run("GRANT {writers} TO {bi}", acting="administrator")

    def there(self, text):
        with psycopg.connect(**self.governed.address, dbname=self.second, autocommit=True) as connection:
            connection.execute(self.governed.fill("SET ROLE {owner}").encode())
            connection.execute(self.governed.fill(text).encode())

    def can_there(self, statement):
        address = self.governed.address
        with psycopg.connect(
            host=address["host"], port=address["port"], dbname=self.second, user=self.governed.name("bi"),
            password="only-for-this-test", autocommit=True,
        ) as connection:  # fmt: skip
            try:
                connection.execute(statement.encode())
            except psycopg.errors.InsufficientPrivilege:
                return False
            return True

    def connector(self):
        return self.governed.connector(dbname=[self.governed.database, self.second])

    def plan(self):
        found = [
            record for record in self.connector().read()
            if record["type"] == "grant" and record["identity"] == self.governed.name("bi")
            and record["native_ref"]["kind"] == "membership"
        ]  # fmt: skip
        (record,) = found
        grant = GrantRef(
            record["identity"], record["id"], Permission.from_json(record["permission"]), record["path"],
            record["native_ref"],
        )  # fmt: skip
        target = self.governed.permission(
            (["SELECT"], ["table:db/public/payments", f"table:{self.second}/public/stock"])
        )
        return Plan.from_json(self.connector().plan_narrow(grant, target).to_json())

    @contextmanager
    def held_up(self, database):
        """A process that carries the plan out, and waits before it begins in this database."""
        address = self.governed.address
        settings = {
            "host": address["host"], "port": address["port"], "dbname": [self.governed.database, self.second],
            "user": self.governed.name("connector"), "lock_timeout": 30,
        }  # fmt: skip
        work = {"settings": settings, "plan": self.plan().to_json()}
        with psycopg.connect(**address, dbname=database, autocommit=True) as holder:
            holder.execute("SELECT pg_advisory_lock(7266348001)")
            with subprocess.Popen([sys.executable, "-c", WORKER], stdin=subprocess.PIPE, text=True) as worker:
                assert worker.stdin is not None
                worker.stdin.write(json.dumps(work))
                worker.stdin.close()
                try:
                    yield worker
                finally:
                    worker.kill()

    def is_waiting(self):
        row = self.governed.admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND wait_event_type = 'Lock'",
            [self.governed.name("connector")],
        ).fetchone()
        return row == (1,)

    def rights(self):
        """Whether bi may (read here, write here, read there, write there)."""
        here = self.governed
        return (
            here.can("bi", "SELECT id FROM public.payments"),
            here.can("bi", "UPDATE public.payments SET amount = 1 WHERE false"),
            self.can_there("SELECT id FROM public.stock"),
            self.can_there("INSERT INTO public.stock SELECT 1 WHERE false"),
        )


ALL, NARROWED = (True, True, True, True), (True, False, True, False)


@pytest.fixture
def two(payments):
    return Two(payments)


class TestNarrowingAcrossDatabases:
    def test_leaves_the_part_in_each_and_can_be_undone(self, two):
        plan = two.plan()

        done = two.connector().execute(plan)

        assert done.state is ExecutionState.APPLIED, done.reason
        assert two.rights() == NARROWED
        seen = two.connector().verify(plan)
        assert (seen.state, seen.lost) == (VerificationState.GONE, ())
        assert two.connector().execute(plan).state is ExecutionState.ALREADY_APPLIED
        back = two.connector().plan_restore(plan)
        assert two.connector().execute(Plan.from_json(back.to_json())).state is ExecutionState.APPLIED
        assert two.rights() == ALL
        assert two.connector().verify(back).state is VerificationState.GONE

    def test_the_plan_shows_where_each_transaction_runs_and_takes_last(self, two):
        texts = [step.text for step in two.plan().steps]

        places = [text for text in texts if text.startswith("\\connect")]
        revoke = next(index for index, text in enumerate(texts) if text.startswith("REVOKE"))
        assert len(places) == 2
        assert texts.count("BEGIN") == texts.count("COMMIT") == 2
        assert revoke > texts.index("COMMIT"), "what remains is given before the membership goes"

    def test_cut_off_between_two_databases_it_gives_nothing_more_and_goes_on_later(self, two, monkeypatch):
        plan = two.plan()
        run = executing._execute_part
        calls = []

        def only_once(*args):
            if calls:
                raise KeyboardInterrupt
            calls.append(args)
            return run(*args)

        monkeypatch.setattr(executing, "_execute_part", only_once)
        with pytest.raises(KeyboardInterrupt):
            two.connector().execute(plan)
        monkeypatch.undo()
        assert two.rights() == ALL

        done = two.connector().execute(plan)

        assert done.state is ExecutionState.APPLIED, done.reason
        assert two.rights() == NARROWED

    @pytest.mark.slow
    def test_a_worker_killed_between_two_databases_leaves_nothing_half_done(self, two, wait_until):
        plan = two.plan()
        with two.held_up(plan.pre_image["database"]) as worker:
            wait_until(two.is_waiting)
            assert worker.poll() is None
            worker.kill()
            worker.wait(10)
        assert two.governed.grant("bi", "acl", "payments"), "the first database was done"
        assert two.rights() == ALL
        wait_until(lambda: not two.is_waiting())

        done = two.connector().execute(plan)

        assert done.state is ExecutionState.APPLIED, done.reason
        assert two.rights() == NARROWED
        assert two.connector().verify(plan).state is VerificationState.GONE

    def test_a_change_in_the_other_database_stops_it_before_anything_is_done(self, two):
        plan = two.plan()
        two.there("GRANT INSERT ON public.stock TO {bi}")
        before = two.governed.acl()

        done = two.connector().execute(plan)

        assert done.state is ExecutionState.DRIFTED
        assert two.second in done.reason
        assert two.governed.acl() == before

    def test_a_refusal_in_the_last_database_is_a_part_done(self, two):
        plan = two.plan()
        two.governed.run("REVOKE {administrator} FROM {connector}", acting="")

        done = two.connector().execute(plan)

        assert done.state is ExecutionState.PARTIAL
        assert "2 of 2" in done.reason
        assert two.rights() == ALL, "what was given in the first database was held anyway"

    def test_a_plan_that_was_altered_in_storage_does_not_run(self, two):
        stored = two.plan().to_json()
        stored["steps"] = [dict(step) for step in stored["steps"]]
        connecting = next(step for step in stored["steps"] if step["text"].startswith("\\connect"))
        connecting["text"] = '\\connect "postgres"'

        done = two.connector().execute(Plan.from_json(stored))

        assert done.state is ExecutionState.BLOCKED
        assert two.rights() == ALL

    def test_a_database_that_is_not_governed_is_refused(self, two):
        plan = two.plan
        two.connector = two.governed.connector

        with pytest.raises(NotPossible):
            plan()
