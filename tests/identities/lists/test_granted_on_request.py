"""`source=granted-on-request`: what Remit itself gives has a source of its own, and holders that come from others."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance.kernel.actors import system_actor
from governance.kernel.permissions import Permission
from identities.models import Credential, Finding, Grant, Identity, PosturePolicy
from identities.selectors.access import list_grants
from identities.selectors.filters import InventoryFilter
from identities.selectors.findings import list_findings
from identities.selectors.inventory import (
    list_identities,
    list_population_credentials,
    list_population_grants,
    list_population_identities,
)
from identities.sync.issuing import SLUG, end_grant, issue_grant
from tests.identities.lists.test_agreement import api_of, kinds_of, on_page

pytestmark = pytest.mark.django_db
SYSTEM = system_actor("test")
OWN = f"source={SLUG}"
READS = {"dialect": "aws", "statements": [{"actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::books/*"]}]}
EVERYTHING = {"dialect": "aws", "statements": [{"actions": ["*"], "resources": ["*"]}]}


@pytest.fixture
def given(population: Any) -> dict[str, Grant]:
    """`reads` to somebody from books, `all` (privileged) to somebody from clouds, and one that ended already."""
    present = {identity: held for identity, held in population.identities.items() if held and not identity.retired_at}
    # Whoever gets the harmless one holds something privileged from its own source: that is not the same grant.
    books = next(i for i, held in present.items() if i.source.slug == "books" and any(g.is_privileged for g in held))
    clouds = next(i for i in present if i.source.slug == "clouds")
    made = {"reads": _give(books, READS), "all": _give(clouds, EVERYTHING), "over": _give(books, EVERYTHING)}
    end_grant(grant=Grant.objects.select_for_update().get(pk=made["over"].pk), actor=SYSTEM, now=timezone.now())
    assert made["all"].is_privileged and not made["reads"].is_privileged
    return made


def _give(identity: Identity, permission: dict[str, Any]) -> Grant:
    now = timezone.now()
    return issue_grant(
        identity=identity, permission=Permission.from_json(permission), until=now + timedelta(days=1),
        label=f"{identity.name} asked", reference=uuid.uuid4(), issued_by=None, actor=SYSTEM, now=now,
    )  # fmt: skip


def own(g: Grant) -> bool:
    return g.source.slug == SLUG


def of(g: Grant, slug: str) -> bool:
    return g.identity.source.slug == slug


Which = Callable[[Grant], bool]
# (filter, which grants, which of an identity's grants make it one of the list, which must not be among them).
CASES: list[tuple[str, Which, Which | None, Which | None]] = [
    (OWN, own, own, None),
    (f"source=-{SLUG}", lambda g: not own(g), None, own),
    ("source=clouds", lambda g: of(g, "clouds"), None, None),
    (f"source=clouds,{SLUG}", lambda g: of(g, "clouds") or own(g), None, None),
    (f"source=-clouds,-{SLUG}", lambda g: not (of(g, "clouds") or own(g)), None, None),
    (f"{OWN}&privileged=yes", lambda g: own(g) and g.is_privileged, lambda g: own(g) and g.is_privileged, None),
    (f"{OWN}&kind=bot,workload", lambda g: own(g) and g.identity.kind in ("bot", "workload"), None, None),
    (f"{OWN}&standing=no", own, None, None),
    (f"{OWN}&segment=databases", lambda g: own(g) and "databases" in (g.segment, *g.further_segments), None, None),
]


@pytest.mark.parametrize(("text", "which", "holds", "never"), CASES, ids=[case[0] for case in CASES])
def test_lists_the_api_saved_views_and_a_scope_agree(
    text: str, which: Which, holds: Which | None, never: Which | None,
    given: dict[str, Grant], reader: Client, program: Any,
) -> None:  # fmt: skip
    now, filters = timezone.now(), InventoryFilter.parse(text)
    present = list(Grant.objects.filter(retired_at=None).select_related("identity", "identity__source", "source"))
    wanted = {g.external_id for g in present if which(g)}
    in_review = {g.external_id for g in present if which(g) and "public" not in kinds_of(g)}

    assert wanted
    assert api_of(program, "grants", text, "external_id") == wanted
    assert on_page(reader, "/access/", text) == {g.label for g in present if g.external_id in wanted}
    saved = InventoryFilter.parse(filters.to_text())
    assert {g.external_id for g in list_grants(actor=SYSTEM, filters=saved, now=now)} == wanted
    scope = list_population_grants(filters=filters, actor=None, now=now)
    assert {version.grant.external_id for version in scope} == in_review
    if holds or never:
        names = {
            i.name
            for i in Identity.objects.filter(retired_at=None)
            if (holds is None or any(holds(g) for g in present if g.identity_id == i.pk))
            and not (never is not None and any(never(g) for g in present if g.identity_id == i.pk))
        }
        assert api_of(program, "identities", text, "name") == names == on_page(reader, "/identities/", text)
        assert {i.name for i in list_population_identities(filters=filters, actor=None, now=now)} == names


def test_several_sources_list_whoever_comes_from_one_or_holds_what_fits(given: dict[str, Grant]) -> None:
    def names(text: str) -> set[str]:
        filters = InventoryFilter.parse(text)
        return {i.name for i in list_identities(actor=SYSTEM, filters=filters, now=timezone.now())}

    of_clouds, reader = names("source=clouds"), given["reads"].identity.name

    assert reader not in of_clouds
    assert names(f"source=clouds,{SLUG}") == of_clouds | {reader}
    assert names(f"source=clouds,{SLUG}&access=asked") == {reader, given["all"].identity.name}
    assert names(f"source=-clouds,-{SLUG}") == names("source=books") - {reader}


def test_what_ended_is_found_among_what_is_gone(given: dict[str, Grant]) -> None:
    filters = InventoryFilter.parse(f"{OWN}&retired=yes")

    assert list(list_grants(actor=SYSTEM, filters=filters, now=timezone.now())) == [given["over"]]


def test_credentials_and_findings_are_those_of_whoever_holds_it(given: dict[str, Grant], make_finding: Any) -> None:
    holder = given["all"].identity
    other = Identity.objects.exclude(pk__in=[g.identity_id for g in given.values()])[0]
    now = timezone.now()
    for identity in (holder, other):
        Credential.objects.create(
            source=identity.source, identity=identity, external_id=identity.name, kind="api_key", status="active",
            first_seen_at=now, last_changed_at=now, content_hash=b"\0" * 32,
        )  # fmt: skip
        make_finding(identity)
    filters = InventoryFilter.parse(OWN)

    credentials = list_population_credentials(filters=filters, actor=None, now=now)
    findings = list_findings(actor=SYSTEM, filters=filters, now=now)

    assert [c.external_id for c in credentials] == [holder.name]
    assert [f.identity for f in findings] == [holder]
    assert not list_findings(actor=SYSTEM, filters=InventoryFilter.parse(f"{OWN}&segment=queues&path=role"), now=now)


@pytest.mark.parametrize("path", ["/access/", "/identities/"])
def test_it_costs_no_more_queries_than_another_source(path: str, given: dict[str, Grant], reader: Client) -> None:
    def cost(text: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert reader.get(f"{path}?{text}").status_code == 200
        return len(queries)

    cost(OWN)  # whatever is loaded once

    assert cost(OWN) <= cost("source=clouds")


@pytest.fixture
def make_finding(db: None) -> Callable[[Identity], Finding]:
    def make(identity: Identity) -> Finding:
        now = timezone.now()
        return Finding.objects.create(
            rule="NHI7-A", source=identity.source, identity=identity, object_kind="identity", object_id=identity.pk,
            severity=3, opened_at=now, found_at=now, changed_at=now, digest=b"\0" * 16,
            policy=PosturePolicy.objects.first(),
        )  # fmt: skip

    return make
