"""Which connector speaks for which kind of source, and which files are understood."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from governance.kernel.errors import DomainError
from identities.connectors.aws import AWS
from identities.connectors.aws import files as aws_files
from identities.connectors.contract import Connector, Description, NotPossible, Record
from identities.connectors.files import FileFormat
from identities.connectors.kubernetes import Kubernetes
from identities.connectors.kubernetes.audit import AuditLog as KubernetesAuditLog
from identities.connectors.kubernetes.dumps import Dump as KubernetesDump
from identities.connectors.postgresql import PostgreSQL
from identities.connectors.rabbitmq import RabbitMQ
from identities.connectors.rabbitmq import files as rabbitmq_files
from identities.connectors.redis_acl import Redis
from identities.connectors.redis_acl import files as redis_files
from identities.connectors.mcp import MCP
from identities.connectors.mcp.formats import ConfigurationFile, ToolsFile
from identities.connectors.postgresql import PostgreSQL
from identities.connectors.remit import Remit
from identities.connectors.postgresql import files as postgresql_files


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
    "kubernetes": Kubernetes,
    "aws": AWS,
    "postgresql": PostgreSQL,
    "push": Push,
    "rabbitmq": RabbitMQ,
    "redis": Redis,
    "mcp": MCP,
    "postgresql": PostgreSQL,
    "push": Push,
    "remit": Remit,
}


def kinds() -> tuple[str, ...]:
    """Every kind of source there is a connector for."""
    return tuple(_KINDS)


def connector_for(kind: str, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> Connector:
    """The connector of a source. `secrets` are resolved values by the name of the setting that refers to them.

    Raises UnknownKind, BadSettings. Opens no connection.
    """
    if kind not in _KINDS:
        raise UnknownKind(f"There is no connector of kind {kind!r}. There are {', '.join(_KINDS)}.")
    return _KINDS[kind](settings, secrets)


_FORMATS: tuple[FileFormat, ...] = (*rabbitmq_files.FORMATS, *redis_files.FORMATS)
_FORMATS: tuple[FileFormat, ...] = (KubernetesAuditLog(), KubernetesDump())
_FORMATS: tuple[FileFormat, ...] = (*aws_files.FORMATS,)
_FORMATS: tuple[FileFormat, ...] = (ConfigurationFile(), ToolsFile())
_FORMATS: tuple[FileFormat, ...] = (*postgresql_files.FORMATS,)


def formats() -> tuple[FileFormat, ...]:
    """Every format of file that can be imported beside Remit's own records."""
    return _FORMATS


def recognise(head: bytes) -> FileFormat | None:
    """The format of a file that begins like this; None where no format knows it."""
    return next((each for each in _FORMATS if each.recognises(head)), None)
