"""Many questions go to somebody else: an answer per row, once, and never to somebody who may not answer."""

import json
import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.kernel.errors import Forbidden
from governance.people.tokens import create_token
from reviews.decisions import NotEligible, decide
from reviews.decisions.reassigning import TooManyRows, reassign_all_of, reassign_many
from reviews.models import ReviewItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(make):
    """Three open questions of one owner in one review, one of them on access that `colleague` created."""
    make.owner, make.colleague, make.manager = make.person(), make.person(), make.person(Role.CAMPAIGN_MANAGER)
    identity = make.identity(owner=make.owner)
    make.grants = [make.grant(identity), make.grant(identity), make.grant(identity, created_by=make.colleague)]
    make.review = make.campaign(manager=make.manager, deadline_at=timezone.now() + timedelta(days=9))
    make.items = [make.get_item(make.review, grant) for grant in make.grants]
    return make


def move_all(scene, by=None, **more):
    wish = {"person": scene.owner, "to": scene.colleague, "reason": "She left the team."} | more
    return reassign_all_of(campaign=scene.review, actor=scene.actor(by or scene.manager), now=scene.NOW, **wish)


def assignees(scene):
    return [ReviewItem.objects.get(pk=item.pk).assignee for item in scene.items]


def test_everything_of_one_person_moves_but_what_the_other_may_not_answer(scene, verbs):
    outcome = move_all(scene)
    assert (outcome.moved, outcome.left) == (2, 0)
    [stayed] = [row for row in outcome.rows if not row.ok]
    assert (stayed.item_id, stayed.code) == (scene.items[2].pk, "not-eligible")
    assert "created this access" in stayed.problem
    assert assignees(scene) == [scene.colleague, scene.colleague, scene.owner]
    assert verbs("item.") == ["item.delegated", "item.delegated"]


def test_a_second_time_moves_nothing_more(scene, verbs):
    move_all(scene)
    assert move_all(scene).moved == 0
    assert verbs("item.") == ["item.delegated", "item.delegated"]


def test_answered_questions_stay_answered(scene):
    item = scene.items[0]
    decide(item=item, version=1, answer="approve", actor=scene.actor(scene.owner), now=scene.NOW)
    assert len(move_all(scene).rows) == 2
    assert assignees(scene)[0] == scene.owner


def test_rows_changed_since_they_were_seen_and_rows_of_others_are_refused_one_by_one(scene):
    stranger = scene.person()
    wish = {"item_ids": [item.pk for item in scene.items[:2]], "to": stranger, "reason": "x", "now": scene.NOW}
    outcome = reassign_many(actor=scene.actor(scene.owner), versions={scene.items[0].pk: 7}, **wish)
    assert [(row.ok, row.code) for row in outcome.rows] == [(False, "stale-item"), (True, "")]
    outcome = reassign_many(actor=scene.actor(scene.person(Role.REVIEWER)), **wish)
    assert {row.problem for row in outcome.rows} == {"There is no such question, or it is not yours to hand on."}


def test_only_who_manages_the_review_moves_everything_of_somebody(scene):
    for who in (scene.owner, scene.person(Role.CAMPAIGN_MANAGER), scene.person(Role.REVIEWER)):
        with pytest.raises(Forbidden):
            move_all(scene, by=who)
    assert move_all(scene, by=scene.person(Role.ADMINISTRATOR)).moved == 2


def test_a_reason_is_needed_and_nobody_who_left_gets_anything(scene):
    for more in ({"reason": "  "}, {"to": scene.person(is_active=False)}):
        with pytest.raises(NotEligible):
            move_all(scene, **more)
    with pytest.raises(TooManyRows):
        many = [item.pk for item in scene.items] + [uuid.uuid4() for _ in range(2000)]
        reassign_many(item_ids=many, to=scene.colleague, reason="x", actor=scene.actor(scene.manager), now=scene.NOW)
    assert set(assignees(scene)) == {scene.owner}


def test_an_owner_cannot_appoint_who_decides_by_moving_many(scene):
    boss = scene.person(Role.ADMINISTRATOR)
    item = scene.item(scene.PRIVILEGED, owner=boss)
    decide(item=item, version=1, answer="approve", actor=scene.actor(boss), now=scene.NOW, reason="Needed.")
    outcome = reassign_many(
        item_ids=[item.pk], to=scene.person(Role.REVIEWER), reason="x", actor=scene.actor(boss), now=scene.NOW
    )
    assert outcome.rows[0].code == "self-review"


def test_five_hundred_rows_cost_a_fixed_number_of_queries(make, django_assert_max_num_queries):
    make.many_grants(500)
    manager = make.person(Role.CAMPAIGN_MANAGER)
    review = make.campaign(manager=manager)
    person = review.fallback_reviewer
    with django_assert_max_num_queries(30):
        outcome = reassign_all_of(
            campaign=review,
            person=person,
            to=make.person(),
            reason="Gone.",
            actor=make.actor(manager),
            now=make.NOW,
        )
    assert outcome.moved == 500


def test_the_page_moves_and_says_what_stayed_and_why(scene, sign_in):
    client = sign_in(Client(), scene.manager)
    path = reverse("reviews:campaign_move", args=[scene.review.pk])
    assert "(3 open)" in client.get(path).content.decode()
    wish = {"person": str(scene.owner.pk), "to": scene.colleague.email, "reason": "She left the team."}
    text = client.post(path, wish).content.decode()
    assert "2 questions moved, 1 not" in text
    assert "created this access" in text
    refused = client.post(path, wish | {"to": "nobody@example.org"})
    assert refused.status_code == 422
    assert "She left the team." in refused.content.decode()


@pytest.fixture
def program(scene):
    boss = scene.person(Role.ADMINISTRATOR)
    now = timezone.now()
    _, plain = create_token(
        name="desk",
        scopes=["reviews:read", "reviews:write"],
        expires_at=now + timedelta(days=1),
        actor=scene.actor(boss),
        now=now,
    )
    return Client(headers={"Authorization": f"Bearer {plain}", "Idempotency-Key": "move-1"})


def send(program, **body):
    return program.post("/api/v1/items/reassign/", json.dumps(body), content_type="application/json")


def test_a_program_moves_once_under_one_key(scene, program):
    wish = {
        "campaign": str(scene.review.pk),
        "person": scene.owner.email,
        "to": scene.colleague.email,
        "reason": "Team changed.",
    }
    first = send(program, **wish)
    assert (first.status_code, first.json()["moved"], first.json()["refused"]) == (200, 2, 1)
    records = AuditEvent.objects.count()
    again = send(program, **wish)
    assert again.json() == first.json()
    assert again["Idempotency-Replayed"] == "true"
    assert AuditEvent.objects.count() == records
    assert send(program, **wish | {"reason": "Other."}).json()["code"] == "idempotency-key-reused"


def test_a_program_hands_on_an_owners_place_and_makes_nobody_decide(scene, program):
    item = scene.item(scene.PRIVILEGED, deadline_at=timezone.now() + timedelta(days=9))
    friend = scene.person(Role.REVIEWER)
    assert send(program, items=[{"item": str(item.pk), "version": 1}], to=friend.email, reason="x").json()["moved"] == 1
    item.refresh_from_db()
    decision = decide(
        item=item, version=2, answer="approve", actor=scene.actor(friend), now=timezone.now(), reason="Needed."
    )
    assert decision.is_attestation
