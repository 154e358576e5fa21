"""An approval is of exactly what was looked at: what changes afterwards is asked about, by its difference."""

from datetime import timedelta

import pytest

from governance.kernel.permissions import Permission
from reviews import continuous, deadline
from reviews.decisions import decide
from reviews.models import ReviewWatch, Trigger, WatchHit
from tests.reviews import conftest as make
from tests.reviews.continuous.conftest import READ

WIDER = {
    "dialect": "postgresql",
    "statements": [{"actions": ["SELECT", "INSERT"], "resources": ["table:ledger/public/payments"]}],
}
ELSEWHERE = {
    "dialect": "postgresql",
    "statements": [{"actions": ["SELECT"], "resources": ["table:ledger/public/refunds"]}],
}
TOOL = {"dialect": "tools", "statements": [{"actions": ["search"], "resources": ["server:wiki"]}]}


@pytest.fixture
def approved(estate):
    """The access "reads" was read, approved, and everything is watched."""
    estate.watch(Trigger.CHANGED)
    estate.connect()
    estate.later(minutes=1)
    estate.decision = estate.approve("reads")
    return estate


def test_wider_access_is_asked_about_by_what_was_added(approved):
    approved.sync(approved.grant("reads", WIDER))

    approved.tick()

    [item] = approved.inbox()
    reason = item.seen["trigger"]
    assert reason["kind"] == "changed"
    assert reason["approved"]["decision"] == str(approved.decision.pk)
    assert reason["difference"]["direction"] == "wider"
    assert reason["difference"]["added"] == ["add every row of table payments in database ledger"]
    assert reason["difference"]["removed"] == []
    assert reason["difference"]["examples"] == [{"action": "INSERT", "resource": "table:ledger/public/payments"}]


def test_narrower_access_is_proved_to_be_part_of_what_was_approved(approved):
    approved.sync(approved.grant("reads", WIDER))
    approved.tick()
    [item] = approved.inbox()
    decide(item=item, version=1, answer="approve", actor=make.actor(item.assignee), now=approved.now)

    approved.sync(approved.grant("reads", READ))
    approved.tick()

    [item] = approved.inbox()
    difference = item.seen["trigger"]["difference"]
    assert (difference["direction"], difference["added"], difference["examples"]) == ("narrower", [], [])
    assert difference["removed"] == ["add every row of table payments in database ledger"]


def test_access_to_something_else_says_both(approved):
    approved.sync(approved.grant("reads", ELSEWHERE))
    approved.tick()
    difference = approved.inbox()[0].seen["trigger"]["difference"]
    assert difference["direction"] == "other"
    assert (len(difference["added"]), len(difference["removed"])) == (1, 1)


def test_the_approval_has_lapsed_by_then_and_the_question_still_knows_it(approved):
    approved.sync(approved.grant("reads", WIDER))
    assert deadline.expire_due_approvals(now=approved.now) == 1
    assert approved.get("reads").reviewed_at is None
    approved.tick()
    assert approved.inbox()[0].seen["trigger"]["difference"]["direction"] == "wider"


def test_a_change_that_is_taken_back_before_things_settled_asks_nothing(approved):
    approved.sync(approved.grant("reads", WIDER))
    continuous.watch(now=approved.now)
    approved.sync(approved.grant("reads", READ))
    assert approved.tick() == []
    assert WatchHit.objects.get().outcome == "moot"


def test_many_changes_while_things_settle_are_one_question_about_the_last(approved):
    for permission in (WIDER, ELSEWHERE, WIDER):
        approved.sync(approved.grant("reads", permission))
        continuous.watch(now=approved.now)
    approved.tick()
    assert [item.grant_version.number for item in approved.inbox()] == [4]


def test_what_nobody_approved_is_not_asked_about(estate):
    estate.watch(Trigger.CHANGED)
    estate.connect()
    estate.sync(estate.grant("reads", WIDER))
    assert estate.tick() == []


