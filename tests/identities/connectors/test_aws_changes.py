"""What the AWS connector changes: real calls with real keys before and after, against a moto server."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from governance.kernel.permissions import Permission, includes
from identities.connectors.aws import AWS, calls, executing
from identities.connectors.aws.documents import permission_of
from identities.connectors.aws.holdings import holder_of
from identities.connectors.contract import (
    ExecutionState,
    GrantRef,
    NotPossible,
    Plan,
    SourceChanged,
    SourceUnreachable,
    VerificationState,
)
from tests.plugins.aws import ACCOUNT, Cloud, allow, deny, document


class Scene:
    """A cloud with its connector, and the grants that a reading shows."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.iam = cloud, cloud.iam
        self.connector = AWS(
            cloud.settings,
            {
                "access_key_id": cloud.connector["AccessKeyId"],
                "secret_access_key": cloud.connector["SecretAccessKey"],
            },
        )

    def records(self, kind: str, name: str) -> list[dict[str, Any]]:
        return [
            each
            for each in self.connector.read()
            if each["type"] == kind and each.get("identity", each.get("id", "")).endswith(f"/{name}")
        ]

    def grant(self, name: str, label: str) -> GrantRef:
        (record,) = [each for each in self.records("grant", name) if each["label"].startswith(label)]
        return GrantRef(
            identity=record["identity"],
            external_id=record["id"],
            permission=Permission.from_json(record["permission"]),
            path=record["path"],
            native_ref=record["native_ref"],
        )

    def labels(self, name: str) -> set[str]:
        return {each["label"] for each in self.records("grant", name)}

    def image(self, name: str) -> dict[str, Any]:
        """Everything that a user or role holds, as AWS shows it, by meaning."""
        kind = "user" if f"user/{name}" in str(self.iam.list_users()) else "role"
        holder = holder_of(self.iam, f"arn:aws:iam::{ACCOUNT}:{kind}/{name}")
        return {f"{each.group}/{each.policy.name}": each.policy.permission.digest() for each in holder.policies}

    def run(self, plan: Plan) -> Plan:
        """Execute it as stored and read back, and expect it to be applied."""
        # A database keeps the members of an object in an order of its own.
        stored = Plan.from_json(json.loads(json.dumps(plan.to_json(), sort_keys=True)))
        done = self.connector.execute(stored)
        assert done.state is ExecutionState.APPLIED, done.reason
        return stored


@pytest.fixture
def scene(cloud: Cloud) -> Scene:
    return Scene(cloud)


def only(*actions: str, on: str = "*") -> Permission:
    return permission_of(json.loads(document(allow(*actions, on=on))))


READ, MAKE = "iam:ListUsers", "iam:ListRoles"


def list_users(iam: Any) -> Any:
    return iam.list_users()


def list_roles(iam: Any) -> Any:
    return iam.list_roles()


def give_inline(scene: Scene) -> tuple[dict[str, str], str]:
    return scene.cloud.make_user("app", allow(READ, MAKE)), "own"


def give_own_managed(scene: Scene) -> tuple[dict[str, str], str]:
    key = scene.cloud.make_user("app")
    scene.iam.attach_user_policy(UserName="app", PolicyArn=scene.cloud.make_policy("wide", allow(READ, MAKE)))
    return key, "wide"


def give_own_managed_with_five_versions(scene: Scene) -> tuple[dict[str, str], str]:
    key, label = give_own_managed(scene)
    arn = f"arn:aws:iam::{ACCOUNT}:policy/wide"
    for number in range(4):
        statements = document(allow(READ, MAKE, f"s3:Get{number}"))
        scene.iam.create_policy_version(PolicyArn=arn, PolicyDocument=statements, SetAsDefault=True)
    return key, label


