import uuid

import pytest
from django.db.models import Model

from identities.models import Credential, Grant
from reviews.decisions.loading import among, load, load_objects, new
from reviews.models import Decision, ReviewItem

pytestmark = pytest.mark.django_db


def columns_of(row: Model) -> dict[str, object]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_what_is_loaded_is_at_hand_and_everything_else_is_read_where_it_is_asked_for(make, django_assert_num_queries):
    item = make.item()
    with django_assert_num_queries(1):
        [found] = load(ReviewItem.objects.filter(pk__in=among([item.pk])), ("id", "state", "assignee_id"))
        assert (found.pk, found.state, found.assignee_id) == (item.pk, item.state, item.assignee_id)
    with django_assert_num_queries(1):
        assert found.seen == item.seen
    assert found == item
    assert columns_of(found) == columns_of(ReviewItem.objects.get(pk=item.pk))


def test_one_object_of_a_question_is_there_and_the_other_is_none(make):
    item = make.item()
    wanted = {"grant": (Grant, ("id", "label")), "credential": (Credential, ("id",))}
    [found] = load_objects(ReviewItem.objects.filter(pk=item.pk), wanted)
    assert (found["grant"], found["grant"].label, found["credential"]) == (item.grant, item.grant.label, None)


def test_a_new_row_is_what_the_model_would_have_made_of_the_same_columns(make):
    given = {"id": uuid.uuid4(), "item_id": uuid.uuid4(), "answer": "approve", "decided_at": make.NOW}
    made, usual = new(Decision, **given), Decision(**given)
    assert columns_of(made) == columns_of(usual)
    assert made._state.adding


def test_many_ids_are_found_as_one_parameter_and_none_finds_nothing(make):
    items = [make.item() for _ in range(2)]
    assert set(ReviewItem.objects.filter(pk__in=among(item.pk for item in items))) == set(items)
    assert not ReviewItem.objects.filter(pk__in=among([])).exists()
