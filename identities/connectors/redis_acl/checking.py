"""Trying a connection: what works, and the right that is missing where something does not. Nothing is changed."""

from collections.abc import Iterator

from governance.kernel.errors import DomainError
from identities.connectors.contract import Check
from identities.connectors.redis_acl.assembly import NOT_KEPT
from identities.connectors.redis_acl.reading import read_accounts
from identities.connectors.redis_acl.server import Server, Settings, open_server

NEEDED = (
    ("Change users", ("ACL", "SETUSER", "x")),
    ("End connections", ("CLIENT", "KILL", "ID", "1")),
)


def check(settings: Settings) -> Iterator[Check]:
    try:
        with open_server(settings) as server:
            yield Check("Sign in", "ok", f"as {server.me}")
            yield from _abilities(server)
    except DomainError as problem:
        yield Check("Sign in", "failed", problem.message)


def _abilities(server: Server) -> Iterator[Check]:
    try:
        yield Check("Users and rights", "ok", f"{len(read_accounts(server))} users, {len(server.commands)} commands")
        yield Check("Open connections", "ok", f"{len(server.clients())} are open")
    except DomainError as problem:
        yield Check("Users and rights", "failed", problem.message)
        return
    for title, words in NEEDED:
        answer = server.may(server.me, *words)
        if answer is None:
            yield Check(title, "warning", "The server does not let the connector try ACL DRYRUN.")
        else:
            yield Check(title, "ok" if answer else "failed", "" if answer else f"{' '.join(words[:2])} is not allowed.")
    keeping = server.keeping()
    yield Check("Outlast a restart", "ok" if keeping else "warning", " ".join(keeping) if keeping else NOT_KEPT)
