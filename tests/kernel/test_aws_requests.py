"""One request to AWS, with every kind of policy that may have a say."""

from datetime import UTC, datetime

import pytest

from governance.kernel.aws_requests import Policies, Request, decide, read_policy
from governance.kernel.permissions import Answer

ACCOUNT, OTHER = "111111111111", "222222222222"
USER = f"arn:aws:iam::{ACCOUNT}:user/team/ana"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/etl"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/etl/run-7"
OBJECT = "arn:aws:s3:::ledger/a.csv"


def policy(*statements):
    return read_policy({"Version": "2012-10-17", "Id": "x", "Statement": list(statements)})


def allow(action="s3:*", resource="*", **more):
    return {"Sid": "A", "Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action="s3:*", resource="*", **more):
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def ask(principal=USER, action="s3:GetObject", resource=OBJECT, **more):
    return Request(action=action, resource=resource, principal=principal, **{"context": {}, **more})


def bucket(principal, **more):
    return policy(allow(Principal=principal, **more))


FULL = policy(allow("*"))

CASES = [
    # (what, policies, request, answer, reason)
    ("nothing allows", Policies(), ask(), "no", "identity"),
    ("identity policy", Policies(identity=(policy(allow()),)), ask(), "yes", "allowed"),
    ("names without case", Policies(identity=(policy(allow("S3:GETOBJECT")),)), ask(), "yes", "allowed"),
    ("resources with case", Policies(identity=(policy(allow("*", OBJECT.upper())),)), ask(), "no", "identity"),
    ("a deny beside it", Policies(identity=(FULL, policy(deny()))), ask(), "no", "explicit_deny"),
    ("boundary does not mention it", Policies(identity=(FULL,), boundary=policy(allow("sqs:*"))), ask(), "no", "boundary"),
    ("boundary alone grants nothing", Policies(boundary=FULL), ask(), "no", "identity"),
    ("session does not mention it", Policies(identity=(FULL,), session=(policy(allow("sqs:*")),)), ask(SESSION), "no", "session"),
    ("every level of the organisation", Policies(identity=(FULL,), service_control=((FULL,), (policy(allow()),))), ask(), "yes", "allowed"),
    ("one level is silent", Policies(identity=(FULL,), service_control=((FULL,), (policy(allow("sqs:*")),))), ask(), "no", "service_control"),
    ("two policies of one level", Policies(identity=(FULL,), service_control=((policy(allow("sqs:*")), policy(allow())),)), ask(), "yes", "allowed"),
    ("a level with no policy", Policies(identity=(FULL,), service_control=((),)), ask(), "no", "service_control"),
    ("denied by the organisation", Policies(identity=(FULL,), service_control=((FULL, policy(deny())),)), ask(), "no", "explicit_deny"),
    ("roles of services stand outside", Policies(identity=(FULL,), service_control=((),)),
     ask(f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX"), "yes", "allowed"),
    ("resource control is silent", Policies(identity=(FULL,), resource_control=((policy(allow("sqs:*", Principal="*")),),)), ask(), "no", "resource_control"),
    ("bucket policy names the user", Policies(resource=bucket({"AWS": USER})), ask(), "yes", "allowed"),
    ("bucket policy names another", Policies(resource=bucket({"AWS": USER + "x"})), ask(), "no", "identity"),
    ("bucket policy for everybody", Policies(resource=bucket("*")), ask(), "yes", "allowed"),
    ("bucket policy for the account", Policies(resource=bucket({"AWS": ACCOUNT})), ask(), "no", "identity"),
    ("bucket policy for all but", Policies(resource=policy(allow(NotPrincipal={"AWS": USER}))), ask(), "no", "identity"),
    ("bucket denies all but another", Policies(identity=(FULL,), resource=policy(deny(NotPrincipal={"AWS": ROLE}))), ask(), "no", "explicit_deny"),
    ("bucket denies the account", Policies(identity=(FULL,), resource=policy(deny(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))), ask(), "no", "explicit_deny"),
    ("bucket denies another account", Policies(identity=(FULL,), resource=policy(deny(Principal={"AWS": OTHER}))), ask(), "yes", "allowed"),
    ("a user's boundary is passed by", Policies(boundary=policy(allow("sqs:*")), resource=bucket({"AWS": USER})), ask(), "yes", "allowed"),
    ("a role's is not", Policies(boundary=policy(allow("sqs:*")), resource=bucket({"AWS": ROLE})), ask(SESSION), "no", "identity"),
    ("a named session's is", Policies(boundary=policy(allow("sqs:*")), resource=bucket({"AWS": SESSION})), ask(SESSION), "yes", "allowed"),
    ("a session is its role", Policies(resource=bucket({"AWS": ROLE})), ask(SESSION), "yes", "allowed"),
    ("abroad, both", Policies(identity=(FULL,), resource=bucket({"AWS": ACCOUNT})), ask(resource_account=OTHER), "yes", "allowed"),
    ("abroad, the resource's alone", Policies(resource=bucket({"AWS": USER})), ask(resource_account=OTHER), "no", "identity"),
    ("abroad, the identity's alone", Policies(identity=(FULL,)), ask(resource_account=OTHER), "no", "resource"),
    ("abroad by the resource's name", Policies(identity=(FULL,)), ask(action="sqs:SendMessage", resource=f"arn:aws:sqs:eu-west-1:{OTHER}:q"), "no", "resource"),
    ("abroad, a boundary counts", Policies(identity=(FULL,), boundary=policy(allow("sqs:*")), resource=bucket({"AWS": USER})), ask(resource_account=OTHER), "no", "boundary"),
    ("a service", Policies(resource=bucket({"Service": "logs.amazonaws.com"})), ask("logs.amazonaws.com"), "yes", "allowed"),
    ("another service", Policies(resource=bucket({"Service": "logs.amazonaws.com"})), ask("sns.amazonaws.com"), "no", "resource"),
    ("nobody known", Policies(resource=bucket("*")), ask(""), "yes", "allowed"),
    ("the root of the account", Policies(), ask(f"arn:aws:iam::{ACCOUNT}:root"), "yes", "allowed"),
    ("a key needs its own policy", Policies(identity=(FULL,)), ask(action="kms:Decrypt", resource=f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/k"), "no", "resource"),
    ("a key that leaves it to the account", Policies(identity=(FULL,), resource=policy(allow("kms:*", Principal={"AWS": ACCOUNT}))),
     ask(action="kms:Decrypt", resource=f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/k"), "yes", "allowed"),
    ("a role trusts the user", Policies(resource=policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": [USER]}})),
     ask(action="sts:AssumeRole", resource=ROLE), "yes", "allowed"),
    ("a variable", Policies(identity=(policy(allow("*", "arn:aws:s3:::home/${aws:username}/*")),)), ask(resource="arn:aws:s3:::home/ana/x"), "yes", "allowed"),
    ("a variable of somebody else", Policies(identity=(policy(allow("*", "arn:aws:s3:::home/${aws:username}/*")),)), ask(resource="arn:aws:s3:::home/bob/x"), "no", "identity"),
    ("a variable that is not set", Policies(identity=(policy(allow("*", "arn:aws:s3:::${aws:PrincipalTag/team}/*")),)), ask(), "no", "identity"),
    ("a variable with a default", Policies(identity=(policy(allow("*", "arn:aws:s3:::${aws:PrincipalTag/team, 'ledger'}/*")),)), ask(), "yes", "allowed"),
    ("a condition that holds", Policies(identity=(policy(allow(Condition={"NumericLessThan": {"s3:max-keys": 10}})),)), ask(context={"s3:max-keys": "5"}), "yes", "allowed"),
    ("a condition on what is not set", Policies(identity=(policy(allow(Condition={"NumericLessThan": {"s3:max-keys": 10}})),)), ask(), "no", "identity"),
    ("numbers and booleans as JSON has them", Policies(identity=(policy(allow(Condition={"Bool": {"k": True}, "NumericEquals": {"n": 5}})),)), ask(context={"k": True, "n": 5}), "yes", "allowed"),
    ("who asks is known anyway", Policies(identity=(policy(allow(Condition={"StringEquals": {"aws:PrincipalAccount": ACCOUNT}})),)), ask(context=None), "yes", "allowed"),
    ("nothing known", Policies(identity=(policy(allow(Condition={"Bool": {"aws:SecureTransport": True}})),)), ask(context=None), "unknown", "undecided"),
    ("a deny that may apply", Policies(identity=(FULL, policy(deny(Condition={"Bool": {"aws:SecureTransport": False}})))), ask(context=None), "unknown", "undecided"),
    ("a deny that may apply to nothing allowed", Policies(identity=(policy(deny(Condition={"Bool": {"k": "false"}})),)), ask(context=None), "no", "identity"),
    ("an operator nobody knows", Policies(identity=(policy(allow(Condition={"Resembles": {"k": "v"}})),)), ask(), "unknown", "undecided"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "policies", "request_", "answer", "reason"), CASES, ids=[each[0] for each in CASES])
def test_decision(what, policies, request_, answer, reason):
    found = decide(policies, request_)

    assert (found.answer, found.reason) == (Answer(answer), reason)


def test_the_deciding_statement_is_named():
    never = deny("s3:GetObject", OBJECT)
    policies = Policies(identity=(policy(allow(), never),))

    denied, allowed = decide(policies, ask()), decide(policies, ask(action="s3:PutObject"))

    assert (denied.where, denied.statement) == ("identity", policy(never).statements[0])
    assert (allowed.where, allowed.statement) == ("identity", policy(allow()).statements[0])
    assert decide(Policies(), ask()).statement is None


def test_the_moment_of_the_request_is_compared_with_dates():
    until = policy(allow(Condition={"DateLessThan": {"aws:CurrentTime": "2027-01-01T00:00:00Z"}}))

    assert decide(Policies(identity=(until,)), ask(at=datetime(2026, 6, 1, tzinfo=UTC))).is_allowed
    assert not decide(Policies(identity=(until,)), ask(at=datetime(2027, 6, 1, tzinfo=UTC))).is_allowed


@pytest.mark.parametrize(
    "document", [None, [], {}, {"Statement": "x"}, {"Statement": [1]}, {"Statement": {"Effect": "allow"}}]
)
def test_what_is_no_policy_is_refused(document):
    with pytest.raises(ValueError):
        read_policy(document)
