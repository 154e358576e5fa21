"""What became of an order, as a person reads it: every state has words and a way on, and every step its mark."""

from types import SimpleNamespace

import pytest
from django.urls import reverse
from django.utils import timezone

from governance.kernel.actors import Role
from governance.kernel.permissions import Permission
from identities.connectors.contract import Plan, Step
from reviews.decisions import decide
from reviews.models import Order
from reviews.states import OrderState
from reviews.views.order_steps import steps_of
from reviews.views.outcomes import outcome_of, step_lines, steps_done

STEPS = (Step("attach narrow", "First the narrow one"), Step("detach wide"), Step("end sessions"))
PLAN = Plan(
    action="narrow",
    identity="app",
    grant_external_id="g",
    steps=STEPS,
    inverse=(Step("attach wide"),),
    pre_image={"policy": {"Version": "1", "Statement": [{"Action": ["a", "b"]}]}},
    pre_hash="0",
    post_hash="2",
    stages=("1", "2"),
)


def order_in(state, **fields):
    values = {"plan": PLAN.to_json(), "evidence": {}, "outcome": "", "applied_at": None, "attempts": 1}
    values |= {"task_reported_at": None, "execute_after": timezone.now(), "second_by_id": None}
    values |= {"restores_id": None, "decision": None, "item": None, "is_braked": False}
    return SimpleNamespace(state=state, **(values | fields))


@pytest.mark.parametrize("state", list(OrderState))
def test_every_state_is_said_in_words(state):
    outcome = outcome_of(order_in(state))
    assert outcome.title.endswith(".")
    assert outcome.tone in {"success", "warn", "danger", "info", "neutral"}


@pytest.mark.parametrize(
    "state",
    [state for state in OrderState if state not in {"verified", "recalled", "restored", "settled"}],
)
def test_every_state_that_is_no_end_says_what_to_do_next(state):
    assert outcome_of(order_in(state)).following


@pytest.mark.parametrize(("evidence", "outcome", "done"), [
    ({"done": 1}, "Before step 2 of 2 somebody else changed the same thing.", 1),
    ({"done": 2}, "The change is made, but not what follows it: no.", 2),
    ({}, "The source refused step 2 of 2: no.", 1),
    ({}, "Something else.", 0),
])  # fmt: skip
def test_a_part_of_a_plan_is_counted(evidence, outcome, done):
    order = order_in(OrderState.PARTIAL, evidence=evidence, outcome=outcome, applied_at=timezone.now())
    assert steps_done(order) == done
    assert f"Stopped after step {done} of 3." == outcome_of(order).title
    assert [line.state for line in step_lines(order)][: done + 1] == ["done"] * done + ["stopped"]


def test_a_blocked_plan_stopped_at_its_first_step_and_a_drifted_one_before():
    blocked = step_lines(order_in("blocked", evidence={"done": 0}))
    assert [line.state for line in blocked] == ["stopped", "waiting", "waiting"]
    assert {line.state for line in step_lines(order_in("drifted", evidence={"done": 0}))} == {"waiting"}


def test_a_restoration_waits_for_a_reading_that_shows_the_access():
    assert "no longer shows the access" in outcome_of(order_in(OrderState.APPLIED)).text
    assert "shows the access again" in outcome_of(order_in(OrderState.APPLIED, restores_id="1")).text


def test_what_was_carried_out_is_done_and_where_it_went_on_is_said():
    order = order_in(OrderState.APPLIED, applied_at=timezone.now(), evidence={"steps": 3, "resumed_at": 1})
    assert {line.state for line in step_lines(order)} == {"done"}
    assert "went on at step 2" in outcome_of(order).text


def test_what_was_restored_before_it_was_removed_is_not_shown_as_under_way():
    watch = {"watch": {"locked_at": timezone.now().isoformat()}}
    order = order_in("restored", evidence=watch, lock_plan=PLAN.to_json(), created_at=timezone.now(), second_at=None)
    order.action = "revoke"
    told = [(step["label"], step["state"]) for step in steps_of(order)]
    assert told[1:] == [("Locked out", "done"), ("Watched", "done"), ("Removed", "skipped"), ("Restored", "done")]


def test_drift_before_and_after_the_change_are_two_stories():
    assert "nothing was done" in outcome_of(order_in("drifted")).title
    assert "put it back" in outcome_of(order_in("drifted", applied_at=timezone.now())).title


@pytest.mark.django_db
@pytest.mark.parametrize(("state", "evidence", "said"), [
    ("still_effective", {"still_effective": [["DELETE", "table:l/p/t", "via payments_writer"]]}, "via payments_writer"),
    ("sessions_remain", {"sessions": 2}, "2 sessions that began before the change"),
    ("partial", {"done": 1}, "Stopped after step 1 of 3."),
    ("blocked", {"done": 0}, "nothing was changed"),
    ("drifted", {}, "Look at what the identity holds now."),
])  # fmt: skip
def test_the_page_says_it_with_the_steps_and_the_way_back(make, page_of, state, evidence, said):
    item, reviewer = make.item(), make.person(Role.REVIEWER)
    target = Permission.from_json(make.NARROWER)
    decide(item=item, version=1, answer="scope_down", target=target, actor=make.actor(item.assignee), now=make.NOW)
    Order.objects.update(state=state, evidence=evidence, plan=PLAN.to_json(), instructions="")

    text = page_of(reviewer, "reviews:order_detail", Order.objects.get().pk)

    assert said in text
    assert "What to do next" in text
    assert text.count('class="plan-step"') == 3
    assert "How it would be undone" in text
    assert reverse("identities:identity_detail", args=[item.identity_id]) in text
