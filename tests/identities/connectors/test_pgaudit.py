"""Use from the log of a real server with pgaudit: what was used appears, and what was kept for it suffices."""

import contextlib
import io
import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import errors

from governance.kernel.permissions import Permission
from governance.kernel.rightsizing import replay, right_size
from identities.connectors.files import FileRefused, Holds, Notes
from identities.connectors.postgresql import PostgreSQL
from identities.connectors.postgresql.audit_use import classes_on, needed
from identities.connectors.postgresql.files import PgAudit
from tests.recognising import format_of


class Ledger:
    """A database on the audited server: tables pay, child and "Odd.t", a view and two functions; roles of its own."""

    def __init__(self, server):
        self.server = server
        self.prefix = f"a{uuid.uuid4().hex[:8]}_"
        self.database = self.bi = self.owner = ""

    def create(self):
        self.database, self.bi, self.owner = (self.prefix + name for name in ("ledger", "bi", "owner"))
        with self.server.connect(database="postgres") as admin:
            admin.execute(f"CREATE ROLE {self.bi} LOGIN".encode())
            admin.execute(f"CREATE ROLE {self.owner} LOGIN".encode())
            admin.execute(f"CREATE DATABASE {self.database} OWNER {self.owner}".encode())
        self.run(
            "CREATE TABLE pay (id int PRIMARY KEY, amount int, iban text)",
            "CREATE TABLE child (id int)",
            'CREATE TABLE "Odd.t" (id serial, "x,y" int)',
            "CREATE VIEW seen AS SELECT id FROM pay",
            "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.pay'",
            "INSERT INTO pay VALUES (1, 1, 'x')",
            role=self.owner,
        )

    def run(self, *statements, role=""):
        with self.server.connect(role or self.bi, self.database) as connection:
            for statement in statements:
                with contextlib.suppress(errors.InsufficientPrivilege, errors.UniqueViolation):
                    connection.execute(statement.replace("{bi}", self.bi).encode())

    def give(self, *statements):
        self.run(*statements, role=self.owner)

    def imported(self, kind="json"):
        notes = Notes()
        with self.server.log(kind).open("rb") as file:
            return list(PgAudit().records(file, notes)), notes

    def used(self, kind="json"):
        """(action, resource) of bi's use of anything but schemas, from a file."""
        return {pair for pair in self.pairs(self.imported(kind)[0]) if pair[0] != "USAGE"}

    def pairs(self, records):
        return {
            (record["action"], record["resource"].replace(f":{self.database}/", ":db/"))
            for record in records
            if record["type"] == "usage" and record["identity"] == self.bi
        }

    def read(self, **changes):
        settings = {
            "host": str(self.server.socket), "dbname": self.database, "user": "postgres",
            "pgaudit_logs": [str(self.server.logs)],
        }  # fmt: skip
        self.server.log()
        return list(PostgreSQL(settings | changes, {}).read())

    def windows(self, role="", **changes):
        return [
            record
            for record in self.read(**changes)
            if record["type"] == "usage_window" and record["identity"] == (role or self.bi)
        ]


@pytest.fixture
def ledger(audited_server):
    made = Ledger(audited_server)
    made.create()
    return made


