"""What rules say becomes findings, and only what differs is written."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from governance.audit.models import AuditEvent
from identities.models import (
    AcceptanceEnd,
    Finding,
    FindingAcceptance,
    FindingEvent,
    FindingSeverity,
    Identity,
)
from identities.posture.findings import recording
from identities.posture.findings.recording import Taken
from identities.posture.results import ObjectKind, Outcome, Result, Severity
from tests.identities.findings.conftest import DAY, NOW, make_credential, outcome, take
from tests.identities.services.conftest import fill


def steps(finding: Finding) -> list[str]:
    return list(FindingEvent.objects.filter(finding=finding).order_by("pk").values_list("step", flat=True))


def accepted(finding: Finding, make_user, **fields) -> FindingAcceptance:
    values = {"severity": finding.severity, "reason": "It stays.", "compensating_control": "A wall.",
              "requested_by": make_user(), "requested_at": NOW - DAY, "until": NOW + 30 * DAY,
              "approver": make_user(), "accepted_at": NOW - DAY}  # fmt: skip
    Finding.objects.filter(pk=finding.pk).update(state="accepted")
    return FindingAcceptance.objects.create(finding=finding, **(values | fields))


def test_a_fail_opens_a_finding_with_all_that_the_rule_said(identity):
    taken = take([outcome(identity, evidence={"grants": ["all"], "since": NOW})])

    found = Finding.objects.get()
    assert taken == Taken(opened=1)
    assert (found.rule, found.object_id, found.identity, found.source) == (
        "NHI5-A", identity.pk, identity, identity.source,
    )  # fmt: skip
    assert (found.severity, found.arithmetic, found.evidence["grants"]) == (3, ["base: high"], ["all"])
    assert (found.state, found.opened_at, found.found_at, found.policy_id) == ("open", NOW, NOW, 1)


def test_what_is_said_again_writes_nothing_at_all(identity):
    take([outcome(identity)])
    before = list(Finding.objects.values())

    with CaptureQueriesContext(connection) as queries:
        taken = take([outcome(identity)], at=NOW + DAY)

    assert (taken, list(Finding.objects.values())) == (Taken(), before)
    assert len(queries) == 1, "an unchanged pass asks what is known, and that is all"
    assert AuditEvent.objects.filter(verb="findings.changed").count() == 1


def test_other_evidence_or_severity_is_written_and_told(finding, identity):
    taken = take([outcome(identity, severity=Severity.CRITICAL, arithmetic=("base: high", "+1: production"))])

    finding.refresh_from_db()
    assert taken == Taken(changed=1)
    assert (finding.severity, finding.arithmetic[-1], finding.version) == (4, "+1: production", 2)
    assert finding.opened_at < NOW, "it is still the same finding, open since then"
    assert FindingEvent.objects.get().facts == {"from": 3, "to": 4, "policy": 1}


@pytest.mark.parametrize("passes", [[Result.PASS], []], ids=["a pass", "judged without an outcome"])
def test_a_later_pass_fixes_it_and_nothing_else_does(passes, finding, identity):
    (other,) = fill(1)
    take([outcome(other)])

    taken = take([outcome(identity, result) for result in passes], {"NHI5-A": [identity.pk]}, at=NOW + DAY)

    finding.refresh_from_db()
    assert (taken.fixed, finding.state, finding.fixed_how, finding.fixed_at) == (1, "fixed", "verified", NOW + DAY)
    assert Finding.objects.get(object_id=other.pk).state == "open"


def test_a_pass_that_did_not_judge_the_object_leaves_it_alone(finding):
    (other,) = fill(1)

    take([outcome(other, Result.PASS)], {"NHI5-A": [other.pk], "NHI5-B": [finding.object_id]})

    finding.refresh_from_db()
    assert finding.state == "open"


def test_a_rule_that_no_longer_applies_ends_it_by_that_name(finding, identity):
    take([outcome(identity, Result.NOT_APPLICABLE, reasons=("platform_managed",))])

    finding.refresh_from_db()
    assert (finding.state, finding.fixed_how) == ("fixed", "not_applicable")


def test_not_assessable_never_closes_a_finding_and_says_since_when(finding, identity):
    take([outcome(identity, Result.NOT_ASSESSABLE)])
    take([outcome(identity, Result.NOT_ASSESSABLE)], at=NOW + DAY)

    finding.refresh_from_db()
    assert (finding.state, finding.unjudged_since, finding.unjudged_why) == ("open", NOW, ["stale"])

    assert take([outcome(identity)], at=NOW + 2 * DAY) == Taken(changed=1)
    finding.refresh_from_db()
    assert (finding.unjudged_since, finding.unjudged_why) == (None, [])


def test_a_credential_of_an_identity_that_cannot_be_judged_as_a_whole_is_not_fixed_by_silence(identity):
    key = make_credential(identity)
    take([outcome(key, rule="NHI7-A")])

    taken = take([outcome(identity, Result.NOT_ASSESSABLE, rule="NHI7-A")], {"NHI7-A": [key.pk]})

    assert taken == Taken(unjudged=1)
    assert Finding.objects.get().state == "open"


def test_a_fixed_finding_that_fails_again_is_reopened_and_counted(finding, identity):
    take([outcome(identity, Result.PASS)])

    taken = take([outcome(identity)], at=NOW + DAY)

    finding.refresh_from_db()
    assert taken == Taken(reopened=1)
    assert (finding.state, finding.reopened, finding.opened_at, finding.fixed_at) == ("open", 1, NOW + DAY, None)
    assert finding.found_at == NOW - DAY
    assert steps(finding) == ["fixed", "reopened"]


def test_whoever_was_to_fix_it_is_asked_again_unless_they_left(finding, identity, make_user):
    person = make_user()
    Finding.objects.update(assignee=person, state="assigned")
    take([outcome(identity, Result.PASS)])
    take([outcome(identity)])
    finding.refresh_from_db()
    assert (finding.state, finding.assignee) == ("assigned", person)

    take([outcome(identity, Result.PASS)])
    type(person).objects.filter(pk=person.pk).update(left_at=NOW, is_active=False)
    take([outcome(identity)])
    finding.refresh_from_db()
    assert (finding.state, finding.assignee) == ("open", None)


def test_what_the_source_no_longer_holds_ends_as_retired(finding, identity):
    key = make_credential(identity)
    take([outcome(key, rule="NHI7-A")])
    Identity.objects.filter(pk=identity.pk).update(retired_at=NOW)

    taken = take([], {"NHI5-A": [identity.pk]})

    assert taken == Taken(fixed=2), "what hangs on the identity goes with it"
    assert set(Finding.objects.values_list("state", "fixed_how")) == {("fixed", "retired")}


def test_a_credential_that_vanished_ends_when_its_identity_is_judged(identity):
    key = make_credential(identity)
    take([outcome(key, rule="NHI7-A")])
    type(key).objects.update(retired_at=NOW)

    assert take([outcome(identity, Result.PASS)]).fixed == 1


def test_a_fail_on_something_gone_or_never_held_opens_nothing(identity):
    Identity.objects.filter(pk=identity.pk).update(retired_at=NOW)
    stranger = Outcome("NHI5-A", Result.FAIL, ObjectKind.SOURCE, identity.pk, severity=Severity.LOW)

    assert take([outcome(identity), stranger]).opened == 0


def test_a_finding_about_a_source_belongs_to_no_identity(identity):
    source = identity.source
    take([Outcome("POP-2", Result.FAIL, ObjectKind.SOURCE, source.pk, severity=Severity.MEDIUM)])

    found = Finding.objects.get()
    assert (found.identity, found.source, found.object_kind) == (None, source, "source")


def test_an_accepted_finding_stays_accepted_while_it_fails(finding, identity, make_user):
    accepted(finding, make_user)

    take([outcome(identity, evidence={"grants": ["another"]})])

    finding.refresh_from_db()
    assert (finding.state, finding.evidence) == ("accepted", {"grants": ["another"]})
    assert FindingAcceptance.objects.get().ended_at is None


def test_an_exception_ends_when_the_finding_is_fixed_and_does_not_come_back_with_it(finding, identity, make_user):
    accepted(finding, make_user)

    take([outcome(identity, Result.PASS)])
    take([outcome(identity)], at=NOW + DAY)

    finding.refresh_from_db()
    assert (finding.state, FindingAcceptance.objects.get().ended_how) == ("open", AcceptanceEnd.FIXED)


def test_an_exception_ends_when_the_finding_becomes_worse_than_what_was_accepted(finding, identity, make_user):
    accepted(finding, make_user)

    take([outcome(identity, severity=Severity.CRITICAL)])

    finding.refresh_from_db()
    assert (finding.state, FindingAcceptance.objects.get().ended_how) == ("open", AcceptanceEnd.WORSENED)
    assert steps(finding) == ["severity", "ended"]


def test_an_exception_for_the_same_severity_outlives_a_finding_that_was_less_severe_meanwhile(
    finding, identity, make_user
):
    accepted(finding, make_user)

    take([outcome(identity, severity=Severity.LOW)])
    take([outcome(identity)])

    assert Finding.objects.get().state == "accepted"


def test_a_pass_leaves_one_record_with_counts_and_names_critical_findings(identity):
    others = fill(3)
    take([outcome(each, severity=Severity.CRITICAL) for each in others])
    take([outcome(identity)] + [outcome(each, Result.PASS) for each in others[:1]])

    first, second = AuditEvent.objects.filter(verb="findings.changed").order_by("pk")
    assert '"opened":3' in first.payload and '"opened_by_rule":{"NHI5-A":3}' in first.payload
    assert '"opened":1' in second.payload and '"fixed":1' in second.payload
    told = AuditEvent.objects.filter(verb="finding.opened")
    assert {event.subject_id for event in told} == {
        str(pk) for pk in Finding.objects.filter(severity=FindingSeverity.CRITICAL).values_list("pk", flat=True)
    }


def test_critical_findings_by_the_thousand_are_counted_and_not_told_one_by_one(monkeypatch):
    monkeypatch.setattr(recording, "MOST_TOLD", 2)

    taken = take([outcome(each, severity=Severity.CRITICAL) for each in fill(4)])

    assert (taken.critical, AuditEvent.objects.filter(verb="finding.opened").count()) == (4, 2)


def test_the_number_of_statements_follows_neither_the_objects_nor_the_change():
    many = fill(60)
    with CaptureQueriesContext(connection) as few:
        take([outcome(each) for each in many[:3]])
    with CaptureQueriesContext(connection) as more:
        take([outcome(each) for each in many[3:]])

    assert len(more) == len(few) <= 5


def test_two_passes_at_once_make_one_finding(identity, monkeypatch):
    take([outcome(identity)])
    monkeypatch.setattr(recording, "_known", lambda objects: [])

    assert take([outcome(identity)]).opened == 0
    assert Finding.objects.count() == 1


def test_a_fail_without_a_severity_is_a_mistake_of_the_rule(identity):
    with pytest.raises(ValueError, match="without a severity"):
        take([outcome(identity, severity=None)])


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"state": "fixed"}, "identities_finding_fixed"),
        ({"fixed_at": NOW, "fixed_how": "verified"}, "identities_finding_fixed"),
        ({"state": "assigned"}, "identities_finding_assigned"),
        ({"severity": 5}, "identities_finding_severity"),
        ({"object_kind": "source"}, "identities_finding_of"),
    ],
)
def test_the_database_keeps_out_findings_that_contradict_themselves(fields, name, finding):
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        Finding.objects.filter(pk=finding.pk).update(**fields)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"approver": None}, "identities_acceptance_approved"),
        ({"until": NOW + timedelta(days=366)}, "identities_acceptance_time"),
        ({"until": NOW - 2 * DAY}, "identities_acceptance_time"),
        ({"ended_at": NOW}, "identities_acceptance_ended"),
    ],
)
def test_the_database_keeps_out_exceptions_that_nobody_could_have_made(fields, name, finding, make_user):
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        accepted(finding, make_user, **fields)


def test_the_database_refuses_who_approves_their_own_wish(finding, make_user):
    ada = make_user()
    with pytest.raises(IntegrityError, match="second_person"), transaction.atomic():
        accepted(finding, make_user, requested_by=ada, approver=ada)
