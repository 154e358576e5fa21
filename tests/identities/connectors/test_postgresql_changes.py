"""Revoke, narrow, lock out, restore: on a real server, with real statements of the role that is concerned."""

import threading
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import sql

from governance.kernel.dialects.postgresql import resource
from identities.connectors.contract import Execution, ExecutionState, NotPossible, Plan, VerificationState

SELECT = "SELECT id FROM public.payments"
DELETE = "DELETE FROM public.payments WHERE false"
INSERT = "INSERT INTO public.payments VALUES (99, 1, 'y') ON CONFLICT DO NOTHING"
UPDATE = "UPDATE public.payments SET amount = 1 WHERE false"


def applied(connector: Any, plan: Plan) -> Execution:
    done = connector.execute(plan)
    assert done.state is ExecutionState.APPLIED, done.reason
    return done


class TestRevoke:
    def test_takes_the_right_away_and_leaves_the_rest(self, payments):
        payments.run("GRANT SELECT ON public.payments, public.refunds TO {bi}")
        connector = payments.connector()
        plan = connector.plan_revoke(payments.grant("bi", "acl", "payments"))

        applied(connector, plan)

        assert not payments.can("bi", SELECT)
        assert payments.can("bi", "SELECT id FROM public.refunds")
        assert connector.verify(plan).state is VerificationState.GONE

    def test_the_plan_shows_every_statement(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}")

        plan = payments.connector().plan_revoke(payments.grant("bi", "acl", "payments"))

        assert [step.text for step in plan.steps] == [
            "BEGIN",
            "SET LOCAL lock_timeout = '2s'",
            "SELECT pg_advisory_xact_lock(7266348001)",
            payments.fill("SET LOCAL ROLE {owner}"),
            payments.fill('REVOKE SELECT ON TABLE "public"."payments" FROM {bi}'),
            "COMMIT",
        ]
        assert plan.removes == (("SELECT", payments.resource("table:db/public/payments")),)
        assert Plan.from_json(plan.to_json()) == plan

    def test_a_second_execution_changes_nothing(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}")
        connector = payments.connector()
        plan = connector.plan_revoke(payments.grant("bi", "acl", "payments"))
        applied(connector, plan)
        before = payments.acl()

        again = connector.execute(plan)

        assert again.state is ExecutionState.ALREADY_APPLIED
        assert payments.acl() == before

    def test_stops_when_the_server_changed_since_the_plan(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}")
        connector = payments.connector()
        plan = connector.plan_revoke(payments.grant("bi", "acl", "payments"))
        payments.run("GRANT DELETE ON public.payments TO {bi}")

        done = connector.execute(plan)

        assert done.state is ExecutionState.DRIFTED
        assert "DELETE" in done.reason
        assert payments.can("bi", SELECT)

    def test_refuses_to_plan_on_an_outdated_inventory(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}")
        grant = payments.grant("bi", "acl", "payments")
        payments.run("GRANT DELETE ON public.payments TO {bi}")

        with pytest.raises(NotPossible, match="changed since it was last read"):
            payments.connector().plan_revoke(grant)

    def test_stops_when_a_table_of_that_name_is_another_one(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}")
        connector = payments.connector()
        plan = connector.plan_revoke(payments.grant("bi", "acl", "payments"))
        payments.run("ALTER TABLE public.payments RENAME TO old; CREATE TABLE public.payments (id int)")
        payments.run("GRANT SELECT ON public.payments TO {bi}")

        done = connector.execute(plan)

        assert done.state is ExecutionState.DRIFTED
        assert "now called public.old" in done.reason
        assert payments.can("bi", SELECT)

    def test_a_plan_that_was_altered_in_storage_does_not_run(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}")
        connector = payments.connector()
        stored = connector.plan_revoke(payments.grant("bi", "acl", "payments")).to_json()
        stored["steps"] = [dict(step) for step in stored["steps"]]
        stored["steps"][4]["text"] = "DROP TABLE public.payments"

        done = connector.execute(Plan.from_json(stored))

        assert done.state is ExecutionState.BLOCKED
        assert payments.can("bi", SELECT)

    def test_other_members_of_the_role_keep_it(self, payments):
        payments.make_role("worker")
        payments.run("GRANT {writers} TO {bi}, {worker}", acting="administrator")
        connector = payments.connector()
        plan = connector.plan_revoke(payments.grant("bi", "membership"))

        applied(connector, plan)

        assert not payments.can("bi", INSERT)
        assert payments.can("worker", INSERT)
        assert connector.verify(plan).state is VerificationState.GONE

    def test_a_right_that_was_passed_on_is_refused_with_those_who_would_lose_it(self, payments):
        payments.make_role("friend")
        payments.run("GRANT SELECT ON public.payments TO {bi} WITH GRANT OPTION")
        payments.run("GRANT SELECT ON public.payments TO {friend}", acting="bi")

        with pytest.raises(NotPossible, match=payments.name("friend")):
            payments.connector().plan_revoke(payments.grant("bi", "acl", "payments"))

    def test_a_right_passed_on_after_the_plan_blocks_and_takes_from_nobody(self, payments):
        payments.make_role("friend")
        payments.run("GRANT SELECT ON public.payments TO {bi} WITH GRANT OPTION")
        connector = payments.connector()
        plan = connector.plan_revoke(payments.grant("bi", "acl", "payments"))
        payments.run("GRANT SELECT ON public.payments TO {friend}", acting="bi")

        done = connector.execute(plan)

        assert done.state is ExecutionState.BLOCKED
        assert payments.can("friend", SELECT)
        assert payments.can("bi", SELECT)

    def test_another_grantors_right_needs_that_grantor(self, payments):
        payments.make_role("lead")
        payments.run("GRANT SELECT ON public.payments TO {lead} WITH GRANT OPTION")
        payments.run("GRANT SELECT ON public.payments TO {bi}", acting="lead")

        with pytest.raises(NotPossible, match="may not act as it"):
            payments.connector().plan_revoke(payments.grant("bi", "acl", "payments"))

        payments.run("GRANT {lead} TO {connector}", acting="")
        connector = payments.connector()
        applied(connector, connector.plan_revoke(payments.grant("bi", "acl", "payments")))
        assert not payments.can("bi", SELECT)

    def test_ownership_is_refused_with_the_reason_and_the_statement_for_a_person(self, payments):
        payments.run("ALTER TABLE public.refunds OWNER TO {bi}", acting="")
        grant = payments.grant("bi", "ownership")

        with pytest.raises(NotPossible, match="give itself back") as revoking:
            payments.connector().plan_revoke(grant)
        with pytest.raises(NotPossible) as narrowing:
            target = payments.permission((["SELECT"], ["table:db/public/refunds"]))
            payments.connector().plan_narrow(grant, target)

        for refusal in (revoking, narrowing):
            assert 'ALTER TABLE "public"."refunds" OWNER TO' in str(refusal.value)

    def test_an_attribute_of_a_role_is_taken_away(self, payments):
        payments.run("ALTER ROLE {bi} CREATEDB; ALTER ROLE {administrator} CREATEDB", acting="")
        connector = payments.connector()
        plan = connector.plan_revoke(payments.grant("bi", "attribute"))

        applied(connector, plan)

        assert not [r for r in payments.records("grant", "bi") if r["native_ref"]["kind"] == "attribute"]
        assert connector.verify(plan).state is VerificationState.GONE

    def test_default_privileges_are_taken_away(self, payments):
        payments.run("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {bi}")
        connector = payments.connector()
        plan = connector.plan_revoke(payments.grant("bi", "default_privileges"))

        applied(connector, plan)
        payments.run("CREATE TABLE public.later (id int)")

        assert not payments.can("bi", "SELECT id FROM public.later")
        assert connector.verify(plan).state is VerificationState.GONE

    def test_a_plan_warns_of_default_privileges_that_give_the_same_again(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}")
        payments.run("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {bi}")

        plan = payments.connector().plan_revoke(payments.grant("bi", "acl", "payments"))

        assert any("Default privileges" in step.note for step in plan.steps)


