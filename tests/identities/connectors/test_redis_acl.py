"""Read, narrow, revoke, lock out, restore: on a real server, with real calls of the user that is concerned."""

import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from governance.kernel.permissions import Permission, Proof, includes
from identities.connectors.contract import (
    Capability,
    Execution,
    ExecutionState,
    NotPossible,
    Plan,
    ReadIncomplete,
    SourceChanged,
    SourceUnreachable,
    VerificationState,
    capabilities_of,
)
from identities.connectors.redis_acl.server import Server
from tests.plugins.redis_lists import CONNECTOR_PASSWORD, Lists, target

READING = (["get", "mget"], ["read:orders:*"])


def applied(connector: Any, plan: Plan) -> Execution:
    done = connector.execute(plan)
    assert done.state is ExecutionState.APPLIED, done.reason
    return done


def narrowed(lists: Lists, *statements: tuple[list[str], list[str]]) -> Plan:
    return lists.connector().plan_narrow(lists.grant(), Permission.from_json(target(*statements)))


class TestReading:
    def test_a_user_is_an_identity_with_a_password_and_one_grant(self, lists):
        (identity,), (credential,) = lists.records("identity"), lists.records("credential")
        (grant,) = lists.records("grant")

        assert (identity["status"], identity["attributes"]["passwords_set"]) == ("active", 1)
        assert (credential["kind"], credential["status"]) == ("password", "active")
        places = {place for each in grant["permission"]["statements"] for place in each["resources"]}
        assert places == {"read:orders:*", "read:refunds:*", "write:orders:*", "write:refunds:*", "server:"}

    def test_no_record_and_no_plan_holds_a_hash(self, lists):
        line = lists.listed()
        hashed = next(word for word in line.split() if word.startswith("#"))[1:]

        assert hashed not in str(list(lists.connector().read()))
        assert hashed not in str(narrowed(lists, READING).to_json())
        assert hashed not in str(lists.connector().plan_quarantine(lists.app).to_json())

    def test_selectors_stand_apart(self, lists):
        lists.allow("%R~ro:*", "+get", "(+set +get %W~w:*)")

        statements = lists.records("grant")[0]["permission"]["statements"]

        assert [(each["actions"], each["resources"]) for each in statements] == [
            (["get"], ["read:ro:*"]),
            (["set"], ["write:w:*"]),
        ]
        assert not lists.can("GET", "w:1")

    def test_everything_can_be_done_here_and_the_check_changes_nothing(self, lists):
        before = lists.root.execute_command("ACL", "LIST")

        assert [check.state for check in lists.connector().check()] == ["ok"] * 6
        assert capabilities_of(lists.connector()) == frozenset(Capability)
        assert lists.root.execute_command("ACL", "LIST") == before

    def test_a_wrong_password_is_told_without_repeating_it(self, lists):
        connector = type(lists.connector())(lists.settings, {"password": "wrong-" + CONNECTOR_PASSWORD})

        with pytest.raises(SourceUnreachable) as refused:
            list(connector.read())

        assert CONNECTOR_PASSWORD not in refused.value.message
        assert [check.state for check in connector.check()] == ["failed"]

    def test_a_missing_right_is_named(self, lists):
        lists.root.execute_command("ACL", "SETUSER", lists.remit, "-acl")

        with pytest.raises(ReadIncomplete, match="may not call ACL USERS"):
            list(lists.connector().read())


