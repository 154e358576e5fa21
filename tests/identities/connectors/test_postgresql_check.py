"""Trying a connection names every right that is missing, with the line that gives it."""

import pytest

from identities.connectors.contract import Checker


def checks(governed, **changes):
    return {check.title: check for check in governed.connector(**changes).check()}


def states(governed, **changes):
    return {title: check.state for title, check in checks(governed, **changes).items()}


class TestCheck:
    def test_a_well_prepared_role_passes_everything_that_it_needs(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}")

        found = checks(payments)

        assert isinstance(payments.connector(), Checker)
        assert found[f"Sign in to database {payments.database}"].state == "ok"
        assert found[f"Read database {payments.database}"].state == "ok"
        assert found["See the statements of other roles"].state == "ok"
        assert found["End open sessions"].state == "ok"

    def test_changes_nothing(self, payments):
        before = payments.acl(), payments.records("grant")

        checks(payments)

        assert (payments.acl(), payments.records("grant")) == before

    @pytest.mark.parametrize(
        ("right", "title"),
        [("pg_read_all_stats", "See the statements of other roles"), ("pg_signal_backend", "End open sessions")],
    )
    def test_a_missing_right_is_named_with_its_line_and_the_line_helps(self, payments, right, title):
        payments.run(f"REVOKE {right} FROM {{connector}}", acting="")

        found = checks(payments)[title]

        assert found.state == "warning"
        line = found.detail.removeprefix("Missing: ")
        assert line == payments.fill('GRANT "' + right + '" TO {connector};')
        payments.run(line.replace("{", "{{"), acting="")
        assert states(payments)[title] == "ok"

    def test_an_owner_that_it_may_not_act_as_is_named_and_the_line_helps(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}")
        payments.run("REVOKE {owner} FROM {connector}", acting="")
        title = f"Revoke and narrow rights in {payments.database}"

        found = checks(payments)[title]

        assert found.state == "warning"
        lines = [line for line in found.detail.removeprefix("Missing: ").split("; ") if payments.name("owner") in line]
        payments.run(lines[0], acting="")
        assert payments.name("owner") not in checks(payments)[title].detail

    def test_an_account_that_it_may_not_lock_out_is_named(self, payments):
        payments.run("CREATE ROLE {foreign} LOGIN; REVOKE {administrator} FROM {connector}", acting="")

        found = checks(payments)["Lock accounts out, end their passwords"]

        assert found.state == "warning"
        assert "CREATEROLE" in found.detail

    def test_each_database_is_tried(self, governed):
        found = states(governed, dbname=[governed.database, "nowhere"])

        assert found["Sign in to database nowhere"] == "failed"
        assert found[f"Sign in to database {governed.database}"] == "ok"

    def test_a_server_that_does_not_answer_is_a_failed_check_and_shows_no_secret(self, governed):
        found = checks(governed, host="127.0.0.1", port=1, connect_timeout=2)

        assert [check.state for check in found.values()] == ["failed"]
        assert "only-for-this-test" not in str(found)

    def test_a_missing_extension_and_a_missing_log_folder_are_named(self, governed, tmp_path):
        folder = str(tmp_path / "nowhere")
        found = checks(governed, pgaudit_logs=[folder])

        assert "CREATE EXTENSION" in found[f"Use from pg_stat_statements in {governed.database}"].detail
        assert found[f"Read the log folder {folder}"].state == "failed"

    def test_a_superuser_is_advised_against(self, governed):
        governed.run("ALTER ROLE {connector} SUPERUSER", acting="")

        assert checks(governed)["The connector's role"].state == "warning"
