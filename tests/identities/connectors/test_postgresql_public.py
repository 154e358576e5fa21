"""What PUBLIC holds is taken from one identity, and from nobody else."""

import pytest

from identities.connectors.contract import ExecutionState, NotPossible, Plan, VerificationState
from identities.connectors.postgresql import public

SELECT = "SELECT id FROM public.payments"


@pytest.fixture
def open_to_all(alone):
    """PUBLIC reads payments; besides `bi` there are `worker` and the group `crew` with the member `hand`."""
    for role in ("worker", "hand"):
        alone.make_role(role)
    alone.make_role("crew", "NOLOGIN")
    alone.run("GRANT {crew} TO {hand}", acting="administrator")
    alone.run("GRANT SELECT ON public.payments TO PUBLIC")
    return alone


def carried_out(governed, plan):
    done = governed.connector().execute(Plan.from_json(plan.to_json()))
    assert done.state is ExecutionState.APPLIED, done.reason


class TestRevoke:
    def test_one_loses_it_and_everybody_else_keeps_it(self, open_to_all):
        governed = open_to_all
        plan = governed.connector().plan_revoke(governed.grant("bi", "public", "payments"))

        carried_out(governed, plan)

        assert not governed.can("bi", SELECT)
        for role in ("worker", "hand"):
            assert governed.can(role, SELECT)
        assert governed.can("hand", "SET ROLE {crew}; " + SELECT)
        assert governed.connector().verify(plan).state is VerificationState.GONE
        assert governed.connector().execute(plan).state is ExecutionState.ALREADY_APPLIED

    def test_the_plan_says_who_else_is_touched_and_takes_from_public_last(self, open_to_all):
        governed = open_to_all

        plan = governed.connector().plan_revoke(governed.grant("bi", "public", "payments"))

        told = " ".join(plan.side_effects)
        assert governed.name("worker") in told
        assert "created later" in told
        changes = [step.text for step in plan.steps if step.text.startswith(("GRANT", "REVOKE"))]
        assert changes[-1] == 'REVOKE SELECT ON TABLE "public"."payments" FROM PUBLIC'
        assert all(change.startswith("GRANT SELECT ON TABLE") for change in changes[:-1])
        assert not any(governed.name("owner") in change for change in changes), "the owner has it by owning"

    def test_a_group_through_which_it_could_be_used_gets_nothing(self, open_to_all):
        governed = open_to_all
        governed.run("GRANT {crew} TO {bi}", acting="administrator")
        plan = governed.connector().plan_revoke(governed.grant("bi", "public", "payments"))

        carried_out(governed, plan)

        assert any(governed.name("crew") in told for told in plan.side_effects)
        assert not governed.can("bi", SELECT)
        assert not governed.can("bi", "SET ROLE {crew}; " + SELECT)
        assert governed.can("hand", SELECT)
        assert governed.connector().verify(plan).state is VerificationState.GONE

    def test_who_has_it_directly_gets_it_no_second_time(self, open_to_all):
        governed = open_to_all
        governed.run("GRANT SELECT, INSERT ON public.payments TO {worker} WITH GRANT OPTION")
        before = governed.grant("worker", "acl", "payments").native_ref

        plan = governed.connector().plan_revoke(governed.grant("bi", "public", "payments"))
        carried_out(governed, plan)

        assert governed.grant("worker", "acl", "payments").native_ref == before

    def test_restoring_brings_back_exactly_what_was(self, open_to_all):
        governed = open_to_all
        before = governed.acl()
        connector = governed.connector()
        plan = connector.plan_revoke(governed.grant("bi", "public", "payments"))
        carried_out(governed, plan)

        carried_out(governed, connector.plan_restore(plan))

        assert governed.acl() == before
        assert governed.can("bi", SELECT)

    def test_a_right_that_was_never_written_down_can_be_taken_too(self, open_to_all):
        governed = open_to_all
        grant = governed.grant("bi", "public", "on database")
        target = governed.permission((["CONNECT"], [f"database:{governed.database}"]))
        plan = governed.connector().plan_narrow(grant, target)

        carried_out(governed, plan)

        assert not governed.can("bi", "CREATE TEMPORARY TABLE t (id int)")
        assert governed.can("bi", "SELECT 1")
        assert governed.can("worker", "CREATE TEMPORARY TABLE t (id int)")

    def test_with_too_many_others_it_is_refused_with_the_way(self, open_to_all, monkeypatch):
        monkeypatch.setattr(public, "MOST_OTHERS", 1)

        with pytest.raises(NotPossible, match="REVOKE the right from PUBLIC at the source"):
            open_to_all.connector().plan_revoke(open_to_all.grant("bi", "public", "payments"))

    def test_a_change_since_the_plan_stops_it(self, open_to_all):
        governed = open_to_all
        plan = governed.connector().plan_revoke(governed.grant("bi", "public", "payments"))
        governed.run("GRANT INSERT ON public.payments TO PUBLIC")
        before = governed.acl()

        done = governed.connector().execute(plan)

        assert done.state is ExecutionState.DRIFTED
        assert governed.acl() == before

    def test_what_everybody_has_by_default_is_refused_with_the_ways(self, open_to_all):
        governed = open_to_all
        governed.run("CREATE FUNCTION public.free() RETURNS int LANGUAGE sql AS 'SELECT 1'")

        with pytest.raises(NotPossible, match="REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC"):
            governed.connector().plan_revoke(governed.grant("bi", "public_default"))


class TestNarrow:
    def test_one_keeps_a_part_and_everybody_else_all_of_it(self, open_to_all):
        governed = open_to_all
        target = governed.permission((["SELECT"], ["column:db/public/payments/id"]))
        plan = governed.connector().plan_narrow(governed.grant("bi", "public", "payments"), target)

        carried_out(governed, plan)

        assert governed.can("bi", SELECT)
        assert not governed.can("bi", "SELECT iban FROM public.payments")
        assert governed.can("worker", "SELECT iban FROM public.payments")
        seen = governed.connector().verify(plan)
        assert (seen.state, seen.lost) == (VerificationState.GONE, ())
