"""What a reading says about a server, and that the inventory can hold all of it."""

import json
from datetime import UTC, datetime

import psycopg
import pytest

from governance.kernel.permissions import Answer, Permission, matches
from identities.connectors.contract import Capability, ReadIncomplete, SourceUnreachable, capabilities_of
from identities.connectors.postgresql.catalog import Cluster, Membership, Role
from identities.connectors.postgresql.network import Rule, ways_in
from identities.connectors.postgresql.rights import Estate
from identities.connectors.postgresql.session import BadSettings
from identities.sync.records import RecordReader


def kinds_of(governed, short):
    return sorted(record["native_ref"]["kind"] for record in governed.records("grant", short))


class TestIdentities:
    def test_sign_ins_are_identities_and_groups_are_not(self, payments):
        payments.run("COMMENT ON ROLE {bi} IS 'Monthly report'", acting="administrator")

        found = payments.records("identity")

        assert {record["id"] for record in found} == {payments.name("bi"), payments.name("connector")}
        assert [record["purpose"] for record in found if record["id"] == payments.name("bi")] == ["Monthly report"]

    def test_a_connected_role_is_in_use(self, payments):
        with payments.sign_in("bi"):
            assert payments.records("identity", "bi")[0]["last_used_at"] is not None
        assert [r["id"] for r in payments.records("credential", "bi")] == [f"password:{payments.name('bi')}"]

    def test_no_secret_of_a_comment_is_copied(self, payments):
        payments.run("COMMENT ON ROLE {bi} IS 'postgres://bi:hunter2hunter2@db/ledger'", acting="administrator")

        assert "hunter2" not in json.dumps(payments.records("identity", "bi"))

    def test_an_end_of_validity_is_the_passwords_end(self, payments):
        payments.run("ALTER ROLE {bi} VALID UNTIL '2031-05-06 07:08:09+00'", acting="administrator")

        assert payments.records("credential", "bi")[0]["expires_at"] == "2031-05-06T07:08:09.000000Z"

    @pytest.mark.parametrize("date", ["infinity", "294000-01-01", "-infinity", "0044-03-15 BC"])
    def test_dates_that_python_does_not_know_are_read(self, payments, date):
        payments.run(f"ALTER ROLE {{bi}} VALID UNTIL '{date}'", acting="administrator")

        assert accepted(payments) == []


