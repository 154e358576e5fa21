"""The pages of rules between dates, why a question is asked between them, and what was carried over."""

from datetime import timedelta

import pytest

from governance.kernel.actors import Role, system_actor
from reviews.campaigns.opening import open_campaign
from reviews.decisions import decide
from reviews.models import ReviewWatch, Trigger

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(make):
    return make.person(Role.CAMPAIGN_MANAGER)


def form(person, **more):
    values = {"trigger": "changed", "scope": "", "is_enabled": "on", "reviewer_rules": ["owner"]}
    values |= {"fallback_reviewer": str(person.pk), "deadline_policy": "keep_and_escalate", "days_to_answer": "7"}
    return values | {"settle_minutes": "10", "most_questions": "500", "quiet_days": "90"} | more


def test_a_manager_writes_a_rule(browse, boss):
    client = browse(boss)
    assert client.post("/reviews/watches/new/", form(boss)).status_code == 302
    page = client.get("/reviews/watches/").content.decode()
    assert "Access or a tool changed since it was approved" in page
    assert ReviewWatch.objects.get().created_by == boss


def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(browse, boss):
    response = browse(boss).post("/reviews/watches/new/", form(boss, days_to_answer="0", scope="no=such"))
    page = response.content.decode()
    assert response.status_code == 422
    assert 'value="no=such"' in page
    assert not ReviewWatch.objects.exists()


def test_a_rule_that_is_there_already_is_refused_by_its_scope(make, browse, boss):
    make.watch(trigger="changed", created_by=boss)
    response = browse(boss).post("/reviews/watches/new/", form(boss))
    assert response.status_code == 422
    assert "There is a rule for this trigger" in response.content.decode()


def test_where_a_rule_counts_can_be_said_by_fields(browse, boss):
    sent = form(boss) | {"scope": "", "scope_was": "", "environment": "production", "privileged": "yes"}
    browse(boss).post("/reviews/watches/new/", sent)
    assert ReviewWatch.objects.get().scope == "environment=production&privileged=yes"


def test_a_rule_is_changed_and_switched_off(make, browse, boss):
    watch = make.watch(created_by=boss)
    client = browse(boss)
    client.post(f"/reviews/watches/{watch.pk}/", form(boss, days_to_answer="3", version="1"))
    watch.refresh_from_db()
    assert (watch.days_to_answer, watch.trigger, watch.version) == (3, "privileged", 2)
    assert client.post(f"/reviews/watches/{watch.pk}/switch/", {"to": "off", "version": "1"}).status_code == 409
    assert client.post(f"/reviews/watches/{watch.pk}/switch/", {"to": "off", "version": "2"}).status_code == 302
    watch.refresh_from_db()
    assert not watch.is_enabled


def test_a_page_of_rules_costs_the_same_for_one_and_for_many(make, browse, boss, django_assert_max_num_queries):
    client = browse(boss)
    for trigger in Trigger:
        make.watch(trigger=trigger, created_by=boss)
    client.get("/reviews/watches/")
    with django_assert_max_num_queries(16):
        client.get("/reviews/watches/")


def test_a_question_says_why_it_is_asked_now(make, browse):
    owner = make.person(Role.OWNER)
    item = make.item(owner=owner)
    item.seen |= {
        "trigger": {
            "kind": "changed",
            "at": make.NOW.isoformat(),
            "facts": {},
            "approved": {"item": str(item.pk), "at": make.NOW.isoformat()},
            "difference": {
                "direction": "wider",
                "proof": "Proved: it still permits all that was approved, and more.",
                "added": ["add every row of table payments"],
                "removed": [],
                "examples": [{"action": "INSERT", "resource": "table:ledger/public/payments"}],
            },
        }
    }
    item.save()
    page = browse(owner).get(f"/reviews/items/{item.pk}/").content.decode()
    assert "wider than approved" in page
    assert "add every row of table payments" in page
    assert "Possible now, and not before" in page


def test_what_was_carried_over_says_whose_decision_it_is(make, browse, boss):
    owner = make.person(Role.OWNER, name="Olga Brandt")
    item = make.item(owner=owner)
    decide(item=item, version=1, answer="approve", actor=make.actor(owner), now=make.NOW, reason="Runs at night.")
    later = make.NOW + timedelta(days=30)
    draft = make.campaign(
        is_open=False,
        manager=boss,
        policy={"carrying": {"is_on": True, "sample_percent": 0}},
        deadline_at=later + timedelta(days=14),
    )
    campaign = open_campaign(campaign_id=draft.pk, actor=system_actor("scheduler"), now=later)
    client = browse(boss)
    page = client.get(f"/reviews/items/{make.get_item(campaign, item.grant).pk}/").content.decode()
    assert "Carried over" in page
    assert "Olga Brandt approved exactly this" in page
    page = client.get(f"/reviews/{campaign.pk}/").content.decode()
    assert campaign.frozen["carrying"]["seed"] in page