def give_shared_managed(scene: Scene) -> tuple[dict[str, str], str]:
    key, label = give_own_managed(scene)
    scene.cloud.make_user("other")
    scene.iam.attach_user_policy(UserName="other", PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/wide")
    return key, label


def give_through_group(scene: Scene) -> tuple[dict[str, str], str]:
    key = scene.cloud.make_user("app")
    scene.cloud.make_user("other")
    scene.iam.create_group(GroupName="team")
    scene.iam.attach_group_policy(GroupName="team", PolicyArn=scene.cloud.make_policy("wide", allow(READ, MAKE)))
    scene.iam.attach_group_policy(GroupName="team", PolicyArn=scene.cloud.make_policy("more", allow("iam:ListGroups")))
    scene.iam.put_group_policy(GroupName="team", PolicyName="extra", PolicyDocument=document(allow("iam:ListPolicies")))
    for name in ("app", "other"):
        scene.iam.add_user_to_group(GroupName="team", UserName=name)
    return key, "wide through group team"


WAYS = [
    give_inline,
    give_own_managed,
    give_own_managed_with_five_versions,
    give_shared_managed,
    give_through_group,
]
Give = Callable[[Scene], tuple[dict[str, str], str]]


@pytest.mark.parametrize("give", WAYS)
def test_narrowing_refuses_what_goes_keeps_what_stays_and_can_be_undone(scene: Scene, give: Give) -> None:
    key, label = give(scene)
    before = scene.image("app")
    others = scene.image("other") if give in (give_shared_managed, give_through_group) else None

    plan = scene.run(scene.connector.plan_narrow(scene.grant("app", label), only(READ)))

    assert scene.cloud.can(key, list_users)
    assert not scene.cloud.can(key, list_roles)
    if give is give_through_group:
        assert scene.cloud.can(key, lambda iam: iam.list_groups())
        assert scene.cloud.can(key, lambda iam: iam.list_policies())
    if others is not None:
        assert scene.image("other") == others, "nobody else is touched"
    assert scene.connector.verify(plan).state is VerificationState.GONE
    assert scene.connector.execute(plan).state is ExecutionState.ALREADY_APPLIED

    scene.run(scene.connector.plan_restore(plan))

    assert scene.image("app") == before
    assert scene.cloud.can(key, list_roles)
    assert scene.connector.verify(plan).state is VerificationState.STILL_EFFECTIVE


@pytest.mark.parametrize("give", WAYS)
def test_revoking_takes_one_policy_and_nothing_else_and_can_be_undone(scene: Scene, give: Give) -> None:
    key, label = give(scene)
    before = scene.image("app")

    plan = scene.run(scene.connector.plan_revoke(scene.grant("app", label)))

    assert not scene.cloud.can(key, list_users)
    if give is give_through_group:
        assert scene.cloud.can(key, lambda iam: iam.list_groups()), "the rest of the group's policies stays"
        assert scene.labels("app") == {"more", "Remit-team-extra"}
        assert "leaves group team" in plan.side_effects[0]
    assert scene.connector.verify(plan).state is VerificationState.GONE

    scene.run(scene.connector.plan_restore(plan))

    assert scene.image("app") == before
    assert scene.cloud.can(key, list_users)


@pytest.mark.parametrize("give", WAYS)
@pytest.mark.parametrize("change", ["narrow", "revoke"])
def test_every_state_on_the_way_lies_inside_the_first_one(scene: Scene, give: Give, change: str) -> None:
    _, label = give(scene)
    grant = scene.grant("app", label)
    plan = scene.connector.plan_revoke(grant) if change == "revoke" else scene.connector.plan_narrow(grant, only(READ))
    arn = f"arn:aws:iam::{ACCOUNT}:user/app"

    def held() -> Permission:
        policies = holder_of(scene.iam, arn).policies
        return Permission("aws", tuple(s for each in policies for s in each.policy.permission.statements))

    first = held()
    for step in plan.steps:
        calls.send(scene.iam, step)
        assert includes(first, held()).holds, step.text


class Cut(Exception):
    """The worker dies here."""


@pytest.mark.parametrize("give", WAYS)
def test_a_worker_that_dies_after_any_call_loses_and_doubles_nothing(
    scene: Scene, give: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, label = give(scene)
    plan = scene.connector.plan_narrow(scene.grant("app", label), only(READ))
    send, made = calls.send, []

    for die_after in range(len(plan.steps)):

        def dying(iam: Any, step: Any, die_after: int = die_after) -> None:
            send(iam, step)
            made.append(step.text)
            if len(made) == die_after + 1:
                raise Cut

        monkeypatch.setattr(calls, "send", dying)
        with pytest.raises(Cut):
            scene.connector.execute(plan)

    monkeypatch.setattr(calls, "send", send)
    assert scene.connector.execute(plan).state is ExecutionState.ALREADY_APPLIED
    assert made == [step.text for step in plan.steps], "each call was made once, in order"
    assert scene.connector.verify(plan).state is VerificationState.GONE


def test_another_policy_that_gives_the_same_is_named(scene: Scene) -> None:
    key = scene.cloud.make_user("app", allow(READ))
    scene.iam.attach_user_policy(UserName="app", PolicyArn=scene.cloud.make_policy("also", allow("iam:List*")))

    plan = scene.run(scene.connector.plan_revoke(scene.grant("app", "own")))

    looked = scene.connector.verify(plan)
    assert looked.state is VerificationState.STILL_EFFECTIVE
    assert "policy also" in looked.reason
    assert scene.cloud.can(key, list_users), "it said so because it is so"


def test_a_deny_that_guards_other_policies_outlives_its_policy(scene: Scene) -> None:
    key = scene.cloud.make_user("app", allow("s3:*"), deny("iam:ListRoles"))
    scene.iam.attach_user_policy(UserName="app", PolicyArn=scene.cloud.make_policy("also", allow("iam:List*")))
    assert not scene.cloud.can(key, list_roles)

    plan = scene.run(scene.connector.plan_revoke(scene.grant("app", "own")))

    assert not scene.cloud.can(key, list_roles), "taking a policy away must not open anything"
    assert scene.cloud.can(key, list_users)
    scene.run(scene.connector.plan_restore(plan))
    assert scene.labels("app") == {"own", "also"}


def test_narrowing_keeps_the_denies_of_the_policy(scene: Scene) -> None:
    key = scene.cloud.make_user("app", allow("iam:*"), deny("iam:ListRoles"))
    scene.iam.attach_user_policy(UserName="app", PolicyArn=scene.cloud.make_policy("also", allow("iam:List*")))
    target = only("iam:ListUsers")

    scene.run(scene.connector.plan_narrow(scene.grant("app", "own"), target))

    assert not scene.cloud.can(key, list_roles)
    assert not scene.cloud.can(key, lambda iam: iam.create_group(GroupName="x"))
    assert scene.cloud.can(key, list_users)


def test_a_target_outside_of_what_is_held_is_refused(scene: Scene) -> None:
    scene.cloud.make_user("app", allow(READ))

    with pytest.raises(NotPossible, match="not proved to lie inside"):
        scene.connector.plan_narrow(scene.grant("app", "own"), only("iam:*"))


def test_a_role_is_narrowed_under_its_boundary(scene: Scene) -> None:
    boundary = scene.cloud.make_policy("boundary", allow("s3:*", "iam:List*"))
    scene.cloud.make_role("worker", allow("s3:*", "iam:*"), PermissionsBoundary=boundary)
    grant = scene.grant("worker", "own")
    target = Permission(
        "aws", (*only("s3:GetObject").statements, *(s for s in grant.permission.statements if s.effect == "deny"))
    )

    plan = scene.run(scene.connector.plan_narrow(grant, target))

    written = scene.iam.get_role_policy(RoleName="worker", PolicyName="own")["PolicyDocument"]
    assert [each["Effect"] for each in written["Statement"]] == ["Allow"], "the boundary stays where it is"
    assert scene.connector.verify(plan).state is VerificationState.GONE


def test_a_policy_too_long_for_aws_is_refused_before_anything_is_changed(scene: Scene) -> None:
    scene.cloud.make_user("app", allow("s3:*"))
    many = [f"arn:aws:s3:::a-rather-long-bucket-name-{number}/*" for number in range(60)]
    target = permission_of(json.loads(document(allow("s3:GetObject", on=many))))

    with pytest.raises(NotPossible, match=r"2,048"):
        scene.connector.plan_narrow(scene.grant("app", "own"), target)


def test_a_user_with_ten_policies_gets_the_narrow_one_inline(scene: Scene) -> None:
    key, label = give_shared_managed(scene)
    for number in range(9):
        arn = scene.cloud.make_policy(f"p{number}", allow(f"s3:Get{number}"))
        scene.iam.attach_user_policy(UserName="app", PolicyArn=arn)

    plan = scene.run(scene.connector.plan_narrow(scene.grant("app", label), only(READ)))

    assert plan.steps[0].call["operation"] == "put_user_policy"
    assert scene.cloud.can(key, list_users)
    assert not scene.cloud.can(key, list_roles)


def test_a_copy_never_overwrites_a_policy_of_the_same_name(scene: Scene) -> None:
    give_through_group(scene)
    scene.iam.put_user_policy(
        UserName="app", PolicyName="Remit-team-extra", PolicyDocument=document(allow("iam:ListUsers"))
    )

    scene.run(scene.connector.plan_revoke(scene.grant("app", "wide through group team")))

    kept = scene.iam.get_user_policy(UserName="app", PolicyName="Remit-team-extra")["PolicyDocument"]
    assert kept == json.loads(document(allow("iam:ListUsers")))
    assert len(scene.labels("app")) == 3


def test_leaving_a_group_without_room_for_the_rest_is_refused(scene: Scene) -> None:
    give_through_group(scene)
    for number in range(10):
        arn = scene.cloud.make_policy(f"p{number}", allow(f"s3:Get{number}"))
        scene.iam.attach_user_policy(UserName="app", PolicyArn=arn)

    with pytest.raises(NotPossible, match="no room"):
        scene.connector.plan_revoke(scene.grant("app", "wide through group team"))


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda iam: iam.put_user_policy(UserName="app", PolicyName="own", PolicyDocument=document(allow("s3:*"))),
        lambda iam: iam.delete_user_policy(UserName="app", PolicyName="own"),
    ],
    ids=["changed", "gone"],
)
def test_a_change_since_the_reading_stops_the_planning(scene: Scene, meanwhile: Callable[[Any], Any]) -> None:
    scene.cloud.make_user("app", allow(READ))
    grant = scene.grant("app", "own")
    meanwhile(scene.iam)

    with pytest.raises(SourceChanged):
        scene.connector.plan_revoke(grant)


