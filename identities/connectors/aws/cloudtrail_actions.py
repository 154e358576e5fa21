"""Which IAM action a CloudTrail event is a use of, and on which resource: names that differ, as data.

An event is named after the API call; a policy names the permission that the call needs. Most are the same.
"""

import re
from collections.abc import Mapping
from typing import Any

# eventSource without ".amazonaws.com", where the prefix of its actions is another.
PREFIXES = {
    "monitoring": "cloudwatch", "email": "ses", "tagging": "tag", "models.lex": "lex", "runtime.lex": "lex",
    "runtime.sagemaker": "sagemaker", "bedrock-runtime": "bedrock", "bedrock-agent": "bedrock",
    "entitlement.marketplace": "aws-marketplace", "metering-marketplace": "aws-marketplace",
    "iotdata": "iot", "streams.dynamodb": "dynamodb", "api.ecr": "ecr", "ecs-tasks": "ecs",
    "elasticloadbalancingv2": "elasticloadbalancing", "docdb": "rds", "neptune": "rds", "waf-regional": "waf-regional",
    "s3-outposts": "s3-outposts", "opensearch": "es",
}  # fmt: skip
# (eventSource's prefix, eventName) that stand for another action.
ACTIONS = {
    ("s3", "ListObjects"): "ListBucket", ("s3", "ListObjectsV2"): "ListBucket", ("s3", "HeadBucket"): "ListBucket",
    ("s3", "ListBuckets"): "ListAllMyBuckets", ("s3", "HeadObject"): "GetObject", ("s3", "CopyObject"): "PutObject",
    ("s3", "CreateMultipartUpload"): "PutObject", ("s3", "UploadPart"): "PutObject",
    ("s3", "UploadPartCopy"): "PutObject", ("s3", "CompleteMultipartUpload"): "PutObject",
    ("s3", "DeleteObjects"): "DeleteObject", ("s3", "ListObjectVersions"): "ListBucketVersions",
    ("s3", "ListMultipartUploads"): "ListBucketMultipartUploads", ("s3", "ListParts"): "ListMultipartUploadParts",
    ("s3", "SelectObjectContent"): "GetObject", ("s3", "GetBucketEncryption"): "GetEncryptionConfiguration",
    ("s3", "PutBucketEncryption"): "PutEncryptionConfiguration",
    ("s3", "DeleteBucketEncryption"): "PutEncryptionConfiguration",
    ("s3", "GetBucketLifecycle"): "GetLifecycleConfiguration",
    ("s3", "GetBucketLifecycleConfiguration"): "GetLifecycleConfiguration",
    ("s3", "PutBucketLifecycle"): "PutLifecycleConfiguration",
    ("s3", "PutBucketLifecycleConfiguration"): "PutLifecycleConfiguration",
    ("s3", "GetBucketReplication"): "GetReplicationConfiguration",
    ("s3", "PutBucketReplication"): "PutReplicationConfiguration", ("s3", "GetBucketCors"): "GetBucketCORS",
    ("s3", "PutBucketCors"): "PutBucketCORS", ("s3", "DeleteBucketCors"): "PutBucketCORS",
    ("s3", "GetPublicAccessBlock"): "GetBucketPublicAccessBlock",
    ("s3", "PutPublicAccessBlock"): "PutBucketPublicAccessBlock",
    ("s3", "DeletePublicAccessBlock"): "PutBucketPublicAccessBlock",
    ("lambda", "Invoke"): "InvokeFunction", ("lambda", "InvokeAsync"): "InvokeAsync",
    ("lambda", "InvokeWithResponseStream"): "InvokeFunction",
    ("bedrock", "Converse"): "InvokeModel", ("bedrock", "ConverseStream"): "InvokeModelWithResponseStream",
    ("sts", "AssumeRoleWithWebIdentity"): "AssumeRoleWithWebIdentity",
    ("logs", "StartLiveTail"): "StartLiveTail", ("kms", "ReEncrypt"): "ReEncryptFrom",
    ("dynamodb", "TransactGetItems"): "GetItem", ("dynamodb", "TransactWriteItems"): "PutItem",
    ("dynamodb", "ExecuteStatement"): "PartiQLSelect", ("sqs", "SendMessageBatch"): "SendMessage",
    ("sqs", "DeleteMessageBatch"): "DeleteMessage", ("sqs", "ChangeMessageVisibilityBatch"): "ChangeMessageVisibility",
    ("sns", "PublishBatch"): "Publish", ("ses", "SendBulkTemplatedEmail"): "SendBulkTemplatedEmail",
}  # fmt: skip
# Events that need no permission of the caller, so they are no use of one.
FREE = {("sts", "AssumeRoleWithWebIdentity"), ("sts", "AssumeRoleWithSAML")}
FREE_SOURCES = {"signin", "sso-portal", "signin.amazonaws"}
# What only a data event shows; a trail records those only where it is told to.
DATA_ACTIONS = (
    "s3:GetObject*", "s3:PutObject*", "s3:DeleteObject*", "s3:AbortMultipartUpload", "lambda:Invoke*",
    "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:Query",
    "dynamodb:Scan", "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "sqs:SendMessage", "sqs:ReceiveMessage",
    "sqs:DeleteMessage", "sns:Publish",
)  # fmt: skip
# What a trail of management events surely shows: calls of their own, recorded always. Permissions that other calls need
# beside their own (iam:PassRole, ec2:CreateTags, kms:Decrypt …) and whole services that write data events are not here.
MANAGEMENT_ACTIONS = (
    "iam:Add*", "iam:Attach*", "iam:ChangePassword", "iam:CreateAccessKey", "iam:CreateGroup",
    "iam:CreateInstanceProfile", "iam:CreateLoginProfile", "iam:CreateOpenIDConnectProvider", "iam:CreatePolicy*",
    "iam:CreateRole", "iam:CreateSAMLProvider", "iam:CreateUser", "iam:CreateVirtualMFADevice", "iam:Deactivate*",
    "iam:Delete*", "iam:Detach*", "iam:Enable*", "iam:Generate*", "iam:Get*", "iam:List*", "iam:PutGroupPolicy",
    "iam:PutRolePolicy", "iam:PutUserPolicy", "iam:PutRolePermissionsBoundary", "iam:PutUserPermissionsBoundary",
    "iam:Remove*", "iam:Reset*", "iam:Resync*", "iam:SetDefaultPolicyVersion", "iam:Simulate*", "iam:Update*",
    "iam:Upload*", "sts:AssumeRole", "sts:GetFederationToken", "sts:GetSessionToken",
    "ec2:Allocate*", "ec2:Associate*", "ec2:Attach*", "ec2:Authorize*", "ec2:Cancel*", "ec2:Copy*", "ec2:CreateImage",
    "ec2:CreateInternetGateway", "ec2:CreateKeyPair", "ec2:CreateNatGateway", "ec2:CreateRoute*",
    "ec2:CreateSecurityGroup", "ec2:CreateSnapshot*", "ec2:CreateSubnet", "ec2:CreateVolume", "ec2:CreateVpc*",
    "ec2:Delete*", "ec2:Deregister*", "ec2:Describe*", "ec2:Detach*", "ec2:Disable*", "ec2:Disassociate*",
    "ec2:Enable*", "ec2:GetConsoleOutput", "ec2:GetPasswordData", "ec2:Modify*", "ec2:Reboot*", "ec2:Register*",
    "ec2:Release*", "ec2:Replace*", "ec2:Revoke*", "ec2:RunInstances", "ec2:StartInstances", "ec2:StopInstances",
    "ec2:TerminateInstances", "secretsmanager:*", "cloudtrail:CreateTrail", "cloudtrail:DeleteTrail",
    "cloudtrail:DescribeTrails", "cloudtrail:Get*", "cloudtrail:LookupEvents", "cloudtrail:PutEventSelectors",
    "cloudtrail:StartLogging", "cloudtrail:StopLogging", "cloudtrail:UpdateTrail", "organizations:*",
    "rds:Create*", "rds:Delete*", "rds:Describe*", "rds:Modify*", "rds:Reboot*", "rds:Start*", "rds:Stop*",
    "ssm:GetParameter*", "ssm:PutParameter", "ssm:DeleteParameter*", "ssm:DescribeParameters", "ssm:SendCommand",
    "ssm:StartSession", "ssm:TerminateSession", "ssm:DescribeInstanceInformation", "ssm:GetCommandInvocation",
    "lambda:CreateFunction", "lambda:DeleteFunction", "lambda:UpdateFunction*", "lambda:AddPermission",
    "lambda:RemovePermission", "lambda:ListFunctions", "s3:CreateBucket", "s3:DeleteBucket", "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy", "s3:PutBucketAcl", "s3:GetBucketPolicy", "s3:GetBucketAcl", "s3:ListAllMyBuckets",
    "s3:PutBucketPublicAccessBlock", "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration",
)  # fmt: skip
_API_VERSION = re.compile(r"_?20\d\d_?\d\d_?\d\d(?:v\d+)?$")
# IAM decides about these on `*` alone, whatever they are asked for.
_ALWAYS_ON_EVERYTHING = re.compile(
    r"ec2:Describe(?!.*Attribute)|ssm:Describe(?:Parameters|InstanceInformation)|sts:GetCallerIdentity|iam:ListUsers"
)
# These ask for rights on several things at once, of which the event names only some.
SEVERAL = {
    "ec2:RunInstances", "ec2:CreateFleet", "ec2:AttachVolume", "ec2:CreateNetworkInterface", "ec2:AssociateAddress",
    "ssm:SendCommand", "ssm:StartSession", "iam:AddRoleToInstanceProfile", "rds:CreateDBInstance",
    "rds:RestoreDBInstanceFromDBSnapshot", "s3:PutBucketNotification", "kms:ReEncryptFrom",
}  # fmt: skip
_VERB_WITHOUT_OBJECT = re.compile(r"(?:List|Describe|BatchDescribe|Search|Lookup|GetAccount|GetCaller)")

