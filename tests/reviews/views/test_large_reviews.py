"""Reviews of thousands of questions: what a page reads grows with what it shows, and not with what there is."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from governance.kernel.actors import Role
from reviews.models import Campaign, ReviewItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def large(make):
    make.many_grants(120, each=3)
    return make.campaign(manager=make.person(Role.CAMPAIGN_MANAGER), deadline_at=timezone.now() + timedelta(days=9))


def asked_of(client, path):
    """The statements that the page took."""
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return [query["sql"] for query in captured]


def test_its_questions_are_put_in_order_without_what_was_seen_of_them(large, browse):
    statements = asked_of(browse(large.manager), reverse("reviews:campaign_detail", args=[large.pk]))

    in_order = [each for each in statements if "ORDER BY" in each and "LIMIT 51" in each]
    with_contents = [each for each in statements if '"reviews_reviewitem"."seen"' in each]
    assert len(in_order) == len(with_contents) == 1
    assert in_order != with_contents and "ORDER BY" not in with_contents[0]


def test_its_pages_hold_each_question_once_privileged_ones_first(large, browse):
    last = ReviewItem.objects.order_by("-identity__name").first()
    ReviewItem.objects.filter(pk=last.pk).update(is_privileged=True)
    client, path = browse(large.manager), reverse("reviews:campaign_detail", args=[large.pk])
    shown = []
    found = client.get(path)
    while True:
        shown += [item for item, *_ in found.context["rows"]]
        if not found.context["page"].next_cursor:
            break
        found = client.get(path, {"cursor": found.context["page"].next_cursor})

    in_order = sorted(ReviewItem.objects.select_related("identity"), key=lambda item: (item.identity.name, item.pk))
    assert [item.pk for item in shown] == [last.pk, *(item.pk for item in in_order if item.pk != last.pk)]


def test_the_list_of_reviews_counts_the_questions_of_those_that_it_shows(large, browse, make):
    over = make.campaign(is_open=False, name="Over", manager=large.manager, state="closed")
    some = ReviewItem.objects.filter(pk__in=list(ReviewItem.objects.values_list("pk", flat=True)[:7]))
    some.update(campaign=over, state="expired")
    ReviewItem.objects.filter(pk__in=ReviewItem.objects.filter(campaign=large)[:13].values("pk")).update(
        state="expired"
    )
    Campaign.objects.exclude(pk__in=[large.pk, over.pk]).update(state="closed")
    client, path = browse(large.manager), reverse("reviews:campaign_list")

    found = client.get(path)
    counting = [each for each in asked_of(client, path) if "COUNT(" in each and "reviews_reviewitem" in each]

    assert [(each.pk, *counts) for each, *counts in found.context["running"]] == [(large.pk, 113, 13)]
    assert [(each.pk, total) for each, total in found.context["past"]] == [(over.pk, 7)]
    assert "13 of 113" in found.content.decode()
    assert counting and all('"reviews_reviewitem"."campaign_id" IN (' in each for each in counting)
