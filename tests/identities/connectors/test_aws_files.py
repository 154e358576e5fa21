"""Files that AWS's tools write, made up here to be awkward: pages, encodings, cut-off ends, secrets."""

import base64
import gzip
import io
import json
from typing import Any
from urllib.parse import quote

import pytest

from governance.kernel.permissions import Answer, Permission, matches
from identities.connectors.aws.files import AuthorizationDetails, CloudTrail, CredentialReport
from identities.connectors.files import FileRefused, Notes
from tests.recognising import format_of

ACCOUNT = "111122223333"
HEADER = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,"
    "mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,"
    "access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,"
    "access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,"
    "cert_1_last_rotated,cert_2_active,cert_2_last_rotated\n"
)
ROW = (
    "app,arn:aws:iam::111122223333:user/app,2024-01-01T00:00:00+00:00,true,2024-05-01T00:00:00+00:00,"
    "2024-02-01T00:00:00+00:00,N/A,true,true,2024-03-01T00:00:00+00:00,2024-06-01T00:00:00+00:00,eu-west-1,s3,false,"
    "2023-03-01T00:00:00+00:00,N/A,N/A,N/A,false,N/A,false,N/A\n"
)


def statement(*actions: str, on: str = "*") -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": on}]}


def user(name: str, **more: Any) -> dict[str, Any]:
    return {
        "Path": "/",
        "UserName": name,
        "UserId": f"AIDA{name.upper()}",
        "Arn": f"arn:aws:iam::{ACCOUNT}:user/{name}",
        "CreateDate": "2024-01-01T00:00:00+00:00",
        "GroupList": [],
        "AttachedManagedPolicies": [],
        **more,
    }


def page(**lists: Any) -> dict[str, Any]:
    return {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []} | lists


def read(form: Any, data: bytes | str | Any) -> tuple[list[dict[str, Any]], Notes]:
    if not isinstance(data, bytes | str):
        data = json.dumps(data)
    data = data.encode() if isinstance(data, str) else data
    notes = Notes()
    return list(form.records(io.BytesIO(data), notes)), notes


def of(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in records if each["type"] == kind]


def event(name: str = "ListUsers", source: str = "iam.amazonaws.com", **more: Any) -> dict[str, Any]:
    return {
        "eventID": f"{name}-{source}-{more.get('eventTime', '')}",
        "eventTime": "2024-07-01T10:00:00Z",
        "eventSource": source,
        "eventName": name,
        "awsRegion": "eu-west-1",
        "recipientAccountId": ACCOUNT,
        "requestParameters": None,
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/app"},
        **more,
    }


def test_pages_behind_one_another_make_one_account() -> None:
    pages = [page(UserDetailList=[user("a")], IsTruncated=True), page(UserDetailList=[user("b")], IsTruncated=False)]

    for written in ("".join(map(json.dumps, pages)), "\n".join(map(json.dumps, pages)), json.dumps(pages)):
        records, _ = read(AuthorizationDetails(), written)
        assert [each["name"] for each in of(records, "identity")] == ["a", "b"]


def test_a_last_page_that_says_more_follow_is_refused() -> None:
    with pytest.raises(FileRefused, match="more follow"):
        read(AuthorizationDetails(), page(UserDetailList=[user("a")], IsTruncated=True))


@pytest.mark.parametrize(
    "encode", [lambda d: d, json.dumps, lambda d: quote(json.dumps(d))], ids=["object", "text", "url"]
)
def test_documents_are_read_however_they_are_encoded(encode: Any) -> None:
    inline = [{"PolicyName": "p", "PolicyDocument": encode(statement("s3:GetObject", on="arn:aws:s3:::b/*"))}]

    records, _ = read(AuthorizationDetails(), page(UserDetailList=[user("a", UserPolicyList=inline)]))

    (grant,) = of(records, "grant")
    permission = Permission.from_json(grant["permission"])
    assert matches(permission, "s3:GetObject", "arn:aws:s3:::b/k") is Answer.YES
    assert matches(permission, "s3:PutObject", "arn:aws:s3:::b/k") is Answer.NO


