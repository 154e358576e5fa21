"""One question and many over AuthZEN: what is answered, what is not said, and what a caller cannot change."""

from typing import Any

import pytest

from identities.models import Grant, Identity
from tests.identities.authzen.conftest import post, question

READ = question("user:alice", "read", "record:record-1")
WRITE = question("user:alice", "write", "record:record-1")
BOB_WRITES = question("user:bob", "write", "record:record-2")


def grant(name: str, who: str, *conditions: dict[str, Any], actions: Any = ("read",), **more: Any) -> dict[str, Any]:
    statement = {"actions": list(actions), "resources": ["record:*"], "conditions": list(conditions)} | more
    return {
        "type": "grant",
        "id": name,
        "identity": who,
        "permission": {"dialect": "authzen", "statements": [statement]},
    }


def condition(operator: str, key: str, *values: str) -> dict[str, Any]:
    return {"operator": operator, "key": key, "values": list(values)}


def identity(name: str, **attributes: Any) -> dict[str, Any]:
    return {"type": "identity", "id": name, "kind": "service_account", "attributes": attributes}


SCENARIO = [
    (READ, True),
    (WRITE, True),
    (question("user:alice", "write", "record:record-2"), False),
    (BOB_WRITES, True),
    (question("user:bob", "write", "record:record-1"), False),
    (question("user:alice", "delete", "record:record-1", action={"soft": True}), True),
    (question("user:alice", "delete", "record:record-1", action={"soft": False}), False),
    (question("user:alice", "delete", "record:record-1", action={"soft": "yes"}), False),
    (question("user:alice", "delete", "record:record-1"), False),
    (question("user:alice", "delete", "record:record-2", action={"soft": True}), False),
    (question("user:alice", "READ", "record:record-1"), False),
    (question("user:Alice", "read", "record:record-1"), False),
    (question("user:nobody", "read", "record:record-1"), False),
    (question("spaceship:alice", "read", "record:record-1"), False),
    (question("user:alice", "read", "record:record-9"), False),
    (question("user:alice", "read", "record:*"), False),
    (question("user:alice", "*", "record:record-1"), False),
    # What is governed wins over what a request says, in whatever case it says it.
    (question("user:alice", "write", "record:record-2", resource={"status": "active"}), False),
    (question("user:alice", "write", "record:record-2", resource={"Status": "active", "STATUS": "active"}), False),
    (question("user:alice", "write", "record:record-2", subject={"role": "admin"}), False),
    (question("user:alice", "write", "record:record-2", subject={"id": "bob", "role": "admin"}), False),
    (question("user:bob", "write", "record:record-1", resource={"status": "archived"}), False),
    (READ | {"futureField": {"nested": True}, "context": {"time": "2025-06-27T18:03-07:00"}}, True),
]


def test_the_scenario_of_the_page(load: Any, ask: Any) -> None:
    load("certification")

    assert [asked for asked, expected in SCENARIO if ask("evaluation", asked) != {"decision": expected}] == []


def test_a_revoked_grant_and_a_disabled_identity_deny_at_the_next_request(load: Any, ask: Any) -> None:
    load("certification")
    assert ask("evaluation", READ)["decision"] is True

    Identity.objects.filter(external_id="alice").update(status="disabled")
    assert ask("evaluation", READ)["decision"] is False
    Identity.objects.filter(external_id="alice").update(status="active")
    assert ask("evaluation", READ)["decision"] is True

    Grant.objects.filter(external_id="alice/read").update(retired_at="2026-01-01T00:00:00Z")
    assert ask("evaluation", READ)["decision"] is False


def test_reasons_are_given_to_who_asks_for_them(load: Any, ask: Any) -> None:
    load("certification")

    assert "context" not in ask("evaluation", READ)
    assert "context" not in ask("evaluation", READ | {"context": {"explain": "true"}})
    told = ask("evaluation", READ | {"context": {"explain": True}})["context"]
    denied = ask("evaluation", question("user:alice", "delete", "record:record-1", context={"explain": True}))[
        "context"
    ]

    assert told["reason"] == "granted"
    assert {"evaluation_id", "evaluated_at", "policy_version", "snapshot_at", "matched_grants"} <= told.keys()
    assert (denied["reason"], denied["not_assessed"]) == ("missing_input", ["action.soft"])
    assert denied["reason_text"].endswith(".")


