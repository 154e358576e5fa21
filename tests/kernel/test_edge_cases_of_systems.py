"""Edge cases in which several permissions meet, or a system adds its own rules; numbered as in `test_edge_cases`."""

import re
from pathlib import Path

import pytest

from governance.kernel.aws_requests import Policies, Request, decide, read_policy
from governance.kernel.permissions import (
    Answer,
    CounterExample,
    Effective,
    PatternSet,
    Permission,
    Proof,
    Statement,
    includes,
    matches,
    permits,
    union,
)
from governance.kernel.privileges import PrivilegeClass, classes_of
from governance.kernel.rightsizing import unused, without_effect

OBJECT = "arn:aws:s3:::ledger/2026/a.csv"
READER = "arn:aws:iam::111111111111:user/reader"
ROW = "table:ledger/public/payments"

# What no permission can say by itself is claimed where the system is, by these tests.
ELSEWHERE = {
    30: ("connectors/test_aws_changes.py", "test_what_aws_manages_is_not_changed"),
    31: ("connectors/test_aws_changes.py", "test_a_deactivated_key_is_inactive_and_comes_back"),
    40: (
        "connectors/test_kubernetes_files.py",
        "test_groups_of_service_accounts_give_to_each_account_through_the_group",
    ),
    42: ("connectors/test_kubernetes_files.py", "test_a_binding_to_a_missing_role_gives_nothing_and_says_so"),
    46: ("connectors/test_postgresql_reading.py", "test_what_was_never_set_is_the_built_in_default"),
    48: ("connectors/test_postgresql_reading.py", "test_an_owner_is_told_from_who_was_granted_something"),
    50: ("connectors/test_postgresql_changes.py", "test_rights_without_their_schema_are_refused"),
    57: ("../kernel/test_redis_rules.py", "test_rules_are_folded_in_their_order"),
    59: ("../kernel/test_redis_rules.py", "test_rules_are_folded_in_their_order"),
}


def test_all_68_cases_stand_in_these_files():
    texts = [(Path(__file__).parent / f"test_edge_cases{more}.py").read_text() for more in ("", "_of_systems")]
    pattern = re.compile(r"""(?:\("|^\s+"|def test_)(\d{1,2})[ "_]""", re.MULTILINE)
    named = {int(number) for text in texts for number in pattern.findall(text)}

    assert set(range(1, 69)) - named - set(ELSEWHERE) == set()
    assert named.isdisjoint(ELSEWHERE)


@pytest.mark.parametrize(("file", "name"), ELSEWHERE.values(), ids=map(str, ELSEWHERE))
def test_what_is_claimed_elsewhere_is_claimed_there(file, name):
    assert f"def {name}(" in (Path(__file__).parents[1] / "identities" / file).read_text()


# --- ceilings ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def bounded(permission):
    return Effective(permission("aws", ("*", "*")), (permission("aws", ("s3:*", "*")),))


def test_26_removing_a_boundary_widens_though_no_policy_changes(bounded):
    found = includes(bounded, Effective(bounded.permission))

    assert isinstance(found, CounterExample)
    assert permits(bounded, found.action, found.resource, found.context) is Answer.NO
    assert includes(Effective(bounded.permission), bounded).holds


def test_26_a_narrower_boundary_narrows_and_a_wider_one_does_not(bounded, permission):
    narrower = Effective(bounded.permission, (permission("aws", ("s3:Get*", "*")),))
    wider = Effective(bounded.permission, (permission("aws", ("s3:* sqs:*", "*")),))

    assert includes(bounded, narrower).holds
    assert isinstance(includes(bounded, wider), CounterExample)


def test_26_what_two_ceilings_leave_together_lies_inside_what_neither_lies_inside(permission):
    everything = permission("aws", ("*", "*"))
    region = {"conditions": [{"operator": "StringEquals", "key": "aws:RequestedRegion", "values": ["eu-west-1"]}]}
    held = Effective(everything, (permission("aws", ("s3:* sqs:*", "*")), permission("aws", ("s3:* ec2:*", "*"))))
    limited = Effective(held.permission, (*held.ceilings, permission("aws", ("*", "*", region))))

    assert includes(permission("aws", ("s3:*", "*")), held).holds
    assert isinstance(includes(permission("aws", ("s3:Get*", "*")), held), CounterExample)
    assert includes(permission("aws", ("s3:*", "*", region)), limited).holds
    assert isinstance(includes(permission("aws", ("s3:*", "*", region)), held), CounterExample)


def test_26_a_deny_in_a_ceiling_denies(permission):
    deny = {"effect": "deny"}
    held = Effective(permission("aws", ("*", "*")), (permission("aws", ("*", "*"), ("iam:*", "*", deny)),))

    assert held.matches("iam:PassRole", "x") is Answer.NO
    assert includes(permission("aws", ({"include": ["*"], "exclude": ["iam:*"]}, "*")), held).holds
    assert isinstance(includes(held, held.permission), CounterExample)


