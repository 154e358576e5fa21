"""A seeded estate of about 400 non-human identities of all kinds, as the snapshots that sync clients would push.

The same seed and moment give the same bytes. Names and habits are those of the payments company whose ledger the demo
governs: most identities hold far more than they use, a few have nobody, some were forgotten years ago.
"""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

Record = dict[str, Any]
ACCOUNT = "417390025518"
SERVICES = (
    "payments", "ledger", "payouts", "refunds", "invoicing", "fx", "risk", "disputes", "kyc", "notifications",
    "webhooks", "search", "reporting", "settlement", "onboarding", "pricing", "statements", "support", "vault", "audit",
)  # fmt: skip
ENVIRONMENTS = ("production", "production", "staging", "development")
USE_LOG_DAYS = 90


@dataclass(frozen=True, slots=True)
class System:
    """One pushing source: its short name, and the lines of one complete snapshot, without their ends."""

    slug: str
    name: str
    environment: str
    lines: list[bytes]


def demo_estate(*, now: datetime, seed: int, owners: Sequence[str]) -> list[System]:
    """Six systems with about 400 identities together. owners: e-mail addresses of people who may answer."""
    makers: tuple[tuple[str, str, Callable[[_Draft], None]], ...] = (
        ("aws-payments", "AWS account payments", _aws),
        ("cluster-prod", "Kubernetes cluster prod", _kubernetes),
        ("github", "GitHub organisation", _github),
        ("rabbitmq-core", "RabbitMQ core", _rabbitmq),
        ("agents", "Agent platform", _agents),
        ("edge-fleet", "Edge machines and partners", _fleet),
    )
    systems = []
    for slug, name, fill in makers:
        draft = _Draft(now, random.Random(f"{seed}/{slug}"), owners)  # noqa: S311 - repeatable, nothing secret
        fill(draft)
        systems.append(System(slug, name, "production", list(_lines(draft.records))))
    return systems


def _lines(records: Iterable[Record]) -> Iterator[bytes]:
    count = 0
    for record in records:
        count += 1
        yield json.dumps(record, separators=(",", ":")).encode()
    yield json.dumps({"type": "end", "records": count}).encode()


class _Draft:
    """The snapshot of one system while it is written."""

    def __init__(self, now: datetime, chance: random.Random, owners: Sequence[str]) -> None:
        self.now, self.chance, self.owners = now, chance, owners
        self.records: list[Record] = []

    def ago(self, fewest: int, most: int) -> str:
        """A moment between so many days ago."""
        seconds = self.chance.randint(fewest * 86_400, most * 86_400) + 60
        return (self.now - timedelta(seconds=seconds)).isoformat(timespec="seconds")

    def ahead(self, fewest: int, most: int) -> str:
        return (self.now + timedelta(days=self.chance.randint(fewest, most))).isoformat(timespec="seconds")

    def identity(self, id: str, kind: str, **facts: Any) -> str:
        """Every eighth belongs to nobody, every tenth was not used for a year, every sixth was never observed."""
        owner = "" if self.chance.random() < 0.125 else self.chance.choice(self.owners)
        record = {"type": "identity", "id": id, "kind": kind, "name": id, "owner": owner} | facts
        record.setdefault("environment", self.chance.choice(ENVIRONMENTS))
        record.setdefault("created_at", self.ago(700, 2200))
        luck = self.chance.random()
        if luck < 0.1:
            record["last_used_at"] = self.ago(365, 640)
        elif luck < 0.84:
            record["last_used_at"] = self.ago(0, 20)
        self.records.append(record)
        return id

    def credential(
        self, identity: str, kind: str, *, oldest: int, lifetime: int | None, storage: str, **facts: Any
    ) -> None:
        """lifetime in days from now; None: it lives for ever; 0: it is issued anew each time."""
        number = sum(1 for record in self.records if record["type"] == "credential" and record["identity"] == identity)
        record = {
            "type": "credential",
            "id": f"{kind}/{identity}/{number + 1}",
            "identity": identity,
            "kind": kind,
            "created_at": self.ago(5, oldest),
            "storage": storage,
            "never_expires": lifetime is None,
        } | facts
        if lifetime:
            record["expires_at"] = self.ahead(1, lifetime)
        if self.chance.random() < 0.7:
            record["last_used_at"] = self.ago(0, 4)
        self.records.append(record)

    def grant(self, identity: str, name: str, label: str, permission: Record, **facts: Any) -> None:
        record = {"type": "grant", "id": f"{identity}/{name}", "identity": identity, "label": label}
        self.records.append(record | {"permission": permission} | facts)

    def used(self, identity: str, pairs: Iterable[tuple[str, str]]) -> None:
        for action, resource in pairs:
            self.records.append(
                {
                    "type": "usage",
                    "identity": identity,
                    "action": action,
                    "resource": resource,
                    "first_seen_at": self.ago(30, USE_LOG_DAYS - 1),
                    "last_seen_at": self.ago(0, 9),
                    "count": self.chance.randint(3, 9000),
                }
            )

    def observed(self, log: str, actions: Sequence[str], resources: Sequence[str]) -> None:
        self.records.append(
            {
                "type": "usage_window",
                "log": log,
                "from": (self.now - timedelta(days=USE_LOG_DAYS)).isoformat(timespec="seconds"),
                "until": self.now.isoformat(timespec="seconds"),
                "observable": {"actions": list(actions), "resources": list(resources)},
            }
        )

    def trust(self, identity: str, issuer: str, subject: str, audience: str) -> None:
        self.records.append(
            {
                "type": "trust",
                "id": f"{identity}/{issuer}",
                "identity": identity,
                "issuer": issuer,
                "subject": subject,
                "audience": audience,
            }
        )