class TestFile:
    @pytest.mark.parametrize("kind", ["json", "csv"])
    def test_use_appears_in_the_words_of_the_dialect(self, ledger, kind):
        ledger.give("GRANT SELECT, UPDATE ON pay TO {bi}", 'GRANT SELECT ON "Odd.t" TO {bi}')
        ledger.run("SELECT id FROM pay", 'SELECT "x,y",\n id FROM "Odd.t"')

        assert ledger.used(kind) == {("SELECT", "table:db/public/pay"), ("SELECT", "table:db/public/Odd.t")}

    @pytest.mark.parametrize(
        ("statement", "needed"),
        [
            ("UPDATE pay SET amount = 2 WHERE id = 1", {"UPDATE", "SELECT"}),
            ("DELETE FROM pay WHERE id = 99", {"DELETE", "SELECT"}),
            ("DELETE FROM pay", {"DELETE"}),
            ("INSERT INTO pay VALUES (7, 1, 'x')", {"INSERT"}),
            ("INSERT INTO pay VALUES (1, 1, 'x') ON CONFLICT (id) DO UPDATE SET amount = 3", {"INSERT", "UPDATE", "SELECT"}),
            ("SELECT * FROM pay FOR UPDATE", {"SELECT", "UPDATE"}),
            ("TRUNCATE public.pay", {"TRUNCATE"}),
            (
                "MERGE INTO pay USING (VALUES (1)) AS v (id) ON pay.id = v.id WHEN MATCHED THEN UPDATE SET amount = 5"
                " WHEN NOT MATCHED THEN INSERT VALUES (v.id, 1, 'q')",
                {"SELECT", "INSERT", "UPDATE"},
            ),
        ],
    )  # fmt: skip
    def test_a_statement_needs_more_than_the_log_names_and_no_less_than_the_server_asks(
        self, ledger, statement, needed
    ):
        ledger.give("GRANT ALL ON pay TO {bi}")
        ledger.run(statement)

        used = {action for action, where in ledger.used() if where == "table:db/public/pay"}

        assert used == needed
        # Each of them really is needed: without it the server refuses the same statement.
        for action in needed:
            ledger.give(f"REVOKE {action} ON pay FROM {{bi}}")
            with (
                ledger.server.connect(ledger.bi, ledger.database) as connection,
                pytest.raises(errors.InsufficientPrivilege),
            ):
                connection.execute(statement.encode())
            ledger.give(f"GRANT {action} ON pay TO {{bi}}")

    def test_what_runs_inside_a_function_and_a_view_is_seen(self, ledger):
        ledger.give("GRANT SELECT ON pay, seen TO {bi}")
        ledger.run("SELECT public.peek()", "SELECT * FROM seen")

        assert ledger.used() == {("SELECT", "table:db/public/pay"), ("SELECT", "table:db/public/seen")}

    def test_a_refused_statement_is_an_attempt(self, ledger):
        ledger.give('GRANT INSERT ON "Odd.t" TO {bi}', "GRANT SELECT ON pay TO {bi}")
        ledger.run("SELECT id FROM pay", 'INSERT INTO "Odd.t" ("x,y") VALUES (1)', "DELETE FROM pay")

        records, notes = ledger.imported()

        assert {pair for pair in ledger.pairs(records) if pair[0] != "USAGE"} == {("SELECT", "table:db/public/pay")}
        assert notes.counts["statements that were refused, which are attempts and no use"] >= 1

    def test_a_statement_that_failed_for_another_reason_had_its_right(self, ledger):
        ledger.give("GRANT INSERT ON pay TO {bi}")
        ledger.run("INSERT INTO pay VALUES (1, 1, 'twice')")

        assert ledger.used() == {("INSERT", "table:db/public/pay")}

    def test_what_right_sizing_keeps_lets_all_of_it_through_again(self, ledger):
        ledger.give("GRANT ALL ON pay, child TO {bi}")
        ledger.run("SELECT id FROM pay", "UPDATE pay SET amount = 3 WHERE id = 1", "INSERT INTO child VALUES (1)")
        held = Permission.from_json({
            "dialect": "postgresql",
            "statements": [{
                "actions": ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"],
                "resources": [f"table:{ledger.database}/public/{name}" for name in ("pay", "child")],
            }],
        })  # fmt: skip
        records = [record for record in ledger.imported()[0] if record.get("identity") == ledger.bi]
        pairs = [(record["action"], record["resource"]) for record in records if record["action"] != "USAGE"]

        kept = right_size(held, pairs)

        assert replay(pairs, kept).refused == ()
        actions = {action for each in kept.statements for action in each.actions.include}
        assert actions == {"SELECT", "UPDATE", "INSERT"}

    def test_counts_statements_and_says_between_when(self, ledger):
        ledger.give("GRANT SELECT ON pay TO {bi}")
        ledger.run(*["SELECT id FROM pay"] * 3)

        records, notes = ledger.imported()

        found = [r for r in records if r.get("identity") == ledger.bi and r["action"] == "SELECT"]
        assert [record["count"] for record in found] == [3]
        assert found[0]["first_seen_at"] <= found[0]["last_seen_at"]
        assert records[-1] == {"type": "end", "records": len(records) - 1}
        assert any("read" in sentence and "write" in sentence for sentence in notes.sentences)

    def test_nothing_is_called_unused_because_of_a_file(self, ledger):
        ledger.run("SELECT 1")

        assert [record for record in ledger.imported()[0] if record["type"] == "usage_window"] == []

    def test_no_text_of_a_statement_is_taken_over(self, ledger):
        ledger.give("GRANT SELECT ON pay TO {bi}")
        ledger.run("SELECT 'hunter2' FROM pay", "ALTER ROLE {bi} PASSWORD 'hunter2'")

        records, notes = ledger.imported()

        assert "hunter2" not in json.dumps(records) + str(notes)

    @pytest.mark.parametrize("kind", ["json", "csv"])
    def test_is_recognised_by_its_beginning(self, ledger, kind):
        head = ledger.server.log(kind).read_bytes()[:65536]

        found = format_of(head)

        assert found is not None
        assert (found.name, found.holds) == ("pgaudit", Holds.USAGE)


