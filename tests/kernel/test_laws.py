"""Laws that hold for every permission, tried on generated ones."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from governance.kernel.atoms import implies
from governance.kernel.conditions import canonical, evaluate
from governance.kernel.permissions import (
    Answer,
    Condition,
    CounterExample,
    Effective,
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
    permits,
    sample_requests,
    subtract,
    union,
)
from governance.kernel.privileges import classes_of
from governance.kernel.rightsizing import replay, right_size, unused
from governance.kernel.styles import STYLES

ACTIONS = {
    "aws": ["s3:Get*", "s3:GetObject", "S3:getobject", "s3:P?tObject", "s3:*", "*", "iam:*", "iam:PassRole"],
    "postgresql": ["SELECT", "DELETE", "GRANT:SELECT", "OWN", "*", "SUPERUSER", "UPDATE"],
    "tools": ["git_*", "git_log", "*", "g?t_log"],
    "scopes": ["contents:read", "contents:write", "issues:admin", "issues:read", "repo", "*"],
    "kubernetes": ["get", "list", "*", "delete"],
    "rabbitmq": ["read", "write", "*"],
    "redis": ["get", "GET", "set", "config", "config|set", "@read", "*"],
    "authzen": ["read", "can_*", "can_read", "*"],
}
RESOURCES = {
    "aws": ["*", "b/*", "b/k", "b*", "b/?", "b/${aws:username}"],
    "postgresql": ["*", "table:l/p/t", "table:l/p/*", "table:l/*/t", "column:l/p/t/c", "column:l/p/t/*", "cluster:"],
    "tools": ["server:a", "server:*", "*"],
    "scopes": ["repo:a", "repo:b", "*"],
    "kubernetes": ["*", "api:*//pods//*", "api:p//pods//*", "api:p//pods/log/*", "api:p//*/*/c1", "url:/debug/*"],
    "rabbitmq": ["*", "vhost:v/a", "vhost:v/^a$", "vhost:v/^(a|b)$", "vhost:v/.*", "vhost:v/^(?!a)", "vhost:v/"],
    "redis": ["*", "read:*", "read:a?", "read:a[x-z]", "read:a[^x]", "read:[", "write:a*", "channel:\\*", "server:"],
    "authzen": ["*", "record:*", "record:7", "rec*:7", "folder:?"],
}
CONDITIONS = [
    Condition("StringEquals", "k", ("a",)),
    Condition("StringEquals", "k", ("a", "b")),
    Condition("StringNotEquals", "k", ("a",)),
    Condition("StringEqualsIgnoreCase", "k", ("A",)),
    Condition("StringLike", "k", ("a*",)),
    Condition("StringNotLike", "K", ("a*",)),
    Condition("StringLikeIfExists", "k", ("?",)),
    Condition("StringEquals", "k", ("${aws:username}",)),
    Condition("StringNotEquals", "k", ("${aws:username}",)),
    Condition("StringLike", "k", ("${aws:username}*",)),
    Condition("StringEquals", "k", ("${aws:username, 'a'}",)),
    Condition("Null", "k", ("true",)),
    Condition("Null", "k", ("false",)),
    Condition("ForAnyValue:StringEquals", "k", ("a",)),
    Condition("ForAnyValue:StringNotEquals", "k", ("a",)),
    Condition("ForAllValues:StringLike", "k", ("a*", "b")),
    Condition("ForAllValues:StringEqualsIfExists", "k", ("b",)),
    Condition("Resembles", "k", ("a",)),
    Condition("IpAddress", "ip", ("10.0.0.0/8",)),
    Condition("IpAddress", "ip", ("10.1.0.0/16",)),
    Condition("NotIpAddress", "ip", ("10.1.0.0/16", "192.0.2.1")),
    Condition("BoolIfExists", "mfa", ("true",)),
    Condition("Bool", "mfa", ("true",)),
    Condition("NumericLessThan", "n", ("5",)),
    Condition("NumericGreaterThanEquals", "n", ("5",)),
    Condition("NumericNotEqualsIfExists", "n", ("5",)),
    Condition("DateLessThan", "t", ("2027-01-01T00:00:00Z",)),
    Condition("DateGreaterThan", "t", ("1700000000",)),
    Condition("ArnLike", "arn", ("arn:aws:s3:::b*",)),
    Condition("ArnNotEquals", "arn", ("arn:aws:*:::b",)),
    Condition("Principal", "principal", ("AWS:111111111111",)),
    Condition("Principal", "principal", ("AWS:arn:aws:iam::111111111111:user/a", "Service:x.amazonaws.com")),
    Condition("NotPrincipal", "principal", ("AWS:arn:aws:iam::111111111111:user/a",)),
]
# No document may hold these, but a policy of AWS may.
EMPTY = [Condition("StringEquals", "k", ()), Condition("NumericNotEquals", "n", ()), Condition("Null", "k", ())]
MOMENTS = [datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)]
CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "k": st.sampled_from(["a", "A", "b", "ax", "", ["a", "b"], ["a", "ax"], ["b", "c"], []]),
        "ip": st.sampled_from(["10.1.2.3", "10.2.2.3", "192.0.2.1", "2001:db8::1"]),
        "mfa": st.sampled_from(["true", "false"]),
        "n": st.sampled_from(["4", "5", "5.0", "6"]),
        "t": st.sampled_from(["2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "1600000000"]),
        "arn": st.sampled_from(["arn:aws:s3:::b", "arn:aws:s3:::bc", "arn:aws:sqs:::b", "b"]),
        "aws:username": st.sampled_from(["k", "x", "a", "b", "*"]),
        "principal": st.sampled_from(
            [
                "AWS:arn:aws:iam::111111111111:user/a",
                "AWS:arn:aws:iam::111111111111:root",
                "AWS:arn:aws:iam::222222222222:user/b",
                "Service:x.amazonaws.com",
            ]
        ),
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


def several(number, most=4):
    return st.sampled_from(sorted(ACTIONS)).flatmap(lambda dialect: st.tuples(*[permissions(dialect, most)] * number))


def under_ceilings(number):
    """Permissions of one dialect, each under up to two ceilings."""

    def of(dialect):
        ceilings = st.lists(permissions(dialect, 2), max_size=2).map(tuple)
        return st.tuples(*[st.builds(Effective, permissions(dialect, 2), ceilings)] * number)

    return st.sampled_from(sorted(ACTIONS)).flatmap(of)


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
    "authzen": (["read", "can_read", "can_write"], ["record:7", "record:8", "folder:7", "recx:7"]),
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


@settings(max_examples=150, deadline=None)
@given(several(1))
def test_every_permission_includes_itself(one):
    assert isinstance(includes(one[0], one[0]), Proof)


@settings(max_examples=300, deadline=None)
@given(several(2), st.data())
def test_inclusion_agrees_with_matching(both, data):
    wide, narrow = both
    verdict = includes(wide, narrow)
    action, resource = data.draw(requests(wide.dialect))
    context, at = data.draw(CONTEXTS), data.draw(st.sampled_from([datetime(2026, 1, 1, tzinfo=UTC), *MOMENTS]))

    if isinstance(verdict, Proof) and matches(narrow, action, resource, context, at) is Answer.YES:
        assert matches(wide, action, resource, context, at) is not Answer.NO


@settings(max_examples=250, deadline=None)
@given(several(2))
def test_a_counter_example_is_permitted_by_the_narrow_and_not_by_the_wide_side(both):
    wide, narrow = both
    verdict = includes(wide, narrow)

    if isinstance(verdict, CounterExample):
        request = (verdict.action, verdict.resource, verdict.context, verdict.at)
        assert matches(narrow, *request) is Answer.YES
        assert matches(wide, *request) is Answer.NO


@settings(max_examples=150, deadline=None)
@given(several(3))
def test_inclusion_is_transitive(three):
    wide, middle, narrow = three
    if includes(wide, middle).holds and includes(middle, narrow).holds:
        assert not isinstance(includes(wide, narrow), CounterExample)


@settings(max_examples=120, deadline=None)
@given(several(2))
def test_without_denies_a_union_includes_both_sides(both):
    allowing = [Permission(p.dialect, tuple(s for s in p.statements if s.effect == "allow")) for p in both]

    assert includes(union(*allowing), allowing[0]).holds
    assert includes(union(*allowing), allowing[1]).holds


@settings(max_examples=150, deadline=None)
@given(several(1))
def test_effective_means_the_same(one):
    same = effective(one[0])

    assert not isinstance(includes(one[0], same), CounterExample)
    assert not isinstance(includes(same, one[0]), CounterExample)


@settings(max_examples=200, deadline=None)
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


@settings(max_examples=150, deadline=None)
@given(several(1), st.sampled_from(STYLES), st.data())
def test_right_sizing_stays_inside_and_covers_the_use(one, style, data):
    held = one[0]
    used = data.draw(st.lists(requests(held.dialect), max_size=6))

    narrow = right_size(held, used, style)

    assert includes(held, narrow).holds
    assert includes(narrow, right_size(held, used)).holds
    before, after = replay(used, held), replay(used, narrow)
    assert after.refused == before.refused
    assert all(pair not in unused(held, used) for pair in used if matches(held, *pair) is Answer.YES)


@settings(max_examples=100, deadline=None)
@given(several(1), st.data())
def test_no_style_adds_a_class_of_access(one, data):
    held = one[0]
    used = data.draw(st.lists(requests(held.dialect), max_size=6))
    needed = right_size(held, used)

    assert classes_of(right_size(held, used, "readable")) <= classes_of(needed)
    assert classes_of(right_size(held, used, "access_level")) <= classes_of(needed)


def moments():
    return st.sampled_from([datetime(2026, 1, 1, tzinfo=UTC), *MOMENTS])


@settings(max_examples=80, deadline=None)
@given(under_ceilings(1))
def test_what_is_under_ceilings_lies_inside_itself_and_each_of_its_parts(one):
    assert isinstance(includes(one[0], one[0]), Proof)
    for part in one[0].parts:
        assert isinstance(includes(part, one[0]), Proof)


@settings(max_examples=200, deadline=None)
@given(under_ceilings(2), st.data())
def test_under_ceilings_inclusion_agrees_with_matching_and_counter_examples_are_real(both, data):
    wide, narrow = both
    verdict = includes(wide, narrow)
    request = (*data.draw(requests(wide.dialect)), data.draw(CONTEXTS), data.draw(moments()))

    if isinstance(verdict, CounterExample):
        found = (verdict.action, verdict.resource, verdict.context, verdict.at)
        assert permits(narrow, *found) is Answer.YES
        assert permits(wide, *found) is Answer.NO
    elif isinstance(verdict, Proof) and permits(narrow, *request) is Answer.YES:
        assert permits(wide, *request) is not Answer.NO


@settings(max_examples=80, deadline=None)
@given(under_ceilings(3))
def test_under_ceilings_inclusion_is_transitive(three):
    wide, middle, narrow = three
    if includes(wide, middle).holds and includes(middle, narrow).holds:
        assert not isinstance(includes(wide, narrow), CounterExample)


@settings(max_examples=1_000, deadline=None)
@given(st.sampled_from(CONDITIONS + EMPTY), st.sampled_from(CONDITIONS + EMPTY), CONTEXTS)
def test_a_condition_that_implies_another_never_holds_without_it(first, second, context):
    first, second = canonical(first), canonical(second)

    if implies(first, second) and evaluate(first, context) is True:
        assert evaluate(second, context) is not False


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(CONDITIONS + EMPTY), CONTEXTS, st.booleans())
def test_one_form_of_a_condition_says_the_same(condition, context, denies):
    if condition.operator != "Principal" or not denies:
        assert evaluate(canonical(condition, denies=denies), context) is evaluate(condition, context)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(CONDITIONS + EMPTY), min_size=1, max_size=3),
    st.lists(st.sampled_from(CONDITIONS + EMPTY), min_size=1, max_size=3),
    CONTEXTS,
)
def test_conditions_alone_are_compared_soundly(held, kept, context):
    wide, narrow = (
        Permission("aws", (Statement(PatternSet(("*",)), PatternSet(("*",)), conditions=tuple(each)),))
        for each in (held, kept)
    )
    verdict = includes(wide, narrow)

    if isinstance(verdict, Proof) and matches(narrow, "s3:x", "y", context) is Answer.YES:
        assert matches(wide, "s3:x", "y", context) is not Answer.NO


@settings(max_examples=100, deadline=None)
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
