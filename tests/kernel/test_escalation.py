import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.kernel import escalation
from governance.kernel.dialects import DIALECTS
from governance.kernel.escalation import catalogue, is_admin_equivalent, primitives_of, primitives_of_all
from governance.kernel.permissions import PatternSet, Permission, Statement, union

CATALOGUE = Path(escalation.__file__).parent / "catalogues/escalation.toml"
ROLE = "arn:aws:iam::123456789012:role/deploy"
USER = "arn:aws:iam::123456789012:user/ci"
MFA = {"conditions": [{"operator": "Bool", "key": "aws:MultiFactorAuthPresent", "values": ["true"]}]}


def direct(permission):
    return {each.name for each in primitives_of(permission) if each.is_direct}


def conditional(permission):
    return {each.name for each in primitives_of(permission) if not each.is_direct}


HELD = [
    # (dialect, actions, resource, direct, conditional)
    ("aws", "iam:CreatePolicyVersion", "*", {"aws.policy-version"}, set()),
    ("aws", "IAM:createpolicyversion", "arn:aws-us-gov:iam::123456789012:policy/x", {"aws.policy-version"}, set()),
    ("aws", "iam:Put*", USER, {"aws.inline-policy"}, {"aws.lift-boundary"}),
    ("aws", "iam:CreateAccessKey", USER, {"aws.access-key"}, set()),
    ("aws", "iam:CreateAccessKey", "arn:aws:iam::*:user/${aws:username}", set(), set()),
    ("aws", "iam:PutUserPolicy", "arn:aws:iam::*:user/${aws:username}", {"aws.inline-policy"}, set()),
    ("aws", "iam:*", "arn:aws:s3:::bucket/*", set(), set()),
    ("aws", "iam:PassRole", "*", set(), set()),
    ("aws", "iam:PassRole lambda:CreateFunction", "*", set(), {"aws.pass-role-lambda"}),
    ("aws", "lambda:UpdateFunctionCode", "*", set(), {"aws.function-code"}),
    ("aws", "sts:AssumeRole", ROLE, set(), {"aws.assume-role"}),
    ("aws", "s3:* dynamodb:*", "*", set(), set()),
    ("kubernetes", "get", "api:prod//secrets//*", {"kubernetes.secrets"}, set()),
    ("kubernetes", "get", "api:prod//secrets//tls", set(), {"kubernetes.secrets"}),
    ("kubernetes", "bind", "api:*/rbac.authorization.k8s.io/clusterroles//*", set(), set()),
    ("kubernetes", "impersonate", "api:*//users//*", {"kubernetes.impersonate"}, set()),
    ("kubernetes", "create", "api:prod//serviceaccounts/token/*", {"kubernetes.tokens"}, set()),
    ("kubernetes", "get list watch", "api:*//pods//*", set(), set()),
    ("kubernetes", "create", "api:prod/batch/jobs//*", {"kubernetes.workloads"}, set()),
    ("postgresql", "CREATEROLE", "cluster:", {"postgresql.create-role"}, set()),
    ("postgresql", "OWN", "table:ledger/public/payments", set(), set()),
    ("postgresql", "MEMBER", "role:readers", set(), set()),
    ("postgresql", "MEMBER", "role:pg_execute_server_program", {"postgresql.programs"}, set()),
    ("postgresql", "GRANT:MEMBER", "role:readers", set(), {"postgresql.admin-option"}),
    ("rabbitmq", "tag:administrator", "broker:", {"rabbitmq.administrator"}, set()),
    ("rabbitmq", "configure write read", "vhost:v/.*", set(), set()),
    ("redis", "acl", "server:", {"redis.users"}, set()),
    ("redis", "config|get", "server:", set(), set()),
    ("redis", "@dangerous", "server:", {"redis.users", "redis.settings", "redis.modules"}, {"redis.replication"}),
    ("scopes", "administration:admin", "acme/app", {"github.repository-admin"}, set()),
    ("scopes", "administration:read", "acme/app", set(), set()),
    ("scopes", "workflows:write contents:write", "acme/*", set(), {"github.workflows"}),
    ("tools", "run_command", "server:shell", {"tools.code"}, set()),
    ("tools", "git_log", "server:git", set(), set()),
    ("tools", "send_email", "server:mail", set(), set()),
]


