"""What happens to orders around a restore leaves exactly its own record."""

import pytest

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from identities.models import SyncRun
from reviews.models import Order, RestoreHold
from reviews.remediation.restored import call_off_held, hold_everything, release_hold

pytestmark = pytest.mark.django_db


def case_interrupt(make):
    Order.objects.create(
        source=make.source(), identity=make.identity(), action="revoke", state="executing", execute_after=make.NOW
    )
    return lambda: hold_everything(state_of=make.NOW, now=make.NOW)


def _held(make):
    source = make.source()
    hold_everything(state_of=make.NOW, now=make.NOW)
    later = make.NOW + make.NOW.resolution
    facts = {"mode": "snapshot", "origin": "api", "state": "applied", "is_complete": True, "actor_id": "system:test"}
    SyncRun.objects.create(source=source, started_at=later, observed_at=later, **facts)
    return {
        "hold": RestoreHold.objects.get(source=source),
        "reason": "Looked.",
        "actor": make.actor(make.person(Role.ADMINISTRATOR)),
        "now": later,
    }


def case_release(make):
    facts = _held(make)
    return lambda: release_hold(**facts)


def case_call_off(make):
    facts = _held(make)
    return lambda: call_off_held(**facts)


@pytest.mark.parametrize(
    ("case", "verb"),
    [
        (case_interrupt, "order.interrupted"),
        (case_release, "restore_hold.released"),
        (case_call_off, "restore_hold.recalled"),
    ],
)
def test_a_use_case_leaves_exactly_one_record(make, case, verb):
    act = case(make)
    before = set(AuditEvent.objects.values_list("pk", flat=True))

    act()

    assert list(AuditEvent.objects.exclude(pk__in=before).values_list("verb", flat=True)) == [verb]
