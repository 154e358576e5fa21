"""A preview tells what an opening then does, and writes nothing."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Case, F, Value, When
from django.db.utils import InternalError
from django.test.utils import CaptureQueriesContext

from governance.kernel.actors import Role
from identities.models import Grant, Identity
from identities.posture.evaluate import evaluate
from reviews.campaigns import preview as previewing
from reviews.campaigns import previewed_use
from reviews.campaigns.closing import close_due_campaigns
from reviews.campaigns.plans import CampaignPlan, unsaved_campaign
from reviews.campaigns.preview import preview_campaign
from reviews.campaigns.previewed_carrying import WORDS
from reviews.campaigns.unchanged import Why
from reviews.decisions import decide, decide_many
from reviews.models import DeadlinePolicy, Decision
from reviews.views.launching import count_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def simulate(make):
    """`simulate(scope="…", deadline_policy="…")`: the preview, by a manager and with a fallback of its own."""

    def go(**chosen):
        if "fallback_reviewer" not in chosen:
            chosen["fallback_reviewer"] = make.person(Role.REVIEWER)
        manager = chosen.pop("manager", None) or make.person(Role.CAMPAIGN_MANAGER)
        campaign = unsaved_campaign(CampaignPlan(**chosen), name="Simulated", manager=manager, now=make.NOW)
        return preview_campaign(campaign=campaign, now=make.NOW)

    return go


def every_table():
    """The content of every table, as one checksum per table."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM \"{table}\" t")
            found[table] = cursor.fetchone()[0]
    return found


def estate(make):
    """Owners, a holder, a creator, privileged and idle access, credentials: something of everything."""
    watched, blind = make.source(name="Watched"), make.source(name="Blind", last_success_at=None)
    make.window(watched)
    owner, gone = make.person(Role.OWNER), make.person(Role.OWNER, is_active=False)
    used, idle = make.identity(watched, owner=owner), make.identity(watched, owner=gone)
    dark, nobody = make.identity(blind, owner=owner), make.identity(watched)
    make.use(used, "SELECT", "table:ledger/public/payments", days_ago=2)
    make.grant(used)
    make.grant(used, make.PRIVILEGED, created_by=owner)
    make.grant(idle)
    make.grant(idle, make.PRIVILEGED)
    make.grant(dark)
    make.grant(nobody)
    make.credential(used, last_used_at=make.NOW - timedelta(days=1), holder=owner)
    make.credential(dark)
    return owner


@pytest.mark.parametrize("policy", DeadlinePolicy.values)
def test_what_a_preview_tells_is_what_the_review_then_does(make, simulate, policy):
    estate(make)
    people = {"manager": make.person(Role.CAMPAIGN_MANAGER), "fallback_reviewer": make.person(Role.REVIEWER)}
    kinds = {"item_kinds": ["grant", "credential"], "deadline_policy": policy}
    told = simulate(**kinds, **people)

    campaign = make.campaign(**kinds, **people)
    items = list(campaign.items.select_related("campaign"))

    assert told.counts == campaign.frozen["expected"]
    assert told.total == told.looked_at == told.judged == len(items)
    assert sum(told.privileged.values()) == sum(item.is_privileged for item in items)
    assert told.nobody == sum(item.escalated_at is not None for item in items)
    assert {load.person.pk: load.items for load in told.load if load.items} == {
        person: sum(item.assignee_id == person for item in items if item.escalated_at is None)
        for person in {item.assignee_id for item in items if item.escalated_at is None}
    }
    close_due_campaigns(now=make.NOW + timedelta(days=15))
    taken = Decision.objects.filter(item__campaign=campaign)
    assert told.chosen.takes_away == taken.count()
    assert told.chosen.privileged == taken.filter(item__is_privileged=True).count()


def test_nothing_is_written_by_a_preview(make, simulate):
    estate(make)
    people = {"manager": make.person(Role.CAMPAIGN_MANAGER), "fallback_reviewer": make.person(Role.REVIEWER)}
    before = every_table()
    simulate(item_kinds=["grant", "credential"], deadline_policy="revoke", **people)
    assert every_table() == before
    assert len(before) > 40


def test_the_database_itself_refuses_to_write_during_a_preview(make, simulate, monkeypatch):
    make.grant()
    monkeypatch.setattr(previewing, "_told", lambda *args: make.source())
    with pytest.raises(InternalError, match="read-only"):
        simulate()


def test_who_would_review_themself_is_named_with_the_reason(make, simulate):
    owner, holder = make.person(Role.OWNER), make.person(Role.OWNER)
    identity = make.identity(owner=holder)
    make.credential(identity, holder=holder)
    make.grant(identity)
    make.grant(make.identity(owner=owner), created_by=owner)
    make.grant(make.identity(owner=make.person(is_active=False)))
    told = simulate()
    assert {(each.person, each.items) for each in told.passed_over if "Not independent" in each.why} == {
        (holder, 1),
        (owner, 1),
    }
    assert sorted(each.why.split(":")[0] for each in told.passed_over) == [
        "Has left or cannot sign in.",
        "Not independent",
        "Not independent",
    ]