class TestGrants:
    def test_columns_of_a_table_are_one_grant(self, payments):
        payments.run("GRANT SELECT (id, amount), UPDATE (amount) ON public.payments TO {bi}")

        grant = payments.grant("bi", "acl", "payments")

        assert matches(grant.permission, "SELECT", payments.resource("column:db/public/payments/id")) is Answer.YES
        assert matches(grant.permission, "SELECT", payments.resource("column:db/public/payments/iban")) is Answer.NO
        assert matches(grant.permission, "SELECT", payments.resource("table:db/public/payments")) is Answer.NO

    def test_a_membership_gives_what_the_chain_gives(self, payments):
        payments.make_role("chiefs", "NOLOGIN")
        payments.run("GRANT {writers} TO {chiefs}; GRANT {chiefs} TO {bi}", acting="administrator")

        grant = payments.grant("bi", "membership")

        assert matches(grant.permission, "UPDATE", payments.resource("table:db/public/payments")) is Answer.YES
        assert [step["id"] for step in grant.path] == [payments.name("chiefs"), payments.name("writers")]

    def test_a_membership_that_does_not_inherit_is_said_to_need_set_role(self, payments):
        payments.run("ALTER ROLE {bi} NOINHERIT", acting="administrator")
        payments.run("GRANT {writers} TO {bi}", acting="administrator")

        grant = payments.grant("bi", "membership")

        assert "SET ROLE" in grant.path[0]["label"]
        assert matches(grant.permission, "INSERT", payments.resource("table:db/public/payments")) is Answer.YES

    def test_a_membership_without_any_option_gives_nothing_but_its_name(self, payments):
        if payments.version < 16:
            pytest.skip("memberships have no options before PostgreSQL 16")
        payments.run("GRANT {writers} TO {bi} WITH INHERIT FALSE, SET FALSE", acting="administrator")

        grant = payments.grant("bi", "membership")

        assert matches(grant.permission, "SELECT", payments.resource("table:db/public/payments")) is Answer.NO

    def test_what_was_never_set_is_the_built_in_default(self, payments):
        payments.run("CREATE FUNCTION public.free() RETURNS int LANGUAGE sql AS 'SELECT 1'")

        labels = [record["label"] for record in payments.records("grant", "bi")]

        assert f"PUBLIC: CONNECT, TEMPORARY on database {payments.database}" in labels
        assert f"PUBLIC: EXECUTE on function public.free() in {payments.database}" in labels

    def test_public_counts_everybody_else(self, payments):
        payments.run("GRANT SELECT ON public.payments TO PUBLIC")

        record = next(r for r in payments.records("grant", "bi") if "payments" in r["label"])

        assert record["revocability"] == "shared_role"
        assert record["shared_with"] >= 1

    def test_an_owner_is_told_from_who_was_granted_something(self, payments):
        payments.run("ALTER TABLE public.refunds OWNER TO {bi}", acting="")

        assert "ownership" in kinds_of(payments, "bi")
        assert "acl" not in kinds_of(payments, "bi")

    def test_a_superuser_may_do_everything(self, payments):
        payments.run("CREATE ROLE {root} LOGIN SUPERUSER", acting="")

        grant = payments.grant("root", "attribute")

        assert matches(grant.permission, "DELETE", payments.resource("table:db/public/payments")) is Answer.YES

    def test_the_same_server_reads_the_same_twice(self, payments):
        payments.run("GRANT {writers} TO {bi}", acting="administrator")
        payments.run("GRANT SELECT ON public.payments TO {bi}")

        assert payments.records("grant") == payments.records("grant")

    def test_rights_on_system_functions_given_by_hand_are_seen(self, payments):
        payments.run("GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO {bi}", acting="")

        assert payments.grant("bi", "acl", "pg_ls_dir")

    def test_several_databases_are_read_with_their_own_rights(self, payments):
        second = payments.name("second")
        payments.admin.execute(payments.fill("CREATE DATABASE {second} OWNER {owner}").encode())
        with psycopg.connect(**payments.address, dbname=second, autocommit=True) as other:
            other.execute(
                payments.fill(
                    "CREATE TABLE public.elsewhere (id int); GRANT SELECT ON public.elsewhere TO {bi}"
                ).encode()
            )

        records = list(payments.connector(dbname=[payments.database, second]).read())

        ids = [r["id"] for r in records if r["type"] == "grant" and r["identity"] == payments.name("bi")]
        assert any(f"table:{second}/public/elsewhere" in each for each in ids)
        assert len(ids) == len(set(ids))


def accepted(governed):
    """What the inventory's own reader says about the records; empty when it takes all of them."""
    lines = [json.dumps(record).encode() for record in governed.connector().read()]
    reader = RecordReader(
        is_delta=False, is_complete=True, observed_at=datetime.now(UTC), default_environment="production",
        most_records=1_000_000, must_end=True,
    )  # fmt: skip
    for _ in reader.rows(enumerate(lines, start=1)):
        pass
    return reader.errors


class TestTheInventoryTakesIt:
    def test_every_record_of_an_ordinary_server(self, payments):
        payments.run("GRANT {writers} TO {bi} WITH ADMIN OPTION", acting="administrator")
        payments.run("GRANT SELECT (id), UPDATE ON public.payments TO {bi} WITH GRANT OPTION")
        payments.run("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {bi}")

        assert accepted(payments) == []

    def test_columns_that_are_named_like_secrets(self, payments):
        payments.run("CREATE TABLE public.accounts (id int, password text, api_key text)")
        payments.run("GRANT SELECT (password, api_key) ON public.accounts TO {bi}")

        assert accepted(payments) == []

    def test_names_that_break_lines(self, payments):
        payments.run('CREATE TABLE public."two\nlines\t" (id int); GRANT SELECT ON public."two\nlines\t" TO {bi}')
        payments.run('CREATE ROLE "' + payments.prefix + 'a\nb" LOGIN', acting="administrator")

        assert accepted(payments) == []

    def test_a_long_function_of_long_names(self, payments):
        name = "ü" * 31
        payments.run(f'CREATE DOMAIN public."{name}" AS int')
        arguments = ", ".join([f'public."{name}"'] * 40)
        payments.run(f"CREATE FUNCTION public.\"{name}\"({arguments}) RETURNS int LANGUAGE sql AS 'SELECT 1'")
        payments.run(f'REVOKE ALL ON FUNCTION public."{name}" FROM PUBLIC')
        payments.run(f'GRANT EXECUTE ON FUNCTION public."{name}" TO {{bi}}')

        assert accepted(payments) == []