def _allow(dialect: str, *pairs: tuple[Sequence[str], Sequence[str]]) -> Record:
    statements = [{"actions": list(actions), "resources": list(resources)} for actions, resources in pairs]
    return {"dialect": dialect, "statements": statements}


# --- systems ------------------------------------------------------------------------------------------------------


def _aws(draft: _Draft) -> None:
    """Roles that services assume, and users with keys that nobody rotates."""
    draft.observed("CloudTrail management events", ["s3:GetBucket*", "sqs:*", "dynamodb:*", "kms:*", "iam:*"], ["*"])
    for index in range(55):
        service = SERVICES[index % len(SERVICES)]
        stage = ENVIRONMENTS[index % 4]
        role = draft.identity(
            f"arn:aws:iam::{ACCOUNT}:role/{service}-{stage}-{index:02d}",
            "workload",
            name=f"{service}-{stage}-{index:02d}",
            environment=stage,
            custody="assumable",
            purpose=f"Runs the {service} service",
        )
        queue, table = f"arn:aws:sqs:eu-central-1:{ACCOUNT}:{service}", f"arn:aws:dynamodb:*:{ACCOUNT}:table/{service}*"
        wide = draft.chance.random() < 0.3
        draft.grant(
            role,
            "data",
            f"{service} data access",
            _allow(
                "aws",
                (["sqs:*"], ["*"] if wide else [queue]),
                (["dynamodb:*"], [table]),
                (["s3:*"], [f"arn:aws:s3:::acme-{service}", f"arn:aws:s3:::acme-{service}/*"]),
            ),
            path=[{"kind": "direct"}],
        )
        if wide:
            draft.grant(
                role,
                "secrets",
                "Secrets of every service",
                _allow("aws", (["secretsmanager:GetSecretValue", "kms:Decrypt"], ["*"])),
                path=[{"kind": "group", "id": "shared-secrets", "label": "policy shared-secrets"}],
                revocability="shared_role",
                shared_with=14,
            )
        if index % 5 < 3:
            # No secret, one subject, one audience, an hour: who asks is proven, and may do as much as before.
            draft.trust(role, "https://oidc.cluster-prod.example.org", f"system:serviceaccount:{service}:app", "sts")
            draft.credential(
                role, "federated_trust", oldest=400, lifetime=0, storage="none", audience="sts",
                attributes={"ttl_seconds": 3600},
            )  # fmt: skip
        item = f"arn:aws:dynamodb:eu-central-1:{ACCOUNT}:table/{service}"
        draft.used(role, [("sqs:ReceiveMessage", queue), ("sqs:DeleteMessage", queue), ("dynamodb:GetItem", item)])
    for index in range(35):
        service = SERVICES[(index * 7) % len(SERVICES)]
        user = draft.identity(
            f"arn:aws:iam::{ACCOUNT}:user/svc-{service}-{index:02d}",
            "service_account",
            name=f"svc-{service}-{index:02d}",
            custody="self_held",
        )
        for _ in range(1 + (index % 6 == 0)):
            draft.credential(user, "access_key", oldest=1400, lifetime=None, storage="CI variables")
        bucket = f"arn:aws:s3:::acme-{service}-exports"
        actions = ["s3:*"] if index % 3 else ["s3:*", "iam:PassRole", "iam:CreateAccessKey"]
        draft.grant(
            user,
            "exports",
            f"Exports of {service}",
            _allow("aws", (actions, [bucket, f"{bucket}/*"] if index % 4 else ["*"])),
            path=[{"kind": "direct"}],
        )
        draft.used(user, [("s3:GetBucketLocation", bucket)])


