"""Factories for reviews. They write rows only, so they work under `db` and under `committed_db` alike."""

import itertools
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from governance.audit.models import AuditEvent
from governance.kernel.actors import Actor, Role, system_actor
from governance.kernel.permissions import Permission, describe
from governance.kernel.privileges import CATALOGUE_VERSION, classes_of, is_privileged, segment_of
from governance.people.access import actor_for_user
from governance.people.models import RoleAssignment, User
from identities.models import Credential, Grant, GrantVersion, Identity, Source, Usage, UsageWindow
from reviews.campaigns.opening import open_campaign
from reviews.models import Campaign, ReviewItem, ReviewSchedule, ReviewWatch, Trigger

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HELD = {
    "dialect": "postgresql",
    "statements": [
        {"actions": ["SELECT", "INSERT"], "resources": ["table:ledger/public/payments", "table:ledger/public/refunds"]}
    ],
}
NARROWER = {
    "dialect": "postgresql",
    "statements": [{"actions": ["SELECT"], "resources": ["table:ledger/public/payments"]}],
}
PRIVILEGED = {
    "dialect": "postgresql",
    "statements": [{"actions": ["SELECT", "DELETE", "TRUNCATE"], "resources": ["table:ledger/public/payments"]}],
}
_numbers = itertools.count(1)


def make_person(*roles: Role, **fields: Any) -> User:
    number = next(_numbers)
    fields = {"name": f"Person {number}"} | fields
    user = User.objects.create_user(f"p{number}-{uuid.uuid4().hex[:6]}@example.org", None, **fields)
    RoleAssignment.objects.bulk_create(RoleAssignment(user=user, role=role) for role in roles)
    return user


def actor(user: User, auth_method: str = "password") -> Actor:
    return actor_for_user(user, auth_method=auth_method)


def make_source(**fields: Any) -> Source:
    number = next(_numbers)
    values = {"slug": f"source-{number}", "name": f"Source {number}", "kind": "push", "last_success_at": NOW}
    return Source.objects.create(**(values | fields))


def make_identity(source: Source | None = None, **fields: Any) -> Identity:
    name = f"svc-{next(_numbers)}"
    values = {
        "external_id": name,
        "name": name,
        "kind": "database_user",
        "first_seen_at": NOW - timedelta(days=200),
        "last_changed_at": NOW - timedelta(days=200),
        "content_hash": b"\0" * 32,
    }
    return Identity.objects.create(source=source or make_source(), **(values | fields))


def make_version(
    grant: Grant, permission: dict[str, Any], number: int = 1, seen_from: datetime | None = None
) -> GrantVersion:
    parsed = Permission.from_json(permission)
    return GrantVersion.objects.create(
        grant=grant,
        number=number,
        permission=parsed.to_json(),
        digest=parsed.digest(),
        plain=describe(parsed),
        segment=segment_of(parsed),
        privilege_classes=sorted(classes_of(parsed)),
        is_privileged=is_privileged(parsed),
        catalogue_version=CATALOGUE_VERSION,
        seen_from=seen_from or NOW - timedelta(days=200),
    )


def make_grant(identity: Identity | None = None, permission: dict[str, Any] | None = None, **fields: Any) -> Grant:
    identity = identity or make_identity()
    label = f"grant-{next(_numbers)}"
    values = {
        "external_id": label,
        "label": label,
        "path": [{"kind": "direct"}],
        "first_seen_at": NOW - timedelta(days=200),
        "last_changed_at": NOW - timedelta(days=200),
        "content_hash": b"\0" * 32,
    }
    grant = Grant.objects.create(source=identity.source, identity=identity, **(values | fields))
    make_version(grant, permission or HELD)
    return grant


