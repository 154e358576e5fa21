"""Releasing, protesting, windows and the overview as pages and over the API: what people see, and what it costs."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from governance.kernel.actors import Role
from reviews.decisions import decide
from reviews.forms.orders import OPENS
from reviews.models import ChangeWindow, Freeze, Order
from reviews.states import OrderState

pytestmark = pytest.mark.django_db
WINDOW = {"name": "Sunday night", "rrule": "FREQ=WEEKLY;BYDAY=SU", "duration_minutes": 60}
TYPED = WINDOW | {"preset": "custom"}


@pytest.fixture
def ordered(make):
    """`ordered()`: an order that a reviewer has decided on, on privileged production access."""

    def go(**fields):
        reviewer = make.person(Role.REVIEWER)
        grant = make.grant(make.identity(environment="production"), make.PRIVILEGED)
        campaign = make.campaign(fallback_reviewer=reviewer, deadline_at=timezone.now() + timedelta(days=14))
        item = make.get_item(campaign, grant)
        decide(item=item, version=1, answer="revoke", actor=make.actor(reviewer), now=timezone.now(), reason="Unused.")
        Order.objects.filter(item=item).update(**({"instructions": ""} | fields))
        return Order.objects.get(item=item)

    return go


def test_a_second_person_releases_on_the_page_and_whoever_decided_is_told_why_not(make, ordered, browse, page_of):
    order, second = ordered(), make.person(Role.REVIEWER)
    assert "Waiting for you" in page_of(second, "reviews:order_list", view="second")
    assert order.identity.name in page_of(second, "reviews:order_list", view="second")
    assert "Nothing waits for you" in page_of(order.decision.decided_by, "reviews:order_list", view="second")
    told = page_of(order.decision.decided_by, "reviews:order_detail", order.pk)
    assert "You decided this" in told and "Refuse</button>" not in told

    address = reverse("reviews:order_release", args=[order.pk])
    assert browse(second).post(address, {"reason": ""}).status_code == 422
    assert browse(second).post(address, {"reason": "Agreed."}).status_code == 302
    assert "Released by" in page_of(second, "reviews:order_detail", order.pk)
    assert browse(second).post(address, {"reason": "Again."}).status_code == 409


def test_who_may_release_orders_hears_of_them_in_the_inbox(make, ordered, browse, page_of):
    order, second = ordered(), make.person(Role.REVIEWER)
    told = page_of(second, "reviews:inbox")
    assert "1 order waits for your release." in told
    assert "Nothing waits for you" not in told
    assert 'href="/orders/?view=second"' in told
    assert "for your release" not in page_of(order.decision.decided_by, "reviews:inbox")
    assert "for your release" not in page_of(make.person(Role.OWNER), "reviews:inbox")
    ordered()
    assert "2 orders wait for your release." in page_of(second, "reviews:inbox")
    rows = browse(second).get(reverse("reviews:inbox"), headers={"HX-Request": "true"}).content.decode()
    assert "for your release" not in rows


def test_taking_back_is_offered_where_it_is_possible_and_leads_to_the_question(make, ordered, page_of):
    order = ordered(state=OrderState.PLANNED)
    decider, words = order.decision.decided_by, "whoever decided can take the answer back"
    text = page_of(decider, "reviews:order_detail", order.pk)
    assert words in text
    assert f'<dt>Question</dt><dd><a href="{reverse("reviews:item_detail", args=[order.item_id])}">' in text
    order.item.campaign.state = "closed"
    order.item.campaign.save(update_fields=["state"])
    assert words not in page_of(decider, "reviews:order_detail", order.pk)
    order.item.campaign.state = "open"
    order.item.campaign.save(update_fields=["state"])
    Order.objects.filter(pk=order.pk).update(decision=None)  # as a restoration has none
    assert words not in page_of(make.person(Role.ADMINISTRATOR), "reviews:order_detail", order.pk)


@pytest.mark.parametrize(
    ("state", "words"),
    [("awaiting_second", "not before it is released"), ("task", "by a person"), ("recalled", "never")],
)
def test_an_order_that_is_not_sent_by_time_is_not_called_due(make, ordered, page_of, state, words):
    ordered(state=state)
    text = page_of(make.person(Role.ADMINISTRATOR), "reviews:order_list", view="all")
    assert f'data-label="Sent"><span class="muted">{words}</span>' in text


def test_a_refusal_is_shown_with_its_reason(make, ordered, browse, page_of):
    order, second = ordered(), make.person(Role.REVIEWER)
    browse(second).post(reverse("reviews:order_refuse", args=[order.pk]), {"reason": "Payroll needs it."})
    text = page_of(second, "reviews:order_detail", order.pk)
    assert "Refused by a second person." in text and "Payroll needs it." in text
    assert "Refused: Payroll needs it." in page_of(second, "reviews:order_list", view="settled")


def test_the_overview_says_what_is_stuck_and_why_and_filters_by_address(make, ordered, page_of):
    boss = make.person(Role.ADMINISTRATOR)
    stuck = ordered(state=OrderState.FAILED, outcome="Given up after 8 attempts.")
    waits = ordered(state=OrderState.PLANNED, execute_after=timezone.now())
    now = timezone.now()
    Freeze.objects.create(reason="year end", starts_at=now - timedelta(hours=1), ends_at=now + timedelta(days=1))
    text = page_of(boss, "reviews:order_list")
    assert "What does not move, and why" in text and "Given up" in text
    assert f"Held at {waits.source.name}" in text and "freeze, year end" in text
    found = page_of(boss, "reviews:order_list", view="all", state="failed", source=stuck.source.slug)
    assert stuck.identity.name in found and waits.identity.name not in found
    assert "No order matches the filter" in page_of(boss, "reviews:order_list", view="all", source="nowhere")
    page_of(boss, "reviews:order_list", view="x", state="y", action="z")
    assert "Held." in page_of(boss, "reviews:order_detail", waits.pk)


def test_what_a_freeze_holds_is_called_held_once_its_time_has_come(make, ordered, page_of):
    boss, now = make.person(Role.ADMINISTRATOR), timezone.now()
    Freeze.objects.create(reason="year end", starts_at=now - timedelta(hours=1), ends_at=now + timedelta(days=1))
    order = ordered(state=OrderState.PLANNED, execute_after=now)

    def shown():
        row = page_of(boss, "reviews:order_list").split("<tbody>")[1]
        return row, page_of(boss, "reviews:order_detail", order.pk).split("What to do next")[0]

    for text in shown():
        assert ">Held<" in text and "held until" in text
    Order.objects.update(execute_after=now + timedelta(hours=2))
    for text in shown():
        assert ">Held<" not in text and "held until" not in text


def test_the_list_asks_the_same_number_of_queries_for_one_order_and_for_twenty(
    make, ordered, page_of, django_assert_max_num_queries, django_assert_num_queries
):
    boss = make.person(Role.ADMINISTRATOR)
    now = timezone.now()
    Freeze.objects.create(reason="year end", starts_at=now - timedelta(hours=1), ends_at=now + timedelta(days=1))
    first = ordered(state=OrderState.PLANNED)
    with django_assert_max_num_queries(40) as one:
        page_of(boss, "reviews:order_list")
    for number in range(20):
        Order.objects.filter(pk=first.pk).get()
        copy = Order.objects.get(pk=first.pk)
        copy.pk, copy.decision = None, None
        copy.state = OrderState.PLANNED if number % 2 else OrderState.FAILED
        copy.save(force_insert=True)
    with django_assert_num_queries(len(one)):
        page_of(boss, "reviews:order_list")


def test_managers_set_windows_and_freezes_on_the_clock_of_a_zone(make, browse, page_of):
    boss = make.person(Role.CAMPAIGN_MANAGER)
    times = {"starts_at": "2027-01-03T02:00", "time_zone": "Europe/Berlin"}
    made = browse(boss).post(reverse("reviews:window_create"), TYPED | times)
    assert made.status_code == 302
    assert ChangeWindow.objects.get().starts_at.isoformat() == "2027-01-03T01:00:00+00:00"
    freeze = {"reason": "year end", "starts_at": "2099-12-20T00:00", "ends_at": "2099-12-19T00:00", "time_zone": "UTC"}
    refused = browse(boss).post(reverse("reviews:freeze_create"), freeze)
    assert refused.status_code == 422 and "ends after it starts" in refused.content.decode()
    assert browse(boss).post(reverse("reviews:window_create"), TYPED | times | {"time_zone": "Mars"}).status_code == 422
    browse(boss).post(reverse("reviews:freeze_create"), freeze | {"ends_at": "2099-12-30T00:00"})
    text = page_of(boss, "reviews:window_list")
    assert "Sunday night" in text and "year end" in text and "Not yet" in text
    assert "Every week, on Sunday" in text
    assert "Add a window" not in page_of(make.person(Role.AUDITOR), "reviews:window_list")
    window, frozen = ChangeWindow.objects.get(), Freeze.objects.get()
    for name, thing in (("window_remove", window), ("freeze_lift", frozen)):
        address = reverse(f"reviews:{name}", args=[thing.pk])
        assert browse(boss).post(address).status_code == 302
        assert browse(boss).post(address).status_code == 409
    assert "There is no window" in page_of(boss, "reviews:window_list")


def test_a_window_has_a_usual_rule_or_one_that_is_written(make, browse):
    boss = make.person(Role.CAMPAIGN_MANAGER)
    times = {"starts_at": "2027-01-03T02:00", "time_zone": "UTC"}

    def add(**rule):
        return browse(boss).post(reverse("reviews:window_create"), TYPED | times | rule)

    assert "Write the rule." in add(rrule="").content.decode()
    assert add(preset="FREQ=SECONDLY", rrule="FREQ=DAILY").status_code == 422
    assert not ChangeWindow.objects.exists()
    usual = [rule for rule, _ in OPENS if rule != "custom"]
    for rule in usual:
        assert add(preset=rule, rrule="what was written before another was chosen").status_code == 302
    assert sorted(ChangeWindow.objects.values_list("rrule", flat=True)) == sorted(usual)


def test_programs_set_windows_and_freezes_and_read_what_holds_an_order(make, ordered, client, make_token):
    headers = {"authorization": f"Bearer {make_token({'orders:read', 'reviews:write'})[1]}"}

    def call(method, path, data=None):
        return getattr(client, method)(f"/api/v1/{path}", data, content_type="application/json", headers=headers)

    order = ordered(state=OrderState.PLANNED)
    times = {"starts_at": "2027-01-03T02:00:00Z", "source": order.source.slug}
    window = call("post", "change-windows/", WINDOW | times).json()
    assert window["opens"][0] == "2027-01-03T02:00:00+00:00"
    bad = call("post", "change-windows/", WINDOW | times | {"rrule": "never"})
    assert (bad.status_code, bad.json()["code"]) == (422, "invalid-window")
    assert call("post", "change-windows/", WINDOW | times | {"source": "nowhere"}).status_code == 404
    read = call("get", f"orders/{order.pk}/").json()
    assert read["held_until"] and read["held_because"] == ["outside the change window “Sunday night”"]
    assert call("delete", f"change-windows/{window['id']}/").status_code == 204
    assert call("delete", f"change-windows/{window['id']}/").status_code == 409
    ends = {"reason": "year end", "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-12-31T23:00:00Z"}
    freeze = call("post", "freezes/", ends).json()
    assert call("get", "orders/", {"state": "planned"}).json()["results"][0]["held_because"] == ["freeze, year end"]
    assert call("delete", f"freezes/{freeze['id']}/").status_code == 204
    assert call("get", f"freezes/{freeze['id']}/").json()["lifted_at"]
    assert call("get", f"orders/{order.pk}/").json()["held_because"] == []