class TestNarrow:
    def test_what_goes_is_refused_and_what_stays_works(self, lists):
        plan = narrowed(lists, READING)

        applied(lists.connector(), plan)

        assert lists.can("GET", "orders:1") and lists.can("MGET", "orders:1", "orders:2")
        assert not lists.can("GET", "refunds:1") and not lists.can("SET", "orders:1", "x") and not lists.can("PING")
        assert lists.connector().verify(plan).state is VerificationState.GONE

    def test_the_plan_is_one_command_and_what_follows(self, lists):
        plan = narrowed(lists, READING)

        assert [step.text for step in plan.steps] == [
            f"ACL SETUSER {lists.app} resetkeys resetchannels clearselectors -@all +get +mget %R~orders:*",
            f"CLIENT KILL ID … for each connection of {lists.app} that monitors, replicates or waits",
            "ACL SAVE",
        ]
        assert plan.side_effects == ()
        assert Plan.from_json(plan.to_json()) == plan

    def test_the_password_stays_what_it_was(self, lists):
        before = [word for word in lists.listed().split() if word.startswith("#")]

        applied(lists.connector(), narrowed(lists, READING))

        assert [word for word in lists.listed().split() if word.startswith("#")] == before

    def test_it_is_kept_in_the_file(self, lists):
        applied(lists.connector(), narrowed(lists, READING))

        (line,) = [line for line in lists.server.file.read_text().splitlines() if f" {lists.app} " in line]
        assert "%R~orders:*" in line and "refunds" not in line

    def test_restoring_brings_back_the_same_list(self, lists):
        before = lists.words()
        connector = lists.connector()
        plan = narrowed(lists, READING)
        applied(connector, plan)
        assert lists.words() != before

        applied(connector, connector.plan_restore(plan))

        assert lists.words() == before

    def test_reading_and_writing_other_keys_become_two_selectors(self, lists):
        plan = narrowed(lists, (["get"], ["read:orders:*"]), (["set"], ["write:refunds:*"]))

        applied(lists.connector(), plan)

        assert lists.can("GET", "orders:1") and lists.can("SET", "refunds:1", "x")
        assert not lists.can("SET", "orders:1", "x") and not lists.can("GET", "refunds:1")

    def test_a_call_that_would_need_two_selectors_is_no_part_of_them(self, lists):
        lists.allow("%R~a", "+copy", "(%W~b +copy)")
        wish = (["copy"], ["read:a", "write:b"])

        with pytest.raises(NotPossible, match="different selectors"):
            narrowed(lists, wish)
        assert not lists.can("COPY", "a", "b")

    @pytest.mark.parametrize(
        ("statements", "words"),
        [
            ([(["get"], ["read:*"])], "not part of what is held"),
            ([(["flushall"], ["server:"])], "not part of what is held"),
        ],
    )
    def test_a_target_beyond_what_is_held_is_refused(self, lists, statements, words):
        with pytest.raises(NotPossible, match=words):
            narrowed(lists, *statements)

    def test_a_key_left_out_of_a_pattern_is_refused(self, lists):
        statement = {"actions": ["get"], "resources": {"include": ["read:orders:*"], "exclude": ["read:orders:1"]}}
        wish = Permission.from_json({"dialect": "redis", "statements": [statement]})

        with pytest.raises(NotPossible, match="leave keys"):
            lists.connector().plan_narrow(lists.grant(), wish)

    def test_taking_single_commands_from_everything_keeps_the_rest(self, lists):
        lists.allow("~*", "&*", "+@all", "-@dangerous")
        held = lists.grant().permission.to_json()
        held["statements"][0]["actions"]["exclude"].append("del")

        plan = lists.connector().plan_narrow(lists.grant(), Permission.from_json(held))
        applied(lists.connector(), plan)

        assert not lists.can("DEL", "orders:1")
        assert lists.can("GET", "orders:1") and lists.can("PUBLISH", "news", "x")
        assert isinstance(includes(Permission.from_json(held), lists.grant().permission), Proof)

    def test_a_monitor_and_a_waiting_call_do_not_outlive_it(self, lists):
        lists.allow("~*", "+@all")
        monitor = lists.connect()
        monitor.connection.send_command("MONITOR")
        monitor.connection.read_response()
        waiting = lists.connect()
        waiting.connection.send_command("BLPOP", "orders:none", "0")
        time.sleep(0.3)
        plan = narrowed(lists, READING)

        applied(lists.connector(), plan)

        for client in (monitor, waiting):
            with pytest.raises(redis.exceptions.ConnectionError):
                for _ in range(2000):  # what the monitor had seen before is still on its way
                    client.connection.read_response()
        assert lists.connector().verify(plan, since=datetime.now(UTC)).state is VerificationState.GONE

    def test_who_may_change_users_could_take_it_back(self, lists):
        lists.allow("~orders:*", "+get", "+set", "+acl|setuser")

        plan = narrowed(lists, (["get"], ["read:orders:*"]), (["acl|setuser"], ["server:"]))
        applied(lists.connector(), plan)
        found = lists.connector().verify(plan)

        assert found.state is VerificationState.STILL_EFFECTIVE
        assert "ACL SETUSER" in found.reason


