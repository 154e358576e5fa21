"""Which connector speaks for which kind of source, and which files are understood."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from governance.kernel.errors import DomainError
from identities.connectors.aws import AWS
from identities.connectors.aws import files as aws_files
from identities.connectors.contract import Connector, Description, NotPossible, Record, Setting
from identities.connectors.csv_rows import CsvRows
from identities.connectors.files import FileFormat
from identities.connectors.github import files as github_files
from identities.connectors.kubernetes import Kubernetes
from identities.connectors.kubernetes.audit import AuditLog as KubernetesAuditLog
from identities.connectors.kubernetes.dumps import Dump as KubernetesDump
from identities.connectors.mcp import MCP
from identities.connectors.mcp.formats import ConfigurationFile, ToolsFile
from identities.connectors.postgresql import PostgreSQL
from identities.connectors.postgresql import files as postgresql_files
from identities.connectors.rabbitmq import RabbitMQ
from identities.connectors.rabbitmq import files as rabbitmq_files
from identities.connectors.redis_acl import Redis
from identities.connectors.redis_acl import files as redis_files
from identities.connectors.remit import Remit


class UnknownKind(DomainError):
    """A source names a kind of connector that does not exist."""

    code = "unknown-source-kind"
    title = "There is no connector of this kind"


class Push:
    """A source that sends its inventory by itself; Remit cannot ask it for anything and cannot change it."""

    def __init__(self, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        del settings, secrets  # whoever pushes signs in with an API token; there is nothing to set

    def describe(self) -> Description:
        facts = (
            "identities", "purpose", "created_at", "credentials", "credential_expiry", "credential_created_at",
            "credential_last_used", "grants", "last_used", "usage", "grant_expiry", "conditions",
        )  # fmt: skip
        return Description(
            "push",
            "Pushed inventory",
            dict.fromkeys(facts, True),
            ("Whatever the sender leaves out: Remit sees only what is pushed to it.",),
        )

    def read(self) -> Iterator[Record]:
        raise NotPossible("This source sends its inventory by itself; it cannot be read from here.")


_KINDS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, str]], Connector]] = {
    "postgresql": PostgreSQL,
    "aws": AWS,
    "kubernetes": Kubernetes,
    "rabbitmq": RabbitMQ,
    "redis": Redis,
    "mcp": MCP,
    "remit": Remit,
    "push": Push,
}


def kinds() -> tuple[str, ...]:
    """Every kind of source there is a connector for."""
    return tuple(_KINDS)


@dataclass(frozen=True, slots=True)
class Kind:
    """What people see of a kind of source before there is one: its title, a sentence, what can be set."""

    name: str
    title: str
    sentence: str
    settings: tuple[Setting, ...] = ()


_ABOUT: Mapping[str, tuple[str, str]] = {
    "postgresql": ("PostgreSQL server", "Reads roles and rights of a server, narrows and revokes them in SQL."),
    "rabbitmq": ("RabbitMQ broker", "Reads users and what each may do in every virtual host, and changes it there."),
    "aws": ("AWS account", "Reads IAM users, roles and policies of an account, and attaches narrower policies."),
    "kubernetes": ("Kubernetes cluster", "Reads service accounts and RBAC of a cluster, and rewrites bindings."),
    "mcp": ("AI agents and their tools", "Reads agent configurations and the tools that MCP servers offer them."),
    "redis": ("Redis server", "Reads the users of a server and their ACL rules, and rewrites them."),
    "remit": (
        "Remit itself",
        "Reads Remit's own API clients, connectors and webhooks, so that they are reviewed like others.",
    ),
    "push": ("Any other system", "It sends its inventory through the API, or somebody imports a file of it here."),
}


def about(kind: str) -> Kind:
    """The kind as people see it. Raises UnknownKind."""
    if kind not in _KINDS:
        raise UnknownKind(f"There is no connector of kind {kind!r}. There are {', '.join(_KINDS)}.")
    title, sentence = _ABOUT.get(kind, (kind, ""))
    return Kind(kind, title, sentence, settings_of(kind))


def title_of(kind: str) -> str:
    """What people call sources of this kind, also where its connector is gone."""
    return _ABOUT.get(kind, (kind, ""))[0]


def settings_of(kind: str) -> tuple[Setting, ...]:
    """What can be set for a source of this kind, in the order in which a form asks for it."""
    return tuple(getattr(_KINDS.get(kind), "SETTINGS", ()))


def connector_for(kind: str, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> Connector:
    """The connector of a source. `secrets` are resolved values by the name of the setting that refers to them.

    Raises UnknownKind, BadSettings. Opens no connection.
    """
    if kind not in _KINDS:
        raise UnknownKind(f"There is no connector of kind {kind!r}. There are {', '.join(_KINDS)}.")
    return _KINDS[kind](settings, secrets)


_FORMATS: tuple[FileFormat, ...] = (
    *aws_files.FORMATS,
    KubernetesDump(),
    KubernetesAuditLog(),
    *rabbitmq_files.FORMATS,
    *redis_files.FORMATS,
    *postgresql_files.FORMATS,
    ConfigurationFile(),
    ToolsFile(),
    *github_files.FORMATS,
    CsvRows(),
)


def formats() -> tuple[FileFormat, ...]:
    """Every format of file that can be imported beside Remit's own records."""
    return _FORMATS


def recognise(head: bytes) -> tuple[FileFormat, ...]:
    """Every format that a file may be of that begins like this: none where nobody knows it, several where unclear."""
    return tuple(each for each in _FORMATS if each.recognises(head))