def _kubernetes(draft: _Draft) -> None:
    """Service accounts: the pods of services only read, those beside them deploy, some read every secret."""
    draft.observed("API server audit log", ["*"], ["api:*"])
    for index in range(70):
        namespace = SERVICES[index % len(SERVICES)]
        name = ("app", "worker", "migrator", "cron")[index // len(SERVICES)]
        account = draft.identity(
            f"{namespace}/{name}",
            "workload",
            name=f"{namespace}:{name}",
            environment="production",
            custody="platform_managed",
            purpose=f"Pods of {namespace}",
        )
        is_new = name in {"app", "worker"}
        draft.credential(
            account, "platform_issued", oldest=6, lifetime=0 if is_new else 1, storage="projected volume",
            **({"audience": "https://kubernetes.default.svc", "attributes": {"ttl_seconds": 3600}} if is_new else {}),
        )  # fmt: skip
        reads = f"api:{namespace}/core/configmaps/*/*"
        changes = (["get", "list", "create", "update", "delete"], [f"api:{namespace}/apps/deployments/*/*"])
        draft.grant(
            account,
            "role",
            f"Role {namespace}-{'view' if name == 'app' else 'edit'}",
            _allow(
                "kubernetes",
                (["get", "list", "watch"], [reads, f"api:{namespace}/core/pods/*/*"]),
                *([] if name == "app" else [changes]),
            ),
            path=[_role(f"{namespace}-{'view' if name == 'app' else 'edit'}")],
            revocability="via_group",
            shared_with=index % 4,
        )
        if index % 9 == 0:
            draft.grant(
                account,
                "cluster-secrets",
                "Cluster role secret-reader",
                _allow("kubernetes", (["get", "list"], ["api:*/core/secrets/*/*"])),
                path=[{"kind": "role", "id": "secret-reader", "label": "cluster role secret-reader"}],
                revocability="shared_role",
                shared_with=7,
            )
        draft.used(account, [("get", f"api:{namespace}/core/configmaps//settings")])


def _role(name: str) -> Record:
    return {"kind": "role", "id": name, "label": f"role {name}"}


def _github(draft: _Draft) -> None:
    """Apps of vendors, and the jobs that deploy."""
    vendors = ("codecov", "renovate", "sonar", "snyk", "vercel", "linear", "slack", "datadog", "sentry", "figma")
    for index in range(30):
        vendor = vendors[index % len(vendors)]
        app = draft.identity(
            f"installation/{90_210 + index}",
            "oauth_app",
            name=f"{vendor} for {SERVICES[index % len(SERVICES)]}",
            environment="production",
            attributes={"vendor": vendor},
        )
        draft.credential(app, "client_secret", oldest=900, lifetime=None, storage="vendor")
        names = ["contents:write", "pull_requests:write", "actions:write"] if index % 3 else ["contents:read"]
        if index % 7 == 0:
            names.append("administration:write")
        resources = ["*"] if index % 2 else [f"acme/{SERVICES[index % len(SERVICES)]}"]
        draft.grant(
            app, "installation", "Installation permissions", _allow("scopes", (names, resources)),
            path=[{"kind": "direct"}], revocability="provider_only",
        )  # fmt: skip
    for index in range(40):
        service = SERVICES[index % len(SERVICES)]
        job = draft.identity(
            f"repo:acme/{service}:job:{'deploy' if index < 20 else 'release'}",
            "ci_job",
            name=f"{service} {'deploy' if index < 20 else 'release'}",
            custody="platform_managed",
        )
        draft.trust(job, "https://token.actions.githubusercontent.com", f"repo:acme/{service}:*", "sts.amazonaws.com")
        draft.grant(
            job,
            "workflow",
            "Workflow token",
            _allow("scopes", (["contents:write", "packages:write", "deployments:write"], [f"acme/{service}"])),
            path=[{"kind": "direct"}],
        )


def _rabbitmq(draft: _Draft) -> None:
    """Queue users whose patterns match far more than their own queues."""
    for index in range(40):
        service = SERVICES[index % len(SERVICES)]
        side = "publisher" if index < 20 else "consumer"
        user = draft.identity(f"{service}-{side}", "queue_user", custody="self_held")
        draft.credential(user, "password", oldest=1600, lifetime=None, storage="not reported")
        pattern = ".*" if index % 4 == 0 else f"^{service}"
        draft.grant(
            user,
            "vhost:/",
            "Permissions on vhost /",
            _allow("rabbitmq", (["configure", "write", "read"], [f"vhost:%2F/{pattern}"])),
            path=[{"kind": "direct"}],
        )
        if index % 13 == 0:
            draft.grant(
                user, "tags", "Management tags", _allow("rabbitmq", (["tag:administrator"], ["vhost:%2F/.*"])),
                path=[{"kind": "attribute"}],
            )  # fmt: skip


def _agents(draft: _Draft) -> None:
    """AI agents with tools, each with a sponsor and somebody it acts for; and older chat bots."""
    tools = {
        "git": ["git_status", "git_log", "git_diff", "git_commit", "git_push"],
        "crm": ["search_customer", "read_customer", "update_customer", "delete_customer"],
        "mail": ["search_mail", "send_mail"],
        "ledger-readonly": ["query", "describe_table"],
        "browser": ["open_page", "fill_form", "download_file"],
    }
    draft.observed("Agent gateway", ["*"], ["*"])
    servers = list(tools)
    for index in range(36):
        service = SERVICES[index % len(SERVICES)]
        agent = draft.identity(
            f"agent-{service}-{index:02d}",
            "ai_agent",
            name=f"{service} agent {index:02d}",
            environment="production",
            custody="platform_managed",
            acts_for=f"{service} team",
            sponsor=draft.chance.choice(draft.owners),
            purpose=f"Answers questions about {service} and prepares changes",
        )
        draft.credential(agent, "token", oldest=200, lifetime=60, storage="agent platform")
        for server in draft.chance.sample(servers, 2):
            names = ["*"] if draft.chance.random() < 0.35 else tools[server]
            draft.grant(
                agent,
                f"tools/{server}",
                f"Tools of {server}",
                _allow("tools", (names, [f"server:{server}"])),
                path=[{"kind": "direct"}],
            )
            draft.used(agent, [(tool, f"server:{server}") for tool in tools[server][:2]])
    for index in range(24):
        service = SERVICES[index % len(SERVICES)]
        bot = draft.identity(f"bot-{service}-{index:02d}", "bot", custody="self_held")
        draft.credential(bot, "token", oldest=1200, lifetime=None, storage="chat platform")
        draft.grant(
            bot, "chat", "Chat scopes", _allow("scopes", (["channels:history", "chat:write", "users:read"], ["*"])),
            path=[{"kind": "direct"}],
        )  # fmt: skip


def _fleet(draft: _Draft) -> None:
    """Machines with certificates, and partners that call the public API."""
    for index in range(35):
        machine = draft.identity(
            f"edge-{index:03d}.example.org", "machine", environment="production", custody="self_held"
        )
        draft.credential(machine, "x509", oldest=300, lifetime=90 if index % 5 else 12, storage="TPM")
        draft.grant(
            machine, "telemetry", "Telemetry upload", _allow("scopes", (["telemetry:write"], ["region/eu"])),
            path=[{"kind": "direct"}],
        )  # fmt: skip
    for index in range(35):
        partner = draft.identity(f"partner-{index:03d}", "api_client", custody="self_held")
        draft.credential(partner, "api_key", oldest=1500, lifetime=None if index % 3 else 200, storage="partner")
        names = ["payments:read", "payments:write", "refunds:write"] if index % 2 else ["payments:read"]
        draft.grant(partner, "scopes", "API scopes", _allow("scopes", (names, ["api/v2"])), path=[{"kind": "direct"}])
