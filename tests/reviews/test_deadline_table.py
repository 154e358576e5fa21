"""The graded deadline: the table itself, and what it does to access that nobody answered for."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from governance.kernel.observing import UseState
from identities.models import Grant
from reviews.campaigns.closing import close_due_campaigns
from reviews.decisions import decide
from reviews.decisions.resolution import RULE_LABELS
from reviews.forms.deadline import table_rows
from reviews.models import Answer, DeadlinePolicy, Order
from reviews.policies import InvalidPolicy, checked
from reviews.policies.deadline import PRESETS, Act, DeadlineTable, Risk, Surroundings, all_cells, table_of
from reviews.remediation import Prepared
from reviews.remediation.executing import execute_order
from reviews.selectors import explain_resolution

PAGE = (Path(__file__).parents[2] / "docs" / "reviews.md").read_text()
DB = pytest.mark.django_db


def cell(act, days=None, risk="standard", use="unused", place="unknown"):
    value = {"act": act} | ({} if days is None else {"days": days})
    return {"table": {risk: {use: {place: value}}}}


def after_deadline(campaign):
    return campaign.deadline_at + timedelta(minutes=1)


def silent(make, table, permission=None, *, is_watched=True, **identity):
    """One question that nobody answers, under a table of one's own, past its deadline."""
    source = make.source()
    if is_watched:
        make.window(source)
    grant = make.grant(make.identity(source, owner=make.person(), **identity), permission)
    campaign = make.campaign(deadline_policy="table", policy={"deadline": table})
    return campaign, grant


def closed(make, campaign, grant):
    close_due_campaigns(now=after_deadline(campaign))
    return make.get_item(campaign, grant)


# --- the table ----------------------------------------------------------------------------------------------------


def test_every_policy_has_its_table():
    assert {*PRESETS, "table"} == set(DeadlinePolicy.values)


def test_the_presets_mean_what_the_three_policies_meant():
    for risk, use, place in all_cells():
        at = {"is_privileged": risk == Risk.PRIVILEGED, "use": use, "environment": place}
        assert PRESETS["keep_and_escalate"].consequence(**at).act == Act.KEEP
        assert PRESETS["revoke"].consequence(**at).act == Act.REVOKE
        gone = risk == Risk.STANDARD and use == UseState.UNUSED
        assert PRESETS["revoke_unused"].consequence(**at).act == (Act.REVOKE if gone else Act.KEEP)


def test_no_consequence_is_an_approval():
    assert {str(act) for act in Act}.isdisjoint({Answer.APPROVE, Answer.APPROVE_UNTIL})


@pytest.mark.parametrize("use", ["", "not_observable", "dormant"], ids=["absent", "not observable", "unheard of"])
def test_what_is_not_known_to_be_unused_never_falls_into_the_column_of_the_unused(use):
    table = DeadlineTable.from_json(cell("revoke", place="production"))
    assert table.consequence(is_privileged=False, use=use, environment="production").act == Act.KEEP


def test_graded_ends_only_what_was_watched_and_never_used():
    graded = PRESETS["graded"].cells
    assert {use for (_, use, _), consequence in graded.items() if consequence.act != Act.KEEP} == {UseState.UNUSED}
    privileged = {consequence.act for (risk, _, _), consequence in graded.items() if risk == Risk.PRIVILEGED}
    assert Act.REVOKE not in privileged


def test_a_cell_that_nobody_wrote_is_kept_and_a_table_that_nobody_wrote_is_the_recommended_one():
    table = DeadlineTable.from_json(cell("expire", 7))
    others = [at for at in all_cells() if at != (Risk.STANDARD, UseState.UNUSED, Surroundings.UNKNOWN)]
    assert all(table.cells[at].act == Act.KEEP for at in others)
    assert DeadlineTable.from_json({}) == PRESETS["graded"]