class TestSwitchedSessions:
    """A session that has said SET ROLE keeps the role after the membership is gone."""

    def test_end_with_a_membership_that_is_used_by_switching_only(self, payments):
        payments.run("ALTER ROLE {bi} NOINHERIT", acting="administrator")
        payments.run("GRANT {writers} TO {bi}", acting="administrator")
        connector = payments.connector()
        plan = connector.plan_revoke(payments.grant("bi", "membership"))
        session = payments.sign_in("bi")
        session.execute(payments.fill("SET ROLE {writers}").encode())

        applied(connector, plan)

        with pytest.raises(psycopg.OperationalError):
            session.execute(SELECT.encode())
        assert not payments.can("bi", "SET ROLE {writers}")
        assert connector.verify(plan).state is VerificationState.GONE

    def test_are_warned_of_where_the_service_need_not_switch(self, payments):
        payments.run("GRANT {writers} TO {bi}", acting="administrator")

        plan = payments.connector().plan_revoke(payments.grant("bi", "membership"))

        assert any("keeps that role until it ends" in step.note for step in plan.steps)

    def test_keep_the_order_open_until_the_older_sessions_end(self, payments):
        payments.run("GRANT {writers} TO {bi}", acting="administrator")
        connector = payments.connector()
        plan = connector.plan_revoke(payments.grant("bi", "membership"))
        session = payments.sign_in("bi")
        session.execute(payments.fill("SET ROLE {writers}").encode())
        applied(connector, plan)
        carried_out = datetime.now(UTC)
        assert session.execute(SELECT.encode())  # the right outlived its revocation

        with_it = connector.verify(plan, since=carried_out)
        session.close()
        younger = payments.sign_in("bi")
        without_it = connector.verify(plan, since=carried_out)
        younger.close()

        assert (with_it.state, with_it.sessions) == (VerificationState.SESSIONS_REMAIN, 1)
        assert without_it.state is VerificationState.GONE


