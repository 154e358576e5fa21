"""Who answers for an identity: asked once per identity, answered by people, suggested from signals, never by signals."""

from datetime import timedelta

import pytest
from django.db import connection

from governance.kernel.actors import Role, system_actor
from governance.people.models import Team
from identities.models import Identity
from identities.selectors.suggested_owners import Signal, prefix_of, rank, suggest_owners
from identities.services.identities import edit_identity
from identities.services.identity_versions import write_versions_of
from reviews.campaigns.closing import close_due_campaigns
from reviews.campaigns.opening import open_campaign
from reviews.campaigns.suggesting import last_confirmed, suggestions_for
from reviews.decisions import AnswerNotPossible, ReasonRequired, decide, recall
from reviews.decisions.ownership import refusals_of
from reviews.models import Order, ReviewItem

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def asked(make):
    """`asked(identity, …)`: the open ownership question about it."""

    def go(identity, **campaign):
        write_versions_of([identity.pk], at=make.NOW - DAY)
        review = make.campaign(item_kinds=["ownership"], **campaign)
        return ReviewItem.objects.get(campaign=review, identity=identity)

    return go


def say(make, item, answer, by=None, **more):
    item.refresh_from_db()
    facts = {"now": make.NOW} | more
    return decide(item=item, version=item.version, answer=answer, actor=make.actor(by or item.assignee), **facts)


def reasons(suggested):
    return {each.person: " ".join(each.reasons) for each in suggested}


def test_a_campaign_asks_once_per_identity_and_the_owner_first(make):
    owner = make.person()
    owned = [make.identity(owner=owner) for _ in range(3)]
    for identity in owned:
        make.grant(identity)
    review = make.campaign(item_kinds=["ownership", "grant"])
    items = ReviewItem.objects.filter(campaign=review, kind="ownership")
    assert sorted(items.values_list("identity", flat=True)) == sorted(each.pk for each in owned)
    assert set(items.values_list("assignee", flat=True)) == {owner.pk}
    assert review.frozen["counts"]["ownership"] == 3


def test_mine_makes_the_person_accountable_and_leaves_the_sources_word_alone(make, asked, verbs):
    person = make.person()
    identity = make.identity(source_owner="Somebody Else")
    item = asked(identity, fallback_reviewer=person)
    say(make, item, "mine", by=person)
    identity.refresh_from_db()
    assert (identity.owner, identity.source_owner, identity.version) == (person, "Somebody Else", 2)
    assert last_confirmed(identity) == make.NOW
    assert identity.versions.get(seen_until=None).owner == person
    assert verbs("item.") == ["item.decided"]
    assert not Order.objects.exists()


def test_mine_confirms_an_owner_without_changing_anything(make, asked):
    owner = make.person()
    identity = make.identity(owner=owner)
    say(make, asked(identity), "mine")
    identity.refresh_from_db()
    assert (identity.owner, identity.version) == (owner, 1)


def test_the_backup_who_takes_over_is_no_longer_the_backup(make, asked):
    backup = make.person()
    identity = make.identity(backup_owner=backup)
    say(make, asked(identity, reviewer_rules=["owner", "backup"]), "mine")
    identity.refresh_from_db()
    assert (identity.owner, identity.backup_owner) == (backup, None)


def test_mine_taken_back_gives_the_former_owner_back(make, asked):
    former, person = make.person(), make.person()
    identity = make.identity(owner=former)
    item = asked(identity)
    say(make, item, "not_mine", named_person=person)
    decision = say(make, item, "mine", by=person)
    assert Identity.objects.get(pk=identity.pk).owner == person
    recall(decision=decision, actor=make.actor(person), now=make.NOW)
    assert Identity.objects.get(pk=identity.pk).owner == former
    item.refresh_from_db()
    assert item.state == "open"


def test_not_mine_asks_the_person_named_and_is_remembered_against_the_one_who_said_it(make, asked):
    wrong, right = make.person(), make.person()
    identity = make.identity(owner=wrong, source_owner=wrong.email)
    item = asked(identity)
    say(make, item, "not_mine", named_person=right)
    item.refresh_from_db()
    assert item.assignee == right
    Identity.objects.filter(pk=identity.pk).update(owner=None)
    identity.refresh_from_db()
    [refused] = suggestions_for(identity)
    assert (refused.person, refused.score) == (wrong.pk, 0)
    assert refused.reasons[0] == "Said on 2 March 2026 that it is not theirs."
    again = asked(identity, fallback_reviewer=right)
    assert again.assignee == right


def test_a_refusal_no_longer_counts_once_the_person_says_that_it_is_theirs(make, asked):
    person = make.person()
    identity = make.identity(owner=person)
    say(make, asked(identity), "not_mine")
    assert refusals_of([identity.pk])[identity.pk] == {person.pk: make.NOW}
    say(make, asked(identity), "mine", now=make.NOW + DAY)
    assert refusals_of([identity.pk])[identity.pk] == {}


def test_without_an_owner_the_likeliest_suggested_person_is_asked_before_the_fallback(make, asked):
    likely = make.person(name="Lena Ried")
    item = asked(make.identity(source_owner="lena ried"))
    assert item.assignee == likely
    assert item.resolution[-1]["rule"] == "suggested"
    assert item.identity.owner is None


def test_the_likeliest_who_refused_in_this_question_is_not_asked_again(make, asked):
    likely = make.person(name="Lena Ried")
    item = asked(make.identity(source_owner="Lena Ried"))
    say(make, item, "not_mine", by=likely)
    item.refresh_from_db()
    assert item.assignee == item.campaign.fallback_reviewer