def make_many_grants(number: int, each: int = 10) -> list[uuid.UUID]:
    """So many equal grants, `each` per identity, written in bulk; their ids."""
    source, parsed = make_source(), Permission.from_json(HELD)
    seen: dict[str, Any] = {"first_seen_at": NOW, "last_changed_at": NOW, "content_hash": b"\0" * 32}
    identities = [
        Identity(source=source, external_id=f"many-{n}", name=f"many-{n}", kind="database_user", **seen)
        for n in range(-(-number // each))
    ]
    grants = [
        Grant(source=source, identity=identities[n // each], external_id=f"of-many-{n}", label=f"grant {n}", **seen)
        for n in range(number)
    ]
    facts: dict[str, Any] = {
        "permission": parsed.to_json(),
        "digest": parsed.digest(),
        "plain": describe(parsed),
        "segment": "databases",
    }
    facts |= {"privilege_classes": [], "is_privileged": False, "catalogue_version": CATALOGUE_VERSION}
    Identity.objects.bulk_create(identities)
    Grant.objects.bulk_create(grants)
    GrantVersion.objects.bulk_create(GrantVersion(grant=grant, number=1, seen_from=NOW, **facts) for grant in grants)
    return [grant.pk for grant in grants]


def change_grant(grant: Grant, permission: dict[str, Any], now: datetime = NOW) -> GrantVersion:
    """What a reading does when the content differs: close the current version, write the next."""
    current = grant.versions.get(seen_until=None)
    GrantVersion.objects.filter(pk=current.pk).update(seen_until=now)
    return make_version(grant, permission, current.number + 1, now)


def make_credential(identity: Identity | None = None, **fields: Any) -> Credential:
    identity = identity or make_identity()
    values = {
        "external_id": f"cred-{next(_numbers)}",
        "kind": "password",
        "first_seen_at": NOW - timedelta(days=200),
        "last_changed_at": NOW - timedelta(days=200),
        "content_hash": b"\0" * 32,
    }
    return Credential.objects.create(source=identity.source, identity=identity, **(values | fields))


def make_use(identity: Identity, action: str, resource: str, days_ago: int = 1, count: int = 1) -> Usage:
    return Usage.objects.create(
        identity=identity, action=action, resource=resource, last_seen_at=NOW - timedelta(days=days_ago), count=count
    )


def make_window(source: Source, identity: Identity | None = None, days: int = 90, **observable: Any) -> UsageWindow:
    return UsageWindow.objects.create(
        source=source,
        identity=identity,
        log="statements",
        observed_from=NOW - timedelta(days=days),
        observed_until=NOW,
        observable=observable or {"actions": ["SELECT", "INSERT", "DELETE", "TRUNCATE"], "resources": ["table:*/*/*"]},
    )


def make_schedule(**fields: Any) -> ReviewSchedule:
    person = fields.get("fallback_reviewer") or make_person(Role.REVIEWER)
    values = {
        "name": f"Schedule {next(_numbers)}",
        "item_kinds": ["grant"],
        "rrule": "FREQ=DAILY",
        "starts_at": NOW,
        "reviewer_rules": ["owner"],
        "fallback_reviewer": person,
        "created_by": person,
        "interval_reason": "Daily, because it is a test.",
        "next_due_at": NOW,
    }
    return ReviewSchedule.objects.create(**(values | fields))


def make_watch(**fields: Any) -> ReviewWatch:
    person = fields.get("fallback_reviewer") or make_person(Role.REVIEWER)
    values = {"trigger": Trigger.PRIVILEGED, "reviewer_rules": ["owner"]}
    return ReviewWatch.objects.create(**(values | {"fallback_reviewer": person, "created_by": person} | fields))


def make_campaign(is_open: bool = True, **fields: Any) -> Campaign:
    """A campaign over everything there is, opened by the real use case unless told otherwise."""
    values = {
        "name": "Quarterly review",
        "item_kinds": ["grant"],
        "reviewer_rules": ["owner"],
        "deadline_policy": "keep_and_escalate",
        "deadline_at": NOW + timedelta(days=14),
    }
    values |= {name: make_person(Role.CAMPAIGN_MANAGER) for name in ["manager"] if name not in fields}
    values |= {name: make_person(Role.REVIEWER) for name in ["fallback_reviewer"] if name not in fields}
    campaign = Campaign.objects.create(**(values | fields))
    return open_campaign(campaign_id=campaign.pk, actor=system_actor("scheduler"), now=NOW) if is_open else campaign


def make_item(permission: dict[str, Any] | None = None, owner: User | None = None, **campaign: Any) -> ReviewItem:
    """One open question about one grant, asked from its owner."""
    owner = owner or make_person(Role.OWNER)
    grant = make_grant(make_identity(owner=owner), permission)
    return get_item(make_campaign(**campaign), grant)


def get_item(campaign: Campaign, thing: Grant | Credential) -> ReviewItem:
    field = "grant" if isinstance(thing, Grant) else "credential"
    return ReviewItem.objects.get(campaign=campaign, **{field: thing})


@pytest.fixture
def make() -> SimpleNamespace:
    """Every factory: `make.person(Role.OWNER)`, `make.grant(identity)`, `make.item(make.PRIVILEGED)` …"""
    return SimpleNamespace(
        NOW=NOW,
        HELD=HELD,
        NARROWER=NARROWER,
        PRIVILEGED=PRIVILEGED,
        actor=actor,
        person=make_person,
        source=make_source,
        identity=make_identity,
        grant=make_grant,
        many_grants=make_many_grants,
        change_grant=change_grant,
        credential=make_credential,
        use=make_use,
        window=make_window,
        schedule=make_schedule,
        watch=make_watch,
        campaign=make_campaign,
        item=make_item,
        get_item=get_item,
    )


@pytest.fixture
def verbs() -> Callable[..., list[str]]:
    """`verbs("item.")`: the verbs recorded so far, sorted; with a prefix, only those."""

    def read(prefix: str = "") -> list[str]:
        found = AuditEvent.objects.filter(verb__startswith=prefix)
        return sorted(found.values_list("verb", flat=True))

    return read