class TestStillEffective:
    """A REVOKE that succeeds and changes nothing is never a success."""

    def test_through_public(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}, PUBLIC")

        seen = self.revoke_and_look(payments)

        assert seen.state is VerificationState.STILL_EFFECTIVE
        assert [via for _, _, via in seen.still_effective] == ["PUBLIC"]

    def test_through_a_membership(self, payments):
        payments.run("GRANT {writers} TO {bi}", acting="administrator")
        payments.run("GRANT SELECT, TRUNCATE ON public.payments TO {bi}")

        seen = self.revoke_and_look(payments)

        assert seen.state is VerificationState.STILL_EFFECTIVE
        assert {(action, via) for action, _, via in seen.still_effective} == {
            ("SELECT", f"membership in {payments.name('writers')}")
        }

    def test_through_a_membership_that_does_not_inherit(self, payments):
        payments.run("ALTER ROLE {bi} NOINHERIT", acting="administrator")
        payments.run("GRANT {writers} TO {bi}", acting="administrator")
        payments.run("GRANT SELECT ON public.payments TO {bi}")

        seen = self.revoke_and_look(payments)

        assert not payments.can("bi", SELECT)
        assert payments.can("bi", "SET ROLE {writers}; SELECT id FROM public.payments")
        assert seen.state is VerificationState.STILL_EFFECTIVE
        assert "after SET ROLE" in seen.still_effective[0][2]

    def test_through_another_grantor(self, payments):
        payments.make_role("lead")
        payments.run("GRANT SELECT ON public.payments TO {lead} WITH GRANT OPTION")
        payments.run("GRANT SELECT ON public.payments TO {bi}", acting="lead")
        payments.run("GRANT SELECT ON public.payments TO {bi}")
        connector = payments.connector()
        plan = connector.plan_revoke(payments.grant("bi", "acl", "payments", by="owner"))
        applied(connector, plan)

        seen = connector.verify(plan)

        assert payments.can("bi", SELECT)
        assert seen.still_effective[0][2] == f"its own grant from {payments.name('lead')}"

    def test_a_column_right_under_a_right_on_the_table(self, payments):
        payments.make_role("readers", "NOLOGIN")
        payments.run("GRANT SELECT ON public.payments TO {readers}")
        payments.run("GRANT {readers} TO {bi}", acting="administrator")
        payments.run("GRANT SELECT (amount) ON public.payments TO {bi}")

        seen = self.revoke_and_look(payments)

        assert payments.can("bi", "SELECT amount FROM public.payments")
        assert seen.state is VerificationState.STILL_EFFECTIVE
        assert "whole table" in seen.still_effective[0][2]

    def test_single_columns_left_over_from_a_right_on_the_table(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}; GRANT SELECT (iban) ON public.payments TO PUBLIC")

        seen = self.revoke_and_look(payments)

        assert seen.state is VerificationState.STILL_EFFECTIVE
        assert "single columns" in seen.still_effective[0][2]

    def test_through_ownership_by_a_group(self, payments):
        payments.run("GRANT {owner} TO {bi}", acting="")
        payments.run("GRANT DELETE ON public.payments TO {bi}")

        seen = self.revoke_and_look(payments)

        assert seen.state is VerificationState.STILL_EFFECTIVE
        assert payments.name("owner") in seen.still_effective[0][2]

    def test_through_a_built_in_role(self, payments):
        payments.run("GRANT pg_read_all_data TO {bi}", acting="")
        payments.run("GRANT SELECT ON public.payments TO {bi}")

        seen = self.revoke_and_look(payments)

        assert seen.still_effective[0][2] == "membership in pg_read_all_data"

    def test_granted_again_is_still_present(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}")
        connector = payments.connector()
        plan = connector.plan_revoke(payments.grant("bi", "acl", "payments"))
        applied(connector, plan)
        payments.run("GRANT SELECT ON public.payments TO {bi}")

        assert connector.verify(plan).state is VerificationState.STILL_PRESENT

    def revoke_and_look(self, payments):
        connector = payments.connector()
        plan = connector.plan_revoke(payments.grant("bi", "acl", "payments"))
        applied(connector, plan)
        return connector.verify(plan)


