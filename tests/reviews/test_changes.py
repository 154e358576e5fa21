"""What differs from the last decision is frozen when a question opens."""

from datetime import timedelta

import pytest

from reviews.decisions import decide, recall
from reviews.models import Change

pytestmark = pytest.mark.django_db


def answer(make, item, how="approve"):
    return decide(
        item=item, version=item.version, answer=how, actor=make.actor(item.assignee), now=make.NOW, reason="Because."
    )


@pytest.fixture
def decided(make):
    """`decided()`: access that was approved in an earlier review, and its grant."""
    owner = make.person()
    grant = make.grant(make.identity(owner=owner))
    decision = answer(make, make.get_item(make.campaign(), grant))
    return grant, decision


def change_in_new_review(make, thing, **more):
    item = make.get_item(make.campaign(**more), thing)
    item.refresh_from_db()
    return item.change


def test_access_that_nobody_decided_on_is_new(make):
    assert make.item().change == Change.NEW


def test_the_same_content_is_unchanged_and_another_one_changed(make, decided):
    grant, _ = decided
    assert change_in_new_review(make, grant) == Change.SAME
    make.change_grant(grant, make.NARROWER)
    assert change_in_new_review(make, grant) == Change.CHANGED


def test_an_answer_that_was_taken_back_is_none(make, decided):
    grant, decision = decided
    recall(decision=decision, actor=make.actor(decision.decided_by), now=make.NOW)
    assert change_in_new_review(make, grant) == Change.NEW


def test_a_rotated_credential_is_another_secret(make):
    credential = make.credential(make.identity(owner=make.person()))
    answer(make, make.get_item(make.campaign(item_kinds=["credential"]), credential), "keep")
    assert change_in_new_review(make, credential, item_kinds=["credential"]) == Change.SAME
    credential.last_rotated_at = make.NOW + timedelta(hours=1)
    credential.save()
    assert change_in_new_review(make, credential, item_kinds=["credential"]) == Change.CHANGED


def test_the_columns_of_the_inbox_come_from_the_evidence(make):
    item = make.item(make.PRIVILEGED)
    item.refresh_from_db()
    assert item.identity_name == item.seen["identity"]["name"]
    assert item.source_name == item.seen["source"]["name"]
    assert item.sameness == item.seen["digest"]
    assert (item.use_state, item.rank) == ("not_observable", 0)
