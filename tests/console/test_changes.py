"""Histories say field by field what became what: every field that somebody can edit, whoever wrote the use case."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from governance.audit.actions import Verb
from governance.audit.erasure import erase_details
from governance.audit.log import Subject, record
from governance.audit.selectors import TrailRow, list_events
from governance.console.trail_changes import FieldChange
from governance.console.trail_events import present, session_words
from governance.kernel.actors import Role, system_actor
from governance.people.accounts import change_user
from governance.people.models import Team
from governance.people.teams import change_team
from governance.people.tokens import revoke_token
from governance.web.templatetags.remit import number
from identities.models import Finding, PosturePolicy, SyncRun
from identities.services.identities import edit_identity
from identities.services.saved_views import CHANGEABLE as VIEW_FIELDS
from identities.services.saved_views import change_view, save_view
from identities.services.sources import change_source, register_source
from reviews.campaigns.schedules import EDITABLE as SCHEDULE_FIELDS
from reviews.campaigns.schedules import change_schedule, create_schedule, pause_schedule
from reviews.continuous.rules import EDITABLE as WATCH_FIELDS
from reviews.continuous.rules import change_watch, create_watch
from reviews.notices.endpoints import CHANGEABLE as WEBHOOK_FIELDS
from reviews.notices.endpoints import EndpointWish, change_endpoint, create_endpoint
from reviews.remediation.windows import create_freeze, create_window, lift_freeze, remove_window
from tests.reviews import conftest as make

pytestmark = pytest.mark.django_db
BOSS = "Bea Adebayo"
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture
def boss(db: None) -> Any:
    return make.make_person(Role.ADMINISTRATOR, name=BOSS)


@pytest.fixture
def happened(seal: Callable[[], None]) -> Callable[..., dict[str, tuple[str | None, str]]]:
    """`happened("source")`: the changes of the newest event about such an object, as {field: (old, new)}."""

    def read(kind: str, **wanted: Any) -> dict[str, tuple[str | None, str]]:
        seal()
        (event, *_) = present(list_events(subject_kind=kind, limit=1, **wanted).rows)
        assert event.who == BOSS
        return {fact.name: (fact.old.text if fact.old else None, fact.new.text) for fact in event.facts}

    return read


def newest(**wanted: Any) -> TrailRow:
    connection.check_constraints()
    return list_events(limit=1, **wanted).rows[0]


def test_every_field_of_a_schedule(boss: Any, happened: Any) -> None:
    old, new = make.make_person(Role.REVIEWER, name="Old Hand"), make.make_person(Role.REVIEWER, name="New Hand")
    by = {"actor": make.actor(boss), "now": timezone.now()}
    schedule = create_schedule(
        name="Quarterly", rrule="FREQ=MONTHLY;BYMONTHDAY=1", starts_at=make.NOW, interval_reason="Slow here, calm.",
        fallback_reviewer=old, **by,
    )  # fmt: skip
    wishes = {
        "name": "Monthly for Kim",
        "rrule": "FREQ=MONTHLY;BYMONTHDAY=2",
        "starts_at": make.NOW + timedelta(days=1),
        "time_zone": "Europe/Berlin",
        "interval_reason": "Kim asked for it, twice.",
        "fallback_reviewer": new,
        "independent_reviewer": new,
        "scope": f"owner={new.email}",
        "item_kinds": ["credential"],
        "duration_days": 20,
        "reviewer_rules": ["backup"],
        "deadline_policy": "graded",
        "policy": {"deadline": None},
    }
    assert wishes.keys() == SCHEDULE_FIELDS
    del wishes["policy"]  # its shape is checked as a whole, and shown part by part like everything else

    change_schedule(schedule=schedule, version=schedule.version, changes=wishes, **by)

    told = happened("schedule")
    assert wishes.keys() <= told.keys()
    assert told["fallback_reviewer"] == ("Old Hand", "New Hand")
    assert told["name"] == ("Quarterly", "Monthly for Kim")
    assert told["scope"] == ("nothing", f"owner={new.email}".replace("@", "%40"))
    assert told["independent_reviewer"] == ("nobody", "New Hand")
    assert "Kim" not in newest(subject_kind="schedule").payload and new.email not in newest().payload
    pause_schedule(schedule=schedule, **by)
    assert happened("schedule")["is_enabled"] == ("yes", "no")


def test_every_field_of_a_rule_between_dates(boss: Any, happened: Any) -> None:
    old, new = make.make_person(Role.REVIEWER, name="Old Hand"), make.make_person(Role.REVIEWER, name="New Hand")
    by = {"actor": make.actor(boss), "now": timezone.now()}
    watch = create_watch(trigger="changed", fallback_reviewer=old, **by)
    wishes = {
        "fallback_reviewer": new,
        "independent_reviewer": new,
        "scope": f"owner={new.email}",
        "is_enabled": False,
        "reviewer_rules": ["source_owner"],
        "deadline_policy": "graded",
        "days_to_answer": 3,
        "settle_minutes": 30,
        "most_questions": 20,
        "quiet_days": 40,
    }
    assert wishes.keys() == WATCH_FIELDS

    change_watch(watch=watch, version=watch.version, changes=wishes, **by)

    told = happened("watch")
    assert told.keys() == WATCH_FIELDS
    assert told["scope"][1].startswith("owner=") and told["is_enabled"] == ("yes", "no")
    assert new.email.partition("@")[0] not in newest().payload


def test_every_field_of_a_webhook_but_no_address(boss: Any, happened: Any, settings: Any, tmp_path: Any) -> None:
    settings.WEBHOOK_KEY_FILE = tmp_path / "webhook.key"
    source = make.make_source()
    campaign = make.make_campaign()
    by = {"actor": make.actor(boss), "now": timezone.now()}
    endpoint, _ = create_endpoint(wish=EndpointWish(name="Tickets", url="https://8.8.8.8/in/s3cr3t"), **by)
    wishes = {
        "name": "Chat",
        "url": "https://9.9.9.9/in/0ther",
        "purpose": "tickets",
        "verbs": ["order"],
        "sources": [source.slug],
        "campaigns": [str(campaign.pk)],
    }
    assert wishes.keys() == set(WEBHOOK_FIELDS)

    change_endpoint(endpoint_id=endpoint.pk, version=endpoint.version, changes=wishes, **by)

    told = happened("webhook")
    assert told.keys() == {*wishes, "host"}
    assert told["name"] == ("Tickets", "Chat") and told["host"] == ("8.8.8.8", "9.9.9.9")
    assert told["campaigns"] == ("nothing", campaign.name)
    assert "0ther" not in json.dumps([newest().payload, newest().personal]) and "9.9.9.9" not in newest().payload


def test_every_field_of_a_saved_view(boss: Any, happened: Any) -> None:
    by = {"actor": make.actor(boss), "owner": boss, "now": timezone.now()}
    view = save_view(page="identities", name="Mine", filter_text="kind=bot", **by)
    wishes = {"name": "Kim's", "filter": "kind=workload", "sort": "-name", "columns": "owner", "is_shared": True}
    assert wishes.keys() == set(VIEW_FIELDS)

    change_view(view=view, changes=wishes, **by)

    told = happened("view")
    assert told.keys() == wishes.keys()
    assert told["name"] == ("Mine", "Kim's") and told["sort"] == ("nothing", "-name")
    assert "Kim" not in newest().payload


def test_every_field_of_a_source_and_of_its_settings_no_more_than_may_be_told(boss: Any, happened: Any) -> None:
    by = {"actor": make.actor(boss), "now": timezone.now()}
    owner = make.make_person(Role.OWNER, name="Olu Ade")
    source = register_source(slug="crm", name="CRM", kind="push", environment="staging", settings={}, **by)
    wishes = {
        "name": "Customers",
        "environment": "production",
        "owner": owner,
        "is_enabled": False,
        "read_every_seconds": 600,
        "freshness_limit_seconds": 7200,
        "max_retire_percent": 5,
    }

    change_source(source=source, version=source.version, changes=wishes, **by)

    told = happened("source")
    assert told.keys() == wishes.keys()
    assert told["owner"] == ("nobody", "Olu Ade") and told["name"] == ("CRM", "Customers")


def test_settings_of_a_source_are_named_and_only_numbers_are_told(boss: Any, happened: Any) -> None:
    by = {"actor": make.actor(boss), "now": timezone.now()}
    settings = {"host": "/nowhere", "databases": ["a"], "user": "u", "password": "env:HOME", "connect_timeout": 5}
    source = make.make_source(kind="postgresql", settings=settings, name="Ledger")

    changes = {"settings": settings | {"host": "/elsewhere", "connect_timeout": 9}}
    change_source(source=source, version=source.version, changes=changes, **by)

    told = happened("source")
    assert told["settings.connect_timeout"] == ("5", "9")
    assert told["settings.host"] == (None, "changed; the words are not kept")
    assert "elsewhere" not in newest().payload and newest().personal == {}


def test_every_field_of_an_identity(boss: Any, happened: Any) -> None:
    identity = make.make_identity()
    team = Team.objects.create(name="Payments")
    people = {name: make.make_person(Role.OWNER, name=name.title()) for name in ("owner", "backup_owner", "sponsor")}
    wishes = people | {"team": team, "purpose": "Pays Kim", "environment": "staging", "tags": ["kim", "pay"]}
    by = {"actor": make.actor(boss), "now": timezone.now()}

    edit_identity(identity=identity, version=identity.version, changes=wishes, **by)

    told = happened("identity")
    assert told.keys() == wishes.keys()
    assert told["purpose"][1] == "Pays Kim" and told["tags"][1] == "kim, pay"
    assert told["team"][1] == "Payments" and told["backup_owner"][1] == "Backup_Owner"
    assert "kim" not in newest().payload.lower()


def test_every_detail_of_a_person_a_team_and_a_token(boss: Any, happened: Any, make_token: Any) -> None:
    person, manager = make.make_person(Role.OWNER, name="Ana"), make.make_person(Role.OWNER, name="Max")
    by = {"actor": make.actor(boss), "now": timezone.now()}

    change_user(
        user_id=person.pk, name="Anna", email="anna@example.org", manager_id=manager.pk, may_sign_in=False, **by
    )
    told = happened("person")
    assert told["name"] == ("Ana", "Anna") and told["manager"] == ("nobody", "Max")
    assert told["may_sign_in"] == ("yes", "no") and told["email"][1] == "anna@example.org"
    assert "Ana" not in newest().payload and "example.org" not in newest().payload

    team = Team.objects.create(name="Payments")
    change_team(team_id=team.pk, name="Payouts", member_ids=[manager.pk], **by)
    assert happened("team") == {"name": ("Payments", "Payouts"), "members": ("nobody", "Max")}

    token, _ = make_token(scopes=["audit:read"])
    revoke_token(token_id=token.pk, **by)
    assert list(happened("api_token", verb="token.revoked")) == ["revoked_at"]


def test_what_is_set_and_ended_says_both(boss: Any, happened: Any) -> None:
    by = {"actor": make.actor(boss), "now": timezone.now()}
    window = create_window(
        name="Nights for Kim", rrule="FREQ=DAILY", starts_at=make.NOW, time_zone="UTC", duration_minutes=60,
        source=None, **by,
    )  # fmt: skip
    told = happened("change_window")
    assert told["name"] == (None, "Nights for Kim") and told["minutes"] == (None, "60")
    assert "Kim" not in newest().payload
    remove_window(window=window, **by)
    assert happened("change_window")["removed_at"][0] == "nothing"

    times = {"starts_at": by["now"], "ends_at": by["now"] + timedelta(days=1)}
    lift_freeze(freeze=create_freeze(reason="Release", source=None, **times, **by), **by)
    assert happened("freeze")["lifted_at"][0] == "nothing"


def test_words_that_were_erased_and_people_who_are_gone_are_said_to_be(boss: Any, seal: Callable[[], None]) -> None:
    identity = make.make_identity()
    gone = make.make_person(Role.OWNER, name="Gone Soon")
    by = {"actor": make.actor(boss), "now": timezone.now()}
    edit_identity(identity=identity, version=identity.version, changes={"purpose": "x", "sponsor": gone}, **by)
    seal()
    row = newest(subject_kind="identity")
    erase_details(event_ids=[row.event_id], **by, reason="asked")
    type(identity).objects.filter(pk=identity.pk).update(sponsor=None)
    connection.cursor().execute("DELETE FROM identities_identityversion WHERE TRUE")
    gone.role_assignments.all().delete()
    gone.delete()
    seal()

    (event,) = present(list_events(subject_kind="identity").rows)

    facts: dict[str, FieldChange] = {fact.name: fact for fact in event.facts}
    assert facts["purpose"].new.text == "changed; the words were erased"
    assert facts["sponsor"].new.text == f"{str(row.new['sponsor'])[:8]}… (no longer known here)"


def test_a_fact_beside_a_change_is_no_change_from_nothing(seal: Callable[[], None]) -> None:
    order = Subject("order", str(uuid4()))
    with transaction.atomic():
        record(
            verb=Verb.ORDER_APPLIED,
            actor=system_actor("executor"),
            subject=order,
            now=timezone.now(),
            old={"state": "executing", "sent_by": None},
            new={"state": "applied", "sent_by": "executor", "action": "narrow"},
        )
    seal()

    (event,) = present(list_events(subject_kind="order", subject_id=order.id).rows)

    told = {fact.name: (fact.old.text if fact.old else None, fact.new.text) for fact in event.facts}
    assert told == {
        "state": ("executing", "applied"),
        "sent_by": ("nothing", "executor"),
        "action": (None, "narrow"),
    }


def test_a_reading_says_what_it_found_by_kind_and_leaves_out_what_it_did_not(seal: Callable[[], None]) -> None:
    source = make.make_source()
    begun = {"started_at": NOON, "observed_at": NOON}
    run = SyncRun.objects.create(source=source, mode="delta", origin="api", actor_id="system:test", **begun)
    counts = {"grant": {"added": 0, "changed": 2, "unchanged": 1239}, "trust": {"added": 0, "unchanged": 0}}
    subject = Subject("source", str(source.pk), source.slug)
    told = {"run": str(run.pk), "counts": counts, "item": str(uuid4())}
    record(verb=Verb.SYNC_APPLIED, actor=system_actor("sync"), subject=subject, now=NOON, new=told)
    seal()

    (event,) = present(list_events(subject_kind="source", verb="sync.applied").rows)

    said = {fact.label: fact.new.text for fact in event.facts}
    assert said == {
        "Grant": f"2 changed, {number(1239)} unchanged",
        "Run": "reading of 27 Nov 2026, 12:00:00 UTC",
        # Of what has no name here, nobody says that it is gone.
        "Item": f"{told['item'][:8]}…",
    }


def test_what_an_event_is_about_is_called_as_its_page_calls_it(seal: Callable[[], None]) -> None:
    source = make.make_source(name="Ledger")
    identity = make.make_identity(source, name="nightly")
    policy, _ = PosturePolicy.objects.get_or_create(number=1, defaults={"document": {}})
    about = {"source": source, "identity": identity, "object_kind": "identity", "object_id": identity.pk}
    when = {"found_at": NOON, "opened_at": NOON, "changed_at": NOON}
    finding = Finding.objects.create(rule="NHI7-A", severity=3, digest=b"", policy=policy, **about, **when)
    sealed = {
        Verb.SYNC_APPLIED: Subject("source", str(source.pk), source.slug),
        Verb.IDENTITY_CHANGED: Subject("identity", str(identity.pk), f"service_account:{identity.external_id}"),
        Verb.FINDING_OPENED: Subject("finding", str(finding.pk), finding.rule),
    }
    for verb, subject in sealed.items():
        record(verb=verb, actor=system_actor("sync"), subject=subject, now=NOON)
    seal()

    events = {event.row.verb: event for event in present(list_events().rows)}

    assert events[Verb.SYNC_APPLIED].subject == "Ledger"
    # The address is still made of what the record says.
    assert events[Verb.SYNC_APPLIED].subject_url == f"/sources/{source.slug}/"
    assert events[Verb.IDENTITY_CHANGED].subject == "nightly"
    assert events[Verb.FINDING_OPENED].subject == "NHI7-A of nightly"


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("password+totp", "by password and one-time code"),
        ("mail_link", "by link from a mail"),
        ("internal", ""),
        ("saml", "by saml"),
    ],
)
def test_how_a_session_was_proved_is_said_in_words(method: str, words: str) -> None:
    assert session_words(method) == words