class TestUse:
    """Usage from pg_stat_statements, where the server has it."""

    @pytest.fixture
    def observed(self, payments):
        row = payments.admin.execute("SELECT current_setting('shared_preload_libraries')").fetchone()
        if "pg_stat_statements" not in row[0]:
            pytest.skip("this server does not load pg_stat_statements")
        payments.admin.execute("ALTER DATABASE " + f'"{payments.database}"' + " SET pg_stat_statements.track = 'top'")
        payments.run("CREATE EXTENSION pg_stat_statements", acting="")
        payments.run("SELECT pg_stat_statements_reset()", acting="")
        payments.run("GRANT SELECT, INSERT, UPDATE, DELETE ON public.payments TO {bi}")
        return payments

    def used(self, governed, short="bi"):
        prefix = f":{governed.database}/"
        return {
            (record["action"], record["resource"].replace(prefix, ":db/"))
            for record in governed.records("usage", short)
            if record["action"] != "USAGE"
        }

    def test_counts_what_a_role_did(self, observed):
        with observed.sign_in("bi") as connection:
            for number in (1, 2, 3):
                connection.execute("SELECT amount FROM public.payments WHERE id = %s", [number])

        assert self.used(observed) == {("SELECT", "table:db/public/payments")}
        assert [r["count"] for r in observed.records("usage", "bi") if r["action"] == "SELECT"] == [3]
        assert len(observed.records("usage_window", "bi")) == 1

    def test_a_count_says_since_when_it_counts(self, observed):
        def counted():
            [found] = [each for each in observed.records("usage", "bi") if each["action"] == "SELECT"]
            return found["count"], found["counted_from"]

        with observed.sign_in("bi") as connection:
            connection.execute("SELECT amount FROM public.payments")
            first = counted()
            assert counted() == first, "nothing was called meanwhile"
            connection.execute("SELECT amount FROM public.payments")
            assert counted() == (2, first[1])
            observed.run("SELECT pg_stat_statements_reset()", acting="")
            connection.execute("SELECT amount FROM public.payments")
            count, start = counted()
        assert (count, start > first[1]) == (1, True)

    def test_an_upsert_needs_more_than_insert(self, observed):
        assert observed.can("bi", "INSERT INTO public.payments VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET amount = 3")

        assert {action for action, _ in self.used(observed)} == {"INSERT", "UPDATE", "SELECT"}

    def test_a_role_with_a_statement_that_is_not_understood_has_no_window(self, observed):
        observed.can("bi", "DO $$ BEGIN PERFORM 1 FROM public.payments; END $$")

        assert observed.records("usage_window", "bi") == []

    def test_a_function_that_runs_as_its_caller_hides_use(self, observed):
        observed.run(
            "CREATE FUNCTION public.peek() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.payments'"
        )
        assert observed.can("bi", "SELECT public.peek()")

        assert ("EXECUTE", "function:db/public/peek()") in self.used(observed)
        assert observed.records("usage_window", "bi") == []

    def test_use_after_set_role_counts_for_who_may_set_it(self, observed):
        observed.run("ALTER ROLE {bi} NOINHERIT; GRANT {writers} TO {bi}", acting="administrator")
        with observed.sign_in("bi") as connection:
            connection.execute(observed.fill("SET ROLE {writers}").encode())
            connection.execute("UPDATE public.payments SET amount = 1 WHERE id = 1")

        assert ("UPDATE", "table:db/public/payments") in self.used(observed)

    def test_of_columns_those_that_were_named(self, observed):
        observed.run("REVOKE ALL ON public.payments FROM {bi}; GRANT SELECT (id, amount) ON public.payments TO {bi}")
        assert observed.can("bi", "SELECT amount FROM public.payments")

        assert self.used(observed) == {("SELECT", "column:db/public/payments/amount")}

    def test_without_the_right_to_see_statements_use_is_not_observable(self, observed):
        observed.can("bi", "SELECT id FROM public.payments")
        observed.run("REVOKE pg_read_all_stats FROM {connector}", acting="")

        assert observed.records("usage", "bi") == []
        assert observed.records("usage_window") == []


