"""The net over known permissions: it may catch too much, it must never miss."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.kernel import dialects
from governance.kernel.decisions import Stand, stand_of, together
from governance.kernel.heads import LONGEST, MOST, heads_of, heads_of_request
from governance.kernel.permissions import Answer, PatternSet, Permission, Statement, matches

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ACTIONS = {
    "aws": ["s3:Get*", "s3:GetObject", "S3:getobject", "s3:P?tObject", "s3:*", "*", "*:GetObject", "iam:PassRole"],
    "postgresql": ["SELECT", "DELETE", "GRANT:SELECT", "OWN", "*", "SUPERUSER", "UPDATE"],
    "tools": ["git_*", "git_log", "*", "g?t_log", "Git_log"],
    "scopes": ["contents:read", "contents:write", "issues:admin", "repo", "*"],
    "kubernetes": ["get", "list", "*", "delete"],
    "rabbitmq": ["read", "write", "*", "tag:administrator"],
    "redis": ["get", "GET", "config", "config|set", "@read", "*"],
    "authzen": ["read", "can_*", "*", "GET"],
}
RESOURCES = {
    "aws": ["*", "b/*", "b/k", "B/k", "b*", "b/?", "b/${aws:username}", "?/k", "=b*"],
    "postgresql": ["*", "table:l/p/t", "table:l/p/*", "table:*/p/t", "table:l/p/t*", "column:l/p/t/c", "cluster:"],
    "tools": ["server:a", "server:*", "*"],
    "scopes": ["repo:a", "repo:*", "*"],
    "kubernetes": ["*", "api:*//pods//*", "api:p//pods//*", "api:p//pods/log/*", "url:/debug/*", "url:/healthz"],
    "rabbitmq": [
        *("*", "vhost:v/a", "vhost:v/^a$", "vhost:v/^(a|b)x", "vhost:v/.*", "vhost:v/^(?!a)", "vhost:v/", "broker:"),
        *("vhost:v/[ab]$", "vhost:v/ü"),
    ],
    "redis": ["*", "read:a*", r"read:\*", "read:[ab]x", "read:ü?", "write:*", "channel:a", "server:"],
    "authzen": ["*", "record:*", "record:7", "rec*:7", "record:%2A"],
}
ASKED = {
    "aws": (["s3:GetObject", "S3:PUTOBJECT", "iam:PassRole", "x"], ["b", "b/k", "B/k", "b/" + "k" * 300, "=bob", "ü"]),
    "postgresql": (
        ["SELECT", "DELETE", "OWN", "GRANT:SELECT", "SUPERUSER"],
        ["table:l/p/t", "table:l/p/tt", "column:l/p/t/c", "table:m/p/t", "cluster:"],
    ),
    "tools": (["git_log", "git_push", "x"], ["server:a", "server:b"]),
    "scopes": (["contents:read", "contents:write", "issues:read", "repo"], ["repo:a", "repo:c"]),
    "kubernetes": (
        ["get", "list", "delete"],
        ["api:p//pods//c1", "api:p//pods/log/c1", "api:q//pods//", "url:/debug/x", "url:/healthz"],
    ),
    "rabbitmq": (
        ["read", "write", "tag:administrator"],
        ["vhost:v/a", "vhost:v/bx", "vhost:v/xax", "vhost:w/a", "broker:", "vhost:v/ü"],
    ),
    "redis": (["get", "GET", "config|set"], ["read:ax", "read:*", "read:bx", "read:üx", "write:a", "channel:a", "server:"]),
    "authzen": (["read", "can_read", "GET"], ["record:7", "record:%2A", "records:7", "folder:7"]),
}  # fmt: skip


def pattern_sets(words):
    some = st.lists(st.sampled_from(words), min_size=1, max_size=3).map(tuple)
    none_or_some = st.lists(st.sampled_from(words), max_size=2).map(tuple)
    return st.builds(PatternSet, some, none_or_some)


def statements(dialect):
    return st.builds(
        Statement, pattern_sets(ACTIONS[dialect]), pattern_sets(RESOURCES[dialect]), st.sampled_from(["allow", "deny"])
    )


def cases(dialect):
    permission = st.builds(Permission, st.just(dialect), st.lists(statements(dialect), max_size=4).map(tuple))
    return st.tuples(permission, *map(st.sampled_from, ASKED[dialect]))


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(sorted(ACTIONS)).flatmap(cases))
def test_a_permission_with_anything_to_say_is_caught(case):
    permission, action, resource = case
    stand = stand_of(permission, action, resource, at=NOW)

    if stand != Stand(allows=False, denies=False):
        assert heads_of(permission).meets(heads_of_request(permission.dialect, action, resource))


@pytest.mark.parametrize("dialect", ACTIONS)
def test_the_net_lets_most_of_what_does_not_concern_a_request_pass(dialect):
    wildcards = 0
    for action in ACTIONS[dialect]:
        for resource in RESOURCES[dialect]:
            permission = Permission(dialect, (Statement(PatternSet((action,)), PatternSet((resource,))),))
            wildcards += heads_of(permission).meets(heads_of_request(dialect, "nothing", "nowhere"))

    assert wildcards <= 0.2 * len(ACTIONS[dialect]) * len(RESOURCES[dialect])


def test_case_counts_as_it_counts_in_the_dialect(permission):
    aws = permission("aws", ("S3:GetObject", "arn:aws:s3:::Ledger/*"))
    tools = permission("tools", ("Git_log", "server:a"))

    assert heads_of(aws).meets(heads_of_request("aws", "s3:getOBJECT", "arn:aws:s3:::Ledger/x"))
    assert not heads_of(aws).meets(heads_of_request("aws", "s3:getOBJECT", "arn:aws:s3:::ledger/x"))
    assert not heads_of(tools).meets(heads_of_request("tools", "git_log", "server:a"))


def test_everything_but_something_and_expressions_that_search_begin_anywhere(permission):
    not_action = permission("aws", ({"include": ["*"], "exclude": ["iam:*"]}, "*"))
    searching = permission("rabbitmq", ("read", "vhost:v/orders"))

    assert heads_of(not_action).actions == ("",)
    assert heads_of(searching).resources == ("vhost:v/",)


def test_an_expression_that_matches_nothing_has_no_head(permission):
    assert heads_of(permission("rabbitmq", ("read", "vhost:v/"))).resources == ()


@pytest.mark.parametrize("number", [MOST - 1, MOST + 1, 3 * MOST])
def test_a_permission_with_very_many_patterns_is_still_caught(permission, number):
    listed = [f"arn:aws:s3:::{index:05}-bucket/*" for index in range(number)]
    many = permission("aws", ("s3:GetObject", listed))

    assert heads_of(many).meets(heads_of_request("aws", "s3:GetObject", f"arn:aws:s3:::{number - 1:05}-bucket/key"))
    assert len(heads_of(many).resources) <= MOST


@pytest.mark.parametrize("length", [LONGEST - 1, LONGEST, LONGEST + 1, 2_000])
def test_heads_fit_an_index_whatever_the_length_of_a_name(permission, length):
    name = "ü" * length
    exact, open_ended = permission("tools", ("call", name)), permission("tools", ("call", name + "*"))
    asked = heads_of_request("tools", "call", name), heads_of_request("tools", "call", name + "more")

    assert heads_of(exact).meets(asked[0])
    assert heads_of(open_ended).meets(asked[0])
    assert heads_of(open_ended).meets(asked[1])
    assert max(len(head.encode()) for heads in asked for head in heads.resources) < 2_000


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(sorted(ACTIONS)).flatmap(
        lambda dialect: st.tuples(st.lists(cases(dialect).map(lambda case: case[0]), max_size=3), cases(dialect))
    )
)
def test_permissions_judged_one_by_one_answer_like_all_of_them_in_one(drawn):
    others, (permission, action, resource) = drawn
    held = [permission, *others]
    whole = Permission(permission.dialect, tuple(each for one in held for each in one.statements))

    assert together(stand_of(one, action, resource) for one in held) is matches(whole, action, resource)


def test_holding_nothing_permits_nothing():
    assert together([]) is Answer.NO


@settings(max_examples=500, deadline=None)
@given(st.text("abZ:/*?${}É", min_size=1, max_size=12), st.booleans())
def test_how_a_pattern_begins_is_known_from_its_text_as_from_its_patterns(text, removing):
    aws = dialects.get("aws")
    read = ((aws.action_beginnings, aws.action), (aws.resource_beginnings, aws.resource))

    for beginnings, language in read:
        built = {(each.prefix, each.is_literal) for each in language(text, removing=removing).patterns}
        assert set(beginnings(text, removing=removing)) == built
