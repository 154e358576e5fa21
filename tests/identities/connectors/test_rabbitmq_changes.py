"""Revoke, narrow, lock out, restore: on a real broker, with real publishing and consuming."""

from datetime import UTC, datetime, timedelta
from typing import Any

import amqp
import pytest

from governance.kernel.permissions import Answer, Permission, Proof, includes, matches
from identities.connectors.contract import (
    Execution,
    ExecutionState,
    NotPossible,
    Plan,
    SourceChanged,
    SourceUnreachable,
    VerificationState,
)
from identities.connectors.rabbitmq.broker import Broker
from tests.plugins.queues import CONNECTOR_PASSWORD, PASSWORD, Queues


def applied(connector: Any, plan: Plan) -> Execution:
    done = connector.execute(plan)
    assert done.state is ExecutionState.APPLIED, done.reason
    return done


def narrowed(queues: Queues, **expressions: list[str]) -> Plan:
    target = Permission.from_json(queues.target(**expressions))
    return queues.connector().plan_narrow(queues.grant(), target)


class TestNarrow:
    def test_what_goes_is_refused_and_what_stays_works(self, queues):
        plan = narrowed(queues, write=[r"^amq\.default$"], read=["^orders$"])

        applied(queues.connector(), plan)

        assert queues.publishes("orders")
        assert queues.consumes("orders")
        assert not queues.consumes("refunds")
        assert not queues.can(lambda channel: channel.queue_declare("new"))
        assert queues.connector().verify(plan).state is VerificationState.GONE

    def test_the_plan_shows_the_whole_record(self, queues):
        plan = narrowed(queues, read=["^orders$", "^refunds$"])

        vhost = queues.vhost.replace("/", "%2F")
        assert [step.text for step in plan.steps] == [
            f'PUT /api/permissions/{vhost}/{queues.app} {{"configure": "", "read": "^orders$|^refunds$", "write": ""}}',
            f"DELETE /api/connections/… for each open connection of {queues.app} in virtual host {queues.vhost}",
        ]
        assert [step.text for step in plan.inverse] == [
            f'PUT /api/permissions/{vhost}/{queues.app} {{"configure": ".*", "read": ".*", "write": ".*"}}'
        ]
        assert ("read", queues.resource("orders")) in plan.keeps
        assert any(action == "write" for action, _ in plan.removes)
        assert Plan.from_json(plan.to_json()) == plan

    def test_an_expression_that_means_the_same_is_left_as_it_is_written(self, queues):
        queues.allow(configure="", write="^(orders|refunds)$", read=".*")

        plan = narrowed(queues, write=["^orders$", "^refunds$"], read=["^orders$"])

        assert '"write": "^(orders|refunds)$"' in plan.steps[0].text

    def test_a_target_beyond_what_is_held_is_refused_with_an_example(self, queues):
        queues.allow(configure="", write="", read="^orders$")

        with pytest.raises(NotPossible, match="not part of what is held"):
            narrowed(queues, read=["orders"])

    def test_a_name_left_out_of_everything_cannot_be_said_by_an_expression(self, queues):
        everything = queues.resource(".*")
        statement = {"actions": ["read"], "resources": {"include": [everything], "exclude": [queues.resource("^x$")]}}
        target = Permission.from_json({"dialect": "rabbitmq", "statements": [statement]})

        with pytest.raises(NotPossible, match="would leave more than the target"):
            queues.connector().plan_narrow(queues.grant(), target)

    def test_options_of_one_expression_never_reach_another(self, queues):
        queues.allow(configure="", write="", read="(?i)^orders$")

        with pytest.raises(NotPossible):
            narrowed(queues, read=["(?i)^orders$", "^refunds$"])

    def test_the_whole_of_what_is_held_is_nothing_to_narrow(self, queues):
        with pytest.raises(NotPossible, match="nothing to narrow"):
            narrowed(queues, configure=["^.*$"], write=[".*"], read=[".*"])

    def test_a_connection_that_was_open_before_is_closed(self, queues):
        plan = narrowed(queues, read=["^orders$"])
        connection = queues.connect()
        channel = connection.channel()
        channel.basic_publish(amqp.Message("x"), routing_key="orders")
        queues.wait_until_listed(connection)

        applied(queues.connector(list_lag=6), plan)

        assert queues.is_cut(connection)
        verified = queues.connector(list_lag=6).verify(plan, since=datetime.now(UTC))
        assert verified.state is VerificationState.GONE

    def test_a_connection_that_outlived_the_change_is_reported(self, queues):
        plan = narrowed(queues, read=["^orders$"])
        with queues.client() as channel:
            queues.wait_until_listed(channel.connection)
            queues.allow(configure="", write="", read="^orders$")

            found = queues.connector().verify(plan, since=datetime.now(UTC) + timedelta(seconds=3))

        assert (found.state, found.sessions) == (VerificationState.SESSIONS_REMAIN, 1)

    def test_an_administrator_could_give_itself_everything_back(self, queues):
        queues.put("users", queues.app, password=PASSWORD, tags="administrator")
        plan = narrowed(queues, read=["^orders$"])
        applied(queues.connector(), plan)

        found = queues.connector().verify(plan)

        assert found.state is VerificationState.STILL_EFFECTIVE
        assert "tag administrator" in found.still_effective[0][2]

    def test_topic_permissions_stay_and_restrict(self, queues):
        with queues.client() as channel:
            channel.exchange_declare("news", "topic", auto_delete=False)
        queues.put("topic-permissions", queues.vhost, queues.app, exchange="news", write="^eu\\.", read=".*")
        held = queues.grant()
        write = (matches(held.permission, "write", queues.resource(name)) for name in ("news", "orders"))
        assert list(write) == [Answer.UNKNOWN, Answer.YES], "what depends on the routing key is told as such"

        target = held.permission.to_json()
        target["statements"] = [
            {**statement, "actions": [action]}
            for statement in target["statements"]
            for action in statement["actions"]
            if action != "configure"
        ]
        plan = queues.connector().plan_narrow(held, Permission.from_json(target))
        applied(queues.connector(), plan)

        def publish(key: str) -> bool:
            def do(channel: amqp.Channel) -> None:
                channel.confirm_select()
                channel.basic_publish_confirm(amqp.Message("x"), exchange="news", routing_key=key)

            return queues.can(do)

        assert (publish("eu.fr"), publish("us.ny")) == (True, False)
        assert not queues.can(lambda channel: channel.queue_declare("new"))