class TestRevokeAndLockOut:
    def test_revoking_leaves_the_user_and_nothing_it_may_do(self, lists):
        before = lists.words()
        connector = lists.connector()
        plan = connector.plan_revoke(lists.grant())

        applied(connector, plan)

        assert not lists.can("GET", "orders:1")
        assert lists.records("grant") == []
        assert connector.verify(plan).state is VerificationState.GONE
        applied(connector, connector.plan_restore(plan))
        assert lists.words() == before

    @pytest.mark.parametrize("action", ["quarantine", "deactivate"])
    def test_nobody_signs_in_and_open_connections_end_until_it_is_restored(self, lists, action):
        before = lists.words()
        connector = lists.connector()
        session = lists.connect()
        assert session.get("orders:1") == "a"
        credential = f"password:{lists.app}"
        plan = (
            connector.plan_quarantine(lists.app)
            if action == "quarantine"
            else connector.plan_deactivate(lists.app, credential)
        )

        applied(connector, plan)

        assert not lists.can("GET", "orders:1")
        with pytest.raises(redis.exceptions.ConnectionError):
            session.connection.send_command("PING")
            session.connection.read_response()
        assert lists.records("identity")[0]["status"] == lists.records("credential")[0]["status"] == "disabled"
        assert connector.verify(plan).state is VerificationState.GONE
        applied(connector, connector.plan_restore(plan))
        assert lists.words() == before and lists.can("GET", "orders:1")

    def test_its_own_user_is_never_taken_from(self, lists):
        for wish in (
            lambda: lists.connector().plan_quarantine(lists.remit),
            lambda: lists.connector().plan_revoke(lists.grant(lists.remit)),
        ):
            with pytest.raises(NotPossible, match="Remit itself"):
                wish()

    def test_everybody_is_hit_with_the_default_user(self, lists):
        plan = lists.connector().plan_quarantine("default")

        assert any("without signing in" in sentence for sentence in plan.side_effects)


class TestExecution:
    def test_stops_when_the_list_changed_since_the_plan(self, lists):
        plan = narrowed(lists, READING)
        lists.root.execute_command("ACL", "SETUSER", lists.app, "+publish")

        done = lists.connector().execute(plan)

        assert done.state is ExecutionState.DRIFTED
        assert lists.can("SET", "orders:1", "x")

    def test_another_way_of_writing_the_same_is_no_change(self, lists):
        lists.allow("~orders:*", "+get", "+set")
        plan = narrowed(lists, (["get"], ["read:orders:*"]))
        lists.allow("%W~orders:*", "%R~orders:*", "+@all", "-@all", "+set", "+get")

        applied(lists.connector(), plan)

    def test_refuses_to_plan_on_an_outdated_inventory(self, lists):
        grant = lists.grant()
        lists.root.execute_command("ACL", "SETUSER", lists.app, "+publish")

        with pytest.raises(SourceChanged):
            lists.connector().plan_revoke(grant)

    @pytest.mark.parametrize("how", ["image", "text", "words"])
    def test_a_plan_that_was_altered_in_storage_does_not_run(self, lists, how):
        stored = narrowed(lists, READING).to_json()
        stored["steps"] = [dict(step) for step in stored["steps"]]
        if how == "image":
            stored["pre_image"]["after"][0]["commands"] = "+@all"
        elif how == "text":
            stored["steps"][0]["text"] = "PING"
        else:
            stored["steps"][0]["call"] = {"words": ["FLUSHALL"]}

        done = lists.connector().execute(Plan.from_json(stored))

        assert done.state is ExecutionState.BLOCKED
        assert lists.can("GET", "refunds:1")

    def test_a_second_execution_changes_nothing(self, lists):
        plan = narrowed(lists, READING)
        applied(lists.connector(), plan)
        before = lists.words()

        assert lists.connector().execute(plan).state is ExecutionState.ALREADY_APPLIED
        assert lists.words() == before

    def test_where_nothing_outlasts_a_restart_the_plan_says_so(self, lists):
        lists.root.execute_command("ACL", "SETUSER", lists.remit, "-config|get")

        plan = narrowed(lists, READING)

        assert any("after a restart" in sentence for sentence in plan.side_effects)
        assert len(plan.steps) == 2

    @pytest.mark.parametrize("cut_at", ["ACL SETUSER", "CLIENT LIST", "ACL SAVE"])
    def test_a_worker_that_dies_after_any_step_loses_and_doubles_nothing(self, lists, monkeypatch, cut_at):
        plan = narrowed(lists, READING)
        real_call, sent, cuts = Server.call, [], [cut_at]

        def call(self: Server, *words: str) -> Any:
            answer = real_call(self, *words)
            name = " ".join(words[:2])
            sent.append(name)
            if cuts and name == cuts[0]:
                cuts.pop()
                raise SourceUnreachable("the worker died")
            return answer

        monkeypatch.setattr(Server, "call", call)
        with pytest.raises(SourceUnreachable):
            lists.connector().execute(plan)

        done = lists.connector().execute(plan)

        assert done.state is ExecutionState.ALREADY_APPLIED, done.reason
        assert sent.count("ACL SETUSER") == 1
        assert sent[-1] == "ACL SAVE"
        assert not lists.can("GET", "refunds:1") and lists.can("GET", "orders:1")

    def test_two_workers_at_once_change_once(self, lists):
        plan = narrowed(lists, READING)
        states: list[ExecutionState] = []

        def run() -> None:
            states.append(lists.connector().execute(plan).state)

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

        assert len(states) == 2
        assert set(states) <= {ExecutionState.APPLIED, ExecutionState.ALREADY_APPLIED}
        assert not lists.can("GET", "refunds:1")
