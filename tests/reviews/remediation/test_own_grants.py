"""A review's answer about what Remit granted on request: the order ends it here, and the decision point proves it."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.kernel.permissions import Permission
from identities.models import DecisionTally, Grant
from identities.pdp.deciding import decide
from identities.pdp.logging import RECORDER
from identities.pdp.reasons import Reason
from identities.pdp.requests import Decision, Request
from reviews import access_requests, remediation
from reviews.issued import ending
from reviews.models import AccessRequest
from reviews.remediation.restoring import NotRestorable, restore_order
from reviews.states import AccessRequestState, OrderState
from reviews.views.order_steps import steps_of

REFUND = {
    "dialect": "postgresql",
    "statements": [{"actions": ["INSERT", "SELECT"], "resources": ["table:ledger/public/refunds"]}],
}
LESS = {
    "dialect": "postgresql",
    "statements": [{"actions": ["SELECT"], "resources": ["table:ledger/public/refunds"]}],
}
WORKER = {"type": "identity", "id": "worker", "kind": "service_account", "name": "queue worker"}


@pytest.fixture
def issued(own_trail: None, db: None, make: Any, make_story: Callable[..., Any], push: Any) -> SimpleNamespace:
    """A worker of a pushed source that holds REFUND on request for a day; `also` is what its source gives it."""

    def go(*also: dict[str, Any]) -> SimpleNamespace:
        story = make_story(kind="push", name="Queues")
        given = [
            {"type": "grant", "id": f"standing-{number}", "identity": "worker", "label": "Standing", "permission": each}
            for number, each in enumerate(also)
        ]
        push(story, [WORKER, *given])
        worker, now = story.identity("worker"), timezone.now()
        asker, other = make.person(Role.ADMINISTRATOR), make.person(Role.REVIEWER)
        request = access_requests.request_access(
            identity=worker, permission=Permission.from_json(REFUND), until=now + timedelta(days=1),
            reason="Refunds of the outage.", actor=make.actor(asker), now=now,
        )  # fmt: skip
        access_requests.grant_request(request=request, actor=make.actor(other), now=now)
        return SimpleNamespace(
            story=story, worker=worker, request=AccessRequest.objects.get(), asker=make.actor(asker),
            grant=Grant.objects.select_related("identity", "source").get(source__slug="granted-on-request"),
        )  # fmt: skip

    return go


def may(case: SimpleNamespace, action: str = "INSERT") -> bool:
    asked = Request("identity", str(case.worker.pk), action, "table", "table:ledger/public/refunds")
    return decide(asked, now=timezone.now()).permit


def request_of(case: SimpleNamespace) -> AccessRequest:
    return AccessRequest.objects.get(pk=case.request.pk)


def test_a_revocation_is_planned_carried_out_and_verified_by_remit_itself(issued: Any) -> None:
    case = issued()
    assert may(case)
    order = case.story.decide(case.grant, "revoke")
    assert order.state == OrderState.PLANNED
    assert order.source == case.grant.source
    assert case.request.pk.hex in order.plan["steps"][0]["text"].replace("-", "")
    assert not may(case), "what a review takes away is honoured no more, even before it is carried out"

    order = case.story.carry_out(order)

    assert (order.state, order.outcome) == (OrderState.VERIFIED, "Ended, and the decision point refuses it now.")
    verbs = AuditEvent.objects.filter(subject_id=str(order.pk)).values_list("verb", flat=True)
    assert sorted(verbs) == ["order.applied", "order.planned", "order.sent", "order.verified"]
    assert steps_of(order)[-1]["label"] == "Refused by the decision point", "no source was read for it"
    assert order.verified_by_run is not None and order.verified_by_run.source == case.grant.source
    request = request_of(case)
    assert (request.state, request.ended_early) == (AccessRequestState.ENDED, "A review took it away.")
    assert not may(case)
    case.grant.source.refresh_from_db()
    assert case.grant.source.next_read_at is None, "there is nothing to read"


def test_what_another_grant_still_gives_is_said_and_closes_once_that_is_gone(issued: Any, push: Any) -> None:
    case = issued(LESS)

    order = case.story.carry_out(case.story.decide(case.grant, "revoke"))
    remediation.drain_orders(now=timezone.now())

    assert case.story.again(order).state == OrderState.STILL_EFFECTIVE
    assert "Ended, but SELECT on table:ledger/public/refunds is still allowed by Standing." in order.outcome
    push(case.story, [WORKER])
    remediation.drain_orders(now=timezone.now())
    assert case.story.again(order).state == OrderState.VERIFIED


def test_what_ended_by_itself_before_its_order_was_sent_is_verified_too(issued: Any) -> None:
    case = issued()
    order = case.story.decide(case.grant, "revoke")
    access_requests.end_access(request=case.request, reason="Done.", actor=case.asker, now=timezone.now())

    order = case.story.carry_out(order)

    assert (order.state, request_of(case).ended_early) == (OrderState.VERIFIED, "Done.")


def test_a_decision_point_that_cannot_answer_proves_nothing(issued: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case = issued()
    order = case.story.decide(case.grant, "revoke")

    with monkeypatch.context() as away:
        away.setattr(
            ending,
            "decide_many",
            lambda asked, **_: [Decision(False, Reason.UNAVAILABLE, order.pk) for _ in asked],
        )
        order = case.story.carry_out(order)
        assert order.state == OrderState.APPLIED
    remediation.drain_orders(now=timezone.now())

    assert case.story.again(order).state == OrderState.VERIFIED


def test_an_end_that_a_review_sets_for_a_day_is_carried_out_on_that_day(issued: Any) -> None:
    case = issued()
    day = timezone.now() + timedelta(hours=2)

    order = case.story.decide(case.grant, "approve_until", until=day)
    assert may(case)
    order = case.story.carry_out(order, now=day + timedelta(seconds=1))

    assert (order.state, request_of(case).state) == (OrderState.VERIFIED, AccessRequestState.ENDED)


def test_it_is_not_brought_back_but_asked_for_again(issued: Any, make: Any) -> None:
    case = issued()
    order = case.story.carry_out(case.story.decide(case.grant, "revoke"))

    with pytest.raises(NotRestorable, match="asks again"):
        restore_order(order=order, reason="Needed.", actor=make.actor(make.person(Role.REVIEWER)), now=timezone.now())


def test_a_narrowing_holds_at_once_and_is_settled_by_ending_the_request(issued: Any) -> None:
    case = issued()

    order = case.story.decide(case.grant, "scope_down", target=LESS)

    assert order.state == OrderState.TASK
    assert "End the request, and ask again" in order.instructions
    assert (may(case, "SELECT"), may(case, "INSERT")) == (True, False)
    access_requests.end_access(request=case.request, reason="Too much.", actor=case.asker, now=timezone.now())
    remediation.drain_orders(now=timezone.now())
    assert case.story.again(order).state == OrderState.VERIFIED


def test_asking_the_decision_point_for_a_proof_is_no_use_of_anything(issued: Any) -> None:
    case = issued(LESS)
    RECORDER.flush()
    before = DecisionTally.objects.count()

    order = case.story.carry_out(case.story.decide(case.grant, "revoke"))

    assert order.state == OrderState.STILL_EFFECTIVE
    RECORDER.flush()
    assert DecisionTally.objects.count() == before