class TestNarrow:
    def test_a_right_on_a_table_keeps_only_what_was_chosen(self, payments):
        payments.run("GRANT ALL ON public.payments TO {bi}")
        target = payments.permission((["SELECT"], ["table:db/public/payments"]))
        connector = payments.connector()
        plan = connector.plan_narrow(payments.grant("bi", "acl", "payments"), target)

        applied(connector, plan)

        assert payments.can("bi", SELECT)
        assert not payments.can("bi", DELETE)
        seen = connector.verify(plan)
        assert (seen.state, seen.lost) == (VerificationState.GONE, ())

    def test_a_table_can_be_narrowed_to_columns(self, payments):
        payments.run("GRANT SELECT, UPDATE ON public.payments TO {bi}")
        target = payments.permission((["SELECT"], ["column:db/public/payments/id", "column:db/public/payments/amount"]))
        connector = payments.connector()
        plan = connector.plan_narrow(payments.grant("bi", "acl", "payments"), target)

        applied(connector, plan)

        assert payments.can("bi", "SELECT id, amount FROM public.payments")
        assert not payments.can("bi", "SELECT iban FROM public.payments")
        assert connector.verify(plan).state is VerificationState.GONE

    def test_columns_survive_when_the_same_privilege_goes_from_the_table(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}; GRANT SELECT (id) ON public.payments TO {bi}")
        target = payments.permission((["SELECT"], ["column:db/public/payments/id"]))
        connector = payments.connector()
        plan = connector.plan_narrow(payments.grant("bi", "acl", "payments"), target)

        applied(connector, plan)

        assert payments.can("bi", SELECT)
        assert not payments.can("bi", "SELECT iban FROM public.payments")

    def test_the_right_to_pass_on_can_be_taken_alone(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi} WITH GRANT OPTION")
        target = payments.permission((["SELECT"], ["table:db/public/payments"]))
        connector = payments.connector()
        plan = connector.plan_narrow(payments.grant("bi", "acl", "payments"), target)

        applied(connector, plan)

        assert payments.can("bi", SELECT)
        assert connector.verify(plan).state is VerificationState.GONE
        assert payments.grant("bi", "acl", "payments").native_ref["privileges"] == {"SELECT": False}

    def test_a_membership_becomes_direct_rights_in_one_transaction(self, payments):
        payments.make_role("worker")
        payments.run("GRANT {writers} TO {bi}, {worker}", acting="administrator")
        target = payments.permission((["SELECT"], ["table:db/public/payments"]))
        connector = payments.connector()
        plan = connector.plan_narrow(payments.grant("bi", "membership"), target)

        applied(connector, plan)

        assert payments.can("bi", SELECT)
        assert not payments.can("bi", INSERT)
        assert not payments.can("bi", UPDATE)
        assert payments.can("worker", INSERT)
        seen = connector.verify(plan)
        assert (seen.state, seen.lost) == (VerificationState.GONE, ())
        texts = [step.text for step in plan.steps]
        assert texts.index("COMMIT") == len(texts) - 1
        revoke = next(index for index, text in enumerate(texts) if text.startswith("REVOKE"))
        assert revoke < next(index for index, text in enumerate(texts) if text.startswith("GRANT"))

    def test_a_membership_becomes_the_smaller_membership(self, payments):
        payments.make_role("readers", "NOLOGIN")
        payments.run("GRANT SELECT ON public.refunds TO {readers}")
        payments.run("GRANT {readers} TO {writers}; GRANT {writers} TO {bi}", acting="administrator")
        target = payments.permission(
            (["SELECT"], ["table:db/public/refunds"]), (["MEMBER"], [f"role:{payments.name('readers')}"])
        )
        connector = payments.connector()
        plan = connector.plan_narrow(payments.grant("bi", "membership"), target)

        applied(connector, plan)

        assert payments.can("bi", "SELECT id FROM public.refunds")
        assert not payments.can("bi", SELECT)
        assert connector.verify(plan).state is VerificationState.GONE
        assert payments.grant("bi", "membership").native_ref["role"]["name"] == payments.name("readers")

    def test_a_chain_of_three_is_seen_through(self, payments):
        payments.make_role("chiefs", "NOLOGIN")
        payments.make_role("readers", "NOLOGIN")
        payments.run("GRANT SELECT ON public.refunds TO {readers}")
        payments.run(
            "GRANT {readers} TO {writers}; GRANT {writers} TO {chiefs}; GRANT {chiefs} TO {bi}", acting="administrator"
        )
        grant = payments.grant("bi", "membership")
        target = payments.permission((["SELECT"], ["table:db/public/refunds"]))
        connector = payments.connector()

        applied(connector, connector.plan_narrow(grant, target))

        assert [step["id"] for step in grant.path] == [payments.name(n) for n in ("chiefs", "writers", "readers")]
        assert payments.can("bi", "SELECT id FROM public.refunds")
        assert not payments.can("bi", SELECT)

    def test_a_built_in_role_becomes_rights_on_the_chosen_table(self, payments):
        if payments.version >= 16:
            payments.run("GRANT pg_read_all_data TO {administrator} WITH ADMIN OPTION", acting="")
        payments.run("GRANT pg_read_all_data TO {bi}", acting="administrator" if payments.version >= 16 else "")
        target = payments.permission((["SELECT"], ["table:db/public/refunds"]), (["USAGE"], ["schema:db/public"]))
        connector = payments.connector()
        plan = connector.plan_narrow(payments.grant("bi", "membership"), target)

        applied(connector, plan)

        assert payments.can("bi", "SELECT id FROM public.refunds")
        assert not payments.can("bi", SELECT)
        assert connector.verify(plan).state is VerificationState.GONE

    def test_rights_without_their_schema_are_refused(self, payments):
        payments.run("CREATE SCHEMA closed; CREATE TABLE closed.books (id int)")
        payments.run("GRANT USAGE ON SCHEMA closed TO {writers}; GRANT SELECT ON closed.books TO {writers}")
        payments.run("GRANT {writers} TO {bi}", acting="administrator")
        target = payments.permission((["SELECT"], ["table:db/closed/books"]))

        with pytest.raises(NotPossible, match="USAGE on schema closed"):
            payments.connector().plan_narrow(payments.grant("bi", "membership"), target)

    def test_a_target_outside_what_is_held_is_refused(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}")
        target = payments.permission((["SELECT", "DELETE"], ["table:db/public/payments"]))

        with pytest.raises(NotPossible, match="DELETE"):
            payments.connector().plan_narrow(payments.grant("bi", "acl", "payments"), target)

    def test_a_part_that_cannot_be_expressed_is_named(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}")
        target = payments.permission((["SELECT"], ["column:db/public/payments/i*"]))

        with pytest.raises(NotPossible, match="cannot express this part of the target: SELECT on column:"):
            payments.connector().plan_narrow(payments.grant("bi", "acl", "payments"), target)

    def test_a_target_that_changes_nothing_is_refused(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}")
        target = payments.permission((["SELECT"], ["table:db/public/payments"]))

        with pytest.raises(NotPossible, match="leaves everything as it is"):
            payments.connector().plan_narrow(payments.grant("bi", "acl", "payments"), target)


