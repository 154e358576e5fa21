"""The playground: one question to the decision point, to the past, and to what a narrowing would leave."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone

from identities.models import DecisionTally, GrantVersion, Identity
from identities.pdp.logging import RECORDER

TABLE = "table:ledger/public/payments"


@pytest.fixture
def ask(admin: Client) -> Callable[..., Any]:
    def go(**given: str) -> Any:
        return admin.get(f"/playground/?{urlencode(given)}")

    return go


def verdicts(answer: Any) -> dict[str, str]:
    return {each.title: each.answer for each in answer.context["verdicts"]}


def test_what_is_held_is_allowed_and_the_page_says_by_which_grant(ask: Any, inventory: Any) -> None:
    answer = ask(identity="etl", action="DELETE", resource=TABLE)
    assert verdicts(answer) == {"The decision point, now": "Yes"}
    page = answer.content.decode()
    assert "ALL on payments" in page
    assert verdicts(ask(identity=str(inventory.bot.pk), action="DELETE", resource=TABLE)) == {
        "The decision point, now": "No"
    }


def test_what_a_person_tries_is_no_use_of_anything(ask: Any, admin: Client, inventory: Any) -> None:
    RECORDER.flush()
    kept = DecisionTally.objects.count()

    assert "Yes" in verdicts(ask(identity="etl", action="DELETE", resource=TABLE)).values()
    admin.get("/playground/agents/")

    assert RECORDER.flush() == 0
    assert DecisionTally.objects.count() == kept


def test_a_narrowing_is_tried_without_changing_anything(ask: Any, inventory: Any) -> None:
    grant = str(inventory.all_grant.pk)
    gone = ask(identity="etl", action="DELETE", resource=TABLE, grant=grant)
    narrowed = ask(identity="etl", action="DELETE", resource=TABLE, grant=grant, actions="SELECT", resources=TABLE)
    kept = ask(identity="etl", action="SELECT", resource=TABLE, grant=grant, actions="SELECT", resources=TABLE)
    assert list(verdicts(gone).values()) == ["Yes", "No"]
    assert list(verdicts(narrowed).values()) == ["Yes", "No"]
    assert list(verdicts(kept).values()) == ["Yes", "Yes"]
    assert GrantVersion.objects.filter(seen_until=None).count() == 2


def test_another_moment_is_asked_of_what_was_held_then(ask: Any, inventory: Any) -> None:
    past = timezone.now() - timedelta(days=3)
    assert list(verdicts(ask(identity="etl", action="DELETE", resource=TABLE, at=past.isoformat())).values()) == [
        "Yes",
        "No",
    ]
    GrantVersion.objects.update(seen_from=past - timedelta(days=1))
    assert list(verdicts(ask(identity="etl", action="DELETE", resource=TABLE, at=past.isoformat())).values()) == [
        "Yes",
        "Yes",
    ]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"identity": "nobody"}, "No identity"),
        ({"action": "s3:*", "resource": "arn:aws:s3:::b/k"}, "pattern"),
        ({"context": "no equals sign"}, "key=value"),
        ({"at": "yesterday"}, "not a moment"),
        ({"at": "2999-01-01"}, "nobody knows"),
        ({"grant": "x"}, "no such grant"),
        ({"action": ""}, "Name one action"),
    ],
)
def test_what_cannot_be_asked_is_said(ask: Any, inventory: Any, wrong: dict[str, str], word: str) -> None:
    answer = ask(**({"identity": "etl", "action": "SELECT", "resource": TABLE} | wrong))
    assert answer.status_code == 400
    assert word in answer.content.decode()


def test_one_asks_only_about_what_one_may_see(make_user: Any, browse: Any, inventory: Any) -> None:
    stranger = browse(make_user())
    answer = stranger.get(f"/playground/?{urlencode({'identity': 'etl', 'action': 'SELECT', 'resource': TABLE})}")
    assert answer.status_code == 400
    assert "No identity" in answer.content.decode()


def test_agents_by_tools_shows_a_decision_in_each_cell(
    admin: Client, inventory: Any, push_again: Any, snapshot: Any, django_assert_max_num_queries: Any
) -> None:
    tools = {"dialect": "tools", "statements": [{"actions": ["git_log", "git_push"], "resources": ["server:git"]}]}
    one = {"dialect": "tools", "statements": [{"actions": ["git_log"], "resources": ["server:git"]}]}
    more = [
        {"type": "identity", "id": "bot-8", "name": "other bot", "kind": "ai_agent"},
        {"type": "grant", "id": "g-t1", "identity": "bot-7", "label": "git", "permission": tools},
        {"type": "grant", "id": "g-t2", "identity": "bot-8", "label": "git log", "permission": one},
    ]
    push_again(inventory.payments, [*snapshot(), *more])
    admin.get("/playground/agents/")
    with django_assert_max_num_queries(30):
        answer = admin.get("/playground/agents/")
    cells = {agent.name: [(tool, permit) for tool, permit, _ in row] for agent, row in answer.context["rows"]}
    assert cells == {
        "helper bot": [("git_log", True), ("git_push", True)],
        "other bot": [("git_log", True), ("git_push", False)],
    }
    # What a tool does is said as on every other page, the worst first.
    assert answer.context["tools"] == [("git_log", "reads"), ("git_push", "can destroy, sends outside")]
    assert Identity.objects.filter(kind="ai_agent").count() == 2


def test_an_inventory_without_agents_says_what_to_do(admin: Client, db: None) -> None:
    assert "No agents are known" in admin.get("/playground/agents/").content.decode()
