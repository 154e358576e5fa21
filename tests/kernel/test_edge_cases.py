"""The cases that connectors and reviewers trip over; numbers are those of the design's list of edge cases."""

import pytest

from governance.kernel.dialects.kubernetes import from_rule
from governance.kernel.dialects.kubernetes import resource as k8s
from governance.kernel.permissions import Answer, CounterExample, NotProvable, Permission, Proof, includes, matches

ARN = "arn:aws:s3:::"
VERDICTS = {"yes": Proof, "no": CounterExample, "unknown": NotProvable}


def when(operator, key, *values):
    return {"conditions": [{"operator": operator, "key": key, "values": list(values)}]}


DENY = {"effect": "deny"}

INCLUSIONS = [
    # (case, dialect, wide, narrow, verdict)
    ("3 prefix in service", "aws", [("s3:*", "*")], [("s3:Get*", "*")], "yes"),
    ("3 reversed", "aws", [("s3:Get*", "*")], [("s3:*", "*")], "no"),
    ("4 longer names", "aws", [("s3:GetObject", "*")], [("s3:GetObject*", "*")], "no"),
    ("5 question mark", "aws", [("s3:*etObject", "*")], [("s3:?etObject", "*")], "yes"),
    ("6 two stars", "aws", [("*", "a*c")], [("*", "a*b*c")], "yes"),
    ("6 reversed", "aws", [("*", "a*b*c")], [("*", "a*c")], "no"),
    ("7 empty text", "aws", [("*", "?*")], [("*", "*")], "no"),
    ("7 order", "aws", [("*", "*?")], [("*", "?*")], "yes"),
    ("8 union", "aws", [("s3:Get*", "*"), ("s3:P*", "*")], [("s3:Get* s3:Put*", "*")], "yes"),
    (
        "9 union with exclusion",
        "aws",
        [("s3:Get*", "*"), ({"include": ["*"], "exclude": ["s3:Get*"]}, "*")],
        [("s3:*", "*")],
        "yes",
    ),
    ("10 bucket and its objects", "aws", [("*", ARN + "bkt/*")], [("*", ARN + "bkt")], "no"),
    ("11 a longer bucket name", "aws", [("*", ARN + "bkt*")], [("*", ARN + "bkt/*")], "yes"),
    ("11 widening", "aws", [("*", ARN + "bkt/*")], [("*", ARN + "bkt*")], "no"),
    ("13 deny not in the way", "aws", [("*", "*"), ("iam:*", "*", DENY)], [("s3:*", "*")], "yes"),
    ("14 was denied", "aws", [("*", "*"), ("iam:*", "*", DENY)], [("iam:GetUser", "*")], "no"),
    ("15 deny dropped", "aws", [("*", "*"), ("iam:*", "*", DENY)], [("*", "*")], "no"),
    (
        "15 deny kept",
        "aws",
        [("*", "*"), ("iam:*", "*", DENY)],
        [("*", "*"), ("iam:* ec2:*", "*", DENY)],
        "yes",
    ),
    (
        "16 negated condition in place of the deny",
        "aws",
        [("*", "*"), ("*", "*", DENY | when("StringNotEquals", "aws:RequestedRegion", "eu-west-1"))],
        [("*", "*", when("StringEquals", "aws:RequestedRegion", "eu-west-1"))],
        "yes",
    ),
    ("17 inside all but", "aws", [({"include": ["*"], "exclude": ["iam:*"]}, "*")], [("ec2:RunInstances", "*")], "yes"),
    ("17 excluded", "aws", [({"include": ["*"], "exclude": ["iam:*"]}, "*")], [("iam:PassRole", "*")], "no"),
    ("19 condition added", "aws", [("s3:*", "*")], [("s3:*", "*", when("Bool", "aws:SecureTransport", "true"))], "yes"),
    (
        "19 condition removed",
        "aws",
        [("s3:*", "*", when("Bool", "aws:SecureTransport", "true"))],
        [("s3:*", "*")],
        "no",
    ),
    (
        "20 network in network",
        "aws",
        [("*", "*", when("IpAddress", "aws:SourceIp", "10.0.0.0/8"))],
        [("*", "*", when("IpAddress", "aws:sourceip", "10.1.0.0/16"))],
        "yes",
    ),
    (
        "20 reversed",
        "aws",
        [("*", "*", when("IpAddress", "aws:SourceIp", "10.1.0.0/16"))],
        [("*", "*", when("IpAddress", "aws:SourceIp", "10.0.0.0/8"))],
        "no",
    ),
    (
        "21 fewer values",
        "aws",
        [("*", "*", when("StringEquals", "k", "a", "b"))],
        [("*", "*", when("StringEquals", "k", "a"))],
        "yes",
    ),
    (
        "21 more values",
        "aws",
        [("*", "*", when("StringEquals", "k", "a"))],
        [("*", "*", when("StringEquals", "k", "a", "b"))],
        "no",
    ),
    (
        "21 values covered by a union",
        "aws",
        [("*", "*", when("StringEquals", "k", "a")), ("*", "*", when("StringEquals", "k", "b"))],
        [("*", "*", when("StringEquals", "k", "a", "b"))],
        "yes",
    ),
    (
        "equal inside like",
        "aws",
        [("*", "*", when("StringLike", "k", "team-*"))],
        [("*", "*", when("StringEquals", "k", "team-a"))],
        "yes",
    ),
    (
        "like and not like are complements",
        "aws",
        [("*", "*", when("StringLike", "k", "a*")), ("*", "*", when("StringNotLike", "k", "a*"))],
        [("*", "*")],
        "yes",
    ),
    (
        "22 if exists",
        "aws",
        [("*", "*", when("BoolIfExists", "mfa", "true"))],
        [("*", "*", when("Bool", "mfa", "true"))],
        "yes",
    ),
    (
        "22 reversed",
        "aws",
        [("*", "*", when("Bool", "mfa", "true"))],
        [("*", "*", when("BoolIfExists", "mfa", "true"))],
        "no",
    ),
    (
        "dates",
        "aws",
        [("*", "*", when("DateLessThan", "aws:CurrentTime", "2027-01-01T00:00:00Z"))],
        [("*", "*", when("DateLessThan", "aws:CurrentTime", "2026-06-01T00:00:00Z"))],
        "yes",
    ),
    (
        "numbers reversed",
        "aws",
        [("*", "*", when("NumericLessThan", "n", "5"))],
        [("*", "*", when("NumericLessThanEquals", "n", "5"))],
        "no",
    ),
    (
        "unknown operator",
        "aws",
        [("*", "*", when("Resembles", "k", "a"))],
        [("*", "*", when("Resembles", "k", "b"))],
        "unknown",
    ),
    (
        "unknown operator, equal",
        "aws",
        [("*", "*", when("Resembles", "k", "a"))],
        [("*", "*", when("Resembles", "k", "a"))],
        "yes",
    ),
    ("25 variable, equal", "aws", [("*", ARN + "b/${aws:username}/*")], [("*", ARN + "b/${aws:username}/*")], "yes"),
    ("25 variable below", "aws", [("*", ARN + "b/*")], [("*", ARN + "b/${aws:username}/*")], "yes"),
    # Without a fixed principal somebody of another name is a counter-example; the context of it says who.
    ("25 variable above", "aws", [("*", ARN + "b/${aws:username}/*")], [("*", ARN + "b/bob/*")], "no"),
    ("25 variable in a deny", "aws", [("*", "*"), ("*", "b/${aws:username}", DENY)], [("*", "b/bob")], "no"),
    ("dates of statements", "aws", [("*", "*")], [("*", "*", {"until": "2027-01-01T00:00:00Z"})], "yes"),
    ("ends later", "aws", [("*", "*", {"until": "2027-01-01T00:00:00Z"})], [("*", "*")], "no"),
    (
        "deny ends earlier",
        "aws",
        [("*", "*"), ("iam:*", "*", DENY)],
        [("*", "*"), ("iam:*", "*", DENY | {"until": "2027-01-01T00:00:00Z"})],
        "no",
    ),
    ("44 column in table", "postgresql", [("SELECT", "table:l/public/p")], [("SELECT", "column:l/public/p/id")], "yes"),
    ("44 table in column", "postgresql", [("SELECT", "column:l/public/p/id")], [("SELECT", "table:l/public/p")], "no"),
    (
        "47 delete and truncate",
        "postgresql",
        [("DELETE", "table:l/public/p")],
        [("TRUNCATE", "table:l/public/p")],
        "no",
    ),
    ("49 superuser", "postgresql", [("SUPERUSER", "cluster:")], [("DELETE", "table:l/public/p")], "yes"),
    ("51 case", "postgresql", [("SELECT", "table:l/public/Orders")], [("SELECT", "table:l/public/orders")], "no"),
    ("51 dots", "postgresql", [("SELECT", "table:l/a/b.c")], [("SELECT", "table:l/a.b/c")], "no"),
    ("schema wide", "postgresql", [("SELECT", "table:l/public/*")], [("SELECT", "table:l/public/p")], "yes"),
    ("star spans one name", "postgresql", [("SELECT", "table:l/*/p")], [("SELECT", "table:l/public/*")], "no"),
    ("owner", "postgresql", [("OWN", "table:l/public/p")], [("DELETE GRANT:DELETE", "table:l/public/p")], "yes"),
    ("owner's columns", "postgresql", [("OWN", "table:l/public/p")], [("UPDATE", "column:l/public/p/id")], "yes"),
    ("not owner", "postgresql", [("SELECT DELETE", "table:l/public/p")], [("OWN", "table:l/public/p")], "no"),
    ("grant option", "postgresql", [("GRANT:SELECT", "table:l/public/p")], [("SELECT", "table:l/public/p")], "yes"),
    ("no grant option", "postgresql", [("SELECT", "table:l/public/p")], [("GRANT:SELECT", "table:l/public/p")], "no"),
    ("database is not its tables", "postgresql", [("OWN", "database:l")], [("SELECT", "table:l/public/p")], "no"),
    (
        "table without a column is not the table",
        "postgresql",
        [("SELECT", {"include": ["table:l/public/p"], "exclude": ["column:l/public/p/iban"]})],
        [("SELECT", "table:l/public/p")],
        "no",
    ),
    ("54 anchors bind to branches", "rabbitmq", [("read", "vhost:v/^(a|b)$")], [("read", "vhost:v/^a|b$")], "no"),
    ("54 reversed", "rabbitmq", [("read", "vhost:v/^a|b$")], [("read", "vhost:v/^(a|b)$")], "yes"),
    ("56 all", "rabbitmq", [("read", "vhost:v/^.*$")], [("read", "vhost:v/.*")], "yes"),
    ("classes", "rabbitmq", [("read", "vhost:v/^q-[a-z]+$")], [("read", "vhost:v/^q-[b-d]{0}x")], "unknown"),
    ("classes inside", "rabbitmq", [("read", r"vhost:v/^q-\w+$")], [("read", "vhost:v/^q-[a-c][0-9]?$")], "yes"),
    ("look-ahead, equal", "rabbitmq", [("read", "vhost:v/^(?!x)")], [("read", "vhost:v/^(?!x)")], "yes"),
    ("look-ahead below all", "rabbitmq", [("read", "vhost:v/.*")], [("read", "vhost:v/^(?!x)")], "yes"),
    ("look-ahead above", "rabbitmq", [("read", "vhost:v/^(?!x)")], [("read", "vhost:v/^a$")], "unknown"),
    ("another virtual host", "rabbitmq", [("read", "vhost:v/.*")], [("read", "vhost:w/a")], "no"),
    ("58 reading is a part", "redis", [("@read", "read:ro:* write:ro:*")], [("get", "read:ro:*")], "yes"),
    ("58 reversed", "redis", [("@read", "read:ro:*")], [("get", "read:ro:* write:ro:*")], "no"),
    ("a word and its second words", "redis", [("config", "server:")], [("config|get config|set", "server:")], "yes"),
    ("a second word alone", "redis", [("config|get", "server:")], [("config", "server:")], "no"),
    ("commands without case", "redis", [("GET", "read:k")], [("get", "read:k")], "yes"),
    ("keys with case", "redis", [("get", "read:K")], [("get", "read:k")], "no"),
    ("classes inside", "redis", [("get", "read:u:[0-9a-f]*")], [("get", "read:u:[a-c]?")], "yes"),
    ("classes outside", "redis", [("get", "read:u:[0-9]*")], [("get", "read:u:[0-9a]*")], "no"),
    ("an escaped star is a star", "redis", [("get", r"read:a\*")], [("get", "read:a*")], "no"),
    ("a class that never closes", "redis", [("get", "read:a[bc")], [("get", "read:ac")], "yes"),
    ("every command, also later ones", "redis", [("@read @write", "read:k")], [("*", "read:k")], "no"),
    ("62 case of tools", "tools", [("git_Log", "server:git")], [("git_log", "server:git")], "no"),
    ("62 same tool elsewhere", "tools", [("status", "server:a")], [("status", "server:b")], "no"),
    ("63 levels", "scopes", [("contents:write", "repo:a")], [("contents:read", "repo:a")], "yes"),
    ("63 reversed", "scopes", [("contents:read", "repo:a")], [("contents:write", "repo:a")], "no"),
    ("none is nothing", "scopes", [("contents:read", "repo:a")], [("issues:none", "repo:a")], "yes"),
    ("64 never by prefix", "scopes", [("repo", "github")], [("repo:status", "github")], "no"),
    ("no levels elsewhere", "scopes", [("channels:write", "slack")], [("channels:read", "slack")], "no"),
]


