"""Try what the connector needs, changing nothing, and name every right that is missing."""

from collections.abc import Callable, Iterator
from typing import Any

from governance.kernel.errors import DomainError
from governance.kernel.permissions import Answer
from identities.connectors.aws.holdings import holder_of
from identities.connectors.aws.session import Clients, NotImplementedThere, optional, plain_errors
from identities.connectors.aws.verifying import answer_of
from identities.connectors.contract import Check, NotPossible

NEEDED = (
    ("See when keys were last used", "iam:GetAccessKeyLastUsed"),
    ("See who else holds a policy", "iam:ListEntitiesForPolicy"),
    ("Read single policies", "iam:GetPolicyVersion"),
    ("Revoke: detach policies of users", "iam:DetachUserPolicy"),
    ("Revoke: detach policies of roles", "iam:DetachRolePolicy"),
    ("Revoke: delete inline policies of users", "iam:DeleteUserPolicy"),
    ("Revoke: delete inline policies of roles", "iam:DeleteRolePolicy"),
    ("Revoke: take users out of groups", "iam:RemoveUserFromGroup"),
    ("Narrow and lock out users", "iam:PutUserPolicy"),
    ("Narrow and lock out roles", "iam:PutRolePolicy"),
    ("Narrow shared policies: make a copy", "iam:CreatePolicy"),
    ("Narrow shared policies: attach the copy to users", "iam:AttachUserPolicy"),
    ("Narrow shared policies: attach the copy to roles", "iam:AttachRolePolicy"),
    ("Narrow own policies: make a version", "iam:CreatePolicyVersion"),
    ("Narrow own policies: make room for a version", "iam:DeletePolicyVersion"),
    ("Restore: put an earlier version in force", "iam:SetDefaultPolicyVersion"),
    ("Restore: delete copies", "iam:DeletePolicy"),
    ("Restore: put users back into groups", "iam:AddUserToGroup"),
    ("Deactivate access keys", "iam:UpdateAccessKey"),
)


def check(clients: Clients) -> Iterator[Check]:
    """Stops where nothing further can be tried."""
    try:
        caller = clients.caller
    except DomainError as problem:
        yield Check("Sign in", "failed", problem.message)
        return
    yield Check("Sign in", "ok", f"Signed in as {caller['Arn']}.")
    try:
        with plain_errors("iam:GetAccountAuthorizationDetails"):
            clients.iam.get_account_authorization_details(MaxItems=1)
    except DomainError as problem:
        yield Check("Read users, roles and policies", "failed", problem.message)
        return
    yield Check("Read users, roles and policies", "ok")
    yield from _optional(
        "Read passwords and their age", "iam:GenerateCredentialReport", clients.iam.generate_credential_report
    )
    if clients.values["read_last_accessed"]:
        call = clients.iam.generate_service_last_accessed_details
        action = "iam:GenerateServiceLastAccessedDetails"
        yield from _optional("See when services were last used", action, call, Arn=_own_arn(caller["Arn"]))
    yield from _rights(clients, caller["Arn"])


def _optional(title: str, action: str, call: Callable[..., Any], **parameters: Any) -> Iterator[Check]:
    try:
        optional(action, call, **parameters)
    except NotImplementedThere as refusal:
        yield Check(title, "warning", f"{refusal} This stays not observable.")
    except DomainError as problem:
        yield Check(title, "warning", problem.message)
    else:
        yield Check(title, "ok")


def _own_arn(arn: str) -> str:
    """The user or role behind a session."""
    if ":assumed-role/" not in arn:
        return arn
    fields = arn.split(":")
    return f"{fields[0]}:{fields[1]}:iam::{fields[4]}:role/{fields[5].split('/')[1]}"


def _rights(clients: Clients, arn: str) -> Iterator[Check]:
    """By its own policies: AWS offers no way to try a change without making it."""
    try:
        own = holder_of(clients.iam, _own_arn(arn))
    except NotPossible:
        yield Check("Rights to change", "warning", "They cannot be worked out for this kind of sign-in.")
        return
    except DomainError as problem:
        yield Check("Rights to change", "warning", f"They cannot be worked out. {problem.message}")
        return
    user = f"arn:{own.partition}:iam::{own.account}:user/example"
    for title, action in NEEDED:
        kind = "role" if "Role" in action else "policy" if "Policy" in action and "User" not in action else "user"
        answer = answer_of(own, action, user.replace(":user/", f":{kind}/"))
        if answer is Answer.YES:
            yield Check(title, "ok")
        elif answer is Answer.NO:
            yield Check(title, "warning", f"The connector's policies do not allow {action}; such orders become tasks.")
        else:
            yield Check(title, "warning", f"{action} is allowed under conditions that cannot be tried here.")
