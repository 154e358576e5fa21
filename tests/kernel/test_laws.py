"""Laws that hold for every permission, tried on generated ones."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from governance.kernel.permissions import (
    Answer,
    Condition,
    CounterExample,
    NotExpressible,
    PatternSet,
    Permission,
    Proof,
    Statement,
    difference_samples,
    effective,
    includes,
    intersects,
    matches,
    sample_requests,
    subtract,
    union,
)
from governance.kernel.rightsizing import replay, right_size, unused

ACTIONS = {
    "aws": ["s3:Get*", "s3:GetObject", "S3:getobject", "s3:P?tObject", "s3:*", "*", "iam:*", "iam:PassRole"],
    "postgresql": ["SELECT", "DELETE", "GRANT:SELECT", "OWN", "*", "SUPERUSER", "UPDATE"],
    "tools": ["git_*", "git_log", "*", "g?t_log"],
    "scopes": ["contents:read", "contents:write", "issues:admin", "issues:read", "repo", "*"],
    "kubernetes": ["get", "list", "*", "delete"],
    "rabbitmq": ["read", "write", "*"],
    "redis": ["get", "GET", "set", "config", "config|set", "@read", "*"],
}
RESOURCES = {
    "aws": ["*", "b/*", "b/k", "b*", "b/?", "b/${aws:username}"],
    "postgresql": ["*", "table:l/p/t", "table:l/p/*", "table:l/*/t", "column:l/p/t/c", "column:l/p/t/*", "cluster:"],
    "tools": ["server:a", "server:*", "*"],
    "scopes": ["repo:a", "repo:b", "*"],
    "kubernetes": ["*", "api:*//pods//*", "api:p//pods//*", "api:p//pods/log/*", "api:p//*/*/c1", "url:/debug/*"],
    "rabbitmq": ["*", "vhost:v/a", "vhost:v/^a$", "vhost:v/^(a|b)$", "vhost:v/.*", "vhost:v/^(?!a)", "vhost:v/"],
    "redis": ["*", "read:*", "read:a?", "read:a[x-z]", "read:a[^x]", "read:[", "write:a*", "channel:\\*", "server:"],
}
CONDITIONS = [
    Condition("StringEquals", "k", ("a",)),
    Condition("StringEquals", "k", ("a", "b")),
    Condition("StringNotEquals", "k", ("a",)),
    Condition("StringLike", "k", ("a*",)),
    Condition("IpAddress", "ip", ("10.0.0.0/8",)),
    Condition("IpAddress", "ip", ("10.1.0.0/16",)),
    Condition("BoolIfExists", "mfa", ("true",)),
    Condition("ForAnyValue:StringEquals", "k", ("a",)),
    Condition("Resembles", "k", ("a",)),
]
MOMENTS = [datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)]
CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "k": st.sampled_from(["a", "b", "ax"]),
        "ip": st.sampled_from(["10.1.2.3", "10.2.2.3", "192.0.2.1"]),
        "mfa": st.sampled_from(["true", "false"]),
        "aws:username": st.sampled_from(["k", "x"]),
    },
)


def pattern_sets(patterns):
    include = st.lists(st.sampled_from(patterns), min_size=1, max_size=3, unique=True).map(tuple)
    return st.builds(PatternSet, include, st.lists(st.sampled_from(patterns), max_size=1).map(tuple))


def statements(dialect):
    return st.builds(
        Statement,
        actions=pattern_sets(ACTIONS[dialect]),
        resources=pattern_sets(RESOURCES[dialect]),
        effect=st.sampled_from(["allow", "allow", "allow", "deny"]),
        conditions=st.lists(st.sampled_from(CONDITIONS), max_size=2, unique=True).map(tuple),
        until=st.sampled_from([None, None, *MOMENTS]),
    )


def permissions(dialect, most=4):
    return st.builds(Permission, st.just(dialect), st.lists(statements(dialect), max_size=most).map(tuple))


def several(number):
    return st.sampled_from(sorted(ACTIONS)).flatmap(lambda dialect: st.tuples(*[permissions(dialect)] * number))


WORDS = {
    "aws": (["s3:GetObject", "s3:PutObject", "iam:PassRole", "x"], ["b", "b/k", "b/x", "c", "b/kk"]),
    "postgresql": (
        ["SELECT", "DELETE", "OWN", "GRANT:SELECT", "UPDATE"],
        ["table:l/p/t", "column:l/p/t/c", "table:m/p/t"],
    ),
    "tools": (["git_log", "git_push", "x"], ["server:a", "server:b"]),
    "scopes": (["contents:read", "contents:write", "repo", "issues:read"], ["repo:a", "repo:c"]),
    "kubernetes": (
        ["get", "list", "delete"],
        ["api:p//pods//c1", "api:p//pods/log/c1", "api:q//pods//", "url:/debug/x"],
    ),
    "rabbitmq": (["read", "write"], ["vhost:v/a", "vhost:v/b", "vhost:v/xax", "vhost:w/a"]),
    "redis": (["get", "set", "config|set", "config|get"], ["read:ax", "read:ab", "write:ax", "channel:*", "server:"]),
}


PLAIN = ("aws", "tools", "kubernetes")
"""Dialects in which no right contains another."""


def named_requests(permission):
    """Requests for the very actions that a permission names, on resources it lets through."""
    return [
        (action, resource)
        for statement in permission.statements
        if statement.effect == "allow"
        for action in statement.actions.include
        for resource in WORDS[permission.dialect][1]
        if matches(Permission(permission.dialect, (statement,)), action, resource) is Answer.YES
    ]


def requests(dialect):
    return st.tuples(*map(st.sampled_from, WORDS[dialect]))


@settings(max_examples=300, deadline=None)
@given(several(1))
def test_every_permission_includes_itself(one):
    assert isinstance(includes(one[0], one[0]), Proof)


@settings(max_examples=600, deadline=None)
@given(several(2), st.data())
def test_inclusion_agrees_with_matching(both, data):
    wide, narrow = both
    verdict = includes(wide, narrow)
    action, resource = data.draw(requests(wide.dialect))
    context, at = data.draw(CONTEXTS), data.draw(st.sampled_from([datetime(2026, 1, 1, tzinfo=UTC), *MOMENTS]))

    if isinstance(verdict, Proof) and matches(narrow, action, resource, context, at) is Answer.YES:
        assert matches(wide, action, resource, context, at) is not Answer.NO


@settings(max_examples=400, deadline=None)
@given(several(2))
def test_a_counter_example_is_permitted_by_the_narrow_and_not_by_the_wide_side(both):
    wide, narrow = both
    verdict = includes(wide, narrow)

    if isinstance(verdict, CounterExample):
        request = (verdict.action, verdict.resource, verdict.context, verdict.at)
        assert matches(narrow, *request) is Answer.YES
        assert matches(wide, *request) is Answer.NO


@settings(max_examples=300, deadline=None)
@given(several(3))
def test_inclusion_is_transitive(three):
    wide, middle, narrow = three
    if includes(wide, middle).holds and includes(middle, narrow).holds:
        assert not isinstance(includes(wide, narrow), CounterExample)


@settings(max_examples=200, deadline=None)
@given(several(2))
def test_without_denies_a_union_includes_both_sides(both):
    allowing = [Permission(p.dialect, tuple(s for s in p.statements if s.effect == "allow")) for p in both]

    assert includes(union(*allowing), allowing[0]).holds
    assert includes(union(*allowing), allowing[1]).holds


@settings(max_examples=300, deadline=None)
@given(several(1))
def test_effective_means_the_same(one):
    same = effective(one[0])

    assert not isinstance(includes(one[0], same), CounterExample)
    assert not isinstance(includes(same, one[0]), CounterExample)


@settings(max_examples=300, deadline=None)
@given(several(2), st.data())
def test_subtracting_removes_just_what_was_removed(both, data):
    held, removed = both[0], effective(both[1])
    try:
        left = subtract(held, removed)
    except NotExpressible:
        return
    context, at = data.draw(CONTEXTS), datetime(2026, 1, 1, tzinfo=UTC)

    assert includes(held, left).holds
    if held.dialect in PLAIN:
        assert not intersects(left, removed)
    # Elsewhere a lesser right stays when the one that contains it goes: never the right that was named.
    for action, resource in named_requests(removed):
        assert matches(left, action, resource, context, at) is not Answer.YES
    for request in data.draw(st.lists(requests(held.dialect), max_size=5)):
        if matches(removed, *request, context, at) is Answer.NO and held.dialect in PLAIN:
            assert matches(left, *request, context, at) is matches(held, *request, context, at)


@settings(max_examples=200, deadline=None)
@given(several(1), st.data())
def test_right_sizing_stays_inside_and_covers_the_use(one, data):
    held = one[0]
    used = data.draw(st.lists(requests(held.dialect), max_size=6))

    narrow = right_size(held, used)

    assert includes(held, narrow).holds
    before, after = replay(used, held), replay(used, narrow)
    assert after.refused == before.refused
    assert all(pair not in unused(held, used) for pair in used if matches(held, *pair) is Answer.YES)


@settings(max_examples=200, deadline=None)
@given(several(2))
def test_samples_are_real(both):
    wide, narrow = both

    for action, resource in sample_requests(wide, 20):
        assert matches(wide, action, resource) is not Answer.NO
    for each in difference_samples(wide, narrow, 20):
        assert matches(wide, each.action, each.resource, each.context, each.at) is Answer.YES
        assert matches(narrow, each.action, each.resource, each.context, each.at) is Answer.NO


@settings(max_examples=200, deadline=None)
@given(several(1), st.randoms(use_true_random=False))
def test_the_digest_ignores_order_and_repetition_and_survives_json(one, random):
    held = one[0]
    shuffled = [_shuffle(statement, random) for statement in held.statements * 2]
    random.shuffle(shuffled)

    assert Permission(held.dialect, tuple(shuffled)).digest() == held.digest()
    assert Permission.from_json(held.to_json()) == held


def _shuffle(statement, random):
    def mix(patterns):
        return PatternSet(tuple(random.sample(patterns.include, len(patterns.include))), patterns.exclude * 2)

    conditions = tuple(random.sample(statement.conditions, len(statement.conditions)))
    return Statement(mix(statement.actions), mix(statement.resources), statement.effect, conditions, statement.until)
