"""Trying a connection: what works, and the right that is missing where something does not. Nothing is changed."""

from collections.abc import Iterator

from governance.kernel.errors import DomainError
from identities.connectors.contract import Check
from identities.connectors.rabbitmq.broker import Broker, Settings, open_broker
from identities.connectors.rabbitmq.reading import read_estate

OLDEST = (3, 10)


def check(settings: Settings) -> Iterator[Check]:
    with open_broker(settings) as broker:
        try:
            tags = broker.tags()
        except DomainError as problem:
            yield Check("Sign in", "failed", problem.message)
            return
        yield Check("Sign in", "ok", f"as {broker.me}")
        if "administrator" not in tags:
            need = f"rabbitmqctl set_user_tags {broker.me} administrator"
            yield Check("Tag administrator", "failed", f"Without it users and permissions cannot be read: {need}")
            return
        yield Check("Tag administrator", "ok")
        yield _version(broker)
        yield from _lists(broker)


def _version(broker: Broker) -> Check:
    try:
        version = str((broker.get("overview") or {}).get("rabbitmq_version", ""))
        numbers = tuple(int(part) for part in version.split(".")[:2])
    except (DomainError, ValueError):
        return Check("Version", "warning", "The broker does not say which version it is.")
    if numbers < OLDEST:
        return Check("Version", "warning", f"RabbitMQ {version} is older than what was tried (3.10).")
    return Check("Version", "ok", f"RabbitMQ {version}")


def _lists(broker: Broker) -> Iterator[Check]:
    try:
        estate = read_estate(broker)
        yield Check("Users and permissions", "ok", f"{len(estate.users)} users, {len(estate.permissions)} permissions")
    except DomainError as problem:
        yield Check("Users and permissions", "failed", problem.message)
    try:
        yield Check("Open connections", "ok", f"{len(broker.list_of('connections', columns='name'))} are open")
    except DomainError as problem:
        yield Check("Open connections", "failed", problem.message)