def test_a_change_since_the_planning_stops_the_plan(scene: Scene) -> None:
    scene.cloud.make_user("app", allow(READ))
    plan = scene.connector.plan_revoke(scene.grant("app", "own"))
    scene.iam.put_user_policy(UserName="app", PolicyName="own", PolicyDocument=document(allow("s3:*")))

    assert scene.connector.execute(plan).state is ExecutionState.DRIFTED
    assert scene.labels("app") == {"own"}


def test_a_policy_that_somebody_else_gets_meanwhile_is_not_edited_for_them(scene: Scene) -> None:
    give_own_managed(scene)
    plan = scene.connector.plan_narrow(scene.grant("app", "wide"), only(READ))
    scene.cloud.make_user("other")
    scene.iam.attach_user_policy(UserName="other", PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/wide")

    assert scene.connector.execute(plan).state is ExecutionState.DRIFTED


def test_a_user_who_was_made_anew_is_another_one(scene: Scene) -> None:
    scene.cloud.make_user("app", allow(READ))
    plan = scene.connector.plan_revoke(scene.grant("app", "own"))
    key = scene.iam.list_access_keys(UserName="app")["AccessKeyMetadata"][0]["AccessKeyId"]
    scene.iam.delete_access_key(UserName="app", AccessKeyId=key)
    scene.iam.delete_user_policy(UserName="app", PolicyName="own")
    scene.iam.delete_user(UserName="app")
    scene.cloud.make_user("app", allow(READ))

    assert scene.connector.execute(plan).state is ExecutionState.DRIFTED


def alter_text(plan: dict[str, Any]) -> None:
    plan["steps"][0]["text"] = plan["steps"][0]["text"].replace("app", "other")


def alter_call(plan: dict[str, Any]) -> None:
    plan["steps"][0]["call"]["parameters"]["UserName"] = "other"


def alter_both(plan: dict[str, Any]) -> None:
    alter_call(plan)
    plan["steps"][0]["text"] = calls.render(plan["steps"][0]["call"])


@pytest.mark.parametrize("alter", [alter_text, alter_call, alter_both])
def test_a_plan_that_was_altered_in_storage_does_not_run(scene: Scene, alter: Callable[[dict[str, Any]], None]) -> None:
    scene.cloud.make_user("app", allow(READ))
    scene.cloud.make_user("other", allow(READ))
    stored = copy.deepcopy(json.loads(json.dumps(scene.connector.plan_revoke(scene.grant("app", "own")).to_json())))
    alter(stored)

    done = scene.connector.execute(Plan.from_json(stored))

    assert done.state is ExecutionState.BLOCKED
    assert scene.labels("app") == scene.labels("other") == {"own"}


def test_what_the_connector_may_not_do_blocks_and_is_named(scene: Scene) -> None:
    scene.cloud.make_user("app", allow(READ))
    plan = scene.connector.plan_revoke(scene.grant("app", "own"))
    scene.iam.put_user_policy(
        UserName="remit-connector", PolicyName="own", PolicyDocument=document(allow("iam:Get*", "iam:List*"))
    )
    scene.cloud.checks(on=True)
    try:
        done = scene.connector.execute(plan)
    finally:
        scene.cloud.checks(on=False)

    assert done.state is ExecutionState.BLOCKED
    assert "iam:DeleteUserPolicy" in done.reason


def test_quarantine_locks_out_at_once_and_is_lifted_exactly(scene: Scene) -> None:
    key = scene.cloud.make_user("app", allow("iam:*"))
    before = scene.image("app")

    plan = scene.run(scene.connector.plan_quarantine(f"arn:aws:iam::{ACCOUNT}:user/app"))

    assert not scene.cloud.can(key, list_users)
    assert scene.records("identity", "app")[0]["status"] == "disabled"
    assert scene.iam.list_access_keys(UserName="app")["AccessKeyMetadata"][0]["Status"] == "Inactive"
    assert scene.connector.verify(plan).state is VerificationState.GONE
    scene.run(scene.connector.plan_restore(plan))
    assert scene.cloud.can(key, list_users)
    assert scene.image("app") == before
    assert scene.connector.verify(plan).state is VerificationState.STILL_PRESENT


def test_quarantine_of_a_role_reaches_its_open_sessions(scene: Scene) -> None:
    arn = scene.cloud.make_role("worker", allow("iam:List*"))
    session = scene.cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="open")["Credentials"]
    assert scene.cloud.can(session, list_users)

    scene.run(scene.connector.plan_quarantine(arn))

    assert not scene.cloud.can(session, list_users)