JSON = (
    b'{"timestamp":"2026-05-01 10:00:00.000 %s","user":"bi","dbname":"led","session_id":"1.1","vxid":"3/1",'
    b'"error_severity":"LOG","message":"AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.pay,select 1,<not logged>"}\n'
)


def read(data):
    notes = Notes()
    return list(PgAudit().records(io.BytesIO(data), notes)), notes


class TestFilesThatAreNot:
    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"", "empty"),
            (b"\n\n", "empty"),
            (b"2026-05-01 10:00:00 UTC [1] LOG:  AUDIT: SESSION,1,1,READ,SELECT,,,x,y\n", "log_destination"),
            (b"{}\n", "log_destination"),
            (b"id,name\n1,2\n", "log_destination"),
            (JSON % b"UTC" + b"this is not JSON\n", "Line 2"),
            (JSON % b"UTC" + b'["AUDIT: "]\n', "Line 2"),
            (JSON % b"IST", "log_timezone"),
            ((JSON % b"UTC").replace(b"AUDIT", b"other"), "written by pgaudit"),
            ((JSON % b"UTC").replace(b"-05-01", b"-13-41"), "Line 1"),
            (b"\x00\xff" * 1000, "log_destination"),
        ],
    )
    def test_are_refused_with_the_reason(self, data, words):
        with pytest.raises(FileRefused, match=words):
            read(data)

    def test_a_last_line_that_is_cut_off_is_left_out_and_counted(self):
        whole = JSON % b"UTC"

        records, notes = read(whole + whole[:-30])

        assert [
            record.get("count") for record in records if record["type"] == "usage" and record["action"] == "SELECT"
        ] == [1]
        assert notes.counts["lines cut off at the end of a file"] == 1

    @pytest.mark.parametrize(("zone", "hour"), [(b"UTC", 10), (b"CET", 9), (b"+02", 8), (b"-03:30", 13), (b"EDT", 14)])
    def test_times_of_other_zones_become_utc(self, zone, hour):
        records, _ = read(JSON % zone)

        assert records[0]["last_seen_at"].startswith(f"2026-05-01T{hour:02}:")

    def test_a_name_that_cannot_stand_on_a_line_is_written_in_percent(self):
        records, _ = read((JSON % b"UTC").replace(b'"user":"bi"', rb'"user":"b\ni"'))

        assert records[0]["identity"] == "b%0Ai"

    @given(st.binary(max_size=300))
    def test_anything_at_all_is_read_or_refused(self, data):
        try:
            records, _ = read(JSON % b"UTC" + data)
        except FileRefused:
            return
        assert records[-1]["type"] == "end"

    @given(st.text(max_size=60))
    def test_any_line_of_pgaudit_is_read_or_counted(self, text):
        line = json.loads(JSON % b"UTC") | {"message": f"AUDIT: SESSION,1,1,READ,SELECT,{text}"}

        read(JSON % b"UTC" + json.dumps(line).encode() + b"\n")


class TestWithoutNamesOfRelations:
    """pgaudit.log_relation is off: only the text says which tables were meant."""

    def line(self, command, text, of_class="READ"):
        message = f'AUDIT: SESSION,1,1,{of_class},{command},,,"{text}",<not logged>'
        return json.dumps(json.loads(JSON % b"UTC") | {"message": message}).encode() + b"\n"

    def test_the_tables_of_the_text_count(self):
        records, _ = read(self.line("SELECT", "select a.x from public.a join ledger.b on true"))

        found = {record["resource"] for record in records if record.get("action") == "SELECT"}
        assert found == {"table:led/public/a", "table:led/ledger/b"}

    def test_a_name_without_its_schema_is_counted_and_left_out(self):
        records, notes = read(self.line("SELECT", "select x from a"))

        assert records == [{"type": "end", "records": 0}]
        assert sum(notes.counts[name] for name in notes.counts if name.startswith("names without")) == 1

    def test_a_lock_may_need_any_of_three(self):
        records, _ = read(self.line("LOCK TABLE", "lock table public.a in share mode", "MISC"))

        assert {"UPDATE", "DELETE", "TRUNCATE"} <= {record.get("action") for record in records}


