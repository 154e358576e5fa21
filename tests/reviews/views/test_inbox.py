"""The inbox: whose questions, in which order, filtered; and answering many with a look before."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from governance.kernel.actors import Role
from reviews.models import Decision, Order, ReviewItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(make):
    return make.person(Role.OWNER, name="Olga Brandt")


@pytest.fixture
def full_inbox(make, owner):
    """Three questions for one owner: plain access, privileged access, a credential."""
    identity = make.identity(owner=owner, name="svc-plain")
    admin = make.identity(owner=owner, name="svc-admin")
    plain, privileged = make.grant(identity), make.grant(admin, make.PRIVILEGED)
    credential = make.credential(identity)
    campaign = make.campaign(item_kinds=["grant", "credential"], deadline_at=timezone.now() + timedelta(days=9))
    return [make.get_item(campaign, thing) for thing in (privileged, plain, credential)]


def bulk(client, items, answer, **more):
    data = {"answer": answer, "item": [f"{item.pk}:{item.version}" for item in items]} | more
    return client.post(reverse("reviews:items_bulk"), data)


def test_privileged_questions_come_first(full_inbox, owner, page_of):
    text = page_of(owner, "reviews:inbox")
    assert text.index("svc-admin") < text.index("svc-plain")
    assert "3 questions" in text
    assert "read and add every row" in text


def test_nobody_sees_the_questions_of_others(full_inbox, make, page_of):
    text = page_of(make.person(*Role), "reviews:inbox")
    assert "svc-plain" not in text
    assert "Nothing waits for you" in text


def test_filters_narrow_and_say_so(full_inbox, owner, page_of):
    only_credentials = page_of(owner, "reviews:inbox", kind="credential")
    nothing = page_of(owner, "reviews:inbox", recommendation="revoke")
    nonsense = page_of(owner, "reviews:inbox", kind="x", campaign="y", recommendation="'")
    assert "Password" in only_credentials
    assert "svc-admin" not in only_credentials
    assert "Nothing matches this filter" in nothing
    assert "svc-admin" in nonsense


def test_a_fragment_is_the_rows_alone(full_inbox, owner, browse):
    text = browse(owner).get(reverse("reviews:inbox"), headers={"HX-Request": "true"}).content.decode()
    assert text.strip().startswith('<div id="inbox-rows"')
    assert "<html" not in text


def test_the_count_is_a_number_or_nothing(full_inbox, owner, make, browse):
    path = reverse("reviews:inbox_count")
    assert browse(owner).get(path).content.decode().startswith("3<span")
    assert browse(make.person(Role.OWNER)).get(path).content == b""


def test_rows_cost_no_further_queries(make, owner, browse, django_assert_max_num_queries):
    identity = make.identity(owner=owner)
    for _ in range(40):
        make.grant(make.identity(identity.source, owner=owner))
    make.campaign(deadline_at=timezone.now() + timedelta(days=9))
    client = browse(owner)
    client.get(reverse("reviews:inbox"))
    with django_assert_max_num_queries(8):
        client.get(reverse("reviews:inbox"))


def test_bulk_says_first_what_happens_to_each_row_and_applies_nothing(full_inbox, owner, browse, make, reviewer):
    _, plain, _ = full_inbox
    make.change_grant(plain.grant, make.NARROWER)

    response = bulk(browse(owner), full_inbox, "approve")

    text = response.content.decode()
    assert response.status_code == 200
    assert "Approve 2 rows?" in text
    assert text.count("Will be kept") == 1
    assert text.count("somebody independent decides") == 1
    assert text.count("Left alone") == 1
    assert "changed at the source" in text
    assert "so a reason is needed" in text
    assert not Decision.objects.exists()


def test_bulk_answers_each_row_on_its_own(full_inbox, owner, browse, make):
    privileged, plain, credential = full_inbox
    make.change_grant(plain.grant, make.NARROWER)

    response = bulk(browse(owner), full_inbox, "revoke", step="apply", reason="Retired project.")

    text = response.content.decode()
    assert "2 questions answered, 1 not" in text
    given = dict(Decision.objects.values_list("item_id", "answer"))
    assert given == {privileged.pk: "revoke", credential.pk: "deactivate"}
    assert all(Decision.objects.values_list("is_bulk", flat=True))
    assert Decision.objects.get(item=privileged).is_attestation


def test_bulk_needs_its_reason_and_keeps_the_choice(full_inbox, owner, browse):
    response = bulk(browse(owner), full_inbox, "approve", step="apply", reason=" ")
    text = response.content.decode()
    assert response.status_code == 422
    assert "Say why in a few words" in text
    assert str(full_inbox[0].pk) in text
    assert not Decision.objects.exists()


def test_bulk_leaves_rows_of_others_alone(full_inbox, browse, make):
    response = bulk(browse(make.person(Role.REVIEWER)), full_inbox, "approve", step="apply", reason="Mine now.")
    assert response.status_code in (200, 302)
    assert not Decision.objects.exists()


def test_bulk_does_not_overwrite_what_changed_since_the_page_was_loaded(full_inbox, owner, browse):
    _, plain, _ = full_inbox
    ReviewItem.objects.filter(pk=plain.pk).update(version=plain.version + 1)
    text = bulk(browse(owner), [plain], "approve", step="apply").content.decode()
    assert "0 questions answered, 1 not" in text
    assert "Load it again" in text


@pytest.mark.parametrize("items", [[], ["nonsense"], ["nonsense:1"], [":"]])
def test_bulk_without_rows_goes_back(owner, browse, items):
    response = browse(owner).post(reverse("reviews:items_bulk"), {"answer": "approve", "item": items})
    assert response["Location"] == reverse("reviews:inbox")


def test_bulk_needs_a_csrf_token(full_inbox, owner, browse):
    assert bulk(browse(owner, csrf=True), full_inbox, "approve", step="apply", reason="x").status_code == 403
    assert not Decision.objects.exists()


def test_one_key_answers_a_row_that_needs_no_reason(full_inbox, owner, browse):
    _, plain, credential = full_inbox
    client = browse(owner)
    for item, how in ((plain, "revoke"), (credential, "approve")):
        client.post(reverse("reviews:items_bulk"), {"quick": f"{how}:{item.pk}@{item.version}"})
    assert dict(Decision.objects.values_list("item_id", "answer")) == {plain.pk: "revoke", credential.pk: "keep"}
    assert Order.objects.count() == 1


def test_one_key_on_privileged_access_opens_the_page_for_the_reason(full_inbox, owner, browse):
    privileged = full_inbox[0]
    response = browse(owner).post(reverse("reviews:items_bulk"), {"quick": f"approve:{privileged.pk}@1"})
    assert response["Location"].startswith(reverse("reviews:item_detail", args=[privileged.pk]))
    assert not Decision.objects.exists()


@pytest.mark.parametrize("quick", ["approve", "approve:x@1", "delete:00000000-0000-0000-0000-000000000000@1", ":@"])
def test_a_damaged_key_press_does_nothing(full_inbox, owner, browse, quick):
    response = browse(owner).post(reverse("reviews:items_bulk"), {"quick": quick})
    assert response.status_code == 302
    assert not Decision.objects.exists()