def test_a_deactivated_key_is_inactive_and_comes_back(scene: Scene) -> None:
    key = scene.cloud.make_user("app", allow(READ))["AccessKeyId"]
    arn = f"arn:aws:iam::{ACCOUNT}:user/app"

    plan = scene.run(scene.connector.plan_deactivate(arn, key))

    assert scene.records("credential", "app")[0]["status"] == "disabled"
    assert scene.connector.verify(plan).state is VerificationState.GONE
    assert "temporary keys" in plan.side_effects[0].lower()
    scene.run(scene.connector.plan_restore(plan))
    assert scene.records("credential", "app")[0]["status"] == "active"
    assert scene.connector.verify(plan).state is VerificationState.STILL_PRESENT


def test_a_console_password_ends_for_good_and_says_so(scene: Scene) -> None:
    scene.cloud.make_user("app")
    scene.iam.create_login_profile(UserName="app", Password="only-for-tests-4711-A")
    arn = f"arn:aws:iam::{ACCOUNT}:user/app"

    plan = scene.run(scene.connector.plan_deactivate(arn, f"{arn}|password"))

    assert plan.irreversible
    assert scene.connector.verify(plan).state is VerificationState.GONE
    with pytest.raises(NotPossible):
        scene.connector.plan_restore(plan)