def test_what_is_not_known_about_a_policy_is_neither_yes_nor_no() -> None:
    holder = user(
        "a",
        GroupList=["gone"],
        AttachedManagedPolicies=[{"PolicyName": "P", "PolicyArn": "arn:aws:iam::aws:policy/P"}],
        UserPolicyList=[{"PolicyName": "broken", "PolicyDocument": {"Statement": [{"Effect": "Perhaps"}]}}],
    )

    records, notes = read(AuthorizationDetails(), page(UserDetailList=[holder]))

    assert len(of(records, "grant")) == notes.counts["policies without a readable document"] == 3
    for grant in of(records, "grant"):
        assert matches(Permission.from_json(grant["permission"]), "s3:GetObject", "x") is Answer.UNKNOWN


def test_secrets_in_tags_and_descriptions_are_left_out_and_counted() -> None:
    secret = "AKIAIOSFODNN7EXAMPLE"
    tags = [{"Key": "deploy", "Value": secret}, {"Key": "password", "Value": "x"}, {"Key": "team", "Value": "a"}]

    records, notes = read(AuthorizationDetails(), page(UserDetailList=[user("a", Tags=tags)]))

    assert of(records, "identity")[0]["tags"] == ["team=a"]
    assert notes.counts["tags that look as if they held a secret"] == 2
    assert secret not in json.dumps(records)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("", "no authorization details"),
        (json.dumps(page(UserDetailList=[user("a"), user("b")]))[:-200], "cut off"),
        (json.dumps({"Users": []}), "without any of"),
        (json.dumps(page(UserDetailList=["a"])), "no list of objects"),
        (json.dumps(page(UserDetailList=[{"UserName": "a"}])), "no Arn"),
        ("[1]", "no JSON object"),
        (b"\xff\xfe\x00", "UTF-8"),
        (gzip.compress(json.dumps(page()).encode(), mtime=0)[:-12], "gzip"),
        ("[" * 100_000, "no JSON object"),
    ],
)
def test_details_that_are_not_whole_are_refused_with_the_reason(data: bytes | str, told: str) -> None:
    with pytest.raises(FileRefused, match=told):
        read(AuthorizationDetails(), data)


@pytest.mark.parametrize("pack", [lambda d: d, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    "shape",
    [
        lambda report: report,
        lambda report: "\ufeff" + report,
        lambda report: json.dumps({"Content": report, "ReportFormat": "text/csv"}),
        lambda report: json.dumps({"Content": base64.b64encode(report.encode()).decode(), "ReportFormat": "text/csv"}),
    ],
    ids=["csv", "csv-with-mark", "json", "json-base64"],
)
def test_a_credential_report_is_read_in_every_form(pack: Any, shape: Any) -> None:
    data = pack(shape(HEADER + ROW).encode())

    assert format_of(data[:65_536]) is not None and format_of(data[:65_536]).name == "aws-credential-report"
    records, _ = read(CredentialReport(), data)

    found = {each["id"].partition("|")[2]: each for each in of(records, "credential")}
    assert found.keys() == {"password", "access key 1", "access key 2"}
    assert found["access key 1"]["last_used_at"].startswith("2024-06-01")
    assert found["access key 2"]["status"] == "disabled"
    assert found["password"]["attributes"] == {"mfa": True}
    assert of(records, "identity")[0]["last_used_at"].startswith("2024-06-01")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("", "columns"),
        (HEADER, "names nobody"),
        ((HEADER + ROW)[:-40], "columns instead"),
        ((HEADER + ROW)[:-3], "cut off"),
        (HEADER.replace("arn", "name") + ROW, "does not name"),
        (HEADER + ROW.replace(",true,true,", ",true,perhaps,"), "neither true nor false"),
        (json.dumps({"Content": "%%%", "ReportFormat": "text/csv"}), "base64"),
    ],
)
def test_a_report_that_is_not_whole_is_refused_with_the_reason(data: str, told: str) -> None:
    with pytest.raises(FileRefused, match=told):
        read(CredentialReport(), data)