class TestRevoke:
    def test_takes_the_permissions_away_and_brings_them_back(self, queues):
        connector = queues.connector()
        plan = connector.plan_revoke(queues.grant())

        applied(connector, plan)

        assert queues.allowed() is None
        assert not queues.consumes("orders"), "without any permission the virtual host itself is closed"
        assert connector.verify(plan).state is VerificationState.GONE
        applied(connector, connector.plan_restore(plan))
        assert queues.publishes("orders")

    def test_a_tag_goes_alone_and_the_password_still_works(self, queues):
        queues.put("users", queues.app, password=PASSWORD, tags="monitoring,policymaker")
        connector = queues.connector()
        plan = connector.plan_revoke(queues.grant("Tag policymaker"))

        applied(connector, plan)

        assert queues.get("users", queues.app)["tags"] == ["monitoring"]
        assert queues.consumes("orders")
        assert connector.verify(plan).state is VerificationState.GONE
        applied(connector, connector.plan_restore(plan))
        assert sorted(queues.get("users", queues.app)["tags"]) == ["monitoring", "policymaker"]
        assert queues.consumes("orders")

    def test_no_plan_holds_what_a_user_signs_in_with(self, queues):
        queues.put("users", queues.app, password=PASSWORD, tags="monitoring")
        hashed = queues.get("users", queues.app)["password_hash"]

        for plan in (
            queues.connector().plan_revoke(queues.grant("Tag monitoring")),
            queues.connector().plan_quarantine(queues.app),
            queues.connector().plan_deactivate(queues.app, f"password:{queues.app}"),
        ):
            assert hashed not in str(plan.to_json())

    def test_stops_when_the_broker_changed_since_the_plan(self, queues):
        plan = queues.connector().plan_revoke(queues.grant())
        queues.allow(configure="", write="", read=".*")

        done = queues.connector().execute(plan)

        assert done.state is ExecutionState.DRIFTED
        assert queues.allowed() == {"configure": "", "write": "", "read": ".*"}

    def test_refuses_to_plan_on_an_outdated_inventory(self, queues):
        grant = queues.grant()
        queues.allow(configure="", write="", read=".*")

        with pytest.raises(SourceChanged):
            queues.connector().plan_revoke(grant)

    def test_a_plan_that_was_altered_in_storage_does_not_run(self, queues):
        stored = queues.connector().plan_revoke(queues.grant()).to_json()
        stored["pre_image"]["parts"][0]["after"] = {"configure": ".*", "write": ".*", "read": ".*"}

        done = queues.connector().execute(Plan.from_json(stored))

        assert done.state is ExecutionState.BLOCKED
        assert queues.publishes("orders")

    def test_its_own_user_is_never_taken_from(self, queues):
        connector = queues.connector()

        for plan in (
            lambda: connector.plan_quarantine(queues.remit),
            lambda: connector.plan_deactivate(queues.remit, f"password:{queues.remit}"),
        ):
            with pytest.raises(NotPossible, match="Remit itself"):
                plan()


