"""What population rules look at is found in a fixed number of queries, and means what it says."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from identities.models import Grant, Identity, Source, SyncMode, SyncOrigin, SyncRun, SyncState
from identities.posture.facts import Missing
from identities.posture.policy import first_policy
from identities.posture.populations import gather_sources, judge_sources
from identities.posture.results import Result
from identities.posture.rules import SourceJudged
from tests.identities.services.conftest import fill

NOW = timezone.now()
POLICY = first_policy()
pytestmark = pytest.mark.django_db


@pytest.fixture
def source() -> Source:
    """A source that was read twice, whole, with three identities."""
    (one, *_) = fill(3)
    told = {"last_success_at": NOW, "last_complete_at": NOW, "totals": {"identities": 3}}
    Source.objects.filter(pk=one.source_id).update(**told)
    for hours in (2, 1):
        read(one.source, hours=hours)
    return one.source


def read(source: Source, *, hours: float, **fields: Any) -> SyncRun:
    at = NOW - timedelta(hours=hours)
    values = {"mode": SyncMode.SNAPSHOT, "origin": SyncOrigin.FILE, "state": SyncState.APPLIED, "is_complete": True}
    values["counts"] = {"identity": {"added": 0, "changed": 0, "retired": 0, "unchanged": 3}}
    return SyncRun.objects.create(source=source, actor_id="test", started_at=at, observed_at=at, **(values | fields))


def seen(source: Source) -> SourceJudged:
    (found,) = gather_sources(NOW, POLICY, [source.pk])
    return found


def test_a_sound_source_passes_but_for_what_no_log_shows(source: Source) -> None:
    results = {outcome.rule: outcome.result for outcome in judge_sources(NOW, POLICY, [source.pk])}

    assert results["POP-1"] is Result.NOT_ASSESSABLE
    assert {results[rule] for rule in ("POP-2", "POP-4", "POP-5")} == {Result.PASS}


def test_callers_that_a_log_named_and_nobody_knows_are_kept(source: Source) -> None:
    read(source, hours=0.5, mode=SyncMode.DELTA, is_complete=False, notes={
        "format": "aws-cloudtrail", "strangers": {"identities": 1, "first": ["old-batch"]},
    })  # fmt: skip

    assert seen(source).unknown_callers == ("old-batch",)


def test_a_log_without_strangers_is_known_to_have_none(source: Source) -> None:
    read(source, hours=0.5, mode=SyncMode.DELTA, is_complete=False, notes={"format": "aws-cloudtrail"})

    assert seen(source).unknown_callers == ()


def test_refused_records_and_a_part_are_said(source: Source) -> None:
    read(source, hours=0.1, refused=3)
    Source.objects.filter(pk=source.pk).update(last_complete_at=None)

    assert seen(source).parts_unread == ("3 records were refused", "only a part of it was ever read")


def test_names_are_compared_within_a_kind_without_regard_to_case(source: Source) -> None:
    first, second, third = Identity.objects.filter(source=source).order_by("pk")
    Identity.objects.filter(pk=second.pk).update(name=first.name.upper())
    Identity.objects.filter(pk=third.pk).update(name=first.name, kind="bot")

    assert len(seen(source).duplicates) == 1  # type: ignore[arg-type]


def test_who_is_gone_without_anybodys_doing_is_missed(source: Source) -> None:
    lost, locked, removed = Identity.objects.filter(source=source).order_by("pk")
    Identity.objects.filter(source=source).update(retired_at=NOW)
    Identity.objects.filter(pk=locked.pk).update(status="disabled")
    Grant.objects.create(
        source=source, identity=removed, external_id="g", label="g", first_seen_at=NOW, last_changed_at=NOW,
        retired_at=NOW, content_hash=b"", removal_expected_at=NOW,
    )  # fmt: skip

    assert seen(source).vanished == (lost.name,)


def test_after_one_reading_nobody_can_have_vanished(source: Source) -> None:
    SyncRun.objects.filter(source=source).order_by("started_at").first().delete()  # type: ignore[union-attr]

    assert isinstance(seen(source).vanished, Missing)


def test_many_sources_cost_as_many_queries_as_one(source: Source, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(8):
        list(gather_sources(NOW, POLICY))
    fill(2)
    fill(2)

    with django_assert_num_queries(8):
        assert len(list(gather_sources(NOW, POLICY))) == 3