class TestLargeObjects:
    @pytest.fixture
    def number(self, payments):
        ((found,),) = payments.run("SELECT lo_from_bytea(0, 'x')")
        payments.run(f"GRANT SELECT, UPDATE ON LARGE OBJECT {found} TO {{bi}}")
        return found

    def test_are_read_narrowed_verified_and_restored(self, payments, number):
        read, write = f"SELECT lo_get({number})", f"SELECT lo_put({number}, 0, 'y')"
        connector = payments.connector()
        grant = payments.grant("bi", "acl", f"largeobject {number}")
        target = payments.permission((["SELECT"], [f"largeobject:db/{number}"]))
        assert payments.can("bi", write)

        plan = connector.plan_narrow(grant, target)
        applied(connector, plan)

        assert payments.can("bi", read)
        assert not payments.can("bi", write)
        seen = connector.verify(plan)
        assert (seen.state, seen.lost) == (VerificationState.GONE, ())
        applied(connector, connector.plan_restore(plan))
        assert payments.can("bi", write)

    def test_that_stay_open_to_all_are_found(self, payments, number):
        payments.run(f"GRANT UPDATE ON LARGE OBJECT {number} TO PUBLIC")
        connector = payments.connector()
        plan = connector.plan_revoke(payments.grant("bi", "acl", f"largeobject {number}"))

        applied(connector, plan)

        seen = connector.verify(plan)
        assert seen.state is VerificationState.STILL_EFFECTIVE
        assert [(action, via) for action, _, via in seen.still_effective] == [("UPDATE", "PUBLIC")]