class TestLockingOut:
    def test_quarantine_keeps_what_is_held_and_lets_nobody_in(self, queues):
        queues.put("users", queues.app, password=PASSWORD, tags="management")
        before = queues.allowed()
        connector = queues.connector(list_lag=6)
        connection = queues.connect()
        queues.wait_until_listed(connection)
        plan = connector.plan_quarantine(queues.app)

        applied(connector, plan)

        assert not queues.consumes("orders")
        assert queues.is_cut(connection)
        assert queues.allowed() == before
        assert queues.records("identity")[0]["status"] == "disabled"
        assert connector.verify(plan).state is VerificationState.GONE
        applied(connector, connector.plan_restore(plan))
        assert queues.consumes("orders")
        assert queues.get("users", queues.app)["tags"] == ["management"]

    def test_a_deactivated_password_works_again_after_restoring(self, queues):
        connector = queues.connector()
        plan = connector.plan_deactivate(queues.app, f"password:{queues.app}")

        applied(connector, plan)

        with pytest.raises(amqp.AccessRefused):
            queues.connect()
        assert queues.records("credential")[0]["status"] == "disabled"
        assert connector.verify(plan).state is VerificationState.GONE
        applied(connector, connector.plan_restore(plan))
        assert queues.consumes("orders")
        assert queues.records("credential")[0]["status"] == "active"

    def test_a_limit_that_was_there_before_comes_back(self, queues):
        queues.put("user-limits", queues.app, "max-connections", value=7)
        connector = queues.connector()
        plan = connector.plan_quarantine(queues.app)
        applied(connector, plan)

        applied(connector, connector.plan_restore(plan))

        assert queues.get("user-limits", queues.app)[0]["value"] == {"max-connections": 7}


class _Cut(Exception):
    """The worker died."""


@pytest.mark.parametrize("cut_after", range(3))
def test_a_worker_that_dies_after_any_step_loses_and_doubles_nothing(queues, monkeypatch, cut_after):
    queues.put("users", queues.app, password=PASSWORD, tags="management")
    connector = queues.connector()
    plan = connector.plan_quarantine(queues.app)
    written = []
    real_put, real_connections = Broker.put, Broker.connections

    def put(self: Broker, where: tuple[str, ...], body: Any) -> None:
        real_put(self, where, body)
        written.append(where[0])
        if len(written) == cut_after + 1:
            raise _Cut

    def connections(self: Broker, *arguments: Any) -> Any:
        if cut_after == 2 and len(written) == 2:
            written.append("cut")
            raise _Cut
        return real_connections(self, *arguments)

    monkeypatch.setattr(Broker, "put", put)
    monkeypatch.setattr(Broker, "connections", connections)
    with pytest.raises(_Cut):
        connector.execute(plan)

    done = connector.execute(plan)

    assert done.state in (ExecutionState.APPLIED, ExecutionState.ALREADY_APPLIED)
    assert [name for name in written if name != "cut"] == ["users", "user-limits"], "each step ran exactly once"
    assert not queues.consumes("orders")
    assert connector.verify(plan).state is VerificationState.GONE


def test_a_second_execution_changes_nothing(queues):
    plan = narrowed(queues, read=["^orders$"])
    applied(queues.connector(), plan)
    queues.allow(**queues.allowed())

    assert queues.connector().execute(plan).state is ExecutionState.ALREADY_APPLIED


def test_every_step_lies_inside_what_was_held(queues):
    plan = narrowed(queues, write=[r"^amq\.default$"], read=["^orders$"])
    held = queues.grant().permission

    applied(queues.connector(), plan)

    assert isinstance(includes(held, queues.grant().permission), Proof)


def test_a_wrong_password_is_told_without_repeating_it(queues):
    connector = type(queues.connector())(queues.settings, {"password": "wrong-" + CONNECTOR_PASSWORD})

    with pytest.raises(SourceUnreachable) as refused:
        list(connector.read())

    assert CONNECTOR_PASSWORD not in str(refused.value.message)
    assert [check.state for check in connector.check()] == ["failed"]
