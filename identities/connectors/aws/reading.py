"""One reading of an account through its API: authorization details, keys, passwords, and when they were last used."""

import time
from collections.abc import Iterator
from typing import Any

from identities.connectors.aws import credential_report
from identities.connectors.aws.account import Account, MalformedDetails
from identities.connectors.aws.inventory import Facts, moment, records, text_of
from identities.connectors.aws.session import Clients, Gone, NotImplementedThere, optional, plain_errors
from identities.connectors.contract import ReadIncomplete, Record

COVERAGE = {
    "identities": True,
    "purpose": True,
    "created_at": True,
    "credentials": True,
    "credential_expiry": False,
    "credential_created_at": True,
    "credential_last_rotated": True,
    "credential_last_used": True,
    "grants": True,
    "memberships": True,
    "last_used": True,
    "usage": False,
    "grant_expiry": True,
    "conditions": True,
    "trust": True,
    "sessions": False,
}
NOT_OBSERVABLE = (
    "Which actions were used, unless CloudTrail files are imported; data events only where the trail records them.",
    "What policies of resources (buckets, queues, keys …) and of other accounts give.",
    "What the organisation forbids (service and resource control policies).",
    "Sessions of roles and temporary keys: AWS lists neither.",
    "The last use of a permission: AWS knows it of keys, passwords and roles, and of services on request.",
    "Who created a policy or attached it.",
    "Conditions whose operator Remit does not interpret: they are shown, and nothing is proved with them.",
)
PAGE = 1_000
REPORT_WAIT = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
# (list operation, list, id, kind, permission) of what a user can hold beside access keys.
_OTHERS = (
    ("list_ssh_public_keys", "SSHPublicKeys", "SSHPublicKeyId", "ssh_key", "iam:ListSSHPublicKeys"),
    ("list_signing_certificates", "Certificates", "CertificateId", "x509", "iam:ListSigningCertificates"),
    (
        "list_service_specific_credentials",
        "ServiceSpecificCredentials",
        "ServiceSpecificCredentialId",
        "password",
        "iam:ListServiceSpecificCredentials",
    ),
)


def read(clients: Clients) -> Iterator[Record]:
    """Raises SourceUnreachable, ReadIncomplete."""
    account = read_account(clients.iam)
    facts = Facts()
    reader = _Reader(clients, facts)
    for arn, user in account.users.items():
        reader.add_user(arn, str(user.get("UserName", "")))
    root = reader.add_report(account)
    if clients.values["read_last_accessed"]:
        for arn in (*account.users, *account.roles):
            reader.add_last_accessed(arn)
    count = 0
    try:
        for record in records(account, facts):
            count += 1
            yield record
    except MalformedDetails as problem:
        raise ReadIncomplete(f"AWS described the account in a way that cannot be understood: {problem}.") from problem
    for record in root:
        count += 1
        yield record
    yield {"type": "end", "records": count}


def read_account(iam: Any) -> Account:
    """Users, groups, roles and the policies they hold, all pages of it. Raises SourceUnreachable, ReadIncomplete."""
    account = Account()
    with plain_errors("iam:GetAccountAuthorizationDetails"):
        for page in iam.get_paginator("get_account_authorization_details").paginate(
            PaginationConfig={"PageSize": PAGE}
        ):
            account.add_page(page)
    _add_missing_policies(iam, account)
    return account


def _add_missing_policies(iam: Any, account: Account) -> None:
    """Boundaries are named there, but their documents need not be."""
    named = {
        str(attached.get("PolicyArn"))
        for entities in (account.users, account.groups, account.roles)
        for entity in entities.values()
        for attached in entity.get("AttachedManagedPolicies") or []
    } | {
        str(entity["PermissionsBoundary"]["PermissionsBoundaryArn"])
        for entities in (account.users, account.roles)
        for entity in entities.values()
        if entity.get("PermissionsBoundary")
    }
    for arn in sorted(named - set(account.policies)):
        try:
            with plain_errors("iam:GetPolicyVersion"):
                policy = iam.get_policy(PolicyArn=arn)["Policy"]
                version = iam.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
        except Gone:
            continue
        account.policies[arn] = policy | {"PolicyVersionList": [version]}


