"""The page on which somebody names who answers meanwhile, and the same for programs."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from governance.kernel.actors import Role
from governance.people.tokens import create_token
from reviews.decisions import apply_delegations
from reviews.models import Delegation

pytestmark = pytest.mark.django_db


def named(to, **more):
    today = timezone.now().date()
    return {
        "delegate": to.email,
        "starts_at": today.isoformat(),
        "ends_at": (today + timedelta(days=7)).isoformat(),
    } | more


def test_naming_a_stand_in_on_the_page_moves_the_open_question_and_ending_it_brings_it_back(make, ask, browse, page_of):
    owner, friend = make.person(Role.OWNER), make.person(name="Fred Sand")
    item = ask(owner=owner)
    response = browse(owner).post(reverse("reviews:absence"), named(friend, reason="Parental leave"))
    assert response.status_code == 302
    apply_delegations(now=timezone.now())
    item.refresh_from_db()
    assert item.assignee == friend
    assert "Stand-in during an absence" in page_of(friend, "reviews:item_detail", item.pk)
    assert "Parental leave" in page_of(friend, "reviews:absence")
    ended = browse(owner).post(reverse("reviews:absence_end", args=[Delegation.objects.get().pk]))
    assert ended.status_code == 302
    apply_delegations(now=timezone.now())
    item.refresh_from_db()
    assert item.assignee == owner


def test_a_refusal_stands_beside_the_field_and_loses_nothing(make, browse):
    me, gone = make.person(), make.person(is_active=False)
    response = browse(me).post(reverse("reviews:absence"), named(gone, reason="Holidays until June"))
    assert response.status_code == 422
    text = response.content.decode()
    assert "has left or cannot sign in" in text
    assert "Holidays until June" in text
    response = browse(me).post(reverse("reviews:absence"), named(gone, delegate="nobody@example.org", ends_at="soon"))
    assert "There is nobody with this address." in response.content.decode()
    assert not Delegation.objects.exists()


def test_only_an_administrator_is_asked_for_whom(make, browse, page_of):
    boss, someone, friend = make.person(Role.ADMINISTRATOR), make.person(), make.person()
    assert "Who is away?" in page_of(boss, "reviews:absence")
    assert "Who is away?" not in page_of(someone, "reviews:absence")
    browse(someone).post(reverse("reviews:absence"), named(friend, person=boss.email))
    assert Delegation.objects.get().person == someone
    browse(boss).post(reverse("reviews:absence"), named(boss, person=friend.email, reason="Ill."))
    assert Delegation.objects.get(person=friend).created_by == boss


def test_others_see_nothing_of_it_and_cannot_end_it(make, browse, page_of):
    me, friend, other = make.person(), make.person(), make.person()
    browse(me).post(reverse("reviews:absence"), named(friend, reason="Parental leave"))
    assert "Parental leave" not in page_of(other, "reviews:absence")
    assert browse(other).post(reverse("reviews:absence_end", args=[Delegation.objects.get().pk])).status_code == 404


def test_the_page_asks_as_few_queries_for_twenty_absences_as_for_one(make, browse, django_assert_max_num_queries):
    me, boss, source = make.person(), make.person(Role.ADMINISTRATOR), make.source()
    client = browse(boss)
    for number in range(20):
        start = timezone.now() + timedelta(days=10 * number)
        Delegation.objects.create(
            person=me,
            delegate=boss,
            starts_at=start,
            ends_at=start + timedelta(days=2),
            created_at=start,
            sources=[source.pk],
        )
    with django_assert_max_num_queries(12):
        assert client.get(reverse("reviews:absence")).status_code == 200


def test_a_program_names_a_stand_in_once_and_ends_it_by_the_version_it_saw(make):
    boss, person, friend = make.person(Role.ADMINISTRATOR), make.person(), make.person()
    now = timezone.now()
    _, plain = create_token(
        name="absences",
        scopes=["reviews:write"],
        expires_at=now + timedelta(days=1),
        actor=make.actor(boss),
        now=now,
    )
    client = Client(headers={"Authorization": f"Bearer {plain}"})
    body = {
        "person": person.email,
        "delegate": friend.email,
        "starts_at": now.isoformat(),
        "ends_at": (now + timedelta(days=3)).isoformat(),
        "reason": "From the calendar.",
    }
    created = client.post("/api/v1/delegations/", body, content_type="application/json")
    assert (created.status_code, created.json()["state"]) == (201, "planned")
    again = client.post("/api/v1/delegations/", body, content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (409, "already-away")
    path = f"/api/v1/delegations/{created.json()['id']}/end/"
    apply_delegations(now=timezone.now())
    stale = client.post(
        path, {"reason": "Back."}, content_type="application/json", headers={"If-Match": created["ETag"]}
    )
    assert stale.status_code == 412
    ended = client.post(path, {"reason": "Back."}, content_type="application/json", headers={"If-Match": '"v2"'})
    assert (ended.status_code, ended.json()["state"]) == (200, "ended")