@pytest.mark.parametrize(("dialect", "actions", "resource", "straight", "depending"), HELD)
def test_a_permission_holds_exactly_these_primitives(permission, dialect, actions, resource, straight, depending):
    held = permission(dialect, (actions, [resource]))

    assert direct(held) == straight
    assert conditional(held) == depending


def test_a_star_on_everything_holds_every_primitive_of_its_dialect(permission):
    for dialect in DIALECTS:
        held = {each.name for each in primitives_of(permission(dialect, ("*", "*")))}
        listed = {each.name for each in catalogue()} & {
            each["name"] for each in tomllib.loads(CATALOGUE.read_text())["primitive"] if each["dialect"] == dialect
        }

        assert held == listed


def test_what_is_left_out_of_everything_is_not_held(permission):
    held = permission("aws", ({"include": ["*"], "exclude": ["iam:*", "sts:*"]}, ["*"]))

    assert not {name for name in direct(held) if name.startswith("aws.")}
    assert conditional(held) == {"aws.function-code", "aws.run-on-instance"}
    assert not is_admin_equivalent(permission("aws", ({"include": ["*"], "exclude": ["iam:*", "remit:*"]}, ["*"])))


def test_a_deny_takes_a_primitive_away(permission):
    allowed = ("iam:CreatePolicyVersion iam:AttachRolePolicy", "*")

    held = permission("aws", allowed, ("iam:CreatePolicyVersion iam:SetDefaultPolicyVersion", "*", {"effect": "deny"}))

    assert direct(held) == {"aws.attach-policy"}


def test_a_deny_on_one_target_leaves_the_others(permission):
    held = permission("aws", ("iam:CreateAccessKey", "*"), ("iam:CreateAccessKey", [USER], {"effect": "deny"}))

    assert direct(held) == {"aws.access-key"}


def test_a_right_under_a_condition_is_there_but_not_direct(permission):
    held = permission("aws", ("iam:CreatePolicyVersion", "*", MFA))

    assert conditional(held) == {"aws.policy-version"}
    assert not is_admin_equivalent(held)


def test_a_deny_under_a_condition_makes_a_right_depend_on_it(permission):
    held = permission(
        "aws", ("iam:*", "*"), ("iam:CreatePolicyVersion iam:SetDefaultPolicyVersion", "*", {"effect": "deny", **MFA})
    )

    assert "aws.policy-version" in conditional(held)


def test_parts_of_one_primitive_may_lie_in_several_grants_of_one_holder(permission):
    passing, starting = permission("aws", ("iam:PassRole", "*")), permission("aws", ("ec2:RunInstances", "*"))

    assert primitives_of(passing) == primitives_of(starting) == ()
    assert [each.name for each in primitives_of_all([passing, starting])] == ["aws.pass-role-ec2"]


def test_a_deny_in_one_grant_takes_what_another_gives(permission):
    denying = permission("aws", ("iam:*", "*", {"effect": "deny"}))

    assert primitives_of_all([permission("aws", ("iam:AttachUserPolicy", "*")), denying]) == ()