class _Reader:
    """Asks for what the authorization details leave out; remembers what the service does not know."""

    def __init__(self, clients: Clients, facts: Facts) -> None:
        self.iam, self.facts = clients.iam, facts
        self._unknown: set[str] = set()

    def add_user(self, arn: str, name: str) -> None:
        found = self.facts.credentials.setdefault(arn, [])
        with plain_errors("iam:ListAccessKeys"):
            keys = [
                key
                for page in self.iam.get_paginator("list_access_keys").paginate(UserName=name)
                for key in page["AccessKeyMetadata"]
            ]
        for key in keys:
            with plain_errors("iam:GetAccessKeyLastUsed"):
                used = self.iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]
            when = moment(used.get("LastUsedDate"))
            self.facts.note_use(arn, when)
            service = str(used.get("ServiceName", ""))
            found.append(
                {
                    "id": key["AccessKeyId"],
                    "kind": "access_key",
                    "status": _status(key),
                    "created_at": text_of(moment(key.get("CreateDate"))),
                    "never_expires": True,
                    "last_used_at": text_of(when),
                    "attributes": {"last_used_service": service} if when and service.isidentifier() else {},
                }
            )
        for operation, listed, id_name, kind, action in _OTHERS:
            for each in self._ask(operation, action, UserName=name).get(listed, ()):
                uploaded = moment(each.get("UploadDate") or each.get("CreateDate"))
                found.append(
                    {
                        "id": f"{arn}|{each[id_name]}",
                        "kind": kind,
                        "status": _status(each),
                        "created_at": text_of(uploaded),
                        "attributes": {"service": str(each["ServiceName"])} if each.get("ServiceName") else {},
                    }
                )
        self._add_password(arn, name)

    def _add_password(self, arn: str, name: str) -> None:
        try:
            profile = self._ask("get_login_profile", "iam:GetLoginProfile", UserName=name).get("LoginProfile")
        except Gone:
            profile = None
        if "get_login_profile" in self._unknown:
            return
        self.facts.attributes.setdefault(arn, {})["console_password"] = profile is not None
        if profile is not None:
            made = text_of(moment(profile.get("CreateDate")))
            self.facts.credentials[arn].append(
                {"id": f"{arn}|password", "kind": "password", "status": "active", "created_at": made}
            )

    def add_report(self, account: Account) -> list[Record]:
        """What the credential report adds about passwords; returns what it says about the root account."""
        text = self._report()
        try:
            rows = list(credential_report.rows_of(text.splitlines(keepends=True))) if text else []
        except credential_report.MalformedReport as problem:
            raise ReadIncomplete(f"The credential report cannot be read. {problem}") from problem
        root: list[Record] = []
        for row in rows:
            if credential_report.is_root(row):
                credential_report.add_facts(row, self.facts, with_keys=True)
                root.append(credential_report.identity_of(row, self.facts))
                held = self.facts.credentials[row["arn"]]
                root += [{"type": "credential", "identity": row["arn"], **each} for each in held]
                root.append(credential_report.root_grant(row))
            elif row["arn"] in account.users:
                # Keys come with their ids from elsewhere; of passwords the report knows more than anything else.
                made = {each["id"]: each.get("created_at") for each in self.facts.credentials[row["arn"]]}
                credential_report.add_facts(row, self.facts, with_keys=False)
                for each in self.facts.credentials[row["arn"]]:
                    if each["kind"] == "password" and not each.get("created_at"):
                        each["created_at"] = made.get(each["id"])
        return root

    def _report(self) -> str:
        for pause in (*REPORT_WAIT, None):
            state = self._ask("generate_credential_report", "iam:GenerateCredentialReport").get("State")
            if state == "COMPLETE":
                return credential_report.content_of(self._ask("get_credential_report", "iam:GetCredentialReport"))
            if state is None or "generate_credential_report" in self._unknown:
                return ""
            if pause is not None:
                time.sleep(pause)
        raise ReadIncomplete("AWS did not finish the credential report in time.")

    def add_last_accessed(self, arn: str) -> None:
        """The days on which services (and the actions that AWS tracks) were last used, as attributes."""
        job = self._ask(
            "generate_service_last_accessed_details",
            "iam:GenerateServiceLastAccessedDetails",
            Arn=arn,
            Granularity="ACTION_LEVEL",
        ).get("JobId")
        services = self._last_accessed(job) if job else []
        if services is None:
            self.facts.counts["reports of last use that did not end"] += 1
            return
        days: dict[str, str] = {}
        for service in services:
            name, when = str(service.get("ServiceNamespace", "")), moment(service.get("LastAuthenticated"))
            self.facts.note_use(arn, when)
            if when:
                days[name] = when.date().isoformat()
            for action in service.get("TrackedActionsLastAccessed") or []:
                used = moment(action.get("LastAccessedTime"))
                if used:
                    days[f"{name}:{action.get('ActionName', '')}"] = used.date().isoformat()
        if days:
            self.facts.attributes.setdefault(arn, {})["last_accessed"] = dict(sorted(days.items()))

    def _last_accessed(self, job: str) -> list[dict[str, Any]] | None:
        for pause in (*REPORT_WAIT, None):
            found: list[dict[str, Any]] = []
            marker: dict[str, str] = {}
            while True:
                action = "iam:GetServiceLastAccessedDetails"
                page = self._ask("get_service_last_accessed_details", action, JobId=job, **marker)
                found += page.get("ServicesLastAccessed") or []
                if not page.get("IsTruncated"):
                    break
                marker = {"Marker": page["Marker"]}
            if page.get("JobStatus") != "IN_PROGRESS":
                return found
            if pause is not None:
                time.sleep(pause)
        return None

    def _ask(self, operation: str, action: str, **parameters: Any) -> dict[str, Any]:
        """An answer, empty where the service does not know the operation or the connector may not call it."""
        if operation in self._unknown:
            return {}
        try:
            return dict(optional(action, getattr(self.iam, operation), **parameters))
        except NotImplementedThere:
            self._unknown.add(operation)
            return {}


def _status(each: dict[str, Any]) -> str:
    return "active" if each.get("Status") == "Active" else "disabled"
