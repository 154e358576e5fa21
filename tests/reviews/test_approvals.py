"""Who approved this permission, when, on which version, having seen what, and what came of it."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from governance.kernel.actors import Role
from governance.kernel.errors import NotFound
from reviews.deadline import expire_due_approvals
from reviews.decisions import decide, recall
from reviews.evidence.approvals import (
    Approvals,
    Independence,
    Standing,
    access_reviewed_grant,
    approvals_of,
    sentence_of,
)
from reviews.models import Answer, Decision, Order

pytestmark = pytest.mark.django_db
PAGE = "/reviews/approvals/{}/"


@pytest.fixture
def owner(make: SimpleNamespace) -> Any:
    return make.person(Role.OWNER, name="Ada Ochieng")


@pytest.fixture
def auditor(make: SimpleNamespace) -> Any:
    return make.person(Role.AUDITOR)


@pytest.fixture
def answer(make: SimpleNamespace, owner: Any) -> Callable[..., Decision]:
    """`answer(grant, "approve")`: the owner's answer in a review of its own."""

    def go(grant: Any, kind: str = Answer.APPROVE, days: int = 1, **more: Any) -> Decision:
        item = make.get_item(make.campaign(), grant)
        now = make.NOW + timedelta(days=days)
        return decide(item=item, version=item.version, answer=kind, actor=make.actor(owner), now=now, **more)

    return go


@pytest.fixture
def grant(make: SimpleNamespace, owner: Any) -> Any:
    return make.grant(make.identity(owner=owner), make.HELD)


@pytest.fixture
def look(make: SimpleNamespace, auditor: Any) -> Callable[..., Approvals]:
    def go(grant: Any, person: Any = None) -> Approvals:
        connection.check_constraints()
        grant.refresh_from_db()
        return approvals_of(grant, actor=make.actor(person or auditor))

    return go


def test_nobody_approved_what_was_never_asked_about(grant: Any, look: Any) -> None:
    found = look(grant)

    assert (found.standing, list(found.answers)) == (Standing.UNAPPROVED, [])
    assert sentence_of(found) == "Nobody has decided on it yet that you may see."


def test_an_approval_names_its_version_its_author_and_what_was_seen(grant: Any, answer: Any, look: Any) -> None:
    decision = answer(grant, reason="Still needed.")

    found = look(grant)

    (only,) = found.answers
    assert found.standing is Standing.APPROVED and found.deciding is only
    assert (only.decision, only.version, only.independence) == (decision, 1, Independence.OWNER)
    assert only.digest == bytes(grant.reviewed_digest).hex() and only.has_seen and len(only.seen_digest) == 64
    assert sentence_of(found).startswith("Version 1 is what Ada Ochieng approved on ")


def test_what_changed_since_its_approval_says_which_version_nobody_approved(
    make: SimpleNamespace, grant: Any, answer: Any, look: Any
) -> None:
    answer(grant)
    make.change_grant(grant, make.NARROWER, now=make.NOW + timedelta(days=3))

    found = look(grant)

    assert (found.standing, found.approved_version, found.current.number) == (Standing.CHANGED, 1, 2)
    assert sentence_of(found).endswith("; version 2 holds now and nobody approved that.")


def test_an_approval_whose_date_came_has_lapsed_by_itself(
    make: SimpleNamespace, grant: Any, answer: Any, look: Any
) -> None:
    answer(grant, Answer.APPROVE_UNTIL, until=make.NOW + timedelta(days=9), reason="For the move.")
    assert expire_due_approvals(now=make.NOW + timedelta(days=10)) == 1

    found = look(grant)

    assert found.standing is Standing.LAPSED and len(found.lapses) == 1
    assert sentence_of(found).endswith("because its end date had come.")


def test_a_revocation_leads_to_its_order_and_no_approval(grant: Any, answer: Any, look: Any) -> None:
    decision = answer(grant, Answer.REVOKE, reason="Unused.")

    found = look(grant)

    assert [order.decision_id for order in found.answers[0].orders] == [decision.pk]
    assert found.standing is Standing.UNAPPROVED
    assert sentence_of(found) == "The last decision, “revoke” by Ada Ochieng, did not let it stay as it is."