def test_a_table_survives_being_kept():
    for table in PRESETS.values():
        assert DeadlineTable.from_json(table.to_json()) == table


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (cell("approve"), "table.standard.unused.unknown"),
        (cell("expire"), "table.standard.unused.unknown"),
        (cell("expire", 0), "table.standard.unused.unknown"),
        (cell("expire", 367), "table.standard.unused.unknown"),
        (cell("expire", True), "table.standard.unused.unknown"),
        (cell("expire", "7"), "table.standard.unused.unknown"),
        (cell("revoke", 7), "table.standard.unused.unknown"),
        (cell(["revoke"]), "table.standard.unused.unknown"),
        (cell("keep", risk="priviliged"), "table.priviliged"),
        (cell("keep", use="dormant"), "table.standard.dormant"),
        (cell("keep", place="staging"), "table.standard.unused.staging"),
        ({"table": {"standard": []}}, "table.standard"),
        ({"table": {"standard": {"unused": {"unknown": "revoke"}}}}, "table.standard.unused.unknown"),
        ({"table": None}, "table"),
        ({"tabel": {}}, "tabel"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_table_that_cannot_be_used_is_refused_cell_by_cell(value, field):
    with pytest.raises(InvalidPolicy) as refusal:
        checked({"deadline": value})
    assert set(refusal.value.details["fields"]) == {f"deadline.{field}"}


def test_the_printed_table_is_the_real_one():
    section = PAGE.split("### The graded table\n")[1].split("\n#")[0]
    printed = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", section, re.MULTILINE)[1:]
    assert printed == [(name, *(words for _, words in cells)) for name, cells in table_rows(PRESETS["graded"])]


# --- what it does -------------------------------------------------------------------------------------------------


@DB
def test_access_that_ends_in_days_gets_a_dated_order_and_no_approval(make):
    campaign, grant = silent(make, cell("expire", 14))
    item = closed(make, campaign, grant)
    until = after_deadline(campaign) + timedelta(days=14)
    decision, order = item.decisions.get(), Order.objects.get()
    assert (item.state, decision.answer, decision.until, decision.decided_by_policy) == (
        "decided", "revoke", until, "table",
    )  # fmt: skip
    assert (order.action, order.state, order.execute_after, order.plan) == ("revoke", "planned", until, None)
    assert Grant.objects.get(pk=grant.pk).reviewed_at is None


@DB
def test_an_approval_from_an_earlier_review_lapses_with_the_access(make):
    item = make.item()
    decide(item=item, version=1, answer="approve", actor=make.actor(item.assignee), now=make.NOW)
    make.window(item.grant.source)
    campaign = make.campaign(deadline_policy="table", policy={"deadline": cell("expire", 14)})
    closed(make, campaign, item.grant)
    grant = Grant.objects.get(pk=item.grant_id)
    assert (grant.reviewed_at, grant.approved_until) == (make.NOW, after_deadline(campaign) + timedelta(days=14))


@DB
def test_a_review_does_not_wait_for_what_ends_later(make):
    campaign, grant = silent(make, cell("expire", 14))
    closed(make, campaign, grant)
    campaign.refresh_from_db()
    assert campaign.state == "completed"


@DB
def test_access_that_changed_before_its_day_is_not_taken_away_unseen(make):
    campaign, grant = silent(make, cell("expire", 14))
    closed(make, campaign, grant)
    make.change_grant(grant, make.NARROWER)
    order = Order.objects.get()
    execute_order(order_id=str(order.pk), now=order.execute_after)
    order.refresh_from_db()
    assert order.state == "drifted"


@DB
@pytest.mark.parametrize("environment", ["production", "staging", "unknown"])
def test_the_environment_chooses_the_cell(make, environment):
    campaign, grant = silent(make, cell("revoke", place="production"), environment=environment)
    item = closed(make, campaign, grant)
    assert item.state == ("decided" if environment == "production" else "expired")


@DB
def test_what_cannot_be_observed_is_kept_where_the_unused_goes(make):
    campaign, grant = silent(make, cell("revoke"), is_watched=False)
    assert closed(make, campaign, grant).state == "expired"


def can_quarantine(monkeypatch):
    from reviews.decisions import settling

    monkeypatch.setattr(settling, "prepare", lambda *, item, answer: Prepared(action="quarantine", problem="Away."))


@DB
def test_a_quarantine_is_an_order_where_the_source_can(make, monkeypatch):
    can_quarantine(monkeypatch)
    campaign, grant = silent(make, cell("quarantine", risk="privileged"), make.PRIVILEGED)
    item = closed(make, campaign, grant)
    assert (item.state, item.decisions.get().answer) == ("decided", "quarantine")
    assert Order.objects.get().action == "quarantine"


@DB
def test_two_questions_about_one_identity_lock_it_out_once(make, monkeypatch):
    can_quarantine(monkeypatch)
    source = make.source()
    make.window(source)
    identity = make.identity(source, owner=make.person())
    grants = [make.grant(identity), make.grant(identity)]
    campaign = make.campaign(deadline_policy="table", policy={"deadline": cell("quarantine")})
    assert {closed(make, campaign, grant).state for grant in grants} == {"decided"}
    assert Order.objects.count() == 1


@DB
def test_a_quarantine_that_the_source_cannot_do_is_escalated_and_says_so(make, verbs):
    campaign, grant = silent(make, cell("quarantine", risk="privileged"), make.PRIVILEGED)
    item = closed(make, campaign, grant)
    assert (item.state, item.escalated_at) == ("expired", after_deadline(campaign))
    assert "could not be quarantined" in explain_resolution(item.resolution, RULE_LABELS)[-1]
    assert not Order.objects.exists()
    assert verbs("item.") == ["item.expired"]


@DB
def test_an_identity_that_is_seen_at_work_is_not_locked_out_for_one_unused_access(make, monkeypatch):
    can_quarantine(monkeypatch)
    source = make.source()
    make.window(source)
    identity = make.identity(source, owner=make.person(), last_used_at=make.NOW)
    grant = make.grant(identity)
    campaign = make.campaign(deadline_policy="table", policy={"deadline": cell("quarantine")})
    item = closed(make, campaign, grant)
    assert item.state == "expired"
    assert "in use elsewhere" in item.resolution[-1]["why"]


@DB
def test_old_reviews_keep_their_meaning_whatever_table_stands_beside(make):
    grant = make.grant(make.identity(owner=make.person()))
    campaign = make.campaign(deadline_policy="keep_and_escalate", policy={"deadline": cell("revoke", use="used")})
    assert closed(make, campaign, grant).state == "expired"
    assert table_of("revoke", {}) == PRESETS["revoke"]