def test_a_large_report_is_read_row_by_row() -> None:
    rows = (ROW.replace("user/app", f"user/app{number}") for number in range(20_000))
    records, notes = read(CredentialReport(), HEADER + "".join(rows))

    assert (notes.counts["identities"], notes.counts["credentials"]) == (20_000, 60_000)
    assert records[-1] == {"type": "end", "records": 80_000}


@pytest.mark.parametrize(
    "shape",
    [
        lambda events: json.dumps({"Records": events}),
        json.dumps,
        lambda events: "\n".join(map(json.dumps, events)),
        lambda events: "".join(json.dumps({"Records": [each]}) for each in events),
        lambda events: json.dumps(
            {"Events": [{"EventId": "1", "CloudTrailEvent": json.dumps(each)} for each in events]}
        ),
        lambda events: json.dumps({"Records": events}, indent=3),
    ],
    ids=["trail", "list", "lines", "trails", "lookup", "indented"],
)
@pytest.mark.parametrize("pack", [lambda d: d, gzip.compress], ids=["plain", "gzip"])
def test_events_are_read_in_every_form(shape: Any, pack: Any) -> None:
    data = pack(shape([event(), event(eventTime="2024-07-02T10:00:00Z")]).encode())

    assert format_of(data[:65_536]) is not None and format_of(data[:65_536]).name == "aws-cloudtrail"
    records, _ = read(CloudTrail(), data)

    (usage,) = of(records, "usage")
    assert (usage["identity"], usage["action"]) == (f"arn:aws:iam::{ACCOUNT}:user/app", "iam:ListUsers")
    assert (usage["count"], usage["first_seen_at"][:10], usage["last_seen_at"][:10]) == (2, "2024-07-01", "2024-07-02")


@pytest.mark.parametrize(
    ("name", "source", "parameters", "action", "resource"),
    [
        ("ListObjectsV2", "s3", {"bucketName": "b"}, "s3:ListBucket", "arn:aws:s3:::b"),
        ("HeadObject", "s3", {"bucketName": "b", "key": "k"}, "s3:GetObject", "arn:aws:s3:::b/k"),
        ("Invoke", "lambda", {"functionName": "f"}, "lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:{a}:function:f"),
        ("UpdateFunctionCode20150331v2", "lambda", {"functionName": "arn:aws:lambda:x"}, "lambda:UpdateFunctionCode", "arn:aws:lambda:x"),
        ("PutMetricData", "monitoring", {}, "cloudwatch:PutMetricData", "*"),
        ("DescribeInstances", "ec2", {"instancesSet": {"items": [{"instanceId": "i-1"}]}}, "ec2:DescribeInstances", "*"),
        ("StopInstances", "ec2", {"instancesSet": {"items": [{"instanceId": "i-1"}]}}, "ec2:StopInstances", "arn:aws:ec2:eu-west-1:{a}:instance/i-1"),
        ("SendMessage", "sqs", {"queueUrl": "https://sqs.eu-west-1.amazonaws.com/1/q"}, "sqs:SendMessage", "arn:aws:sqs:eu-west-1:{a}:q"),
        ("GetParameter", "ssm", {"name": "/a/b"}, "ssm:GetParameter", "arn:aws:ssm:eu-west-1:{a}:parameter/a/b"),
        ("AssumeRole", "sts", {"roleArn": "arn:aws:iam::1:role/r"}, "sts:AssumeRole", "arn:aws:iam::1:role/r"),
    ],
)  # fmt: skip
def test_an_event_is_a_use_of_the_permission_that_it_needs(
    name: str, source: str, parameters: dict[str, Any], action: str, resource: str
) -> None:
    records, _ = read(CloudTrail(), [event(name, f"{source}.amazonaws.com", requestParameters=parameters)])

    assert [(each["action"], each["resource"]) for each in of(records, "usage")] == [
        (action, resource.format(a=ACCOUNT))
    ]