def test_an_answer_that_was_taken_back_is_shown_and_carries_nothing(
    make: SimpleNamespace, owner: Any, grant: Any, answer: Any, look: Any
) -> None:
    recall(
        decision=answer(grant, Answer.REVOKE, reason="Unused."), actor=make.actor(owner), now=make.NOW + timedelta(1)
    )

    found = look(grant)

    assert len(found.answers) == 2 and not any(each.is_standing for each in found.answers)
    assert found.deciding is None


def test_answers_of_several_reviews_come_latest_first_with_as_many_queries_as_one(
    make: SimpleNamespace, grant: Any, answer: Any, look: Any, django_assert_max_num_queries: Any
) -> None:
    decisions = [answer(grant, days=day) for day in range(1, 5)]

    with django_assert_max_num_queries(9):
        found = look(grant)

    assert [each.decision for each in found.answers] == decisions[::-1]


def test_whoever_may_not_see_the_access_sees_no_answers(make: SimpleNamespace, grant: Any, answer: Any) -> None:
    answer(grant)

    with pytest.raises(NotFound):
        access_reviewed_grant(actor=make.actor(make.person(Role.OWNER)), grant_id=grant.pk)


def test_what_a_reviewer_saw_is_not_made_up_when_the_question_was_asked_anew(
    grant: Any, answer: Any, look: Any
) -> None:
    decision = answer(grant)
    decision.item.round += 1
    decision.item.save(update_fields=["round"])

    (only,) = look(grant).answers

    assert (only.has_seen, only.seen_digest, only.independence) == (False, "", Independence.UNKNOWN)


# --- page and API -----------------------------------------------------------------------------------------------------


def test_the_page_tells_the_story_and_the_panel_its_latest_part(
    sign_in: Any, auditor: Any, grant: Any, answer: Any, make: SimpleNamespace
) -> None:
    for day in range(1, 8):
        answer(grant, days=day, reason=f"Needed on day {day}.")
    client = sign_in(Client(), auditor)

    page = client.get(PAGE.format(grant.pk)).content.decode()
    panel = client.get(PAGE.format(grant.pk), headers={"HX-Request": "true"}).content.decode()

    assert all(f"Needed on day {day}." in page for day in range(1, 8))
    assert "Approved as it is now" in page and "What the reviewer saw" in page and "the owner of that time" in page
    assert "Needed on day 7." in panel and "Needed on day 1." not in panel and "2 older entries" in panel
    assert "<html" not in panel and PAGE.format(grant.pk) in client.get(f"/grants/{grant.pk}/").content.decode()


def test_an_owner_is_told_that_others_may_see_more(sign_in: Any, owner: Any, grant: Any, answer: Any) -> None:
    answer(grant)

    page = sign_in(Client(), owner).get(PAGE.format(grant.pk)).content.decode()

    assert "administrators and auditors see all" in page and "Ada Ochieng" in page


def test_programs_read_the_same_with_ids(make_token: Any, grant: Any, answer: Any, owner: Any) -> None:
    decision = answer(grant, Answer.REVOKE, reason="Unused.")
    connection.check_constraints()
    _, secret = make_token(scopes=["reviews:read"])

    response = Client(headers={"Authorization": f"Bearer {secret}"}).get(f"/api/v1/grants/{grant.pk}/approvals/")

    body = response.json()
    (told,) = body["answers"]
    assert (body["standing"], body["current_version"], told["id"]) == ("unapproved", 1, str(decision.pk))
    assert (told["decided_by"], told["independence"], told["version"]) == (str(owner.pk), "owner", 1)
    assert told["seen"]["digest"] == told["digest"] and [each["action"] for each in told["orders"]] == ["revoke"]
    assert told["orders"][0]["id"] == str(Order.objects.get().pk)