class TestRestore:
    def test_brings_back_the_exact_rights(self, payments):
        payments.run(
            "GRANT SELECT, UPDATE ON public.payments TO {bi}; GRANT DELETE ON public.payments TO {bi} WITH GRANT OPTION"
        )
        payments.run("GRANT INSERT (id, iban) ON public.payments TO {bi}")
        before = payments.acl()
        state = payments.grant("bi", "acl", "payments").native_ref
        connector = payments.connector()
        target = payments.permission((["SELECT"], ["column:db/public/payments/id"]))
        plan = connector.plan_narrow(payments.grant("bi", "acl", "payments"), target)
        applied(connector, plan)
        back = connector.plan_restore(Plan.from_json(plan.to_json()))

        applied(connector, back)

        assert payments.acl() == before
        assert payments.grant("bi", "acl", "payments").native_ref == state
        seen = connector.verify(back)
        assert (seen.state, seen.lost) == (VerificationState.GONE, ())

    def test_brings_back_a_membership_with_its_options(self, payments):
        payments.run("GRANT {writers} TO {bi} WITH ADMIN OPTION", acting="administrator")
        state = payments.grant("bi", "membership").native_ref
        connector = payments.connector()
        plan = connector.plan_narrow(
            payments.grant("bi", "membership"), payments.permission((["SELECT"], ["table:db/public/payments"]))
        )
        applied(connector, plan)

        applied(connector, connector.plan_restore(plan))

        found = payments.grant("bi", "membership").native_ref
        if payments.version < 16:
            found["grantor"] = state["grantor"]  # not held on to by the server before 16
        assert found == state
        assert not [r for r in payments.records("grant", "bi") if r["native_ref"]["kind"] == "acl"]
        assert payments.can("bi", INSERT)


