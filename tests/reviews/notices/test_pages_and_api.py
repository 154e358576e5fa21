"""What administrators and programs do with webhooks: the same rules at both edges, secrets shown once."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from governance.audit.models import AuditDetail, AuditEvent
from governance.kernel.actors import Role
from reviews.models import WebhookEndpoint
from reviews.notices import asking, endpoints
from reviews.notices.planning import plan_deliveries
from reviews.notices.sending import send_to

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(make, client, sign_in):
    return sign_in(client, make.person(Role.ADMINISTRATOR))


@pytest.fixture
def call(client, make_token):
    plain = make_token({"webhooks:read", "webhooks:write"})[1]

    def run(method, name, *args, data=None, **headers):
        headers = {"Authorization": f"Bearer {plain}"} | headers
        return getattr(client, method)(reverse(name, args=args), data, content_type="application/json", headers=headers)

    return run


def secrets_in(text: str) -> set[str]:
    return set(re.findall(r"whsec_[A-Za-z0-9+/=]+", text))


def test_a_secret_is_shown_once_at_creation_and_once_at_each_change(admin, receiver):
    made = admin.post(
        reverse("reviews:webhook_create"),
        {"name": "SIEM", "url": receiver.url, "purpose": "events", "nouns": ["order"]},
    )
    endpoint = WebhookEndpoint.objects.get()
    detail = reverse("reviews:webhook_detail", args=[endpoint.pk])
    assert len(secrets_in(made.content.decode())) == 1
    assert "no-store" in made["Cache-Control"]
    assert secrets_in(admin.get(detail).content.decode()) == set()
    again = admin.post(reverse("reviews:webhook_rotate", args=[endpoint.pk]), {"overlap_hours": "24"})
    assert len(secrets_in(again.content.decode())) == 1
    assert secrets_in(again.content.decode()) != secrets_in(made.content.decode())


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"url": "https://127.0.0.2/"}, "is this machine"),
        ({"url": "http://hooks.example.org/"}, "over https"),
        ({"single": "order.eaten"}, "There is no event type"),
        ({"name": ""}, "This field is required"),
    ],
    ids=["inside", "plain http", "unknown event", "no name"],
)
def test_a_refusal_stands_in_the_form_and_loses_nothing(admin, receiver, wish, words):
    data = {"name": "SIEM", "url": receiver.url, "purpose": "events"} | wish
    response = admin.post(reverse("reviews:webhook_create"), data)
    assert response.status_code == 422
    assert words in response.content.decode()
    assert data["url"] in response.content.decode()
    assert not WebhookEndpoint.objects.exists()


def test_two_people_do_not_overwrite_each_other(admin, hooks):
    endpoint = hooks.add()
    address = reverse("reviews:webhook_edit", args=[endpoint.pk])
    data = {"name": "First", "url": endpoint.url, "purpose": "events", "version": 1}
    assert admin.post(address, data).status_code == 302
    response = admin.post(address, data | {"name": "Second"})
    assert response.status_code == 422 and "Somebody changed" in response.content.decode()
    assert WebhookEndpoint.objects.get().name == "First"


def test_auditors_see_the_host_and_not_the_rest_of_the_address(make, client, sign_in, hooks, receiver):
    endpoint = hooks.add(url=receiver.url + "/a-key")
    auditor = sign_in(client, make.person(Role.AUDITOR))
    for page in (reverse("reviews:webhook_list"), reverse("reviews:webhook_detail", args=[endpoint.pk])):
        text = auditor.get(page).content.decode()
        assert "127.0.0.1" in text and "a-key" not in text


def test_the_trail_keeps_neither_the_path_nor_the_secret(hooks, receiver):
    hooks.add(url=receiver.url + "/a-key")
    kept = "".join([*AuditEvent.objects.values_list("payload", flat=True)])
    kept += "".join(AuditDetail.objects.values_list("text", flat=True))
    assert "a-key" not in kept and hooks.secret not in kept and "127.0.0.1" in kept


def test_the_history_says_what_came_of_it_with_a_bounded_number_of_queries(
    admin, hooks, receiver, django_assert_max_num_queries
):
    endpoint = hooks.add(verbs=["order"])
    for _ in range(20):
        hooks.happened()
    plan_deliveries(now=timezone.now())
    send_to(endpoint_id=endpoint.pk, now=timezone.now())
    page = reverse("reviews:webhook_detail", args=[endpoint.pk])
    admin.get(page)
    with django_assert_max_num_queries(14):
        text = admin.get(page).content.decode()
    assert text.count("order.verified") == 20 and "204" in text
    delivery = endpoint.deliveries.first()
    one = admin.get(reverse("reviews:webhook_delivery", args=[endpoint.pk, delivery.pk])).content.decode()
    assert str(delivery.event_id) in one and "specversion" in one


def test_buttons_do_what_they_say(admin, hooks, verbs):
    endpoint = hooks.add(verbs=["order"])
    admin.post(reverse("reviews:webhook_test", args=[endpoint.pk]))
    for to in ("off", "off", "on", "on-from-now"):
        assert admin.post(reverse("reviews:webhook_switch", args=[endpoint.pk]), {"to": to}).status_code == 302
    admin.post(reverse("reviews:webhook_remove", args=[endpoint.pk]))
    assert admin.get(reverse("reviews:webhook_detail", args=[endpoint.pk])).status_code == 404
    wanted = ["created", "removed", "switched_off", "switched_on", "test_requested"]
    assert verbs("webhook.") == [f"webhook.{word}" for word in wanted]
    endpoint.refresh_from_db()
    assert endpoint.url == "" and not endpoint.deliveries.exists()


def test_programs_can_do_all_of_it(call, receiver, hooks):
    made = call("post", "api_webhooks", data={"name": "SIEM", "url": receiver.url, "verbs": ["order"]})
    assert made.status_code == 201 and made.json()["secret"].startswith("whsec_")
    pk = made.json()["id"]
    assert "secret" not in call("get", "api_webhook", pk).json()
    assert "secret" not in call("get", "api_webhooks").json()["results"][0]
    assert call("patch", "api_webhook", pk, data={"name": "Other"}).status_code == 428
    etag = {"If-Match": made["ETag"]}
    assert call("patch", "api_webhook", pk, data={"verbs": ["sync.held"]}, **etag).json()["verbs"] == ["sync.held"]
    assert call("patch", "api_webhook", pk, data={"name": "Late"}, **etag).status_code == 412
    assert call("post", "api_webhook_rotate", pk, data={"overlap_hours": 0}).json()["previous_until"] is None
    assert call("post", "api_webhook_test", pk).status_code == 202
    send_to(endpoint_id=pk, now=timezone.now())
    [delivery] = call("get", "api_webhook_deliveries", pk).json()["results"]
    assert (delivery["type"], delivery["state"], delivery["last_status"]) == ("remit.test", "delivered", 204)
    assert call("post", "api_webhook_send_again", pk, delivery["id"]).status_code == 202
    assert call("post", "api_webhook_off", pk).json()["is_enabled"] is False
    assert call("post", "api_webhook_on", pk, data={"skip": True}).json()["is_enabled"] is True
    assert call("delete", "api_webhook", pk).status_code == 204
    assert call("get", "api_webhook", pk).status_code == 404


def cases(hooks, receiver):
    endpoint = hooks.add(verbs=["order"])
    hooks.happened()
    plan_deliveries(now=timezone.now())
    delivery = endpoint.deliveries.get()
    at = {"endpoint_id": endpoint.pk, "actor": hooks.actor, "now": timezone.now()}
    wish = endpoints.EndpointWish(name="New", url=receiver.url)
    return {
        "webhook.created": lambda: endpoints.create_endpoint(wish=wish, actor=hooks.actor, now=timezone.now()),
        "webhook.changed": lambda: endpoints.change_endpoint(**at, version=1, changes={"name": "Other"}),
        "webhook.secret_rotated": lambda: endpoints.rotate_secret(**at),
        "webhook.test_requested": lambda: asking.send_test(**at),
        "webhook.resend_requested": lambda: asking.send_again(**at, delivery_id=delivery.pk),
        "webhook.switched_off": lambda: endpoints.switch_off(**at),
        "webhook.switched_on": lambda: (
            WebhookEndpoint.objects.filter(pk=endpoint.pk).update(is_enabled=False),
            endpoints.switch_on(**at),
        ),
        "webhook.removed": lambda: endpoints.remove_endpoint(**at),
    }


@pytest.mark.parametrize(
    "verb",
    [
        *("webhook.created", "webhook.changed", "webhook.secret_rotated", "webhook.test_requested"),
        *("webhook.resend_requested", "webhook.switched_off", "webhook.switched_on", "webhook.removed"),
    ],
)
def test_each_use_case_leaves_exactly_its_record(hooks, receiver, verb):
    act = cases(hooks, receiver)[verb]
    before = set(AuditEvent.objects.values_list("pk", flat=True))
    act()
    assert list(AuditEvent.objects.exclude(pk__in=before).values_list("verb", flat=True)) == [verb]
