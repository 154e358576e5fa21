"""The demo's estate is what a careful sync client would send."""

from datetime import timedelta
from typing import Any

import pytest

from governance.embedded.demo.estate import demo_estate
from governance.people.models import User
from identities.models import Credential, Identity, IdentityKind, SyncState, UsageWindow
from identities.sync.receive import receive

OWNERS = ["ada@example.org", "bob@example.org"]
pytestmark = pytest.mark.django_db


def test_the_estate_is_accepted_and_holds_every_kind_that_is_pushed(make_source: Any, now: Any, actor: Any) -> None:
    for address in OWNERS:
        User.objects.create_user(address, name=address)

    for system in demo_estate(now=now, seed=7, owners=OWNERS):
        source = make_source(system.slug, environment=system.environment)
        wish = {"mode": "snapshot", "is_complete": True, "origin": "file", "actor": actor, "now": now}
        run = receive(source=source, lines=system.lines, **wish)
        assert run.state == SyncState.APPLIED, list(run.row_errors.values()[:3])

    assert 380 <= Identity.objects.count() <= 420
    kinds = set(Identity.objects.values_list("kind", flat=True))
    assert set(IdentityKind.values) - kinds <= {"database_user"}, "those are read from the ledger"
    agents = Identity.objects.filter(kind="ai_agent")
    assert not agents.filter(sponsor=None).exists() and agents.exclude(owner=None).exists()
    assert Credential.objects.filter(created_at__lt=now - timedelta(days=365)).exists()
    assert UsageWindow.objects.exists()


def test_the_same_seed_and_moment_give_the_same_bytes(now: Any) -> None:
    first, second, other = (demo_estate(now=now, seed=seed, owners=OWNERS) for seed in (7, 7, 8))

    assert first == second
    assert first != other
