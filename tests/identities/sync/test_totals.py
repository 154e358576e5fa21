"""The counters that lists sort by agree with a recount after every run."""

import random
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import Count, Max, Q

from identities.models import Credential, Grant, GrantVersion, Identity, Source, Usage

pytestmark = pytest.mark.django_db
ADMIN = {"dialect": "aws", "statements": [{"actions": ["*"], "resources": ["*"]}]}


def recount() -> dict[str, tuple[int, int, int]]:
    """By other means than the product: through the ORM, object by object."""
    counted = Identity.objects.annotate(
        held=Count("grants", filter=Q(grants__retired_at=None), distinct=True),
        keys=Count("credentials", filter=Q(credentials__retired_at=None), distinct=True),
    )
    privileged = {
        row["grant__identity"]: row["n"]
        for row in GrantVersion.objects.filter(seen_until=None, grant__retired_at=None, is_privileged=True)
        .values("grant__identity")
        .annotate(n=Count("pk"))
    }
    return {each.external_id: (each.held, privileged.get(each.pk, 0), each.keys) for each in counted}


def counters() -> dict[str, tuple[int, int, int]]:
    rows = Identity.objects.values_list("external_id", "grant_count", "privileged_count", "credential_count")
    return {name: (grants, privileged, credentials) for name, grants, privileged, credentials in rows}


@pytest.mark.parametrize("seed", range(6))
def test_counters_follow_every_change(seed: int, make_source: Any, send: Any, records: Any) -> None:
    chance = random.Random(seed)
    source = make_source()
    for _ in range(6):
        names = sorted(chance.sample(range(6), 4))
        said = [records.identity(f"i{n}") for n in names]
        for m in range(8):
            if chance.random() < 0.6:
                more = {"permission": ADMIN} if chance.random() < 0.5 else {}
                said.append(records.grant(f"g{m}", f"i{chance.choice(names)}", **more))
            if chance.random() < 0.4:
                said.append(records.credential(f"c{m}", f"i{chance.choice(names)}"))
        send(source, said)

        assert counters() == recount()
        current = Identity.objects.filter(retired_at=None)
        assert Source.objects.get().totals == {
            "identities": current.count(),
            "grants": Grant.objects.filter(retired_at=None).count(),
            "privileged": Grant.objects.filter(retired_at=None, is_privileged=True).count(),
            "credentials": sum(each.credential_count for each in current),
        }


def test_a_grant_says_what_its_current_version_says(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    send(source, [records.identity("a"), records.grant("g", "a")])
    before = Grant.objects.get()

    send(source, [records.identity("a"), records.grant("g", "a", permission=ADMIN)])

    after, version = Grant.objects.get(), GrantVersion.objects.get(seen_until=None)
    assert (before.is_privileged, before.segment) == (False, "queues")
    assert (after.is_privileged, after.segment) == (True, version.segment)


def test_a_grant_and_its_versions_say_everything_that_they_reach(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    several = {
        "dialect": "aws",
        "statements": [{"actions": ["sqs:SendMessage", "dynamodb:GetItem", "s3:GetObject"], "resources": ["*"]}],
    }
    send(source, [records.identity("a"), records.grant("g", "a", permission=several), records.grant("h", "a")])
    before = {grant.external_id: (grant.segment, grant.further_segments) for grant in Grant.objects.all()}

    send(source, [records.identity("a"), records.grant("g", "a"), records.grant("h", "a", permission=several)])

    after = {grant.external_id: (grant.segment, grant.further_segments) for grant in Grant.objects.all()}
    several_of_them, one = ("databases", ["queues", "storage"]), ("queues", [])
    assert before == {"g": several_of_them, "h": one}
    assert after == {"g": one, "h": several_of_them}
    versions = GrantVersion.objects.filter(grant__external_id="g").order_by("number")
    assert [(version.segment, version.further_segments) for version in versions] == [several_of_them, one]


def test_what_was_there_before_is_filled_in_as_a_reading_would_write_it(
    make_source: Any, send: Any, records: Any
) -> None:
    source = make_source()
    s3_and_sqs = {"dialect": "aws", "statements": [{"actions": ["s3:*", "sqs:*"], "resources": ["*"]}]}
    identity = records.identity("a")
    changed = records.grant("changed", "a", permission=s3_and_sqs)
    gone = records.grant("gone", "a", permission=s3_and_sqs)
    send(source, [identity, changed, gone, records.grant("one", "a"), records.grant("all", "a", permission=ADMIN)])
    send(source, [identity, changed | {"permission": ADMIN}, records.grant("one", "a")])
    written = [list(model.objects.order_by("pk").values("pk", "further_segments")) for model in (Grant, GrantVersion)]
    for model in (Grant, GrantVersion):
        model.objects.update(further_segments=[])

    import_module("identities.migrations.0023_fill_further_segments").fill(apps, SimpleNamespace(connection=connection))

    filled = [list(model.objects.order_by("pk").values("pk", "further_segments")) for model in (Grant, GrantVersion)]
    assert filled == written
    assert {grant.external_id: grant.further_segments for grant in Grant.objects.all()}["gone"] == ["queues"]


def test_the_latest_use_is_kept_by_any_evidence(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    send(source, [records.identity("a", last_used_at="2026-11-01T00:00:00Z")])
    by_source = Identity.objects.get().last_seen_at

    send(source, [records.usage("a")], mode="delta", end=False)
    by_log = Identity.objects.get().last_seen_at
    send(source, [records.identity("a", last_used_at="2026-11-22T00:00:00Z")])

    assert by_source.isoformat() == "2026-11-01T00:00:00+00:00"
    assert by_log == Usage.objects.aggregate(at=Max("last_seen_at"))["at"]
    assert Identity.objects.get().last_seen_at.isoformat() == "2026-11-22T00:00:00+00:00"


def test_a_credential_in_use_is_use_of_its_identity_also_after_its_end(
    make_source: Any, send: Any, records: Any
) -> None:
    source, early, late = make_source(), "2026-11-01T00:00:00Z", "2026-11-22T00:00:00Z"
    identity = records.identity("a", last_used_at=early)
    send(source, [identity, records.credential("c", "a", last_used_at=early)])

    # Nothing else changed, so nothing but the time says that the key was used.
    send(source, [identity, records.credential("c", "a", last_used_at=late)])
    by_key = Identity.objects.get().last_seen_at
    send(source, [identity])

    assert Identity.objects.get().credential_count == 0
    assert [by_key.isoformat(), Identity.objects.get().last_seen_at.isoformat()] == ["2026-11-22T00:00:00+00:00"] * 2


@pytest.mark.parametrize("said", [{"purpose": "Sends invoices"}, {}], ids=["changed", "otherwise the same"])
def test_a_later_use_is_kept_whether_or_not_something_else_changed(
    said: dict[str, str], make_source: Any, send: Any, records: Any
) -> None:
    source = make_source()
    early, late = "2026-11-01T00:00:00Z", "2026-11-22T00:00:00Z"
    send(source, [records.identity("a", last_used_at=early), records.credential("c", "a", last_used_at=early)])

    storage = {"storage": "vault"} if said else {}
    later = [
        records.identity("a", last_used_at=late, **said),
        records.credential("c", "a", last_used_at=late, **storage),
    ]
    send(source, later)

    kept = Identity.objects.get(), Credential.objects.get()
    assert [each.last_used_at.isoformat() for each in kept] == ["2026-11-22T00:00:00+00:00"] * 2
    assert kept[0].last_seen_at == kept[0].last_used_at
