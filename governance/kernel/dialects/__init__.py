"""How each kind of source writes permissions. `get` finds a dialect by its name."""

from governance.kernel.dialects.authzen import AuthZEN
from governance.kernel.dialects.aws import AWS
from governance.kernel.dialects.interface import Dialect, Language
from governance.kernel.dialects.kubernetes import Kubernetes
from governance.kernel.dialects.postgresql import PostgreSQL
from governance.kernel.dialects.rabbitmq import RabbitMQ
from governance.kernel.dialects.redis import Redis
from governance.kernel.dialects.scopes import Scopes
from governance.kernel.dialects.tools import Tools

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (PostgreSQL(), AWS(), Kubernetes(), RabbitMQ(), Redis(), Tools(), Scopes(), AuthZEN())
}


def get(name: str) -> Dialect:
    """The dialect of this name; raises KeyError."""
    return DIALECTS[name]


__all__ = ["DIALECTS", "Dialect", "Language", "get"]
