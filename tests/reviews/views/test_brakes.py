"""Brakes as pages: seen by whoever runs reviews, released by two people, quiet in their number of queries."""

import pytest
from django.urls import reverse

from governance.kernel.actors import Role
from reviews.models import Brake, Decision, Order, OrderHold, SourceBudget
from tests.looking import SIZES, faults_in_every_look

DB = pytest.mark.django_db


@pytest.fixture
def hold(make):
    """`hold(3)`: a brake that holds so many orders of a deadline."""

    def go(number):
        source = make.source(name="Ledger")
        manager = make.person(Role.CAMPAIGN_MANAGER, name="Mira Kallas")
        campaign = make.campaign(is_open=False, manager=manager)
        brake = Brake.objects.create(scope="source", source=source, budget=100, tripped_at=make.NOW)
        for place in range(number):
            grant = make.grant(make.identity(source, name=f"svc-ledger-{place}"))
            item = campaign.items.create(
                kind="grant",
                identity=grant.identity,
                grant=grant,
                grant_version=grant.versions.get(),
                assignee=manager,
                state="decided",
            )
            decision = Decision.objects.create(
                item=item, answer="revoke", decided_by_policy="graded", decided_at=make.NOW
            )
            order = Order.objects.create(
                decision=decision,
                item=item,
                source=source,
                identity=grant.identity,
                grant=grant,
                action="revoke",
                execute_after=make.NOW,
                outcome="Held by the brake.",
            )
            OrderHold.objects.create(order=order, brake=brake, held_at=make.NOW)
        return brake

    return go


@DB
def test_two_people_release_on_the_page(make, hold, browse, page_of):
    brake = hold(3)
    first, second = (make.person(Role.ADMINISTRATOR, name=name) for name in ("Ada Berg", "Bo Lind"))
    assert "Orders are held." in page_of(first, "reviews:order_list")
    path = reverse("reviews:brake_release", args=[brake.pk])
    assert browse(first).post(path, {"release-reason": ""}).status_code == 422
    browse(first).post(path, {"release-reason": "Looked at each."})
    text = page_of(second, "reviews:brake_detail", brake.pk)
    assert "Ada Berg" in text
    assert "sends 3 orders" in text
    assert browse(first).post(path, {"release-reason": "Again."}).status_code == 403
    browse(second).post(path, {"release-reason": "So did I."})
    brake.refresh_from_db()
    assert brake.state == "released"
    assert "Orders are held." not in page_of(first, "reviews:order_list")


@DB
def test_calling_off_on_the_page_recalls(make, hold, browse):
    brake = hold(2)
    path = reverse("reviews:brake_call_off", args=[brake.pk])
    browse(make.person(Role.ADMINISTRATOR)).post(path, {"call_off-reason": "Wrong scope."})
    assert set(Order.objects.values_list("state", flat=True)) == {"recalled"}


@DB
def test_a_held_order_says_so_and_leads_to_its_brake(make, hold, page_of):
    brake = hold(1)
    person = make.person(Role.ADMINISTRATOR)
    text = page_of(person, "reviews:order_detail", Order.objects.get().pk)
    assert reverse("reviews:brake_detail", args=[brake.pk]) in text
    assert "Keep it after all" in text
    assert "held by a brake" in text
    assert "will be sent" not in text
    board, row = page_of(person, "reviews:order_list").split("<tbody>")
    counts = board.split("Orders by state")[1].split("</ul>")[0]
    of_the_review = page_of(person, "reviews:campaign_detail", Order.objects.get().item.campaign_id)
    for text in (counts, of_the_review.split('id="orders-title"')[1].split("</ul>")[0]):
        assert "Held" in text
        assert "Planned" not in text
    assert "Held by the brake." in row
    assert "not before it is released" in row
    assert "Planned" not in row


@DB
def test_programs_read_which_brake_holds_an_order_until_it_is_released(make, hold, client, make_token):
    hold(1)
    order = Order.objects.get()
    headers = {"authorization": f"Bearer {make_token({'orders:read'})[1]}"}
    path = f"/api/v1/orders/{order.pk}/"
    assert client.get(path, headers=headers).json()["held_because"] == ["Held by the brake."]
    OrderHold.objects.update(released_at=make.NOW)
    assert client.get(path, headers=headers).json()["held_because"] == []


@DB
def test_an_order_of_silence_is_called_off_on_its_page(make, hold, browse):
    hold(1)
    order = Order.objects.get()
    path = reverse("reviews:order_call_off", args=[order.pk])
    assert browse(make.person(Role.ADMINISTRATOR)).post(path, {"reason": ""}).status_code == 422
    browse(order.item.campaign.manager).post(path, {"reason": "Needed in March."})
    order.refresh_from_db()
    assert order.state == "recalled"


@DB
def test_administrators_set_a_number_for_one_source(make, browse, page_of):
    source, admin = make.source(name="Queues"), make.person(Role.ADMINISTRATOR)
    path = reverse("reviews:brake_budget")
    assert browse(admin).post(path, {"source": source.slug, "per_hour": "-1", "reason": "x"}).status_code == 422
    browse(admin).post(path, {"source": source.slug, "per_hour": "7", "reason": "It is fragile."})
    assert SourceBudget.objects.get().per_hour == 7
    assert "It is fragile." in page_of(make.person(Role.AUDITOR), "reviews:brake_list")
    browse(admin).post(path, {"source": source.slug, "per_hour": "", "reason": "Mended."})
    assert not SourceBudget.objects.exists()


@DB
def test_more_held_orders_cost_no_more_queries(make, hold, browse, django_assert_max_num_queries):
    admin = browse(make.person(Role.ADMINISTRATOR))
    path = reverse("reviews:brake_detail", args=[hold(12).pk])
    admin.get(path)
    with django_assert_max_num_queries(12):
        admin.get(path)


@pytest.mark.browser
def test_the_pages_are_accessible_and_fit(site, make, hold, visit):
    brake = hold(4)
    admin = make.person(Role.ADMINISTRATOR, name="Ada Berg")
    Brake.objects.create(
        scope="production",
        budget=50,
        tripped_at=make.NOW,
        state="released",
        first_by=admin,
        first_at=make.NOW,
        first_reason="Looked at each of them.",
        ended_by=make.person(name="Bo Lind"),
        ended_at=make.NOW,
        end_reason="So did I.",
    )
    for path in ("/orders/brakes/", f"/orders/brakes/{brake.pk}/", f"/orders/{brake.holds.first().order_id}/"):
        page = visit(admin, path, **SIZES[0])
        page.evaluate("document.querySelectorAll('main details').forEach((each) => { each.open = true; })")
        name = path.strip("/").split("/")
        name = f"{name[0]}-{len(name)}-{'brake' if 'brakes' in path else 'order'}"
        assert faults_in_every_look(page, name) == [], path
        page.context.close()
