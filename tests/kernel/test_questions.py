"""Questions about one action on one resource: read strictly, answered with what an answer hangs on."""

from datetime import UTC, datetime

import pytest

from governance.kernel.decisions import Stand
from governance.kernel.questions import InvalidQuestion, find, read_question

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("action", "resource", "dialect"),
    [
        ("select", "table:ledger/public/payments", "postgresql"),
        ("s3:GetObject", "arn:aws:s3:::ledger/x", "aws"),
        ("ec2:DescribeInstances", "*", "aws"),
        ("get", "api:prod//pods/log/web-1", "kubernetes"),
        ("get", "url:/metrics", "kubernetes"),
        ("read", "vhost:%2F/orders", "rabbitmq"),
        ("tag:administrator", "broker:", "rabbitmq"),
        ("GET", "read:orders:1", "redis"),
        ("publish", "channel:news", "redis"),
        ("git_push", "server:git", "tools"),
        ("git_push", "server:eu/git", "tools"),
        ("USAGE", "server:ledger/other", "postgresql"),
    ],
)
def test_the_form_of_the_resource_tells_which_system_is_meant(action, resource, dialect):
    assert read_question(action, resource).dialect == dialect


@pytest.mark.parametrize(
    ("action", "resource", "dialect", "field"),
    [
        ("", "x", "tools", "action"),
        ("x", "  ", "tools", "resource"),
        ("x", "a\x00b", "tools", "resource"),
        ("x" * 3000, "a", "tools", "action"),
        ("x", "y", "oracle", "dialect"),
        ("repo", "repo:a", "", "dialect"),
        ("s3:*", "arn:aws:s3:::ledger", "", "action"),
        ("s3:GetObject", "arn:aws:s3:::ledger/*", "", "resource"),
        ("git_log", "*", "tools", "resource"),
        ("FLY", "table:l/p/t", "postgresql", "action"),
        ("SELECT", "schema:l/p", "postgresql", "action"),
        ("SELECT", "table:l", "postgresql", "resource"),
    ],
)
def test_a_question_that_cannot_be_meant_is_refused_at_its_field(action, resource, dialect, field):
    with pytest.raises(InvalidQuestion) as refusal:
        read_question(action, resource, dialect)

    assert refusal.value.details["field"] == field


def test_conditions_are_named_for_what_allows_and_what_denies(permission):
    question = read_question("s3:GetObject", "arn:aws:s3:::ledger/x")
    held = permission(
        "aws",
        (
            "s3:Get*",
            "*",
            {"conditions": [{"operator": "IpAddress", "key": "aws:SourceIp", "values": ["10.0.0.0/8"]}]},
        ),
        (
            "s3:*",
            "*",
            {"effect": "deny", "conditions": [{"operator": "Bool", "key": "aws:ViaProxy", "values": ["true"]}]},
        ),
        ("s3:PutObject", "*", {"conditions": [{"operator": "Bool", "key": "x", "values": ["true"]}]}),
    )

    found = find(question, held, NOW)

    assert found.stand == Stand(allows=None, denies=None)
    assert found.allowed_if == ("the request comes from 10.0.0.0/8",)
    assert found.denied_if == ("ViaProxy is true",)


def test_what_a_variable_stands_for_is_a_condition_too(permission):
    question = read_question("s3:GetObject", "arn:aws:s3:::home/etl/x")
    held = permission("aws", ("s3:GetObject", "arn:aws:s3:::home/${aws:username}/*"))

    found = find(question, held, NOW)

    assert found.stand.allows is None
    assert found.allowed_if == ("“arn:aws:s3:::home/${aws:username}/*” stands for it",)


def test_what_ended_before_the_moment_says_nothing(permission):
    question = read_question("git_log", "server:a")
    held = permission("tools", ("git_log", "server:a", {"until": "2026-01-01T00:00:00Z"}))

    assert find(question, held, NOW).is_silent
    assert not find(question, held, datetime(2025, 12, 31, tzinfo=UTC)).is_silent


def test_permissions_of_other_systems_are_silent(permission):
    question = read_question("git_log", "server:a")

    assert find(question, permission("aws", ("*", "*")), NOW).is_silent
