"""What people do with findings, and each guard that stops them."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role, system_actor
from governance.kernel.errors import Forbidden
from identities.models import AcceptanceEnd, Finding, FindingAcceptance, FindingEvent, Identity
from identities.posture.findings import acting, settling, wishes
from identities.posture.findings.acting import (
    FindingChanged,
    TooManyFindings,
    act_on_finding,
    act_on_findings,
    approve_acceptance,
    assign_finding,
    preview_act,
    refuse_acceptance,
    request_acceptance,
    withdraw_acceptance,
)
from identities.posture.findings.wishes import Approve, Assign, InvalidWish, NotYours, Request, TooClose, WrongState
from identities.posture.results import Result, Severity
from identities.selectors.filters import InventoryFilter
from identities.selectors.selection import Selection, SelectionChanged
from tests.identities.findings.conftest import DAY, NOW, make_credential, outcome, take
from tests.identities.services.conftest import fill

WHY = {"reason": "The vendor ships the fix in March.", "compensating_control": "Only one host may reach it."}


@pytest.fixture
def people(make_user: Any, actor_of: Any) -> Any:
    """`people(Role.…)`: somebody with these roles, as an actor."""
    return lambda *roles, **more: actor_of(make_user(*roles), **more)


def ask(finding: Finding, actor: Any, **more: Any) -> Finding:
    values = WHY | {"until": NOW + 60 * DAY} | more
    return request_acceptance(finding=finding, version=finding.version, actor=actor, now=NOW, **values)


def approve(finding: Finding, actor: Any) -> Finding:
    return approve_acceptance(finding=finding, version=finding.version, actor=actor, now=NOW)


def test_a_finding_is_assigned_handed_on_and_left_to_nobody(finding, people, make_user):
    manager, ada = people(Role.CAMPAIGN_MANAGER), make_user(name="Ada")

    assigned = assign_finding(finding=finding, version=1, assignee=ada, actor=manager, now=NOW)
    assert (assigned.state, assigned.assignee, assigned.version) == ("assigned", ada, 2)

    again = assign_finding(finding=assigned, version=2, assignee=None, actor=manager, now=NOW)
    assert (again.state, again.assignee) == ("open", None)
    assert [event.step for event in FindingEvent.objects.order_by("pk")] == ["assigned", "unassigned"]
    assert AuditEvent.objects.filter(verb="finding.assigned").count() == 2


def test_what_is_so_already_leaves_no_record(finding, people):
    assert (
        assign_finding(finding=finding, version=1, assignee=None, actor=people(Role.ADMINISTRATOR), now=NOW).version
        == 1
    )
    assert not AuditEvent.objects.filter(verb="finding.assigned").exists()


def test_an_owner_sees_to_what_is_theirs_and_to_nothing_else(finding, identity, actor_of, people, make_user):
    ada = make_user()
    assign_finding(finding=finding, version=1, assignee=ada, actor=actor_of(identity.owner), now=NOW)

    with pytest.raises(NotYours):
        assign_finding(finding=finding, version=2, assignee=None, actor=people(Role.OWNER), now=NOW)
    assign_finding(finding=finding, version=2, assignee=None, actor=actor_of(ada), now=NOW)


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.REVIEWER])
def test_whoever_only_reads_changes_nothing(role, finding, people):
    with pytest.raises(NotYours):
        assign_finding(finding=finding, version=1, assignee=None, actor=people(role), now=NOW)


def test_a_link_from_a_mail_changes_nothing(finding, identity, actor_of):
    with pytest.raises(NotYours):
        ask(finding, actor_of(identity.owner, auth_method="mail_link"))


def test_nobody_who_left_is_assigned(finding, people, make_user):
    gone = make_user(left_at=NOW, is_active=False)
    with pytest.raises(InvalidWish):
        assign_finding(finding=finding, version=1, assignee=gone, actor=people(Role.ADMINISTRATOR), now=NOW)


def test_two_people_never_overwrite_each_other(finding, people, make_user):
    actor = people(Role.ADMINISTRATOR)
    assign_finding(finding=finding, version=1, assignee=make_user(), actor=actor, now=NOW)

    with pytest.raises(FindingChanged):
        assign_finding(finding=finding, version=1, assignee=None, actor=actor, now=NOW)


def test_an_exception_holds_when_a_second_person_agrees(finding, identity, actor_of, people):
    asked = ask(finding, actor_of(identity.owner))
    assert asked.state == "open", "a wish is not an exception"

    found = approve(asked, people(Role.ADMINISTRATOR))

    assert found.state == "accepted"
    acceptance = FindingAcceptance.objects.get()
    assert (acceptance.requested_by, acceptance.severity, acceptance.accepted_at) == (identity.owner, 3, NOW)
    asked_for, agreed = AuditEvent.objects.filter(verb__startswith="finding.acc").order_by("pk")
    assert (asked_for.verb, agreed.verb) == ("finding.acceptance_requested", "finding.accepted")
    assert "vendor" not in asked_for.payload, "free text stands beside the chain"


def test_nobody_approves_what_they_asked_for(finding, people):
    admin = people(Role.ADMINISTRATOR)
    with pytest.raises(TooClose, match="asked for this"):
        approve(ask(finding, admin), admin)


@pytest.mark.parametrize("field", ["owner", "backup_owner", "sponsor"])
def test_nobody_who_answers_for_the_identity_approves(field, finding, identity, make_user, actor_of, people):
    boss = make_user(Role.ADMINISTRATOR)
    asked = ask(finding, people(Role.CAMPAIGN_MANAGER))
    Identity.objects.filter(pk=identity.pk).update(**{field: boss})

    with pytest.raises(TooClose, match="own the identity"):
        approve(asked, actor_of(boss))


def test_nobody_who_holds_its_credential_approves(finding, identity, make_user, actor_of, people):
    boss = make_user(Role.ADMINISTRATOR)
    make_credential(identity, holder=boss)

    with pytest.raises(TooClose, match="hold a credential"):
        approve(ask(finding, people(Role.CAMPAIGN_MANAGER)), actor_of(boss))


def test_nobody_excuses_what_they_were_asked_to_fix(finding, make_user, actor_of, people):
    boss = make_user(Role.ADMINISTRATOR)
    manager = people(Role.CAMPAIGN_MANAGER)
    assigned = assign_finding(finding=finding, version=1, assignee=boss, actor=manager, now=NOW)

    with pytest.raises(TooClose, match="asked to fix"):
        approve(ask(assigned, manager), actor_of(boss))


@pytest.mark.parametrize("role", [Role.OWNER, Role.REVIEWER, Role.AUDITOR])
def test_only_administrators_and_campaign_managers_approve(role, finding, people):
    with pytest.raises(Forbidden):
        approve(ask(finding, people(Role.CAMPAIGN_MANAGER)), people(role))


def test_no_program_approves(finding, people):
    with pytest.raises(Forbidden):
        approve(ask(finding, people(Role.CAMPAIGN_MANAGER)), system_actor("test"))


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"reason": "no"}, "reason"),
        ({"reason": "..........."}, "reason"),
        ({"compensating_control": ""}, "compensating_control"),
        ({"compensating_control": "x" * 2_001}, "compensating_control"),
        ({"until": NOW}, "until"),
        ({"until": NOW + timedelta(days=365, seconds=1)}, "until"),
    ],
)
def test_an_exception_needs_a_reason_a_control_and_an_end_within_a_year(more, field, finding, people):
    with pytest.raises(InvalidWish) as refused:
        ask(finding, people(Role.ADMINISTRATOR), **more)
    assert refused.value.details["field"] == field
    assert not FindingAcceptance.objects.exists()


def test_an_exception_for_a_critical_finding_lasts_at_most_ninety_days(identity, people):
    take([outcome(identity, severity=Severity.CRITICAL)])
    finding = Finding.objects.get()

    with pytest.raises(InvalidWish, match="90 days"):
        ask(finding, people(Role.ADMINISTRATOR), until=NOW + timedelta(days=91))
    assert ask(finding, people(Role.ADMINISTRATOR), until=NOW + timedelta(days=90)).state == "open"


def test_a_finding_has_one_exception_at_a_time(finding, people):
    asked = ask(finding, people(Role.ADMINISTRATOR))
    with pytest.raises(WrongState, match="already"):
        ask(asked, people(Role.ADMINISTRATOR))


def test_a_finding_that_became_worse_meanwhile_is_not_approved_as_it_was(finding, identity, people):
    asked = ask(finding, people(Role.CAMPAIGN_MANAGER))
    take([outcome(identity, severity=Severity.CRITICAL)])

    with pytest.raises(FindingChanged):
        approve(asked, people(Role.ADMINISTRATOR))
    asked.refresh_from_db()
    with pytest.raises(WrongState, match="Nobody asked"):
        approve(asked, people(Role.ADMINISTRATOR))


def test_a_refused_wish_leaves_the_finding_to_be_fixed(finding, people):
    asked, admin = ask(finding, people(Role.CAMPAIGN_MANAGER)), people(Role.ADMINISTRATOR)

    found = refuse_acceptance(finding=asked, version=asked.version, reason="Fix it this week.", actor=admin, now=NOW)

    assert (found.state, FindingAcceptance.objects.get().ended_how) == ("open", AcceptanceEnd.REFUSED)


def test_an_exception_that_is_ended_leaves_the_finding_to_whoever_was_to_fix_it(finding, people, make_user):
    manager = people(Role.CAMPAIGN_MANAGER)
    assigned = assign_finding(finding=finding, version=1, assignee=make_user(), actor=manager, now=NOW)
    found = approve(ask(assigned, manager), people(Role.ADMINISTRATOR))

    found = withdraw_acceptance(finding=found, version=found.version, actor=manager, now=NOW)

    assert (found.state, FindingAcceptance.objects.get().ended_how) == ("assigned", AcceptanceEnd.WITHDRAWN)


@pytest.mark.parametrize("wish", [Assign(None), Request(*WHY.values(), NOW + DAY)])
def test_a_fixed_finding_takes_no_wish(wish, finding, identity, people, make_user):
    take([outcome(identity, Result.PASS)])
    finding.refresh_from_db()
    with pytest.raises(WrongState, match="fixed already"):
        act_on_finding(finding=finding, version=finding.version, wish=wish, actor=people(Role.ADMINISTRATOR), now=NOW)


def test_an_exception_that_ran_out_opens_the_finding_again(finding, people):
    approve(ask(finding, people(Role.CAMPAIGN_MANAGER)), people(Role.ADMINISTRATOR))

    assert settling.settle_findings(now=NOW + 59 * DAY) == 0
    assert settling.settle_findings(now=NOW + 60 * DAY) == 1

    finding.refresh_from_db()
    assert (finding.state, FindingAcceptance.objects.get().ended_how) == ("open", AcceptanceEnd.EXPIRED)
    assert AuditEvent.objects.filter(verb="finding.acceptance_expired").count() == 1
    assert settling.settle_findings(now=NOW + 61 * DAY) == 0


def test_work_of_somebody_who_left_is_open_to_others(finding, people, make_user):
    ada = make_user()
    assign_finding(finding=finding, version=1, assignee=ada, actor=people(Role.ADMINISTRATOR), now=NOW)
    type(ada).objects.filter(pk=ada.pk).update(left_at=NOW, is_active=False)

    assert settling.settle_findings(now=NOW + DAY) == 1
    finding.refresh_from_db()
    assert (finding.state, finding.assignee) == ("open", None)


def test_findings_of_the_gone_end_though_no_pass_met_them(finding, identity):
    Identity.objects.filter(pk=identity.pk).update(retired_at=NOW)

    assert settling.close_gone_findings(now=NOW) == 1
    assert settling.close_gone_findings(now=NOW) == 0
    finding.refresh_from_db()
    assert (finding.state, finding.fixed_how) == ("fixed", "retired")


# --- many at once ---------------------------------------------------------------------------------------------------


@pytest.fixture
def many(identity: Identity) -> list[Finding]:
    """Four findings of one owner and two of nobody."""
    take([outcome(each) for each in (*fill(3, owner=identity.owner), identity, *fill(2))])
    return list(Finding.objects.select_related("identity").order_by("pk"))


def named(findings: list[Finding]) -> Selection:
    return Selection(ids=tuple(finding.pk for finding in findings))


def test_a_preview_writes_nothing_and_the_act_does_what_it_said(many, people, make_user):
    admin, wish = people(Role.ADMINISTRATOR), Assign(make_user())

    seen = preview_act(selection=Selection(filters=InventoryFilter()), wish=wish, actor=admin, now=NOW)
    assert (len(seen.changes), seen.reasons) == (6, [])
    assert not Finding.objects.filter(state="assigned").exists()

    done = act_on_findings(
        selection=Selection(filters=InventoryFilter()), wish=wish, digest=seen.digest, actor=admin, now=NOW
    )
    assert len(done.changes) == Finding.objects.filter(state="assigned", version=2).count() == 6
    assert AuditEvent.objects.filter(verb="finding.assigned").count() == 6


def test_each_that_cannot_change_says_why_and_the_others_change(many, identity, people, make_user, actor_of):
    boss = make_user(Role.ADMINISTRATOR)
    asked, own, mine, unasked = many[:4]
    manager = people(Role.CAMPAIGN_MANAGER)
    for each in (asked, own):
        ask(each, manager)
    ask(mine, actor_of(boss))
    Identity.objects.filter(pk=own.identity_id).update(owner=boss)
    selection = Selection(ids=(asked.pk, own.pk, mine.pk, unasked.pk, uuid4()))

    done = act_on_findings(selection=selection, wish=Approve(), digest=None, actor=actor_of(boss), now=NOW)

    assert [each.standing.finding.pk for each in done.changes] == [asked.pk]
    assert sorted(done.reasons) == sorted(
        [(wishes.NONE_ASKED, 1), ("You own the identity, so somebody else has to approve the exception.", 1),
         ("You asked for this exception, so somebody else has to approve it.", 1), (acting.GONE, 1)]
    )  # fmt: skip
    assert done.selected == 5


def test_an_owner_acts_on_many_of_their_own_and_on_no_others(many, identity, actor_of, make_user):
    act = preview_act(
        selection=Selection(filters=InventoryFilter()),
        wish=Assign(make_user()),
        actor=actor_of(identity.owner),
        now=NOW,
    )
    assert (len(act.changes), act.refused) == (4, [])

    named_all = preview_act(selection=named(many), wish=Assign(None), actor=actor_of(identity.owner), now=NOW)
    assert named_all.gone == 2


def test_an_act_is_refused_when_something_changed_since_its_preview(many, people, make_user):
    admin, wish = people(Role.ADMINISTRATOR), Assign(make_user())
    seen = preview_act(selection=named(many), wish=wish, actor=admin, now=NOW)
    take([outcome(many[0].identity, severity=Severity.LOW)])

    with pytest.raises(SelectionChanged):
        act_on_findings(selection=named(many), wish=wish, digest=seen.digest, actor=admin, now=NOW)
    assert not Finding.objects.filter(state="assigned").exists()


def test_more_than_an_act_takes_is_refused_as_a_whole(many, people, monkeypatch):
    admin = people(Role.ADMINISTRATOR)
    monkeypatch.setattr(acting, "MOST_FINDINGS", 3)
    monkeypatch.setattr(acting, "MOST_NAMED", 4)
    for selection in (Selection(filters=InventoryFilter()), named(many)):
        with pytest.raises(TooManyFindings):
            preview_act(selection=selection, wish=Assign(None), actor=admin, now=NOW)


def test_acting_on_many_costs_as_many_statements_as_acting_on_few(
    many, people, make_user, django_assert_max_num_queries
):
    admin = people(Role.ADMINISTRATOR)
    timezone.now()
    with django_assert_max_num_queries(14):
        act_on_findings(selection=named(many), wish=Assign(make_user()), digest=None, actor=admin, now=NOW)