# By service: parameters that name the resource, and the resource's ARN with `{}` for the value. `{region}` and
# `{account}` are the event's. First fit counts; `[]` takes every member.
RESOURCES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "ec2": (
        ("instanceId", "arn:{partition}:ec2:{region}:{account}:instance/{}"),
        ("instancesSet.items[].instanceId", "arn:{partition}:ec2:{region}:{account}:instance/{}"),
        ("groupId", "arn:{partition}:ec2:{region}:{account}:security-group/{}"),
        ("imageId", "arn:{partition}:ec2:{region}::image/{}"),
        ("snapshotId", "arn:{partition}:ec2:{region}::snapshot/{}"),
        ("volumeId", "arn:{partition}:ec2:{region}:{account}:volume/{}"),
        ("DeleteFlowLogsRequest.FlowLogId.content", "arn:{partition}:ec2:{region}:{account}:vpc-flow-log/{}"),
        ("vpcId", "arn:{partition}:ec2:{region}:{account}:vpc/{}"),
        ("subnetId", "arn:{partition}:ec2:{region}:{account}:subnet/{}"),
    ),
    "ec2-instance-connect": (("instanceId", "arn:{partition}:ec2:{region}:{account}:instance/{}"),),
    "lambda": (("functionName", "arn:{partition}:lambda:{region}:{account}:function:{}"),),
    "sts": (("roleArn", "{}"), ("name", "arn:{partition}:sts::{account}:federated-user/{}")),
    "iam": (
        ("userName", "arn:{partition}:iam::{account}:user/{}"),
        ("roleName", "arn:{partition}:iam::{account}:role/{}"),
        ("groupName", "arn:{partition}:iam::{account}:group/{}"),
        ("policyArn", "{}"), ("policyName", "arn:{partition}:iam::{account}:policy/{}"),
    ),
    "secretsmanager": (("secretId", "{}"),),
    "kms": (("keyId", "{}"),),
    "sns": (("topicArn", "{}"),),
    "dynamodb": (("tableName", "arn:{partition}:dynamodb:{region}:{account}:table/{}"),),
    "logs": (("logGroupName", "arn:{partition}:logs:{region}:{account}:log-group:{}"),),
    "cloudtrail": (
        ("name", "arn:{partition}:cloudtrail:{region}:{account}:trail/{}"),
        ("trailName", "arn:{partition}:cloudtrail:{region}:{account}:trail/{}"),
    ),
    "ssm": (
        ("instanceId", "arn:{partition}:ec2:{region}:{account}:instance/{}"),
        ("sessionId", "arn:{partition}:ssm:{region}:{account}:session/{}"),
    ),
    "rds": (
        ("dBInstanceIdentifier", "arn:{partition}:rds:{region}:{account}:db:{}"),
        ("dBSnapshotIdentifier", "arn:{partition}:rds:{region}:{account}:snapshot:{}"),
        ("dBClusterIdentifier", "arn:{partition}:rds:{region}:{account}:cluster:{}"),
    ),
    "bedrock": (("modelId", "arn:{partition}:bedrock:{region}::foundation-model/{}"),),
    "ecr": (("repositoryName", "arn:{partition}:ecr:{region}:{account}:repository/{}"),),
    "states": (("stateMachineArn", "{}"),),
}  # fmt: skip


