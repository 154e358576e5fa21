"""The demo's estate is what a careful sync client would send."""

from datetime import timedelta
from typing import Any

import pytest

from governance.audit.models import AuditEvent
from governance.embedded.demo.estate import demo_estate
from governance.embedded.demo.past import as_it_was, moments_before, score_as_of
from governance.kernel.actors import system_actor
from governance.people.models import User
from identities.models import Credential, Finding, Identity, IdentityKind, SyncState, UsageWindow
from identities.posture.evaluate import evaluate_changes
from identities.selectors.posture_moves import count_moves, list_moved_between
from identities.selectors.posture_picture import end_of_last_quarter
from identities.selectors.posture_scores import movement_since
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
        assert run.state == SyncState.APPLIED, str(list(run.row_errors.values()[:3]))

    assert 380 <= Identity.objects.count() <= 420
    kinds = set(Identity.objects.values_list("kind", flat=True))
    assert set(IdentityKind.values) - kinds <= {"database_user"}, "those are read from the ledger"
    agents = Identity.objects.filter(kind="ai_agent")
    assert not agents.filter(sponsor=None).exists() and agents.exclude(owner=None).exists()
    assert Credential.objects.filter(created_at__lt=now - timedelta(days=365)).exists()
    assert UsageWindow.objects.exists()


def test_its_past_is_accepted_says_that_it_is_made_up_and_shows_movement(
    make_source: Any, now: Any, actor: Any
) -> None:
    for address in OWNERS:
        User.objects.create_user(address, name=address)
    estate = [(system, make_source(system.slug)) for system in demo_estate(now=now, seed=7, owners=OWNERS)]
    wish = {"mode": "snapshot", "is_complete": True, "origin": "file", "actor": actor, "now": now}

    for moment, ahead in moments_before(now):
        for system, source in estate:
            then = as_it_was(system, at=moment, now=now, ahead=ahead)
            run = receive(source=source, lines=then.lines, observed_at=moment, **wish)
            assert run.state == SyncState.APPLIED, str(list(run.row_errors.values()[:3]))
        score_as_of(list(Identity.objects.values_list("pk", flat=True)), moment)
    for system, source in estate:
        assert receive(source=source, lines=system.lines, **wish).state == SyncState.APPLIED
    assert AuditEvent.objects.filter(occurred_at__lt=now).count() == 0
    evaluate_changes(now=now)

    end = end_of_last_quarter(now)
    moved = movement_since(end, actor=system_actor("test"))
    moves = count_moves(list_moved_between(first=end, second=now, actor=system_actor("test")))
    assert moved.then.measured_on is not None and moved.then.measured_on <= end.date()
    assert 0 < moved.then.identities < moved.now.identities
    assert moves["unproven_broad", "unproven_contained"] > 0
    assert sum(number for (before, after), number in moves.items() if before and before != after) >= 10
    assert set(Finding.objects.values_list("opened_at", flat=True)) == {now}


def test_the_same_seed_and_moment_give_the_same_bytes(now: Any) -> None:
    first, second, other = (demo_estate(now=now, seed=seed, owners=OWNERS) for seed in (7, 7, 8))

    assert first == second
    assert first != other