def test_a_request_supplies_what_its_domain_accepts_and_nothing_else(load: Any, ask: Any) -> None:
    load("todo")
    own = question("user:morty", "can_update_todo", "todo:1", resource={"ownerID": "morty@example.org"})

    assert ask("evaluation", own, domain="todo")["decision"] is True
    for properties in ({"ownerID": "rick@example.org"}, {}, {"ownerID": ["morty@example.org", "rick@example.org"]}):
        asked = question("user:morty", "can_update_todo", "todo:1", resource=properties)
        assert ask("evaluation", asked, domain="todo")["decision"] is False
    # The address is the store's to say, also where it says it of nobody.
    forged = question("user:morty", "can_update_todo", "todo:1", resource={"ownerID": "x"}, subject={"email": "x"})
    assert ask("evaluation", forged, domain="todo")["decision"] is False


def test_the_same_names_mean_others_in_another_domain(load: Any, ask: Any, pep: Any) -> None:
    load("certification")
    load("elsewhere", [identity("alice"), grant("g", "alice", actions=["audit"])], subject_types={"user": []})

    assert ask("evaluation", question("user:alice", "audit", "record:1"), domain="elsewhere")["decision"] is True
    assert ask("evaluation", READ, domain="elsewhere")["decision"] is False
    assert ask("evaluation", question("user:alice", "audit", "record:record-1"))["decision"] is False
    assert ask("evaluation", question("identity:alice", "read", "record:record-1"), domain="")["decision"] is False
    assert post(pep, "/d/nowhere/access/v1/evaluation", READ).status_code == 404
    assert post(pep, "/d/nowhere/access/v1/evaluations", {"evaluations": [READ]}).status_code == 404


def test_the_default_domain_is_what_is_not_kept_apart(load: Any, ask: Any) -> None:
    load("plain", [identity("ci"), grant("g", "ci")])
    asked = question("service_account:ci", "read", "record:1")

    assert ask("evaluation", asked, domain="")["decision"] is True
    assert ask("evaluation", question("identity:ci", "read", "record:1"), domain="")["decision"] is True
    assert ask("evaluation", question("ai_agent:ci", "read", "record:1"), domain="")["decision"] is False


POLICIES: list[tuple[list[dict[str, Any]], dict[str, Any], bool]] = [
    # owner, same department, manager: as policies of directories are written
    ([condition("StringEquals", "resource.owner", "${subject.id}")], {"resource": {"owner": "ana"}}, True),
    ([condition("StringEquals", "resource.owner", "${subject.id}")], {"resource": {"owner": "bo"}}, False),
    ([condition("StringEquals", "resource.unit", "${subject.unit}")], {"resource": {"unit": "sales"}}, True),
    ([condition("StringEquals", "resource.unit", "${subject.unit}")], {"resource": {"unit": "legal"}}, False),
    ([condition("StringEquals", "resource.unit", "${subject.no_such}")], {"resource": {"unit": ""}}, False),
    ([condition("StringNotEquals", "resource.unit", "legal")], {}, False),
    ([condition("ForAnyValue:StringEquals", "subject.roles", "editor")], {}, True),
    ([condition("ForAnyValue:StringEquals", "subject.roles", "admin")], {"subject": {"roles": ["admin"]}}, False),
    ([condition("NumericLessThanEquals", "action.amount", "${subject.limit}")], {"action": {"amount": 100}}, True),
    ([condition("NumericLessThanEquals", "action.amount", "${subject.limit}")], {"action": {"amount": 101}}, False),
    ([condition("IpAddress", "context.ip", "10.0.0.0/8")], {"context": {"ip": "10.1.2.3"}}, True),
    ([condition("IpAddress", "context.ip", "10.0.0.0/8")], {"context": {"ip": "10.1.2.3, 1.1.1.1"}}, False),
    ([condition("IpAddress", "context.ip", "10.0.0.0/8")], {}, False),
    ([condition("Resembles", "context.ip", "10")], {"context": {"ip": "10"}}, False),
]


