"""One identity, somebody who asks, somebody who answers."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from governance.kernel.actors import Role
from governance.kernel.permissions import Permission
from reviews.access_requests import request_access

WANTED = {
    "dialect": "postgresql",
    "statements": [{"actions": ["INSERT"], "resources": ["table:ledger/public/refunds"]}],
}


@pytest.fixture
def desk(make: Any) -> SimpleNamespace:
    """`desk.ask()`: a request for four hours by `asker`, the owner; `desk.other` is an independent reviewer."""
    owner, other = make.person(Role.OWNER), make.person(Role.REVIEWER)
    identity = make.identity(make.source(slug="ledger"), owner=owner)

    def ask(permission: dict[str, Any] = WANTED, hours: float = 4, **more: Any) -> Any:
        given = {
            "identity": identity,
            "permission": Permission.from_json(permission),
            "until": make.NOW + timedelta(hours=hours),
            "reason": "Refunds of the outage have to be booked.",
            "actor": make.actor(owner),
            "now": make.NOW,
        }
        return request_access(**(given | more))

    return SimpleNamespace(ask=ask, owner=owner, asker=make.actor(owner), other=make.actor(other), identity=identity)