class TestQuarantine:
    def test_locks_out_and_ends_the_open_session(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}")
        connector = payments.connector()
        session = payments.sign_in("bi")
        plan = connector.plan_quarantine(payments.name("bi"))

        done = applied(connector, plan)

        assert done.evidence["sessions_ended"] == 1
        with pytest.raises(psycopg.OperationalError):
            session.execute(b"SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
            payments.sign_in("bi")
        assert connector.verify(plan).state is VerificationState.GONE

    def test_a_locked_account_stays_in_the_inventory_as_disabled(self, payments):
        connector = payments.connector()

        applied(connector, connector.plan_quarantine(payments.name("bi")))

        assert [record["status"] for record in payments.records("identity", "bi")] == ["disabled"]
        assert payments.records("identity", "writers") == []

    def test_restore_lets_it_in_again(self, payments):
        payments.run("ALTER ROLE {bi} CONNECTION LIMIT 7", acting="administrator")
        connector = payments.connector()
        plan = connector.plan_quarantine(payments.name("bi"))
        applied(connector, plan)

        applied(connector, connector.plan_restore(plan))

        payments.sign_in("bi").close()
        assert payments.records("identity", "bi")[0]["attributes"]["connection_limit"] == 7

    def test_sessions_that_outlive_it_are_an_outcome_of_their_own(self, payments):
        connector = payments.connector()
        plan = connector.plan_quarantine(payments.name("bi"))
        applied(connector, plan)
        payments.run("ALTER ROLE {bi} LOGIN CONNECTION LIMIT -1", acting="administrator")
        with payments.sign_in("bi"):
            payments.run("ALTER ROLE {bi} NOLOGIN CONNECTION LIMIT 0", acting="administrator")

            seen = connector.verify(plan)

        assert (seen.state, seen.sessions) == (VerificationState.SESSIONS_REMAIN, 1)

    def test_without_the_right_to_end_sessions_it_is_refused(self, payments):
        payments.run("REVOKE pg_signal_backend FROM {connector}", acting="")

        with pytest.raises(NotPossible, match="pg_signal_backend"):
            payments.connector().plan_quarantine(payments.name("bi"))

    def test_without_administration_of_the_role_it_is_refused(self, payments):
        payments.run("CREATE ROLE {foreign} LOGIN; REVOKE {administrator} FROM {connector}", acting="")

        with pytest.raises(NotPossible, match="CREATEROLE"):
            payments.connector().plan_quarantine(payments.name("foreign"))

    def test_a_superuser_is_refused(self, payments):
        payments.run("CREATE ROLE {root} LOGIN SUPERUSER", acting="")

        with pytest.raises(NotPossible, match="only a superuser can change a superuser"):
            payments.connector().plan_quarantine(payments.name("root"))

    def test_the_connector_never_locks_itself_out(self, payments):
        with pytest.raises(NotPossible, match="cannot take its own access away"):
            payments.connector().plan_quarantine(payments.name("connector"))


class TestDeactivate:
    def test_ends_the_password_and_can_be_undone(self, payments):
        connector = payments.connector()
        plan = connector.plan_deactivate(payments.name("bi"), f"password:{payments.name('bi')}")

        applied(connector, plan)

        assert payments.records("credential", "bi")[0]["status"] == "disabled"
        assert payments.records("credential", "bi")[0]["expires_at"] is not None
        assert connector.verify(plan).state is VerificationState.GONE
        applied(connector, connector.plan_restore(plan))
        assert payments.records("credential", "bi")[0]["expires_at"] is None

    def test_says_which_sign_ins_it_does_not_reach(self, payments):
        plan = payments.connector().plan_deactivate(payments.name("bi"), f"password:{payments.name('bi')}")

        assert any("certificate" in step.note for step in plan.steps)

    def test_an_unknown_credential_is_refused(self, payments):
        with pytest.raises(NotPossible, match="knows no credential"):
            payments.connector().plan_deactivate(payments.name("bi"), "key:1")


class TestAtOnce:
    """Concurrent changes and broken connections."""

    def test_a_killed_backend_leaves_nothing_half_applied(self, payments, wait_until):
        payments.run("GRANT {writers} TO {bi}", acting="administrator")
        connector = payments.connector(lock_timeout=30)
        target = payments.permission((["SELECT"], ["table:db/public/payments"]))
        plan = connector.plan_narrow(payments.grant("bi", "membership"), target)
        # An open GRANT on the same table holds the plan up after its first statement, the REVOKE of the membership.
        blocker = psycopg.connect(**payments.address, dbname=payments.database)
        blocker.execute(payments.fill("GRANT REFERENCES ON public.payments TO {writers}").encode())
        results: list[Execution] = []
        worker = threading.Thread(target=lambda: results.append(connector.execute(plan)))
        worker.start()
        try:
            wait_until(lambda: self.waiting(payments) is not None)
            payments.admin.execute("SELECT pg_terminate_backend(%s, 5000)", [self.waiting(payments)])

            assert payments.grant("bi", "membership")
            assert not [r for r in payments.records("grant", "bi") if r["native_ref"]["kind"] == "acl"]
        finally:
            blocker.rollback()
            blocker.close()
            worker.join(20)
        assert [done.state for done in results] == [ExecutionState.APPLIED]
        assert payments.can("bi", SELECT)
        assert not payments.can("bi", INSERT)

    def test_a_concurrent_change_of_the_same_list_is_waited_for(self, payments, wait_until):
        payments.run("GRANT SELECT ON public.payments TO {bi}")
        connector = payments.connector(lock_timeout=30)
        plan = connector.plan_revoke(payments.grant("bi", "acl", "payments"))
        other = psycopg.connect(**payments.address, dbname=payments.database)
        other.execute(payments.fill("GRANT REFERENCES ON public.payments TO {writers}").encode())
        results: list[Execution] = []
        worker = threading.Thread(target=lambda: results.append(connector.execute(plan)))
        worker.start()
        wait_until(lambda: self.waiting(payments) is not None)
        other.commit()
        other.close()
        worker.join(20)

        assert [done.state for done in results] == [ExecutionState.APPLIED]
        assert not payments.can("bi", SELECT)
        held = payments.run(
            "SELECT has_table_privilege('" + payments.name("writers") + "', 'public.payments', 'REFERENCES')"
        )
        assert held == [(True,)]

    def test_a_lock_held_too_long_blocks_and_changes_nothing(self, payments):
        payments.run("GRANT SELECT ON public.payments TO {bi}")
        connector = payments.connector(lock_timeout=1)
        plan = connector.plan_revoke(payments.grant("bi", "acl", "payments"))
        with psycopg.connect(**payments.address, dbname=payments.database) as other:
            other.execute(payments.fill("GRANT REFERENCES ON public.payments TO {writers}").encode())

            done = connector.execute(plan)

            other.rollback()
        assert done.state is ExecutionState.BLOCKED
        assert "locked" in done.reason
        assert payments.can("bi", SELECT)

    def test_two_executions_at_once_change_once(self, payments):
        payments.run("GRANT {writers} TO {bi}", acting="administrator")
        connector = payments.connector()
        target = payments.permission((["SELECT"], ["table:db/public/payments"]))
        plan = connector.plan_narrow(payments.grant("bi", "membership"), target)
        results: list[Execution] = []
        workers = [threading.Thread(target=lambda: results.append(connector.execute(plan))) for _ in range(3)]

        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)

        states = sorted(done.state for done in results)
        assert states == [ExecutionState.ALREADY_APPLIED, ExecutionState.ALREADY_APPLIED, ExecutionState.APPLIED]
        assert not payments.can("bi", INSERT)

    def waiting(self, payments):
        row = payments.admin.execute(
            "SELECT pid FROM pg_stat_activity WHERE usename = %s AND wait_event_type = 'Lock'",
            [payments.name("connector")],
        ).fetchone()
        return row[0] if row else None