def test_where_nobody_may_decide_the_preview_says_which(make, simulate):
    manager = make.person(Role.CAMPAIGN_MANAGER)
    identity = make.identity()
    make.credential(identity, holder=manager)
    grant = make.grant(identity)
    told = simulate(manager=manager, fallback_reviewer=manager)
    assert (told.nobody, [example.id for example in told.nobody_examples]) == (1, [grant.pk])
    assert told.people == 0


def test_privileged_questions_count_for_the_owner_and_for_whoever_decides_after(make, simulate):
    owner, independent = make.person(Role.OWNER), make.person(Role.REVIEWER)
    make.grant(make.identity(owner=owner), make.PRIVILEGED)
    told = simulate(independent_reviewer=independent)
    assert {(load.person, load.items, load.attests, load.decides) for load in told.load} == {
        (owner, 1, 1, 0),
        (independent, 0, 0, 1),
    }


def test_each_policy_is_told_with_what_was_used_in_the_last_week(make, simulate):
    source = make.source()
    make.window(source)
    lately, long_ago, idle = (make.identity(source) for _ in range(3))
    make.use(lately, "SELECT", "table:ledger/public/payments", days_ago=6)
    make.use(long_ago, "SELECT", "table:ledger/public/payments", days_ago=8)
    grants = [make.grant(each) for each in (lately, long_ago, idle)]
    make.grant()
    told = simulate(deadline_policy="revoke")
    assert {each.policy.value: (each.takes_away, each.used_lately, each.unobservable) for each in told.outcomes} == {
        "keep_and_escalate": (0, 0, 0),
        "revoke_unused": (1, 0, 0),
        "revoke": (4, 1, 1),
        "graded": (1, 0, 0),
        "table": (1, 0, 0),
    }
    assert [example.id for example in told.lately] == [grants[0].pk]
    assert told.lately[0].identity == lately.name


def test_stale_sources_stand_in_the_preview(make, simulate):
    make.grant(make.identity(make.source(slug="old", last_success_at=make.NOW - timedelta(days=9))))
    make.grant(make.identity(make.source(slug="fresh")))
    found = {each["slug"]: each["freshness"] for each in simulate().sources}
    assert found == {"fresh": "fresh", "old": "stale"}


def test_limits_are_said_and_totals_stay_exact(make, simulate, monkeypatch):
    monkeypatch.setattr(previewing, "MOST_LOOKED_AT", 4)
    monkeypatch.setattr(previewed_use, "MOST_COMPARED", 2)
    source = make.source()
    for _ in range(6):
        make.use(make.grant(make.identity(source)).identity, "SELECT", "table:ledger/public/payments")
    told = simulate()
    assert (told.total, told.looked_at, told.judged, told.is_partial) == (6, 4, 2, True)


def test_an_empty_scope_has_an_empty_preview(simulate):
    told = simulate(scope="source=nowhere")
    assert (told.total, told.people, told.is_partial, told.chosen.takes_away) == (0, 0, False, 0)


def test_forty_questions_cost_as_many_queries_as_three(make, simulate):
    def queries(number):
        source = make.source(slug=f"of-{number}")
        for _ in range(number):
            identity = make.identity(source, owner=make.person())
            make.grant(identity)
            make.use(identity, "SELECT", "table:ledger/public/payments")
        with CaptureQueriesContext(connection) as found:
            simulate(scope=f"source={source.slug}", deadline_policy="revoke")
        return len(found)

    assert queries(40) == queries(3)


# --- carried over -------------------------------------------------------------------------------------------------

CARRYING = {"is_on": True, "generations": 2}


def carried_estate(make):
    """Access with every fate that carrying knows, some of it approved in an earlier review; its owner."""
    owner, other, holder = make.person(Role.OWNER), make.person(Role.OWNER), make.person(Role.OWNER)
    watched = make.source()
    make.window(watched)

    def grant(permission=None, **fields):
        return make.grant(make.identity(watched, **({"owner": owner} | fields)), permission)

    plain = [grant() for _ in range(4)]
    changed, moved, given, used, left = grant(), grant(), grant(), grant(), grant(owner=other)
    disabled, lapsed, late, until, revoked, held = (grant() for _ in range(6))
    unowned, privileged = grant(), grant(make.PRIVILEGED)
    first = make.campaign()
    for each in [*plain, changed, moved, given, used, left, disabled, lapsed, late, until, revoked, held, unowned]:
        item = make.get_item(first, each)
        how = {until: "approve_until", revoked: "revoke"}.get(each, "approve")
        more = {"until": make.NOW + timedelta(days=90), "reason": "x"} if how == "approve_until" else {}
        me, now = make.actor(item.assignee), make.NOW - timedelta(days=400 if each is late else 0)
        decide(item=item, version=item.version, answer=how, actor=me, now=now, **more)
    first.items.update(state=Case(When(state="open", then=Value("expired")), default=F("state")))
    make.change_grant(changed, make.NARROWER)
    Identity.objects.filter(pk=moved.identity_id).update(environment_edited="production")
    Identity.objects.filter(pk=given.identity_id).update(owner=holder)
    make.use(used.identity, "SELECT", "table:ledger/public/payments")
    type(other).objects.filter(pk=other.pk).update(is_active=False)
    Identity.objects.filter(pk=disabled.identity_id).update(status="disabled")
    Identity.objects.filter(pk=unowned.identity_id).update(owner=None)
    Grant.objects.filter(pk=lapsed.pk).update(reviewed_digest=None)
    make.credential(held.identity, holder=owner)
    grant()
    make.credential(privileged.identity)
    return owner