def test_policies_compare_attributes(load: Any, ask: Any) -> None:
    grants = [
        grant(f"g{number}", "ana", *held, actions=[f"do-{number}"]) for number, (held, _, _) in enumerate(POLICIES)
    ]
    load(
        "files",
        [identity("ana", unit="sales", roles=["editor", "x"], limit=100), *grants],
        subject_types={"user": []},
        request_properties=["resource.*", "subject.roles"],
    )

    for number, (held, asked, expected) in enumerate(POLICIES):
        body = question("user:ana", f"do-{number}", "record:1", **asked)
        assert ask("evaluation", body, domain="files")["decision"] is expected, (held, asked)


def test_a_deny_wins_also_where_its_input_is_missing(load: Any, ask: Any) -> None:
    load(
        "files",
        [
            identity("ana"),
            grant("g", "ana"),
            grant("never", "ana", condition("Bool", "context.frozen", "true"), effect="deny"),
        ],
        subject_types={"user": []},
    )
    asked = question("user:ana", "read", "record:1")

    assert ask("evaluation", asked | {"context": {"frozen": False}}, domain="files")["decision"] is True
    assert ask("evaluation", asked | {"context": {"frozen": True}}, domain="files")["decision"] is False
    assert ask("evaluation", asked, domain="files")["decision"] is False


def test_one_name_in_two_sources_of_a_domain_is_denied(load: Any, ask: Any) -> None:
    load("one", [identity("ci"), grant("g", "ci")])
    load("two", [identity("ci"), grant("g", "ci")])

    assert ask("evaluation", question("identity:ci", "read", "record:1"), domain="")["decision"] is False


class TestMany:
    @pytest.fixture(autouse=True)
    def scenario(self, load: Any) -> None:
        load("certification")

    def test_an_items_own_replaces_the_default_whole(self, ask: Any) -> None:
        alice = {"type": "user", "id": "alice"}
        record = {"type": "record", "id": "record-1"}
        body = {
            "subject": alice | {"properties": {"x": 1}},
            "action": {"name": "delete", "properties": {"soft": True}},
            "resource": record,
            "evaluations": [{}, {"action": {"name": "delete"}}, {"subject": {"id": "bob"}}, {"resource": record}],
        }

        answers = ask("evaluations", body)["evaluations"]

        assert [answer["decision"] for answer in answers] == [True, False, False, True]
        assert answers[2]["context"]["error"] == {"status": 400, "message": "subject.type is missing."}

    def test_only_what_results_is_checked(self, ask: Any) -> None:
        body = {"resource": {}, "subject": "nobody", "action": 7, "evaluations": [READ, WRITE]}

        assert ask("evaluations", body) == {"evaluations": [{"decision": True}, {"decision": True}]}

    def test_one_bad_item_leaves_the_others_standing(self, ask: Any) -> None:
        bad = [{}, None, "x", READ | {"action": {"name": 7}}, READ | {"context": []}, READ | {"subject": None}]

        answers = ask("evaluations", {"evaluations": [READ, *bad, WRITE]})["evaluations"]

        assert [answer["decision"] for answer in answers] == [True, *[False] * len(bad), True]
        assert all(answer["context"]["error"]["status"] == 400 for answer in answers[1:-1])

    def test_semantics(self, ask: Any) -> None:
        cases: list[tuple[str, list[Any], list[bool]]] = [
            ("execute_all", [READ, BOB_WRITES, {}, READ], [True, True, False, True]),
            ("deny_on_first_deny", [READ, {}, READ], [True, False]),
            ("deny_on_first_deny", [READ, WRITE], [True, True]),
            ("deny_on_first_deny", [question("user:x", "read", "record:record-1"), READ], [False]),
            ("permit_on_first_permit", [{}, READ, WRITE], [False, True]),
            ("permit_on_first_permit", [{}, {}], [False, False]),
        ]
        for semantic, items, expected in cases:
            options = {"evaluations_semantic": semantic, "unheard": 1}

            answers = ask("evaluations", {"evaluations": items, "options": options})["evaluations"]

            assert [answer["decision"] for answer in answers] == expected, (semantic, items)

    def test_without_evaluations_it_is_one_question(self, ask: Any) -> None:
        for more in ({}, {"evaluations": []}, {"evaluations": None}, {"options": {}}):
            assert ask("evaluations", READ | more) == {"decision": True}

    def test_each_item_may_ask_for_reasons(self, ask: Any) -> None:
        answers = ask("evaluations", {"evaluations": [READ, READ | {"context": {"explain": True}}]})["evaluations"]

        assert answers[0] == {"decision": True}
        assert answers[1]["context"]["reason"] == "granted"
