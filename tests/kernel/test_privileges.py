import pytest

from governance.kernel.permissions import describe
from governance.kernel.privileges import (
    SEGMENTS,
    classes_of,
    further_segments_of,
    is_privileged,
    segment_of,
    segments_of,
)

CASES = [
    # (dialect, actions, resource, some of the classes, privileged, segment)
    ("postgresql", "SELECT", "table:l/public/p", {"read"}, False, "databases"),
    ("postgresql", "INSERT UPDATE", "table:l/public/p", {"write"}, False, "databases"),
    ("postgresql", "DELETE", "table:l/public/p", {"destructive"}, True, "databases"),
    ("postgresql", "OWN", "schema:l/public", {"admin", "destructive"}, True, "databases"),
    ("postgresql", "SUPERUSER", "cluster:", {"admin"}, True, "admin"),
    ("postgresql", "GRANT:SELECT", "table:l/public/p", {"admin", "read"}, True, "databases"),
    ("postgresql", "INSERT", "*", {"write"}, True, "databases"),
    ("aws", "s3:GetObject s3:ListBucket", "*", {"read"}, False, "storage"),
    ("aws", "s3:PutObject", "arn:aws:s3:::b/*", {"write"}, False, "storage"),
    ("aws", "s3:PutObject", "*", {"write"}, True, "storage"),
    ("aws", "s3:*", "arn:aws:s3:::b/*", {"read", "write", "destructive", "admin"}, True, "storage"),
    ("aws", "*", "*", {"read", "write", "destructive", "admin", "secret_read", "external_send"}, True, "admin"),
    ("aws", "secretsmanager:GetSecretValue", "*", {"secret_read", "read"}, True, "secrets"),
    ("aws", "iam:PassRole", "*", {"admin"}, True, "admin"),
    ("aws", "sqs:SendMessage", "arn:aws:sqs:eu-west-1:1:q", {"external_send", "write"}, False, "queues"),
    ("aws", "dynamodb:DeleteItem", "*", {"destructive"}, True, "databases"),
    ("kubernetes", "get list", "api:p//pods//*", {"read"}, False, "apis"),
    ("kubernetes", "get", "api:p//secrets//*", {"read", "secret_read"}, True, "secrets"),
    ("kubernetes", "create", "api:p/rbac.authorization.k8s.io/rolebindings//*", {"admin", "write"}, True, "admin"),
    ("rabbitmq", "read", "vhost:v/^orders$", {"read"}, False, "queues"),
    ("rabbitmq", "tag:administrator", "broker:", {"admin"}, True, "admin"),
    ("redis", "get mget", "read:orders:*", {"read"}, False, "databases"),
    ("redis", "flushall", "server:", {"write", "admin", "destructive"}, True, "admin"),
    ("redis", "config", "server:", {"admin"}, True, "admin"),
    ("redis", "set ping", "write:orders:*", {"write", "read"}, False, "databases"),
    ("redis", "frobnicate", "server:", {"write"}, False, "databases"),
    ("redis", "publish", "channel:news", {"write"}, False, "queues"),
    ("tools", "git_log", "server:git", {"read"}, False, "ai_tools"),
    ("scopes", "people:write", "remit", {"read", "write", "admin"}, True, "apis"),
    ("scopes", "people:write", "crm", {"read", "write"}, False, "apis"),
    ("scopes", "connector:revoke", "source:ledger", {"write", "destructive"}, True, "admin"),
    ("tools", "open_nodes", "server:memory", {"read"}, False, "ai_tools"),
    ("tools", "slack_get_users", "server:slack", {"read"}, False, "ai_tools"),
    ("tools", "get-env", "server:everything", {"read", "secret_read"}, True, "ai_tools"),
    ("tools", "query", "server:postgres", {"read", "write", "destructive"}, True, "ai_tools"),
    ("tools", "browser_click", "server:playwright", {"write", "external_send"}, False, "ai_tools"),
    ("tools", "frobnicate", "server:x", {"destructive", "external_send"}, True, "ai_tools"),
    ("tools", "send_email", "server:mail", {"external_send"}, False, "ai_tools"),
    ("scopes", "contents:read", "repo:a", {"read"}, False, "apis"),
    ("scopes", "administration:write", "repo:a", {"admin", "write", "read"}, True, "admin"),
]


@pytest.mark.parametrize(("dialect", "actions", "resource", "classes", "privileged", "segment"), CASES)
def test_classes_and_segment(permission, dialect, actions, resource, classes, privileged, segment):
    held = permission(dialect, (actions, [resource]))

    assert classes <= {str(each) for each in classes_of(held)}
    assert is_privileged(held) is privileged
    assert segment_of(held) == segment
    assert segment in SEGMENTS


def test_what_is_denied_everywhere_does_not_make_a_permission_privileged(permission):
    held = permission("aws", ("s3:GetObject iam:PassRole", "*"), ("iam:*", "*", {"effect": "deny"}))

    assert not is_privileged(held)