def action_of(source: str, name: str) -> str:
    """The IAM action of an event; empty where the call needs no permission."""
    service = source.removesuffix(".amazonaws.com").removesuffix(".aws.internal")
    if service in FREE_SOURCES:
        return ""
    prefix = PREFIXES.get(service, service)
    plain = _API_VERSION.sub("", name)
    if (prefix, plain) in FREE:
        return ""
    return f"{prefix}:{ACTIONS.get((prefix, plain), plain)}"


def is_without_resource(action: str) -> bool:
    """Whether an event of this action that names no resource was a request for `*`."""
    service, _, name = action.partition(":")
    return bool(_VERB_WITHOUT_OBJECT.match(name)) and service != "s3"


def resources_of(action: str, event: Mapping[str, Any], place: Mapping[str, str]) -> list[str]:
    """ARNs that the event's own `resources` or parameters name; empty where neither does."""
    if _ALWAYS_ON_EVERYTHING.match(action):
        return ["*"]
    service = action.partition(":")[0]
    parameters = event.get("requestParameters")
    parameters = parameters if isinstance(parameters, Mapping) else {}
    if service == "s3":
        return _in_s3(action, parameters, place)
    if action in ("ssm:SendCommand", "ssm:StartSession"):
        return _on_instances(parameters, place)
    return _named_by(event) or _by_parameters(service, action, parameters, place)


