"""A severe finding is asked about once per opening: the access that it names, or all that its identity holds."""

import pytest

from identities.models import Finding, PosturePolicy
from identities.posture.findings.recording import take_outcomes
from identities.posture.results import ObjectKind, Outcome, Result, Severity
from reviews import continuous
from reviews.continuous import findings
from reviews.models import Trigger, WatchHit


@pytest.fixture(autouse=True)
def policy(db):
    PosturePolicy.objects.get_or_create(number=1, defaults={"document": {}})


def judge(estate, severity=Severity.HIGH, result=Result.FAIL, rule="NHI5-A", **evidence):
    """One pass over the identity, a minute after whatever happened last."""
    estate.later(minutes=1)
    pk = estate.get_identity().pk
    is_fail = result is Result.FAIL
    outcome = Outcome(
        rule, result, ObjectKind.IDENTITY, pk, evidence=evidence, severity=severity if is_fail else None,
        reasons=() if is_fail or result is Result.PASS else ("stale",),
    )  # fmt: skip
    take_outcomes([outcome], assessed={rule: [pk]}, policy_number=1, now=estate.now)


def labels(items):
    return {item.grant.external_id for item in items}


@pytest.fixture
def watched(estate):
    """A rule that was written before anything was found."""
    estate.connect(estate.grant("second"))
    estate.watch(Trigger.FINDING, created_at=estate.now)
    return estate


def test_a_severe_finding_asks_about_the_access_that_it_names(watched):
    judge(watched, grants=[watched.get("second").label])

    watched.tick()

    [item] = watched.inbox()
    assert item.grant == watched.get("second")
    facts = item.seen["trigger"]["facts"]
    assert (facts["rule"], facts["severity"], facts["finding"]) == ("NHI5-A", "high", str(Finding.objects.get().pk))


def test_a_finding_that_names_no_access_asks_about_all_of_its_identity(watched):
    judge(watched, Severity.CRITICAL)
    watched.tick()
    assert labels(watched.inbox()) == {"reads", "second"}


@pytest.mark.parametrize("severity", [Severity.LOW, Severity.MEDIUM])
def test_lesser_findings_wait_for_the_calendar(severity, watched):
    judge(watched, severity)
    assert watched.tick() == []


def test_a_finding_from_before_the_rule_is_for_the_calendar(estate):
    estate.connect()
    judge(estate)
    estate.later(minutes=5)
    estate.watch(Trigger.FINDING, created_at=estate.now)
    assert estate.tick() == []


def test_a_finding_is_asked_about_once_until_it_comes_back(watched):
    judge(watched)
    watched.tick()
    for item in watched.inbox():
        watched.answer(item)
    assert watched.tick() == []

    judge(watched, result=Result.PASS)
    judge(watched)
    assert len(watched.tick()) == 1


def test_two_findings_on_one_access_are_one_question_and_both_are_noticed(watched):
    judge(watched)
    judge(watched, rule="NHI5-B")

    assert len(watched.tick()) == 1
    assert len(watched.inbox()) == 2, "two grants, each asked about once"
    noticed = WatchHit.objects.exclude(cause="").values_list("cause", flat=True)
    assert len(set(noticed)) == 2
    for item in watched.inbox():
        watched.answer(item)
    assert watched.tick() == []


@pytest.mark.parametrize("change", [{"state": "accepted"}, {"severity": 2}])
def test_what_was_settled_before_its_turn_came_is_moot(change, watched):
    judge(watched)
    continuous.watch(now=watched.now)
    Finding.objects.update(**change)
    watched.later(minutes=11)

    assert continuous.watch(now=watched.now) == []
    assert set(WatchHit.objects.values_list("outcome", flat=True)) == {"moot"}


def test_more_findings_than_a_chunk_are_noticed_all(watched, monkeypatch):
    monkeypatch.setattr(findings, "CHUNK", 1)
    for rule in ("NHI5-A", "NHI5-B", "NHI5-C"):
        judge(watched, rule=rule)
    watched.tick()
    assert len(set(WatchHit.objects.values_list("cause", flat=True))) == 3