@pytest.mark.parametrize(
    ("case", "dialect", "wide", "narrow", "verdict"), INCLUSIONS, ids=[each[0] for each in INCLUSIONS]
)
def test_inclusion(permission, case, dialect, wide, narrow, verdict):
    found = includes(permission(dialect, *wide), permission(dialect, *narrow))

    assert isinstance(found, VERDICTS[verdict]), found
    assert found.holds is (verdict == "yes")
    assert found.explain().endswith(".")


REQUESTS = [
    ("1 names of actions have no case", "aws", [("S3:getobject", "*")], "s3:GetObject", "x", "yes"),
    ("2 resources have", "aws", [("s3:*", ARN + "Bucket/*")], "s3:GetObject", ARN + "bucket/k", "no"),
    ("12 colons", "aws", [("sqs:*", "arn:aws:sqs:*")], "sqs:SendMessage", "arn:aws:sqs:eu-west-1:1:q", "yes"),
    ("18 all but", "aws", [("s3:*", {"include": ["*"], "exclude": ["bucket-2/*"]})], "s3:GetObject", "bucket-1/k", "yes"),
    ("18 excluded", "aws", [("s3:*", {"include": ["*"], "exclude": ["bucket-2/*"]})], "s3:GetObject", "bucket-2/k", "no"),
    ("28 comma", "aws", [(["s3:GetObject,PutObject"], "*")], "s3:GetObject", "x", "no"),
    ("28 blank", "aws", [(["s3:GetObject "], "*")], "s3:GetObject", "x", "no"),
    ("28 nothing after the colon", "aws", [(["s3:"], "*")], "s3:GetObject", "x", "no"),
    ("28 as a deny", "aws", [("s3:*", "*"), (["s3:GetObject,"], "*", DENY)], "s3:GetObject", "x", "yes"),
    ("52 a search", "rabbitmq", [("write", "vhost:v/orders")], "write", "vhost:v/my-orders-ex", "yes"),
    ("52 anchored", "rabbitmq", [("write", "vhost:v/^orders$")], "write", "vhost:v/my-orders-ex", "no"),
    ("53 empty", "rabbitmq", [("write", "vhost:v/")], "write", "vhost:v/amq.default", "no"),
    ("53 default exchange", "rabbitmq", [("write", r"vhost:v/amq\.default")], "write", "vhost:v/amq.default", "yes"),
    (
        "58 two selectors",
        "redis",
        [("get", "read:ro:*"), ("set get", "write:w:*")],
        "get",
        "read:w:1",
        "no",
    ),
    ("a range from behind", "redis", [("get", "read:[z-x]")], "get", "read:y", "yes"),
    ("an empty class", "redis", [("get", "read:a[]")], "get", "read:a", "no"),
    ("a regex we do not read", "rabbitmq", [("write", "vhost:v/^(a+)+$")], "write", "vhost:v/aaa", "unknown"),
    ("60 tools added later", "tools", [("git_*", "server:git")], "git_push", "server:git", "yes"),
    ("all of OWN", "postgresql", [("OWN", "table:l/public/p")], "TRUNCATE", "table:l/public/p", "yes"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("case", "dialect", "held", "action", "resource", "answer"), REQUESTS, ids=[r[0] for r in REQUESTS]
)
def test_request(permission, case, dialect, held, action, resource, answer):
    assert matches(permission(dialect, *held), action, resource, {}) is Answer(answer)


CONTEXTS = [
    ("23 for all, missing", ("ForAllValues:StringEquals", "k", "a"), {}, "yes"),
    ("23 for any, missing", ("ForAnyValue:StringEquals", "k", "a"), {}, "no"),
    ("for all, one astray", ("ForAllValues:StringEquals", "k", "a"), {"k": ["a", "b"]}, "no"),
    ("for any, one fits", ("ForAnyValue:StringEquals", "k", "a"), {"k": ["a", "b"]}, "yes"),
    ("24 not equals, missing", ("StringNotEquals", "k", "a"), {}, "yes"),
    ("equals, missing", ("StringEquals", "k", "a"), {}, "no"),
    ("null", ("Null", "k", "true"), {}, "yes"),
    ("nothing known", ("StringEquals", "k", "a"), None, "unknown"),
    ("unknown operator", ("Resembles", "k", "a"), {"k": "a"}, "unknown"),
    ("an address that is none", ("IpAddress", "k", "10.0.0.0/8"), {"k": "somewhere"}, "unknown"),
    ("keys have no case", ("IpAddress", "aws:SourceIp", "10.0.0.0/8"), {"AWS:sourceip": "10.2.3.4"}, "yes"),
]


@pytest.mark.parametrize(("case", "condition", "context", "answer"), CONTEXTS, ids=[each[0] for each in CONTEXTS])
def test_condition(permission, case, condition, context, answer):
    held = permission("aws", ("s3:*", "*", when(*condition)))

    assert matches(held, "s3:GetObject", "x", context) is Answer(answer)


def test_25_a_variable_is_filled_from_the_context(permission):
    held = permission("aws", ("s3:*", "home/${aws:username}/*"))

    assert matches(held, "s3:GetObject", "home/bob/x", {"aws:username": "bob"}) is Answer.YES
    assert matches(held, "s3:GetObject", "home/bob/x", {"aws:username": "eve"}) is Answer.NO
    assert matches(held, "s3:GetObject", "home/bob/x", {"aws:username": "*"}) is Answer.NO
    assert matches(held, "s3:GetObject", "home/bob/x") is Answer.UNKNOWN


def cluster_permission(**rule) -> Permission:
    return Permission("kubernetes", from_rule(**{"namespace": None, **rule}))


def core(resources, verbs="get", **more) -> Permission:
    return cluster_permission(verbs=verbs.split(), api_groups=[""], resources=resources.split(), **more)


@pytest.mark.parametrize(
    ("case", "wide", "narrow", "holds"),
    [
        ("32", core("pods", "*"), core("pods", "get"), True),
        ("33 subresource", core("pods"), core("pods/log"), False),
        ("33 no wildcard", core("pods/*"), core("pods"), False),
        ("33 all gives both", core("*"), core("pods pods/log"), True),
        ("33 all's subresource", core("*/scale"), core("pods/scale"), True),
        ("33 only that one", core("*/scale"), core("pods"), False),
        (
            "34 core only",
            core("pods"),
            cluster_permission(verbs=["get"], api_groups=["apps"], resources=["pods"]),
            False,
        ),
        ("35 literal names", core("pods", resource_names=["c*"]), core("pods", resource_names=["c1"]), False),
        ("37", core("pods"), core("pods", namespace="prod"), True),
        ("37 reversed", core("pods", namespace="prod"), core("pods"), False),
        ("41 update", core("roles", "update"), core("roles", "escalate"), False),
        ("41 all", core("roles", "*"), core("roles", "escalate"), True),
    ],
)
def test_kubernetes_inclusion(case, wide, narrow, holds):
    assert isinstance(includes(wide, narrow), Proof if holds else CounterExample)


@pytest.mark.parametrize(
    ("case", "held", "verb", "resource", "answer"),
    [
        (
            "36 named",
            core("configmaps", "get list", resource_names=["c1"]),
            "get",
            k8s("p", "", "configmaps", "", "c1"),
            "yes",
        ),
        ("36 list", core("configmaps", "get list", resource_names=["c1"]), "list", k8s("p", "", "configmaps"), "no"),
        ("36 create", core("configmaps", "create", resource_names=["c1"]), "create", k8s("p", "", "configmaps"), "no"),
        ("38 nodes in a role", core("nodes", namespace="p"), "get", k8s("", "", "nodes", "", "n"), "no"),
        ("39 below", cluster_permission(verbs=["get"], urls=["/debug/*"]), "get", "url:/debug/x", "yes"),
        ("39 itself", cluster_permission(verbs=["get"], urls=["/debug/*"]), "get", "url:/debug", "no"),
    ],
)
def test_kubernetes_request(case, held, verb, resource, answer):
    assert matches(held, verb, resource) is Answer(answer)


def test_38_plain_urls_in_a_namespaced_role_grant_nothing():
    assert from_rule(verbs=["get"], namespace="p", urls=["/metrics"]) == ()