class TestSource:
    """The setting pgaudit_logs: the log beside the catalogue."""

    def test_use_appears_with_a_window(self, ledger):
        ledger.give("GRANT SELECT, UPDATE ON pay TO {bi}")
        ledger.run("SELECT id FROM pay")

        records = ledger.read()

        assert ("SELECT", "table:db/public/pay") in ledger.pairs(records)
        windows = [r for r in records if r["type"] == "usage_window" and r["identity"] == ledger.bi]
        assert [window["log"] for window in windows] == [f"pgaudit:{ledger.database}"]
        assert "DELETE" in windows[0]["observable"]["actions"]

    def test_a_class_that_was_never_seen_may_not_have_been_logged(self, ledger, tmp_path):
        ledger.run("SELECT 1")
        lines = ledger.server.log().read_bytes().splitlines(keepends=True)
        (tmp_path / "a.json").write_bytes(b"".join(line for line in lines if b",WRITE," not in line))

        assert ledger.windows(pgaudit_logs=[str(tmp_path)]) == []

    def test_without_the_setting_there_is_neither(self, ledger):
        ledger.give("GRANT SELECT, UPDATE ON pay TO {bi}")
        ledger.run("SELECT id FROM pay", "UPDATE pay SET amount = 1")

        records = ledger.read(pgaudit_logs=[])

        assert ledger.pairs(records) == set()

    def test_of_columns_those_that_were_named(self, ledger):
        ledger.give("GRANT SELECT (id, amount) ON pay TO {bi}")
        ledger.run("SELECT amount FROM pay")

        assert ("SELECT", "column:db/public/pay/amount") in ledger.pairs(ledger.read())
        assert ("SELECT", "column:db/public/pay/id") not in ledger.pairs(ledger.read())

    def test_use_after_set_role_is_that_of_who_signed_in(self, ledger):
        with ledger.server.connect(database="postgres") as admin:
            admin.execute(f"CREATE ROLE {ledger.prefix}group; GRANT {ledger.prefix}group TO {ledger.bi}".encode())
        ledger.give(f"GRANT TRUNCATE ON child TO {ledger.prefix}group")
        ledger.run(f"SET ROLE {ledger.prefix}group", "TRUNCATE child")

        assert ("TRUNCATE", "table:db/public/child") in ledger.pairs(ledger.read())

    @pytest.mark.parametrize("setting", ["none", "ddl", "all, -write"])
    def test_a_role_that_is_logged_less_has_no_window(self, ledger, setting):
        ledger.give("GRANT SELECT, UPDATE ON pay TO {bi}")
        ledger.run("SELECT id FROM pay", "UPDATE pay SET amount = 1")
        assert ledger.windows()
        with ledger.server.connect(database="postgres") as admin:
            admin.execute(f"ALTER ROLE {ledger.bi} SET pgaudit.log = '{setting}'".encode())

        assert ledger.windows() == []

    def test_who_lends_rights_through_a_view_has_no_window(self, ledger):
        ledger.give("GRANT SELECT, UPDATE ON pay TO {bi}")
        ledger.run("SELECT id FROM pay", "UPDATE pay SET amount = 1")

        assert ledger.windows(ledger.owner) == []

    def test_a_change_of_the_classes_begins_a_new_window(self, ledger):
        ledger.give("GRANT SELECT, UPDATE ON pay TO {bi}")
        ledger.run("SELECT id FROM pay", "UPDATE pay SET amount = 1")
        before = ledger.windows()[0]["from"]
        with ledger.server.connect(database="postgres") as admin:
            for setting in ("'ddl'", "'read,write,function,role'"):
                admin.execute(f"ALTER SYSTEM SET pgaudit.log = {setting}".encode())
                admin.execute("SELECT pg_reload_conf()")
                admin.execute("SELECT pg_sleep(0.3)")
            admin.execute("ALTER SYSTEM RESET pgaudit.log")
        ledger.run("SELECT id FROM pay")

        assert ledger.windows()[0]["from"] > before

    def test_a_folder_that_is_not_there_opens_no_window(self, ledger, tmp_path):
        assert ledger.windows(pgaudit_logs=[str(tmp_path / "nowhere")]) == []

    def test_a_file_that_cannot_be_read_leaves_a_gap(self, ledger, tmp_path):
        ledger.give("GRANT SELECT, UPDATE ON pay TO {bi}")
        ledger.run("SELECT id FROM pay", "UPDATE pay SET amount = 1")
        (tmp_path / "a.json").write_bytes(ledger.server.log().read_bytes())
        assert ledger.windows(pgaudit_logs=[str(tmp_path)])
        (tmp_path / "b.json").write_text("this is no log\n")

        assert ledger.windows(pgaudit_logs=[str(tmp_path)]) == []


class TestWords:
    @pytest.mark.parametrize(
        ("setting", "classes"),
        [
            ("none", set()),
            ("read, write", {"read", "write"}),
            ("all, -misc", {"read", "write", "function", "role", "ddl", "misc_set"}),
            ("ALL,-READ", {"write", "function", "role", "ddl", "misc", "misc_set"}),
        ],
    )
    def test_classes_of_a_setting(self, setting, classes):
        assert classes_on(setting) == classes

    def test_a_statement_of_unknown_text_may_have_needed_everything(self):
        assert needed("INSERT", None) == {"INSERT", "UPDATE", "DELETE", "SELECT"}
        assert needed("SELECT", None) == {"SELECT", "UPDATE"}
