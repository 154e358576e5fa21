"""What the AWS connector reads, against a moto server."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from governance.kernel.permissions import Answer, Permission, matches
from identities.connectors.aws import AWS, reading
from identities.connectors.contract import ReadIncomplete, SourceUnreachable
from tests.plugins.aws import ACCOUNT, Cloud, allow, deny, document


def connector(cloud: Cloud, **changes: Any) -> AWS:
    secrets = {
        "access_key_id": cloud.connector["AccessKeyId"],
        "secret_access_key": cloud.connector["SecretAccessKey"],
    }
    return AWS(cloud.settings | changes, secrets)


def read(cloud: Cloud, **changes: Any) -> list[dict[str, Any]]:
    return list(connector(cloud, **changes).read())


def user_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:user/{name}"


def of(records: list[dict[str, Any]], kind: str, identity: str) -> list[dict[str, Any]]:
    key = "id" if kind == "identity" else "identity"
    return [each for each in records if each["type"] == kind and each[key] == identity]


def test_every_policy_is_a_grant_with_the_way_it_comes(cloud: Cloud) -> None:
    cloud.make_user("app", allow("s3:GetObject"))
    cloud.make_user("other")
    shared = cloud.make_policy("shared", allow("sqs:*"))
    cloud.iam.create_group(GroupName="team")
    cloud.iam.put_group_policy(GroupName="team", PolicyName="extra", PolicyDocument=document(allow("sns:Publish")))
    cloud.iam.attach_group_policy(GroupName="team", PolicyArn=shared)
    for name in ("app", "other"):
        cloud.iam.add_user_to_group(GroupName="team", UserName=name)
    cloud.iam.attach_user_policy(UserName="app", PolicyArn=shared)

    grants = of(read(cloud), "grant", user_arn("app"))

    found = {
        each["label"]: (each["revocability"], each["shared_with"], [s["kind"] for s in each["path"]]) for each in grants
    }
    assert found == {
        "own": ("here", 0, []),
        "shared": ("here", 1, ["policy"]),
        "extra through group team": ("via_group", 1, ["group", "inline_policy"]),
        "shared through group team": ("via_group", 1, ["group", "policy"]),
    }
    assert len({each["id"] for each in grants}) == 4


def test_keys_passwords_and_their_use_are_read_and_no_secret(cloud: Cloud) -> None:
    key = cloud.make_user("app", allow("iam:ListUsers"))
    cloud.iam.create_login_profile(UserName="app", Password="only-for-tests-4711-A")
    second = cloud.iam.create_access_key(UserName="app")["AccessKey"]
    cloud.iam.update_access_key(UserName="app", AccessKeyId=second["AccessKeyId"], Status="Inactive")
    cloud.client("iam", key).list_users()

    records = read(cloud)

    found = {each["id"]: each for each in of(records, "credential", user_arn("app"))}
    assert found.keys() == {key["AccessKeyId"], second["AccessKeyId"], f"{user_arn('app')}|password"}
    assert found[second["AccessKeyId"]]["status"] == "disabled"
    assert found[key["AccessKeyId"]]["last_used_at"] is not None
    (identity,) = of(records, "identity", user_arn("app"))
    assert identity["last_used_at"] == found[key["AccessKeyId"]]["last_used_at"]
    assert identity["attributes"]["console_password"] is True
    told = json.dumps(records)
    assert key["SecretAccessKey"] not in told and cloud.connector["SecretAccessKey"] not in told


def test_a_role_says_who_may_become_it(cloud: Cloud) -> None:
    trust = document(
        {
            "Effect": "Allow",
            "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.example.com"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {
                "token.actions.example.com:sub": "repo:org/app:ref:refs/heads/main",
                "token.actions.example.com:aud": "sts.amazonaws.com",
            }},
        },
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
    )  # fmt: skip
    arn = cloud.make_role("deployer", allow("s3:*"), AssumeRolePolicyDocument=trust)

    records = read(cloud)

    relations = {(each["issuer"], each["subject"], each["audience"]) for each in of(records, "trust", arn)}
    assert relations == {
        ("https://token.actions.example.com", "repo:org/app:ref:refs/heads/main", "sts.amazonaws.com"),
        ("ec2.amazonaws.com", "", ""),
    }
    (identity,) = of(records, "identity", arn)
    assert (identity["kind"], identity["custody"]) == ("workload", "assumable")


def test_a_service_linked_role_is_for_the_provider_alone(cloud: Cloud) -> None:
    role = cloud.iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")["Role"]
    policy = cloud.make_policy("linked", allow("ec2:*"))
    cloud.iam.attach_role_policy(RoleName=role["RoleName"], PolicyArn=policy)

    records = read(cloud)

    (identity,) = of(records, "identity", role["Arn"])
    (grant,) = of(records, "grant", role["Arn"])
    assert (identity["custody"], grant["revocability"]) == ("platform_managed", "provider_only")


def test_a_boundary_takes_from_what_is_shown(cloud: Cloud) -> None:
    boundary = cloud.make_policy("boundary", allow("s3:*"))
    arn = cloud.make_role("worker", allow("s3:GetObject", "iam:CreateUser"), PermissionsBoundary=boundary)

    (grant,) = of(read(cloud), "grant", arn)

    shown = Permission.from_json(grant["permission"])
    assert matches(shown, "s3:GetObject", "arn:aws:s3:::b/k") is Answer.YES
    assert matches(shown, "iam:CreateUser", "*") is Answer.NO


def test_an_identity_that_is_denied_everything_is_disabled(cloud: Cloud) -> None:
    cloud.make_user("locked", allow("s3:*"), deny("*"))
    cloud.make_user("partly", allow("s3:*"), deny("*", Condition={"Bool": {"aws:MultiFactorAuthPresent": "false"}}))

    records = read(cloud)

    assert of(records, "identity", user_arn("locked"))[0]["status"] == "disabled"
    assert of(records, "identity", user_arn("partly"))[0]["status"] == "active"


def test_tags_name_owner_environment_and_purpose_and_secrets_among_them_stay_out(cloud: Cloud) -> None:
    cloud.make_user("app")
    tags = {"Owner": "Ada@Example.com", "env": "prod", "purpose": "Exports", "api-key": "abc", "db": "password: x"}
    cloud.iam.tag_user(UserName="app", Tags=[{"Key": key, "Value": value} for key, value in tags.items()])

    (identity,) = of(read(cloud), "identity", user_arn("app"))

    assert (identity["owner"], identity["environment"], identity["purpose"]) == (
        "ada@example.com",
        "production",
        "Exports",
    )
    assert identity["tags"] == ["Owner=Ada@Example.com", "env=prod", "purpose=Exports"]


def test_a_reading_ends_with_the_number_of_its_records(cloud: Cloud) -> None:
    records = read(cloud)

    assert records[-1] == {"type": "end", "records": len(records) - 1}


def test_what_the_service_does_not_know_is_left_out_and_the_rest_is_read(cloud: Cloud) -> None:
    cloud.make_user("app", allow("s3:*"))

    records = read(cloud, read_last_accessed=True)

    assert of(records, "grant", user_arn("app"))


def test_a_denied_reading_names_the_right_and_no_key(cloud: Cloud) -> None:
    cloud.iam.put_user_policy(UserName="remit-connector", PolicyName="own", PolicyDocument=document(allow("sts:*")))
    cloud.checks(on=True)
    try:
        with pytest.raises(ReadIncomplete, match="iam:GetAccountAuthorizationDetails") as raised:
            read(cloud)
    finally:
        cloud.checks(on=False)

    assert cloud.connector["AccessKeyId"] not in raised.value.message


def test_without_credentials_the_process_is_not_asked_for_any(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-process")

    with pytest.raises(SourceUnreachable, match="access_key_id"):
        list(AWS({"endpoint_url": cloud.address}, {}).read())


def test_an_address_where_nobody_answers_is_unreachable(cloud: Cloud) -> None:
    with pytest.raises(SourceUnreachable):
        read(cloud, endpoint_url="http://127.0.0.1:9")


def test_the_connector_can_become_a_role(cloud: Cloud) -> None:
    arn = cloud.make_role("remit-reader", allow("iam:*"))

    records = read(cloud, role_arn=arn)

    assert of(records, "identity", arn)


def test_a_connection_test_names_every_right_that_is_missing(cloud: Cloud) -> None:
    cloud.iam.put_user_policy(
        UserName="remit-connector",
        PolicyName="own",
        PolicyDocument=document(allow("iam:Get*", "iam:List*", "iam:GenerateCredentialReport", "iam:PutUserPolicy")),
    )

    checks = {each.title: each for each in connector(cloud).check()}

    assert checks["Sign in"].state == "ok"
    assert checks["Read users, roles and policies"].state == "ok"
    assert checks["Narrow and lock out users"].state == "ok"
    missing = checks["Deactivate access keys"]
    assert missing.state == "warning" and "iam:UpdateAccessKey" in missing.detail


def test_dates_are_not_in_the_future(cloud: Cloud) -> None:
    cloud.make_user("app")

    (identity,) = of(read(cloud), "identity", user_arn("app"))

    assert datetime.fromisoformat(identity["created_at"]) <= datetime.now(UTC)


def test_the_last_use_of_services_and_actions_is_noted_where_aws_reports_it(cloud: Cloud) -> None:
    """moto knows no such report, so the two calls are answered with what AWS documents."""
    key = cloud.make_user("app")
    made = connector(cloud, read_last_accessed=True)
    iam = made._clients.iam
    used = datetime.now(UTC)
    service = {
        "ServiceName": "Amazon S3",
        "ServiceNamespace": "s3",
        "LastAuthenticated": used,
        "TrackedActionsLastAccessed": [{"ActionName": "PutBucketPolicy", "LastAccessedTime": used}],
    }
    answers = {
        "generate_service_last_accessed_details": lambda **_: {"JobId": "j"},
        "get_service_last_accessed_details": lambda **_: {
            "JobStatus": "COMPLETED",
            "ServicesLastAccessed": [service],
            "IsTruncated": False,
        },
    }
    for name, answer in answers.items():
        setattr(iam, name, _Bound(answer, iam))

    records = list(made.read())

    (identity,) = of(records, "identity", user_arn("app"))
    day = used.date().isoformat()
    assert identity["attributes"]["last_accessed"] == {"s3": day, "s3:PutBucketPolicy": day}
    assert identity["last_used_at"] is not None
    assert not [each for each in records if each["type"].startswith("usage")], "no resource is known, so no use is"
    assert key["SecretAccessKey"] not in json.dumps(records)


class _Bound:
    """A stand-in for a client's method."""

    def __init__(self, answer: Any, client: Any) -> None:
        self._answer, self.__self__ = answer, client

    def __call__(self, **parameters: Any) -> Any:
        return self._answer(**parameters)


def test_who_vanishes_while_the_account_is_read_makes_the_reading_incomplete(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.make_user("app")
    made = connector(cloud)
    details = reading.read_account

    def then_deleted(iam: Any) -> Any:
        account = details(iam)
        key = cloud.iam.list_access_keys(UserName="app")["AccessKeyMetadata"][0]["AccessKeyId"]
        cloud.iam.delete_access_key(UserName="app", AccessKeyId=key)
        cloud.iam.delete_user(UserName="app")
        return account

    monkeypatch.setattr(reading, "read_account", then_deleted)

    with pytest.raises(ReadIncomplete, match="removed meanwhile"):
        list(made.read())
