import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from governance.kernel.breadth import ORDER, breadth_of
from governance.kernel.permissions import PatternSet, Permission, Statement, includes

CASES = [
    ("aws", "s3:GetObject", ["arn:aws:s3:::invoices/*"], "one"),
    ("aws", "s3:*", ["arn:aws:s3:::invoices", "arn:aws:s3:::invoices/*"], "one"),
    ("aws", "s3:GetObject", ["arn:aws:s3:::invoices/*", "arn:aws:s3:::reports/*"], "set"),
    ("aws", "s3:GetObject", ["arn:aws:s3:::inv*"], "set"),
    ("aws", "s3:*", ["*"], "service"),
    ("aws", "s3:*", ["arn:aws:s3:::*"], "service"),
    ("aws", "dynamodb:GetItem", ["arn:aws:dynamodb:eu-west-1:1:table/orders/index/*"], "one"),
    ("aws", "dynamodb:GetItem", ["arn:aws:dynamodb:eu-west-1:1:table/*"], "service"),
    ("aws", "sqs:SendMessage", ["arn:aws:sqs:eu-west-1:1:orders"], "one"),
    ("aws", "sqs:SendMessage", ["arn:aws:sqs:*:1:orders"], "set"),
    ("aws", "logs:PutLogEvents", ["arn:aws:logs:eu-west-1:1:log-group:/aws/app:*"], "one"),
    ("aws", "s3:* sqs:* sns:*", ["*"], "service"),
    ("aws", "s3:* sqs:* sns:* ec2:*", ["*"], "account"),
    ("aws", "*", ["*"], "account"),
    ("aws", "*", ["arn:aws:s3:::invoices/*"], "one"),
    ("kubernetes", "get", ["api:prod//configmaps//app"], "one"),
    ("kubernetes", "get", ["api:prod//pods//*"], "service"),
    ("kubernetes", "get", ["api:prod/*/*/*/*"], "account"),
    ("kubernetes", "get", ["api:*//pods//*"], "organisation"),
    ("kubernetes", "get", ["api:*//configmaps//app"], "set"),
    ("kubernetes", "get", ["url:/metrics"], "one"),
    ("kubernetes", "*", ["*"], "organisation"),
    ("postgresql", "SELECT", ["table:ledger/public/payments"], "one"),
    ("postgresql", "SELECT", ["column:ledger/public/staff/name", "column:ledger/public/staff/mail"], "one"),
    ("postgresql", "SELECT", ["table:ledger/public/*"], "set"),
    ("postgresql", "SELECT", ["table:ledger/*/*"], "service"),
    ("postgresql", "OWN", ["database:ledger"], "service"),
    ("postgresql", "CONNECT", ["database:ledger"], "one"),
    ("postgresql", "SUPERUSER", ["cluster:"], "account"),
    ("rabbitmq", "read", ["vhost:v/^orders$"], "one"),
    ("rabbitmq", "read", ["vhost:v/^(orders|bills)$"], "set"),
    ("rabbitmq", "read", ["vhost:v/^orders"], "set"),
    ("rabbitmq", "read", ["vhost:v/.*"], "service"),
    ("rabbitmq", "read", ["vhost:v/^(?!orders)"], None),
    ("rabbitmq", "tag:administrator", ["broker:"], "account"),
    ("redis", "get", ["read:session:1"], "one"),
    ("redis", "get", ["read:session:*"], "set"),
    ("redis", "get set", ["read:*", "write:*"], "service"),
    ("redis", "ping", ["server:"], "one"),
    ("redis", "flushall", ["server:"], "account"),
    ("tools", "git_log", ["server:git"], "one"),
    ("tools", "git_log git_diff", ["server:git"], "set"),
    ("tools", "*", ["server:git"], "service"),
    ("tools", "*", ["server:*"], "account"),
    ("scopes", "contents:write", ["acme/app"], "one"),
    ("scopes", "contents:write", ["acme/*"], "service"),
    ("scopes", "members:write", ["acme"], "organisation"),
    ("scopes", "contents:write", ["*"], "account"),
]


@pytest.mark.parametrize(("dialect", "actions", "resources", "breadth"), CASES)
def test_breadth(permission, dialect, actions, resources, breadth):
    assert breadth_of(permission(dialect, (actions, resources))) == breadth


def test_what_is_denied_does_not_count(permission):
    held = permission(
        "aws",
        ("s3:GetObject", ["arn:aws:s3:::invoices/*"]),
        ("sqs:*", "*"),
        ("sqs:*", "*", {"effect": "deny"}),
    )

    assert breadth_of(held) == "one"


ACTIONS = {
    "aws": ["s3:GetObject", "s3:*", "sqs:*", "sns:*", "ec2:*", "*"],
    "kubernetes": ["get", "*"],
    "postgresql": ["SELECT", "USAGE", "OWN", "*", "CONNECT"],
    "redis": ["get", "*", "info"],
    "tools": ["git_log", "git_*", "*"],
    "scopes": ["contents:read", "contents:write", "members:read", "*"],
}
RESOURCES = {
    "aws": [
        "*", "arn:aws:s3:::a", "arn:aws:s3:::a/*", "arn:aws:s3:::a*", "arn:aws:s3:::b/k", "arn:aws:s3:::*", "arn:aws:sqs:*:*:*",
        "arn:aws:sqs:eu:1:q", "arn:aws:sqs:*:1:q", "arn:aws:ec2:eu:1:instance/*", "arn:aws:ec2:eu:1:i*", "arn:aws:s3*",
        "arn:aws:ec2:eu:1:instance/a",
    ],
    "kubernetes": ["*", "api:p//pods//*", "api:p//pods//a", "api:*//pods//a", "api:*//pods//*", "api:p/*/*/*/*", "api:p/*/pods//*", "api:p/x/pods//*", "api:p/x/jobs//*", "api:p//jobs//*"],
    "postgresql": ["*", "table:l/p/t", "table:l/p/*", "table:l/*/*", "table:*/p/t", "column:l/p/t/c", "column:l/p/u/*", "schema:l/p", "schema:l/*", "database:l", "database:*"],
    "redis": ["*", "read:*", "read:a", "write:a", "read:a*", "read:a?", "channel:*", "server:"],
    "tools": ["*", "server:*", "server:a", "server:b", "server:a*"],
    "scopes": ["*", "acme", "acme/*", "acme/a", "acme/b", "acme/a*", "ac*"],
}  # fmt: skip


def permissions(dialect):
    patterns = lambda texts: st.lists(st.sampled_from(texts), min_size=1, max_size=3, unique=True).map(tuple)  # noqa: E731
    statement = st.builds(
        Statement,
        actions=patterns(ACTIONS[dialect]).map(PatternSet),
        resources=patterns(RESOURCES[dialect]).map(PatternSet),
    )
    return st.lists(statement, min_size=1, max_size=2).map(lambda each: Permission(dialect, tuple(each)))


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(sorted(ACTIONS)).flatmap(lambda name: st.tuples(permissions(name), permissions(name))))
def test_a_wider_permission_never_reaches_less_far(pair):
    wide, narrow = pair
    assume(includes(wide, narrow).holds)

    assert ORDER.index(breadth_of(wide)) >= ORDER.index(breadth_of(narrow))