def test_the_connector_does_not_take_its_own_access_away(scene: Scene) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:user/remit-connector"

    scene.cloud.checks(on=True)
    try:
        grant = scene.grant("remit-connector", "own")
        with pytest.raises(NotPossible, match="itself"):
            scene.connector.plan_revoke(grant)
        with pytest.raises(NotPossible, match="itself"):
            scene.connector.plan_quarantine(arn)
    finally:
        scene.cloud.checks(on=False)


def test_what_aws_manages_is_not_changed(scene: Scene) -> None:
    role = scene.iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")["Role"]
    scene.iam.attach_role_policy(RoleName=role["RoleName"], PolicyArn=scene.cloud.make_policy("p", allow("ec2:*")))

    with pytest.raises(NotPossible, match="AWS"):
        scene.connector.plan_revoke(scene.grant(role["RoleName"], "p"))


def test_somebody_elses_change_to_what_was_narrowed_stops_the_restoration(scene: Scene) -> None:
    scene.cloud.make_user("app", allow(READ, MAKE))
    plan = scene.run(scene.connector.plan_narrow(scene.grant("app", "own"), only(READ)))
    scene.iam.put_user_policy(UserName="app", PolicyName="own", PolicyDocument=document(allow("s3:*")))

    with pytest.raises(SourceChanged):
        scene.connector.plan_restore(plan)


def test_only_a_condition_more_is_verified_by_what_is_there(scene: Scene) -> None:
    scene.cloud.make_user("app", allow(READ))
    condition = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    target = permission_of(json.loads(document(allow(READ, Condition=condition))))

    plan = scene.run(scene.connector.plan_narrow(scene.grant("app", "own"), target))

    assert scene.iam.get_user_policy(UserName="app", PolicyName="own")["PolicyDocument"]["Statement"][0][
        "Condition"
    ] == {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8"]}}
    assert scene.connector.verify(plan).state is VerificationState.GONE
    scene.iam.put_user_policy(UserName="app", PolicyName="own", PolicyDocument=document(allow(READ)))
    assert scene.connector.verify(plan).state is VerificationState.STILL_PRESENT


def test_a_source_that_is_away_is_tried_again_later(scene: Scene) -> None:
    scene.cloud.make_user("app", allow(READ))
    plan = scene.connector.plan_revoke(scene.grant("app", "own"))
    away = AWS(
        scene.cloud.settings | {"endpoint_url": "http://127.0.0.1:9"},
        {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "x"},
    )

    with pytest.raises(SourceUnreachable):
        away.execute(plan)


def test_patience_is_longer_than_iam_usually_takes() -> None:
    assert sum(executing.PATIENCE) > 20
