"""Programs simulate, start and plan reviews, by the rules that hold for people."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.people.access import SCOPES
from reviews.models import Campaign, ReviewSchedule

pytestmark = pytest.mark.django_db


@pytest.fixture
def call(client, make_token):
    """`call("post", path, data, scopes=…)` as a program with these scopes."""
    tokens = {}

    def run(method, path, data=None, *, scopes=SCOPES, **headers):
        if scopes not in tokens:
            tokens[scopes] = make_token(scopes)[1]
        headers = {"authorization": f"Bearer {tokens[scopes]}"} | headers
        return getattr(client, method)(path, data, content_type="application/json", headers=headers)

    return run


@pytest.fixture
def plan(make):
    return {"fallback_reviewer": make.person(Role.REVIEWER).email, "item_kinds": ["grant"]}


@pytest.fixture
def schedule_body(plan):
    return plan | {
        "name": "Every quarter",
        "rrule": "FREQ=MONTHLY;INTERVAL=3",
        "starts_at": "2030-01-01T09:00:00+01:00",
        "time_zone": "Europe/Berlin",
        "interval_reason": "Little changes here.",
    }


def test_a_preview_counts_and_keeps_nothing(call, make, plan):
    owner = make.person(Role.OWNER)
    make.grant(make.identity(owner=owner))
    make.grant(make.identity(owner=owner), make.PRIVILEGED)
    found = call("post", "/api/v1/campaign-previews/", plan | {"deadline_policy": "revoke"}).json()
    assert found["counts"] == {"total": 2, "grant": 2, "credential": 0, "ownership": 0}
    assert found["privileged"]["grant"] == 1
    assert found["load"][0] == {"person": owner.email, "items": 2, "privileged": 1, "attests": 1, "decides": 0}
    assert {each["policy"]: each["takes_away"] for each in found["outcomes"]}["revoke"] == 2
    assert not Campaign.objects.exists()
    assert not AuditEvent.objects.filter(verb__startswith="campaign.").exists()


def test_a_preview_says_what_would_be_carried_over_and_why_the_rest_is_asked(call, make, plan):
    make.grant()
    make.grant(permission=make.PRIVILEGED)
    plain = call("post", "/api/v1/campaign-previews/", plan).json()
    rules = {"policy": {"carrying": {"is_on": True, "sample_percent": 20}}}
    carrying = call("post", "/api/v1/campaign-previews/", plan | rules).json()["carrying"]
    assert plain["carrying"] is None
    assert {name: carrying[name] for name in ("unchanged", "carried", "sampled", "sample_percent")} == {
        "unchanged": 0,
        "carried": 0,
        "sampled": 0,
        "sample_percent": 20,
    }
    assert [(each["why"], each["items"]) for each in carrying["asked"]] == [("privileged", 1), ("never_decided", 1)]
    assert carrying["asked"][0]["words"] == "Privileged access is always asked about."


def test_a_review_starts_without_a_schedule(call, make, plan, django_capture_on_commit_callbacks):
    make.grant()
    with django_capture_on_commit_callbacks(execute=True):
        response = call("post", "/api/v1/campaigns/", plan | {"name": "After the incident", "duration_days": 3})
    campaign = Campaign.objects.get()
    assert response.status_code == 201
    assert response.json()["id"] == str(campaign.pk)
    assert (response.json()["name"], response.json()["schedule"]) == ("After the incident", None)
    assert timedelta(days=2) < campaign.deadline_at - timezone.now() < timedelta(days=3)
    [record] = AuditEvent.objects.filter(verb="campaign.created")
    assert json.loads(record.payload)["context"]["why"] == "launched"


def test_the_same_key_starts_one_review_and_another_body_under_it_none(call, make, plan):
    make.grant()
    body, key = plan | {"name": "Once"}, {"idempotency-key": "incident-7"}
    first, again = (call("post", "/api/v1/campaigns/", body, **key) for _ in range(2))
    other = call("post", "/api/v1/campaigns/", body | {"name": "Twice"}, **key)
    assert (first.status_code, again.status_code, again["Idempotency-Replayed"]) == (201, 201, "true")
    assert first.json() == again.json()
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert Campaign.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scope": "colour=red"}, "scope"),
        ({"scope": "owner=me"}, "scope"),
        ({"scope": "source=nowhere"}, "scope"),
        ({"name": " "}, "name"),
        ({"item_kinds": []}, "item_kinds"),
        ({"reviewer_rules": ["boss"]}, "reviewer_rules"),
        ({"fallback_reviewer": "nobody@example.org"}, "fallback_reviewer"),
        ({"duration_days": 0}, "duration_days"),
        ({"deadline_policy": "approve"}, "deadline_policy"),
        ({"policy": {"no_such": {}}}, "no_such"),
        ({"colour": "red"}, "colour"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else value,
)
def test_what_cannot_start_is_refused_at_its_field(call, make, plan, change, field):
    make.grant()
    response = call("post", "/api/v1/campaigns/", plan | {"name": "Review"} | change)
    assert response.status_code == 422
    assert response["Content-Type"] == "application/problem+json"
    assert field in response.content.decode()
    assert not Campaign.objects.exists()


@pytest.mark.parametrize("path", ["campaigns", "campaign-previews", "schedules"])
def test_planning_asks_for_the_scope_of_writing(call, plan, path):
    assert call("post", f"/api/v1/{path}/", plan, scopes=SCOPES - {"reviews:write"}).status_code == 403


def test_a_schedule_is_written_changed_paused_resumed_and_run(call, make, schedule_body):
    make.grant()
    created = call("post", "/api/v1/schedules/", schedule_body)
    path = f"/api/v1/schedules/{created.json()['id']}/"
    assert (created.status_code, len(created.json()["next_dates"])) == (201, 5)
    changed = call("patch", path, {"duration_days": 7}, **{"if-match": created["ETag"]})
    assert (changed.status_code, changed.json()["duration_days"]) == (200, 7)
    assert changed["ETag"] != created["ETag"]
    assert call("post", f"{path}pause/", {"reason": "The move."}).json()["is_enabled"] is False
    assert call("post", f"{path}pause/").status_code == 409
    assert call("post", f"{path}resume/").json()["is_enabled"] is True
    key = {"idempotency-key": "k"}
    assert call("post", f"{path}run/", **key).json() == call("post", f"{path}run/", **key).json()
    assert Campaign.objects.get().schedule_id == ReviewSchedule.objects.get().pk
    assert list(
        AuditEvent.objects.order_by("occurred_at", "pk")
        .filter(verb__regex="^(schedule|campaign)")
        .values_list("verb", flat=True)
    ) == ["schedule.created", "schedule.changed", "schedule.paused", "schedule.resumed", "campaign.created"]


def test_a_change_needs_the_version_that_was_read(call, make, schedule_body):
    created = call("post", "/api/v1/schedules/", schedule_body)
    path = f"/api/v1/schedules/{created.json()['id']}/"
    call("patch", path, {"duration_days": 7}, **{"if-match": created["ETag"]})
    assert call("patch", path, {"duration_days": 8}).status_code == 428
    assert call("patch", path, {"duration_days": 8}, **{"if-match": created["ETag"]}).status_code == 412
    assert ReviewSchedule.objects.get().duration_days == 7


def test_a_schedule_that_cannot_work_is_refused_over_the_api_too(call, schedule_body):
    refused = call("post", "/api/v1/schedules/", schedule_body | {"rrule": "FREQ=SECONDLY", "interval_reason": "so"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-schedule")
    assert set(refused.json()["fields"]) == {"rrule", "interval_reason"}