@pytest.mark.parametrize(
    ("dialect", "actions", "resource", "words"),
    [
        (
            "postgresql",
            "DELETE SELECT",
            "table:ledger/public/payments",
            "read and delete every row of table payments in database ledger",
        ),
        (
            "postgresql",
            "SELECT",
            "table:ledger/public/*",
            "read every row of every table in schema public in database ledger",
        ),
        (
            "postgresql",
            "SELECT",
            "column:ledger/public/staff/name",
            "read column name of table staff in database ledger",
        ),
        ("postgresql", "SUPERUSER", "cluster:", "do everything as superuser on the server"),
        ("postgresql", "MEMBER", "role:readers", "act as a member of role readers"),
        (
            "postgresql",
            "EXECUTE",
            "function:ledger/public/refund(integer)",
            "call function refund(integer) in database ledger",
        ),
        ("aws", "s3:GetObject", "arn:aws:s3:::invoices/*", "read every object in bucket invoices"),
        ("tools", "git_status git_log", "server:git", "call tools git_status and git_log on server git"),
        ("scopes", "contents:write", "repo:acme/ledger", "read and change contents of repo:acme/ledger"),
        ("kubernetes", "get list", "api:prod//pods//*", "get and list pods in namespace prod"),
        (
            "rabbitmq",
            "write read",
            "vhost:%2F/.*",
            "consume from and publish to every queue and exchange in virtual host /",
        ),
    ],
)
def test_plain_words(permission, dialect, actions, resource, words):
    assert describe(permission(dialect, (actions, [resource]))) == [words]


def test_words_name_limits(permission):
    more = {
        "effect": "allow",
        "until": "2027-01-01T00:00:00Z",
        "conditions": [{"operator": "IpAddress", "key": "aws:SourceIp", "values": ["10.0.0.0/8"]}],
    }
    held = permission("tools", ("git_log", "server:git", more), ("git_push", "server:git", {"effect": "deny"}))

    assert describe(held) == [
        "call tool git_log on server git, only if the request comes from 10.0.0.0/8, until 1 January 2027",
        "never call tool git_push on server git",
    ]


def test_a_grant_is_filed_under_one_segment_and_tells_of_each(permission):
    held = permission("aws", ("sqs:* dynamodb:GetItem", ["*"]), ("s3:GetObject", ["arn:aws:s3:::b/*"]))

    assert segment_of(held) == "databases"
    assert segments_of(held) == ("queues", "databases", "storage")
    assert further_segments_of(held) == ("queues", "storage")


ALL_OF_AWS = "apis queues databases storage secrets admin ai_tools"


@pytest.mark.parametrize(
    ("dialect", "actions", "resources", "reached"),
    [
        ("aws", "*", ["*"], ALL_OF_AWS),
        ("aws", "s*:Get*", ["*"], "apis queues storage secrets admin ai_tools"),
        ("aws", "*", ["arn:aws:s3:::b/*"], "storage"),
        ("aws", "*", ["arn:aws:s3:::b/*", "arn:aws:sqs:eu-west-1:1:q"], "queues storage"),
        ("aws", "sqs:SendMessage", ["*"], "queues"),
        ("kubernetes", "*", ["api:*/*/*/*/*"], "apis secrets admin"),
        ("kubernetes", "*", ["*"], "apis secrets admin"),
        ("kubernetes", "get", ["api:p/apps/*//*"], "apis"),
        ("kubernetes", "get", ["api:p//pods//*", "api:p//secrets//*"], "apis secrets"),
        ("kubernetes", "create", ["api:p//pods/exec/*"], "admin"),
        ("kubernetes", "create", ["api:p//pods/*/*"], "apis admin"),
        ("kubernetes", "get", ["url:/healthz"], "apis"),
        ("postgresql", "SUPERUSER", ["cluster:"], "databases admin"),
        ("postgresql", "CREATEROLE", ["cluster:"], "admin"),
        ("postgresql", "OWN", ["table:l/public/p"], "databases"),
        ("rabbitmq", "*", ["*"], "queues admin"),
        ("rabbitmq", "*", ["vhost:v/^orders$"], "queues"),
        ("rabbitmq", "tag:management read", ["broker:", "vhost:v/^orders$"], "queues admin"),
        ("redis", "*", ["read:*", "write:*", "channel:*", "server:"], "queues databases admin"),
        ("redis", "get publish", ["read:orders:*", "channel:news"], "queues databases"),
        ("redis", "get", ["read:orders:*", "channel:news"], "databases"),
        ("scopes", "*", ["repo:a"], "apis secrets admin"),
        ("scopes", "secrets:read issues:read", ["repo:a"], "apis secrets"),
        ("tools", "*", ["server:*"], "ai_tools"),
        ("authzen", "*", ["*"], "apis"),
    ],
)
def test_a_wildcard_reaches_every_segment_behind_it(permission, dialect, actions, resources, reached):
    assert " ".join(segments_of(permission(dialect, (actions, resources)))) == reached


def test_what_is_denied_or_left_out_is_not_reached(permission):
    denied = permission("aws", ("sqs:* s3:GetObject", "*"), ("sqs:*", "*", {"effect": "deny"}))
    spared = permission("aws", ("*", "*"), ("bedrock*:* sagemaker:* q:* qbusiness:*", "*", {"effect": "deny"}))
    nothing = permission("aws", ("sqs:*", "*", {"effect": "deny"}))

    assert segments_of(denied) == ("storage",)
    assert " ".join(segments_of(spared)) == ALL_OF_AWS.removesuffix(" ai_tools")
    assert (segments_of(nothing), further_segments_of(nothing)) == ((), ())