@pytest.mark.parametrize("percent", [0, 100, 50])
def test_what_would_be_carried_over_is_what_the_opening_then_carries(make, simulate, percent):
    carried_estate(make)
    people = {"manager": make.person(Role.CAMPAIGN_MANAGER), "fallback_reviewer": make.person(Role.REVIEWER)}
    chosen = people | {
        "item_kinds": ["grant", "credential"],
        "policy": {"carrying": CARRYING | {"sample_percent": percent}},
    }
    told = simulate(**chosen)
    carrying = told.carrying

    campaign = make.campaign(**chosen)
    frozen = campaign.frozen["carrying"]
    assert carrying.unchanged == frozen["carried"] + frozen["sampled"] == 4
    assert carrying.carried + carrying.sampled == carrying.unchanged
    assert carrying.unchanged + sum(each.items for each in carrying.asked) == told.looked_at == campaign.items.count()
    if percent != 50:
        assert (carrying.carried, carrying.sampled) == (frozen["carried"], frozen["sampled"])
    assert carrying.is_drawn == (percent == 50)
    asked = campaign.items.exclude(decisions__decided_by_policy="carrying").count() - frozen["sampled"]
    assert sum(load.items for load in told.load) + told.nobody == asked


def test_why_the_others_are_asked_is_told_by_their_first_reason(make, simulate):
    carried_estate(make)
    told = simulate(item_kinds=["grant", "credential"], policy={"carrying": CARRYING})
    assert {each.why.value: each.items for each in told.carrying.asked} == {
        "kind": 2,
        "privileged": 1,
        "never_decided": 1,
        "not_approved": 2,
        "content": 1,
        "approval_gone": 1,
        "environment": 1,
        "owner": 2,
        "use": 1,
        "status": 1,
        "too_old": 1,
        "nobody_accountable": 1,
        "not_independent": 1,
    }
    assert set(WORDS) == set(Why)


def test_what_silence_takes_away_is_told_without_what_is_carried_over(make, simulate):
    carried_estate(make)
    without = simulate(deadline_policy="revoke")
    with_it = simulate(deadline_policy="revoke", policy={"carrying": CARRYING | {"sample_percent": 0}})
    assert without.carrying is None
    assert without.chosen.takes_away - with_it.chosen.takes_away == with_it.carrying.unchanged == 4
    assert with_it.judged == without.judged == with_it.total


def test_where_use_was_not_looked_at_nothing_is_called_unchanged(make, simulate, monkeypatch):
    carried_estate(make)
    monkeypatch.setattr(previewed_use, "MOST_COMPARED", 0)
    told = simulate(policy={"carrying": CARRYING})
    assert (told.carrying.unchanged, told.is_partial) == (0, True)
    assert {each.items for each in told.carrying.asked if each.why is Why.USE_UNKNOWN} == {12}


def test_carrying_costs_a_preview_the_same_queries_for_many_questions_as_for_few(make, simulate):
    owner = make.person(Role.OWNER)

    def queries(number):
        source = make.source()
        for _ in range(number):
            make.grant(make.identity(source, owner=owner))
        scope = f"source={source.slug}"
        ids = list(make.campaign(scope=scope).items.values_list("pk", flat=True))
        decide_many(item_ids=ids, answer="approve", actor=make.actor(owner), now=make.NOW)
        with CaptureQueriesContext(connection) as found:
            assert simulate(scope=scope, policy={"carrying": CARRYING}).carrying.unchanged == number
        return len(found)

    assert queries(12) == queries(2)


def test_a_scope_of_the_unused_says_how_much_nobody_can_tell(make, simulate):
    estate(make)
    asked = simulate(scope="unused_days=30")
    everything = simulate().total
    assert (asked.total, asked.unknown_use) == (0, everything), "nothing was worked out yet"

    evaluate(Identity.objects.values_list("pk", flat=True), now=make.NOW)

    asked = simulate(scope="unused_days=30")
    unknown = simulate(scope="unknown_use_days=30")
    assert asked.total > 0
    assert asked.unknown_use == unknown.total > 0
    assert asked.total + unknown.total < everything, "one is in use"
    assert simulate(scope="unknown_use_days=30").unknown_use == 0
    assert count_of("unused_days=30", ["grant"], make.NOW) == {
        "grant": asked.total,
        "credential": None,
        "ownership": None,
        "unknown": asked.unknown_use,
    }
