"""A small inventory in which every field of the filter tells some grants from others."""

import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from governance.kernel.actors import Role
from governance.people.models import Team, User
from identities.models import Grant, GrantUse, GrantVersion, Identity, IdentityPosture, Source, UsageWindow
from tests.identities.scores import score

NOW = timezone.now()
PUBLIC = [{"kind": "public", "id": "public", "label": "public"}]
ROLE = [{"kind": "group", "id": "g", "label": "g"}, {"kind": "role", "id": "r", "label": "r"}]
PATHS: tuple[list[dict[str, str]], ...] = ([{"kind": "direct"}], ROLE, PUBLIC, [])
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Population:
    """owner answers for some; team has some; every identity stands with its grants."""

    owner: User
    team: Team
    identities: dict[Identity, list[Grant]]
    ends: frozenset[uuid.UUID]

    @property
    def grants(self) -> list[Grant]:
        return [grant for held in self.identities.values() for grant in held]


@pytest.fixture
def population(db: None, make_user: Callable[..., User]) -> Population:
    """Forty identities with three grants each, and two more that hold nothing or are gone."""
    owner, team = make_user(), Team.objects.create(name="Ledger")
    sources = [Source.objects.create(slug=slug, name=slug.title(), kind="push") for slug in ("books", "clouds")]
    UsageWindow.objects.create(
        source=sources[1], log="trail", observed_from=NOW - 200 * DAY, observed_until=NOW, observable={}
    )
    identities = [_identity(number, sources, owner, team) for number in range(42)]
    identities[41].retired_at = NOW
    Identity.objects.bulk_create(identities)
    numbers = itertools.count()
    held = {identity: [_grant(next(numbers), identity) for _ in range(3)] for identity in identities}
    held[identities[40]] = []
    Grant.objects.bulk_create(grant for grants in held.values() for grant in grants)
    ends = frozenset(grant.pk for grants in held.values() for grant in grants if grant.shared_with % 4 == 1)
    GrantVersion.objects.bulk_create(_version(grant, grant.pk in ends) for grants in held.values() for grant in grants)
    versions = GrantVersion.objects.select_related("grant").in_bulk()
    GrantUse.objects.bulk_create(filter(None, map(_use, versions.values())))
    for identity, grants in held.items():
        present = [grant for grant in grants if grant.retired_at is None]
        identity.grant_count, identity.privileged_count = len(present), sum(grant.is_privileged for grant in present)
    Identity.objects.bulk_update(identities, ["grant_count", "privileged_count"])
    # Every fourth was never assessed.
    IdentityPosture.objects.bulk_create(_score(number, each) for number, each in enumerate(identities) if number % 4)
    return Population(owner, team, held, ends)


def _identity(number: int, sources: list[Source], owner: User, team: Team) -> Identity:
    return Identity(
        source=sources[number % 5 == 0],
        external_id=f"role/{number:02d}",
        name=f"{('ledger', 'payouts', 'Größe')[number % 3]}-{number:02d}",
        kind=("bot", "workload", "ai_agent")[number // 2 % 3],
        environment=("production", "staging", "unknown")[number // 3 % 3],
        environment_edited="development" if number % 11 == 0 else "",
        status="disabled" if number % 7 == 0 else "active",
        owner=owner if number % 4 == 0 else None,
        team=team if number % 6 == 0 else None,
        tags=["pci"] if number % 8 == 0 else [],
        source_tags=["pci", "eu"] if number % 9 == 0 else [],
        last_seen_at=NOW - (5 if number % 2 else 400) * DAY if number % 5 else None,
        first_seen_at=NOW - (3 if number % 10 == 0 else 100) * DAY,
        last_changed_at=NOW,
        content_hash=b"\0" * 32,
    )


def _score(number: int, identity: Identity) -> IdentityPosture:
    exposure = None if number % 10 == 3 else (number * 7.3) % 100
    return score(identity, number % 5, exposure, has_excess=(True, False, None)[number % 3])


def _grant(number: int, identity: Identity) -> Grant:
    return Grant(
        source=identity.source,
        identity=identity,
        external_id=f"grant-{number:03d}",
        label=f"{('READ', 'write', 'own')[number % 3]} table {number // 4 % 9}",
        path=PATHS[number // 3 % 4],
        shared_with=number,
        segment=("databases", "queues", "admin", "databases")[number % 4],
        further_segments=["queues", "storage"] if number % 8 == 3 else [],
        is_privileged=number % 13 == 0,
        first_seen_at=NOW - (3 if number % 17 == 0 else 100) * DAY,
        last_changed_at=NOW,
        retired_at=identity.retired_at,
        content_hash=b"\0" * 32,
    )


def _version(grant: Grant, ends: bool) -> GrantVersion:
    return GrantVersion(
        grant=grant,
        number=1,
        permission={"dialect": "postgresql", "statements": []},
        digest=b"\1" * 32,
        plain=["may read a table"],
        segment=grant.segment,
        further_segments=grant.further_segments,
        privilege_classes=[],
        is_privileged=grant.is_privileged,
        catalogue_version="1",
        seen_from=grant.first_seen_at,
        valid_until=NOW + DAY if ends else None,
    )


def _use(version: GrantVersion) -> GrantUse | None:
    """Of four grants: nothing known, used five days ago, quiet for 120 days, used 250 days ago and unwatched since."""
    used, quiet = ((None, None), (5, 5), (None, 120), (250, None))[version.grant.shared_with % 4]
    if used is None and quiet is None:
        return None
    return GrantUse(
        grant=version.grant,
        version=version,
        identity_id=version.grant.identity_id,
        source_id=version.grant.source_id,
        used_before=None if used is None else NOW - used * DAY,
        quiet_since=None if quiet is None else NOW - quiet * DAY,
    )


@pytest.fixture
def browse(sign_in: Callable[..., Client]) -> Callable[..., Client]:
    """`browse(user)`: a client with that person's session."""

    def go(user: User) -> Client:
        return sign_in(Client(), user, method="password+totp")

    return go


@pytest.fixture
def reader(make_user: Callable[..., User], browse: Callable[..., Client]) -> Client:
    """Somebody who sees everything, in a browser."""
    return browse(make_user(Role.AUDITOR))


@pytest.fixture
def program(db: None, make_token: Any) -> Callable[[str], Any]:
    """`program("/api/v1/grants/?…")`: the answer to a program that may read the inventory."""
    call_command("createcachetable", verbosity=0)  # throttling counts there
    _, secret = make_token(["inventory:read"])

    def get(url: str) -> Any:
        return Client().get(url, headers={"Authorization": f"Bearer {secret}"})

    return get
