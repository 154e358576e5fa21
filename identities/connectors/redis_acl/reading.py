"""One reading of a server: its users and what they may do, as inventory records ending with `end`."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from governance.kernel.dialects.redis_rules import Catalogue, UnknownRule
from identities.connectors.contract import ReadIncomplete, Record
from identities.connectors.naming import make_id, printable, shortened
from identities.connectors.redis_acl.accounts import Account, Touches, permission_json
from identities.connectors.redis_acl.server import Server, Settings, open_server

COVERAGE = {
    "identities": True,
    "purpose": False,
    "created_at": False,
    "credentials": True,
    "credential_expiry": True,
    "credential_created_at": False,
    "credential_last_used": False,
    "grants": True,
    "memberships": False,
    "last_used": False,
    "usage": False,
    "grant_expiry": False,
    "conditions": False,
    "sessions": True,
}
NOT_OBSERVABLE = (
    "When a user or a right was created, and by which person; Redis passwords never expire.",
    "Which commands and keys a user has used: the server counts commands for everybody together.",
    "The last sign-in of a user that is not connected while it is read.",
    "Which of several passwords a client signs in with: only their hashes tell them apart, and those are not kept.",
    "What scripts and functions do inside, beyond the keys they are called with.",
)
LONGEST_LABEL = 300


def read(settings: Settings) -> Iterator[Record]:
    """Every record of the server. Raises SourceUnreachable, ReadIncomplete."""
    with open_server(settings) as server:
        accounts = read_accounts(server)
        connected = {client.user for client in server.clients()}
        records = list(inventory(accounts, connected, server.catalogue, server.touches, datetime.now(UTC)))
    yield from records
    yield {"type": "end", "records": len(records)}


def read_accounts(server: Server) -> list[Account]:
    """Every user; one that is deleted while they are read is left out. Raises SourceUnreachable, ReadIncomplete."""
    return [account for name in server.users() if (account := server.account(name)) is not None]


def inventory(
    accounts: Sequence[Account], connected: set[str], catalogue: Catalogue, touches: Touches, now: datetime | None
) -> Iterator[Record]:
    """Identities, credentials and one grant per user. Raises ReadIncomplete for rules that the catalogue lacks."""
    for account in accounts:
        last_used = now.isoformat() if now and account.name in connected else None
        yield {
            "type": "identity",
            "id": account.name,
            "name": account.name,
            "kind": "database_user",
            "status": "active" if account.is_enabled else "disabled",
            "custody": "self_held",
            "created_at": None,
            "last_used_at": last_used,
            "attributes": {"passwords_set": account.passwords, "open_to_anybody": not account.needs_password},
        }
        if account.passwords:
            yield {
                "type": "credential",
                "id": f"password:{account.name}",
                "identity": account.name,
                "kind": "password",
                "status": "active" if account.is_enabled else "disabled",
                "created_at": None,
                "expires_at": None,
                "never_expires": True,
                "attributes": {"passwords_set": account.passwords},
            }
    for account in accounts:
        try:
            permission = permission_json(account.selectors, catalogue, touches)
        except UnknownRule as problem:
            raise ReadIncomplete(f"The rules of {account.name!r} cannot be understood: {problem}.") from problem
        if permission["statements"]:
            yield _grant(account, permission)


def _grant(account: Account, permission: dict[str, object]) -> Record:
    words = " ".join(word for selector in account.selectors for word in selector.rules())
    return {
        "type": "grant",
        "id": make_id("acl", account.name),
        "identity": account.name,
        "label": shortened(printable(f"Access list: {words}"), LONGEST_LABEL),
        "permission": permission,
        "path": [{"kind": "direct", "id": "acl", "label": "its own access control list"}],
        "revocability": "here",
        "native_ref": {
            "kind": "acl",
            "user": account.name,
            "selectors": [selector.to_json() for selector in account.selectors],
        },
    }