@pytest.mark.parametrize(
    ("identity", "caller"),
    [
        (
            {
                "type": "AssumedRole",
                "arn": "arn:aws:sts::1:assumed-role/r/session",
                "sessionContext": {"sessionIssuer": {"arn": "arn:aws:iam::1:role/path/r"}},
            },
            "arn:aws:iam::1:role/path/r",
        ),
        ({"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/r/session"}, "arn:aws:iam::1:role/r"),
        ({"type": "Root", "arn": "arn:aws:iam::1:root"}, "arn:aws:iam::1:root"),
        ({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, None),
        ({"type": "AWSAccount", "accountId": "1", "principalId": "AIDA:x"}, None),
    ],
    ids=["session", "session-without-issuer", "root", "service", "other-account"],
)
def test_a_session_counts_for_whoever_issued_it(identity: dict[str, Any], caller: str | None) -> None:
    records, notes = read(CloudTrail(), [event(userIdentity=identity)])

    assert [each["identity"] for each in of(records, "usage")] == ([caller] if caller else [])
    assert notes.counts["events of AWS services or of callers without a name"] == (0 if caller else 1)


def test_an_event_that_stands_in_two_files_counts_once() -> None:
    records, notes = read(CloudTrail(), [event(), event()])

    assert of(records, "usage")[0]["count"] == 1
    assert notes.counts["events that stand in the file twice"] == 1


def test_only_a_declared_coverage_makes_a_window_and_data_events_only_where_named() -> None:
    covered = {"coverage": {"from": "2024-06-01T00:00:00Z", "until": "2024-07-01T00:00:00Z"}}

    silent, notes = read(CloudTrail(), [event()])
    declared, _ = read(CloudTrail(), "\n".join(map(json.dumps, [covered, event()])))

    assert of(silent, "usage_window") == [] and notes.sentences
    (window,) = of(declared, "usage_window")
    assert "iam:List*" in window["observable"]["actions"]
    shown = Permission.from_json({"dialect": "aws", "statements": [window["observable"]]})
    for hidden in ("s3:GetObject", "iam:PassRole", "lambda:InvokeFunction", "kms:Decrypt", "ec2:CreateTags"):
        assert matches(shown, hidden, "*") is Answer.NO, hidden


def test_an_action_whose_use_could_not_be_placed_is_not_observable() -> None:
    covered = {"coverage": {"from": "2024-06-01T00:00:00Z", "until": "2024-07-01T00:00:00Z"}}
    unplaced = event("BatchGetSecretValue", "secretsmanager.amazonaws.com", requestParameters={"filters": []})

    records, notes = read(CloudTrail(), [covered, unplaced])

    (window,) = of(records, "usage_window")
    assert "secretsmanager:*" not in window["observable"]["actions"]
    assert notes.counts["uses whose resource is not known, counted on *"] == 1


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("", "no event"),
        ('{"Records": []}', "no event"),
        (json.dumps({"Records": [event(), event()]})[:-30], "cut off"),
        (json.dumps({"Records": [event()]})[:-1], "cut off"),
        (json.dumps([{"kind": "Event"}]), "no CloudTrail event"),
        (json.dumps([event(eventTime="yesterday")]), "eventTime"),
        (gzip.compress(json.dumps([event()]).encode(), mtime=0)[:-9], "gzip"),
    ],
)
def test_events_that_are_not_whole_are_refused_with_the_reason(data: bytes | str, told: str) -> None:
    with pytest.raises(FileRefused, match=told):
        read(CloudTrail(), data)


def test_values_of_requests_never_reach_the_records() -> None:
    secret = "hunter2-hunter2"
    records, _ = read(
        CloudTrail(), [event("CreateLoginProfile", requestParameters={"userName": "a", "password": secret})]
    )

    assert secret not in json.dumps(records)