@pytest.mark.parametrize(
    "name",
    ["dot.ted", 'quo"ted', "UpPer", "späce ünïcode ☂", "per%cent/slash*star?", "a'postrophe; DROP TABLE x", "l" * 63],
)
class TestStrangeNames:
    def test_tables_roles_and_columns_of_any_name(self, governed, name):
        ident = sql.Identifier(name).as_string(None)
        governed.run(f"CREATE SCHEMA {ident}; CREATE TABLE {ident}.{ident} ({ident} int, other int)")
        role = (governed.prefix + name)[:60]
        quoted = sql.Identifier(role).as_string(None)
        governed.run(f"CREATE ROLE {quoted} LOGIN", acting="administrator")
        governed.run(f"GRANT USAGE ON SCHEMA {ident} TO {quoted}; GRANT SELECT, DELETE ON {ident}.{ident} TO {quoted}")
        grant = governed.grant(role[len(governed.prefix) :], "acl", "DELETE")
        connector = governed.connector()
        target = governed.permission((["SELECT"], [resource("column", governed.database, name, name, name)]))
        plan = connector.plan_narrow(grant, target)

        applied(connector, plan)

        seen = connector.verify(plan)
        assert (seen.state, seen.lost) == (VerificationState.GONE, ())
        applied(connector, connector.plan_restore(plan))
        assert governed.grant(role[len(governed.prefix) :], "acl", "DELETE").native_ref == grant.native_ref