ADMINS = [
    ("aws", "*", "*", True),
    ("aws", "iam:*", "*", True),
    ("aws", "iam:PutUserPolicy", "arn:aws:iam::123456789012:user/*", True),
    ("aws", "iam:PutUserPolicy", USER, False),
    ("aws", "iam:CreateAccessKey", "*", False),
    ("aws", "*", "arn:aws:s3:::bucket/*", False),
    ("aws", "s3:* ec2:* lambda:*", "*", False),
    ("kubernetes", "*", "*", True),
    ("kubernetes", "*", "api:*/*/*/*/*", True),
    ("kubernetes", "*", "api:prod/*/*/*/*", False),
    ("kubernetes", "impersonate", "api:*//groups//*", True),
    ("kubernetes", "impersonate", "api:*//users//alice", False),
    ("postgresql", "SUPERUSER", "cluster:", True),
    ("postgresql", "OWN", "database:ledger", False),
    ("rabbitmq", "tag:administrator", "broker:", True),
    ("rabbitmq", "tag:monitoring", "broker:", False),
    ("redis", "*", "*", True),
    ("redis", "acl|setuser", "server:", True),
    ("redis", "*", "read:*", False),
    ("tools", "*", "server:*", True),
    ("tools", "*", "server:git", False),
    ("scopes", "organization_administration:write", "acme", True),
    ("scopes", "contents:write", "*", False),
]


@pytest.mark.parametrize(("dialect", "actions", "resource", "is_admin"), ADMINS)
def test_who_is_as_good_as_an_administrator(permission, dialect, actions, resource, is_admin):
    assert is_admin_equivalent(permission(dialect, (actions, [resource]))) is is_admin


def test_that_an_administrator_s_right_will_end_makes_it_no_smaller(permission):
    assert is_admin_equivalent(permission("aws", ("*", "*", {"until": "2027-01-01T00:00:00Z"})))


def test_every_entry_of_the_catalogue_can_be_read_and_names_its_source():
    names = [each.name for each in catalogue()]

    assert len(names) == len(set(names)) > 40
    assert all(each.words and each.source and each.needs for each in catalogue())
    for found in tomllib.loads(CATALOGUE.read_text())["primitive"]:
        spoken = DIALECTS[found["dialect"]]
        assert found["direct"] in ("yes", "no", "unnamed", "listed")
        assert found.get("admin", "") in ("", "anywhere", "everywhere")
        for need in found["needs"]:
            assert not [spoken.action_fault(each) for each in need["any"] if spoken.action_fault(each)]
            assert not [spoken.resource_fault(each) for each in need["on"] if spoken.resource_fault(each)]


ACTIONS = {
    "aws": ["iam:*", "iam:PassRole", "iam:Put*", "*", "ec2:RunInstances", "s3:*", "sts:AssumeRole"],
    "kubernetes": ["*", "get", "create", "bind", "escalate", "update"],
    "postgresql": ["SUPERUSER", "CREATEROLE", "MEMBER", "GRANT:MEMBER", "OWN", "*"],
    "tools": ["*", "run_command", "git_*", "get_secret"],
}
RESOURCES = {
    "aws": ["*", USER, ROLE, "arn:aws:iam::*:policy/*", "arn:aws:s3:::*"],
    "kubernetes": [
        "*",
        "api:*/*/*/*/*",
        "api:p//secrets//*",
        "api:p//secrets//a",
        "api:*/rbac.authorization.k8s.io/clusterroles//*",
    ],
    "postgresql": ["*", "cluster:", "role:a", "role:pg_read_server_files", "table:l/p/t"],
    "tools": ["*", "server:a", "server:*"],
}


def allowing(dialect):
    patterns = lambda texts: st.lists(st.sampled_from(texts), min_size=1, max_size=2, unique=True).map(tuple)  # noqa: E731
    statement = st.builds(
        Statement,
        actions=patterns(ACTIONS[dialect]).map(PatternSet),
        resources=patterns(RESOURCES[dialect]).map(PatternSet),
    )
    return st.lists(statement, min_size=1, max_size=2).map(lambda each: Permission(dialect, tuple(each)))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(ACTIONS)).flatmap(lambda name: st.tuples(allowing(name), allowing(name))))
def test_a_union_of_allowing_permissions_holds_every_primitive_of_its_parts(pair):
    first, second = pair
    both = {each.name: each.is_direct for each in primitives_of(union(first, second))}

    for part in pair:
        for each in primitives_of(part):
            assert each.name in both
            assert both[each.name] or not each.is_direct
    assert is_admin_equivalent(union(first, second)) >= is_admin_equivalent(first)