def test_retire_orders_to_lock_it_out_and_asks_a_person_where_remit_cannot(make, asked):
    item = asked(make.identity(owner=make.person()))
    with pytest.raises(ReasonRequired):
        say(make, item, "retire")
    say(make, item, "retire", reason="Replaced by another job.")
    order = Order.objects.get()
    assert (order.action, order.state, order.grant, order.credential) == ("quarantine", "task", None, None)
    assert "no sign-in and no open session" in order.instructions


def test_holding_a_credential_rules_nobody_out_from_answering_for_it(make, asked):
    holder = make.person()
    identity = make.identity(owner=holder)
    make.credential(identity, holder=holder)
    item = asked(identity)
    assert item.assignee == holder
    assert not say(make, item, "mine").is_attestation


def test_answers_about_access_do_not_fit_and_ownership_answers_fit_nothing_else(make, asked):
    item = asked(make.identity(owner=make.person()))
    with pytest.raises(AnswerNotPossible):
        say(make, item, "approve")
    with pytest.raises(AnswerNotPossible):
        say(make, make.item(), "mine")


@pytest.mark.parametrize("policy", ["keep_and_escalate", "revoke_unused", "revoke"])
def test_silence_takes_nothing_away_and_makes_nobody_accountable(make, asked, policy):
    identity = make.identity(source_owner="nobody@example.org")
    item = asked(identity, deadline_policy=policy)
    close_due_campaigns(now=make.NOW + 20 * DAY)
    item.refresh_from_db()
    identity.refresh_from_db()
    assert (item.state, identity.owner, Order.objects.count()) == ("expired", None, 0)


def test_an_identity_that_vanished_is_not_answered_for(make, asked):
    item = asked(make.identity(owner=make.person()))
    Identity.objects.update(retired_at=make.NOW)
    with pytest.raises(Exception, match="no longer exists"):
        say(make, item, "mine")


# --- suggestions ----------------------------------------------------------------------------------------------------


def test_every_signal_names_its_reason(make):
    source = make.source()
    people = [make.person(name=name) for name in ("Ada", "Ben", "Cleo", "Dora", "Emil", "Fay")]
    ada, ben, cleo, dora, emil, fay = people
    team = Team.objects.create(name="Payments")
    team.members.add(ben)
    identity = make.identity(
        source, name="pay-export", source_owner=ada.email, source_tags=["team:payments"], sponsor=fay
    )
    make.grant(identity, created_by=cleo)
    for number in range(3):
        make.identity(source, name=f"pay-job{number}", owner=dora)
    identity.owner = emil
    identity.save()
    write_versions_of([identity.pk], at=make.NOW - DAY)
    identity.owner = None
    identity.save()
    write_versions_of([identity.pk], at=make.NOW)
    found = reasons(suggest_owners([identity], refusals={})[identity.pk])
    assert len(found) == 5  # at most five, the weakest is left out
    assert found[ada.pk] == "The source names their address as the owner."
    assert found[ben.pk] == "Is in Payments, which is named in its tags."
    assert found[dora.pk] == "Owns 3 of 3 identities here whose name begins with “pay”."
    assert found[emil.pk] == "Owned it before."
    assert found[fay.pk] == "Is the sponsor."
    assert cleo.pk not in found


def test_whoever_edited_it_last_and_the_manager_of_an_owner_who_left_are_suggested(make):
    manager, editor = make.person(), make.person(Role.ADMINISTRATOR)
    gone = make.person(manager=manager, is_active=False, left_at=make.NOW)
    identity = make.identity(owner=gone)
    edit_identity(identity=identity, version=1, changes={"purpose": "Exports"}, actor=make.actor(editor), now=make.NOW)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")  # seals what was recorded
    identity.refresh_from_db()
    found = reasons(suggestions_for(identity))
    assert found == {manager.pk: "Is the manager of an owner who left.", editor.pk: "Edited it last."}


def test_a_name_that_two_people_bear_points_to_neither(make):
    for _ in range(2):
        make.person(name="Kim Lee")
    identity = make.identity(source_owner="Kim Lee")
    assert suggest_owners([identity], refusals={})[identity.pk] == []


def test_signals_add_up_without_ever_being_certain_and_refusals_stand_last(make):
    first, second = make.person().pk, make.person().pk
    signals = [Signal(first, 50, "a"), Signal(first, 50, "b"), Signal(second, 90, "c"), Signal(second, 90, "d")]
    ranked = rank(signals, {}, {first, second})
    assert [(each.person, each.score) for each in ranked] == [(second, 99), (first, 75)]
    ranked = rank(signals, {second: make.NOW}, {first, second})
    assert [(each.person, each.score) for each in ranked] == [(first, 75), (second, 0)]
    assert rank(signals, {}, set()) == []


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("pay-export", "pay"), ("pay_x", "pay"), ("ab-export", ""), ("export", ""), ("-x", ""), ("", ""), ("Öl.x", "")],
    ids=["dash", "underscore", "too short", "no separator", "leading", "empty", "two letters"],
)
def test_the_prefix_of_a_name_ends_at_its_first_separator(name, prefix):
    assert prefix_of(name) == prefix


def test_a_thousand_identities_cost_as_many_queries_as_one(make, django_assert_max_num_queries):
    make.many_grants(1000, each=2)
    review = make.campaign(is_open=False, item_kinds=["ownership"])
    with django_assert_max_num_queries(70):
        open_campaign(campaign_id=review.pk, actor=system_actor("scheduler"), now=make.NOW)
    assert review.items.count() == 500