def test_a_label_is_no_change_of_access(approved):
    approved.sync(approved.grant("reads", READ, label="other words"))
    assert approved.tick() == []


def test_a_later_end_is_a_change_of_access(estate):
    estate.watch(Trigger.CHANGED)
    estate.connect(estate.grant("dated", READ, valid_until="2026-06-01T00:00:00Z"))
    estate.approve("dated")
    estate.sync(estate.grant("dated", READ, valid_until="2027-06-01T00:00:00Z"))
    estate.tick()
    [item] = estate.inbox()
    assert item.seen["trigger"]["difference"]["added"] == [
        "valid until 2027-06-01T00:00:00Z instead of until 2026-06-01T00:00:00Z"
    ]


def test_what_an_order_narrowed_as_decided_is_what_was_approved(estate):
    estate.watch(Trigger.CHANGED)
    estate.connect(estate.grant("writes", WIDER))
    estate.approve("writes", "scope_down", target=Permission.from_json(READ))
    estate.sync(estate.grant("writes", READ))
    assert estate.tick() == []
    estate.sync(estate.grant("writes", WIDER))
    estate.tick()
    assert estate.inbox()[0].seen["trigger"]["difference"]["direction"] == "wider"


def test_an_approval_that_ended_on_its_date_is_none(estate):
    estate.watch(Trigger.CHANGED)
    estate.connect()
    estate.approve("reads", "approve_until", until=estate.now + timedelta(days=1))
    estate.later(days=2)
    estate.sync(estate.grant("reads", WIDER))
    assert estate.tick() == []


@pytest.fixture
def agent(estate):
    """An agent's tool, and an access that reaches two tools; both approved."""
    estate.watch(Trigger.CHANGED)
    told = {"kind": "tool", "definition": "a" * 64, "description": "Searches the wiki."}
    reach = {"kind": "server", "tools": [["search", "a" * 64], ["edit", "b" * 64]]}
    estate.connect(estate.grant("search", TOOL, native_ref=told), estate.grant("wiki", TOOL, native_ref=reach))
    estate.later(minutes=1)
    estate.approve("search")
    estate.approve("wiki")
    return estate


def test_a_tool_that_is_described_otherwise_is_asked_about_and_its_approval_lapses(agent):
    told = {"kind": "tool", "definition": "c" * 64, "description": "Searches, and sends what it finds."}
    assert agent.get("search").reviewed_at is not None
    agent.sync(agent.grant("search", TOOL, native_ref=told))

    agent.tick()

    assert agent.get("search").reviewed_at is None
    [item] = [each for each in agent.inbox() if "trigger" in each.seen]
    assert item.grant.external_id == "search"
    assert item.seen["trigger"]["tools"] == {
        "added": [],
        "removed": [],
        "changed": ["this tool"],
        "told_before": "Searches the wiki.",
        "told_now": "Searches, and sends what it finds.",
    }
    assert item.seen["trigger"]["difference"]["direction"] == "same"


def test_tools_that_came_and_went_are_named(agent):
    reach = {"kind": "server", "tools": [["search", "d" * 64], ["delete", "e" * 64]]}
    agent.sync(agent.grant("wiki", TOOL, native_ref=reach))
    agent.tick()
    [item] = [each for each in agent.inbox() if "trigger" in each.seen]
    tools = item.seen["trigger"]["tools"]
    assert (tools["added"], tools["removed"], tools["changed"]) == (["delete"], ["edit"], ["search"])


def test_an_approved_tool_lapses_also_where_nothing_is_watched(agent, verbs):
    ReviewWatch.objects.update(is_enabled=False)
    told = {"kind": "tool", "definition": "c" * 64, "description": "Other."}
    agent.sync(agent.grant("search", TOOL, native_ref=told))
    assert agent.tick() == []
    assert verbs("approval.") == ["approval.lapsed"]