class TestNetwork:
    def test_rules_are_read_where_the_connector_may(self, payments):
        payments.run(
            "GRANT SELECT ON pg_hba_file_rules TO {connector};"
            "GRANT EXECUTE ON FUNCTION pg_hba_file_rules() TO {connector}",
            acting="",
        )

        (record,) = payments.records("identity", "bi")

        assert any("signs in by" in sentence for sentence in record["attributes"]["network"])
        assert accepted(payments) == []

    def test_where_it_may_not_nothing_is_said(self, payments):
        assert "network" not in payments.records("identity", "bi")[0]["attributes"]

    def test_a_rule_concerns_the_role_its_groups_and_everybody(self):
        roles = [role(1, "bi"), role(2, "writers")]
        estate = Estate(Cluster(18, {each.oid: each for each in roles}, [Membership(2, 1, 10, False, True, True)]), [])
        rules = [
            Rule("local", ["all"], ["postgres"], "", "peer"),
            Rule("hostssl", ["ledger"], ["+writers"], "10.0.0.0/8", "scram-sha-256"),
            Rule("host", ["all"], ["bi"], "10.9.0.0/16", "reject"),
            Rule("host", ["all"], ["other"], "all", "trust"),
        ]

        assert ways_in(roles[0], rules, estate) == [
            "from 10.0.0.0/8 encrypted to ledger: signs in by scram-sha-256",
            "from 10.9.0.0/16 to all: is refused",
        ]


def role(oid, name):
    return Role(oid, name, False, True, False, False, True, False, False, -1, None, False, "")


class TestErrors:
    def test_a_wrong_password_is_unreachable_and_not_shown(self, governed):
        connector = governed.connector(host="127.0.0.1", port=1, connect_timeout=2)

        with pytest.raises(SourceUnreachable) as error:
            list(connector.read())

        assert "only-for-this-test" not in str(error.value)

    def test_a_missing_database_is_named(self, governed):
        with pytest.raises(SourceUnreachable, match="nowhere"):
            list(governed.connector(dbname=[governed.database, "nowhere"]).read())

    def test_a_connection_that_breaks_midway_is_incomplete(self, governed):
        governed.run("CREATE TABLE public.x (id int)")
        governed.admin.execute("BEGIN")
        governed.admin.execute("LOCK TABLE pg_catalog.pg_default_acl IN ACCESS EXCLUSIVE MODE")
        try:
            with pytest.raises(ReadIncomplete):
                list(governed.connector(statement_timeout=1).read())
        finally:
            governed.admin.execute("ROLLBACK")

    @pytest.mark.parametrize(
        "changes",
        [{"dbname": []}, {"dbname": ["a", "a"]}, {"port": "many"}, {"sslmode": "maybe"}, {"colour": 1}, {"user": ""}],
    )
    def test_bad_settings_are_named(self, governed, changes):
        with pytest.raises(BadSettings, match=next(iter(changes))):
            governed.connector(**changes)

    def test_it_can_do_everything_that_the_contract_knows(self, governed):
        assert capabilities_of(governed.connector()) == frozenset(Capability)

    def test_the_end_counts_what_came_before(self, governed):
        *records, end = governed.connector().read()

        assert end == {"type": "end", "records": len(records)}
        assert all(Permission.from_json(r["permission"]) for r in records if r["type"] == "grant")