def _named_by(event: Mapping[str, Any]) -> list[str]:
    listed = [each for each in event.get("resources") or [] if isinstance(each, Mapping)]
    return [str(each["ARN"]) for each in listed if isinstance(each.get("ARN"), str)]


def _by_parameters(service: str, action: str, parameters: Mapping[str, Any], place: Mapping[str, str]) -> list[str]:
    if service == "sqs":
        names = [each.rpartition("/")[2] for each in _values(parameters, "queueUrl")]
        return ["arn:{partition}:sqs:{region}:{account}:{}".format(name, **place) for name in names]
    if service == "ssm" and "Parameter" in action:
        names = [*_values(parameters, "name"), *_values(parameters, "names[]")]
        pattern = "arn:{partition}:ssm:{region}:{account}:parameter/{}"
        return [_arn(each.lstrip("/"), pattern, place) for each in names]
    for path, pattern in RESOURCES.get(service, ()):
        found = _values(parameters, path)
        if found:
            return [_arn(each, pattern, place) for each in found if each.startswith("arn:") or pattern != "{}"]
    return []


def _on_instances(parameters: Mapping[str, Any], place: Mapping[str, str]) -> list[str]:
    """The instances, and the document that says what is done there: a right on each of them is needed."""
    instances = [*_values(parameters, "target"), *_values(parameters, "instanceIds[]")]
    documents = _values(parameters, "documentName")
    return [
        *("arn:{partition}:ec2:{region}:{account}:instance/{}".format(each, **place) for each in instances),
        *(_arn(each, _document_pattern(each), place) for each in documents),
    ]


def _document_pattern(name: str) -> str:
    """Documents of AWS itself belong to no account."""
    return "arn:{partition}:ssm:{region}:" + ("" if name.startswith("AWS") else "{account}") + ":document/{}"


def _arn(value: str, pattern: str, place: Mapping[str, str]) -> str:
    return value if value.startswith("arn:") else pattern.format(value, **place)


def _in_s3(action: str, parameters: Mapping[str, Any], place: Mapping[str, str]) -> list[str]:
    bucket, key = parameters.get("bucketName"), parameters.get("key")
    if not isinstance(bucket, str):
        return []
    arn = f"arn:{place['partition']}:s3:::{bucket}"
    return [f"{arn}/{key}"] if isinstance(key, str) and "Bucket" not in action else [arn]


def _values(parameters: Mapping[str, Any], path: str) -> list[str]:
    """Texts at a dotted path; `[]` behind a name goes through a list."""
    places: list[Any] = [parameters]
    for name in path.split("."):
        plain = name.removesuffix("[]")
        found = [each[plain] for each in places if isinstance(each, Mapping) and plain in each]
        places = [m for each in found if isinstance(each, list) for m in each] if name.endswith("[]") else found
    return [each for each in places if isinstance(each, str) and each]