# --- both sides of a request ------------------------------------------------------------------------------------------


def allow(action="s3:GetObject", resource="arn:aws:s3:::ledger/*", **more):
    return read_policy({"Statement": {"Effect": "Allow", "Action": action, "Resource": resource, **more}})


@pytest.mark.parametrize(
    ("case", "identity", "owner", "answer"),
    [
        ("27 same account, bucket policy alone", (), "111111111111", "yes"),
        ("27 other account, bucket policy alone", (), "222222222222", "no"),
        ("27 other account, both", (allow(),), "222222222222", "yes"),
    ],
)
def test_27_a_bucket_policy_is_enough_at_home_and_half_of_it_abroad(case, identity, owner, answer):
    policies = Policies(identity=identity, resource=allow(Principal={"AWS": READER}))
    asked = Request(action="s3:GetObject", resource=OBJECT, principal=READER, resource_account=owner, context={})

    assert decide(policies, asked).answer is Answer(answer)


def test_27_the_identitys_policy_alone_is_not_enough_abroad():
    asked = Request(
        action="s3:GetObject", resource=OBJECT, principal=READER, resource_account="222222222222", context={}
    )

    assert decide(Policies(identity=(allow(),)), asked).reason == "resource"


# --- names that mean nothing ------------------------------------------------------------------------------------------


def test_29_a_misspelt_action_has_no_effect_and_is_not_called_unused(permission):
    held = permission("aws", (["s3:GetObjct", "s3:PutObject", "sqs:Send Message"], "*"))

    assert [action for action, _ in without_effect(held)] == ["s3:GetObjct", "sqs:Send Message"]
    assert "s3:GetObject" in without_effect(held)[0][1]
    assert unused(held, []) == [("s3:PutObject", "*")]


# --- the same right by another way ------------------------------------------------------------------------------------


def test_43_what_a_role_gives_stays_when_the_same_right_is_revoked_from_the_member(permission):
    by_role = permission("postgresql", ("TRUNCATE", ROW))

    assert matches(union(Permission("postgresql", ()), by_role), "TRUNCATE", ROW) is Answer.YES


def test_45_a_member_that_does_not_inherit_reaches_the_right_only_as_the_role(permission):
    member = permission("postgresql", ("MEMBER", "role:writers"))
    role = permission("postgresql", ("INSERT", ROW))

    assert matches(member, "INSERT", ROW) is Answer.NO
    assert matches(union(member, role), "INSERT", ROW) is Answer.YES


def test_55_deleting_a_topic_permission_widens(permission):
    exchange = permission("rabbitmq", ("write", "vhost:v/.*"))
    restricted = Effective(exchange, (permission("rabbitmq", ("write", r"vhost:v/^orders\.eu$")),))

    assert restricted.matches("write", "vhost:v/orders.us") is Answer.NO
    assert isinstance(includes(restricted, Effective(exchange)), CounterExample)


# --- other systems ----------------------------------------------------------------------------------------------------


def test_61_a_tool_that_no_list_knows_destroys_and_sends(permission):
    assert classes_of(permission("tools", ("frobnicate", "server:x"))) == {
        PrivilegeClass.DESTRUCTIVE,
        PrivilegeClass.EXTERNAL_SEND,
    }


def test_65_an_applications_right_and_a_delegated_one_are_not_compared_by_name(permission):
    application = permission("scopes", ("Mail.Read", "graph:application"))
    delegated = permission("scopes", ("Mail.ReadWrite", "graph:delegated"))

    assert not includes(delegated, application).holds


def test_66_an_exception_inside_one_role_is_no_deny_for_another(permission):
    contributor = permission("scopes", ({"include": ["*"], "exclude": ["roleAssignments.write"]}, "*"))
    manager = permission("scopes", ("roleAssignments.write", "*"))

    assert matches(contributor, "roleAssignments.write", "x") is Answer.NO
    assert matches(union(contributor, manager), "roleAssignments.write", "x") is Answer.YES


def test_67_a_deny_of_another_policy_denies():
    read = Permission("tools", (Statement(PatternSet(("read",)), PatternSet(("secret/*",))),))
    deny = Permission("tools", (Statement(PatternSet(("*",)), PatternSet(("secret/app",)), effect="deny"),))

    assert matches(union(read, deny), "read", "secret/app") is Answer.NO
    assert matches(union(read, deny), "read", "secret/other") is Answer.YES


def test_68_all_but_one_command_still_gives_a_copy_of_it(permission):
    all_but_the_shell = permission("tools", ("run", {"include": ["*"], "exclude": ["/bin/sh"]}))

    assert matches(all_but_the_shell, "run", "/bin/sh") is Answer.NO
    assert matches(all_but_the_shell, "run", "/tmp/sh") is Answer.YES
    assert isinstance(includes(permission("tools", ("run", "/usr/*")), all_but_the_shell), CounterExample)


def test_a_ceiling_that_stays_is_no_reason_for_doubt(bounded):
    assert isinstance(includes(bounded, bounded), Proof)
