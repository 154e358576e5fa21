"""The form that plans a review: long, and cheap all the same."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from governance.kernel.actors import Role

pytestmark = pytest.mark.django_db
PAGES = ["reviews:schedule_create", "reviews:campaign_create"]


@pytest.mark.parametrize("name", PAGES)
def test_a_field_costs_one_of_our_templates_and_its_options_none(make, browse, name):
    client = browse(make.person(Role.CAMPAIGN_MANAGER))
    client.get(reverse(name))
    with CaptureQueriesContext(connection) as before:
        few = client.get(reverse(name))
    for _ in range(30):
        make.person(Role.REVIEWER)

    with CaptureQueriesContext(connection) as after:
        many = client.get(reverse(name))

    assert many.content.count(b"<option") == few.content.count(b"<option") + 2 * 30
    assert len(many.templates) == len(few.templates) < 110
    assert len(after) <= len(before)


def test_what_was_typed_and_what_people_are_called_comes_back_escaped(make, browse):
    client = browse(make.person(Role.CAMPAIGN_MANAGER))
    make.person(Role.REVIEWER, name="<b>Eve</b>")
    bad = '"><script>alert(1)</script>'

    page = client.post(reverse("reviews:schedule_create"), {"name": bad, "interval_reason": bad}).content.decode()

    assert "<script>alert" not in page and "<b>Eve" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 2 and "&lt;b&gt;Eve" in page


def test_only_what_is_wrong_shows_an_error(make, browse):
    client = browse(make.person(Role.CAMPAIGN_MANAGER))
    url = reverse("reviews:schedule_create")

    fresh, refused = client.get(url).content.decode(), client.post(url, {"name": ""}).content.decode()

    assert "errorlist" not in fresh
    assert 'id="id_name_error"' in refused and "This field is required." in refused
