"""Every use case about sources and identities leaves exactly its own record, with the rights of production's programs."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Actor
from identities.models import Identity, Source, SyncMode, SyncOrigin
from identities.selectors.filters import InventoryFilter
from identities.services import authorization, boundaries, checking, exports, lifecycle, saved_views, sources
from identities.services import identities as services
from identities.sync.receive import receive

NOW = timezone.now()


@pytest.fixture
def cases(
    identities: Callable[..., list[Identity]], admin_actor: Actor, make_user: Any, actor_of: Any
) -> dict[str, Callable[[], Any]]:
    """Verb by verb: something to do that leaves it alone in the trail."""
    at = {"actor": admin_actor, "now": NOW}
    (identity,) = identities(1)
    ada = make_user(name="Ada Lovelace")
    reading = Source.objects.create(slug="reading", name="Ledger", kind="postgresql")
    pushing = Source.objects.create(slug="pushing", name="Queues", kind="push")
    mine = {"owner": ada, "actor": actor_of(ada), "now": NOW}
    view = saved_views.save_view(page="identities", name="Ada's bots", filter_text="kind=bot", **mine)
    lines = [json.dumps({"type": "identity", "id": "worker", "kind": "bot"}).encode(), b'{"type":"end","records":1}']
    new = {"slug": "new", "name": "New", "kind": "push", "environment": "staging", "settings": {}}
    versioned = {"identity": identity, "version": identity.version}
    due = (NOW + timedelta(days=90)).date()
    trusting = {
        "source": pushing,
        "subjects": ["repo:acme/app:*"],
        "audiences": [],
        "attributes_trusted": [],
        "purpose": "Ada's builds",
        "owner": ada,
        "review_due": due,
    }
    trusted = boundaries.register_boundary(issuer="https://one.example", **trusting, **at)
    seen = {"boundary": trusted, "version": 1}
    decides = {"model": "login_implies_all", "classes": ["write"], "breadth": "service", "note": "Ada says.", "version": 0}
    sending = {"mode": SyncMode.SNAPSHOT, "is_complete": True, "origin": SyncOrigin.API}
    return {
        "source.registered": lambda: sources.register_source(**new, **at),
        "source.changed": lambda: sources.change_source(source=reading, version=1, changes={"name": "Other"}, **at),
        "source.read_requested": lambda: sources.request_read(source=reading, **at),
        "source.preview_requested": lambda: sources.request_preview(source=reading, **at),
        "source.checked": lambda: checking.check_connection(kind="push", settings={}, **at),
        "sync.applied": lambda: receive(source=pushing, lines=lines, **sending, **at),
        "identity.owner_assigned": lambda: services.assign_owner(owner=ada, reason="Ada asked.", **versioned, **at),
        "identity.changed": lambda: services.edit_identity(changes={"purpose": "Books it."}, **versioned, **at),
        "identity.registered": lambda: lifecycle.register_identity(owner=ada, purpose="Ada's books.", **versioned, **at),
        "identity.cadence_declared": lambda: lifecycle.declare_cadence(
            days=370, reason="Closes the year.", **versioned, **at
        ),
        "authorization.declared": lambda: authorization.declare_authorization(of=identity, **decides, **at),
        "boundary.registered": lambda: boundaries.register_boundary(issuer="https://two.example", **trusting, **at),
        "boundary.changed": lambda: boundaries.change_boundary(changes={"purpose": "Ada's other"}, **seen, **at),
        "boundary.reviewed": lambda: boundaries.review_boundary(review_due=due, reason="Ada looked.", **seen, **at),
        "boundary.withdrawn": lambda: boundaries.withdraw_boundary(reason="Ada left.", **seen, **at),
        "view.saved": lambda: saved_views.save_view(page="identities", name="Ada's", filter_text="kind=bot", **mine),
        "view.changed": lambda: saved_views.change_view(view=view, changes={"name": "Ada's other"}, **mine),
        "view.deleted": lambda: saved_views.delete_view(view=view, **mine),
        "inventory.exported": lambda: exports.record_export(
            what="identities", form="csv", filters=InventoryFilter(q="Ada"), **at
        ),
    }


@pytest.mark.parametrize(
    "verb",
    [
        *("source.registered", "source.changed", "source.read_requested", "source.preview_requested"),
        *("source.checked", "sync.applied", "identity.owner_assigned", "identity.changed"),
        *("identity.registered", "identity.cadence_declared"),
        *("authorization.declared", "boundary.registered", "boundary.changed", "boundary.reviewed"),
        *("boundary.withdrawn",),
        *("view.saved", "view.changed", "view.deleted", "inventory.exported"),
    ],
)
def test_a_use_case_leaves_exactly_its_record(
    cases: dict[str, Callable[[], Any]], as_writer: Callable[[], Any], verb: str
) -> None:
    before = set(AuditEvent.objects.values_list("pk", flat=True))
    with as_writer():
        cases[verb]()
    left = AuditEvent.objects.exclude(pk__in=before)
    assert [event.verb for event in left] == [verb]
    assert "Ada" not in left[0].payload
    assert "@example.org" not in left[0].payload
