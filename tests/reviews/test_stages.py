"""Several stages, and several people in one: who is asked, what their answers come to, and who is heard too late."""

from datetime import timedelta
from itertools import product

import pytest

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.kernel.permissions import Permission
from governance.people.models import Team
from identities.models import Grant, Identity
from reviews import policies
from reviews.campaigns.closing import close_due_campaigns
from reviews.campaigns.repinning import repin_item
from reviews.decisions import (
    NotAssigned,
    NotEligible,
    NotRecallable,
    SelfReview,
    StaleItem,
    apply_delegations,
    create_delegation,
    decide,
    foresee_drafts,
    list_drafts,
    reassign_item,
    recall,
    reroute_orphaned_items,
    save_draft,
    submit_drafts,
)
from reviews.models import Ask, Decision, Order
from reviews.policies import InvalidPolicy
from reviews.policies.outcomes import Outcome
from reviews.policies.stages import MOST_STAGES, Passed, Stages
from reviews.queue import ORDERS, Wish, list_waiting, read_folds, read_page
from reviews.selectors import list_decisions, list_inbox

pytestmark = pytest.mark.django_db


def answer(make, item, how="approve", by=None, **more):
    item.refresh_from_db()
    version = more.pop("version", item.version)
    fields = {"reason": "Because.", "now": make.NOW} | more
    return decide(item=item, version=version, answer=how, actor=make.actor(by or item.assignee), **fields)


def staged(make, *stages, permission=None, **campaign):
    """One question of an identity with an owner, a backup and a team, in a campaign with these stages."""
    people = [make.person(Role.OWNER), make.person(), make.person()]
    team = Team.objects.create(name=f"Team {people[0].pk}")
    team.members.add(people[2])
    identity = make.identity(owner=people[0], backup_owner=people[1], team=team)
    grant = make.grant(identity, permission)
    item = make.get_item(make.campaign(policy={"stages": {"stages": list(stages)}}, **campaign), grant)
    return item, *people


def both(strategy="one_accept_accepts", people=2, **more):
    return {"asks": ["owner", "backup", "team"], "people": people, "strategy": strategy} | more


def state(item):
    item.refresh_from_db()
    return item.state, item.stage, item.assignee


# --- the choice ----------------------------------------------------------------------------------------------------


def test_without_any_setting_there_is_one_stage_that_asks_as_the_review_does():
    assert policies.checked({"stages": {}}) == {"stages": Stages().to_json()}
    assert len(Stages().stages) == 1


def test_what_was_chosen_is_kept_whole():
    chosen = {"stages": [both("all_must_accept"), {"asks": ["independent"], "items": "answered", "answered": ["deny"]}]}
    assert Stages.from_json(Stages.from_json(chosen).to_json()) == Stages.from_json(chosen)


@pytest.mark.parametrize(
    ("stages", "field"),
    [
        ([], "stages"),
        ([{}] * (MOST_STAGES + 1), "stages"),
        ("many", "stages"),
        ([3], "stages.1.stage"),
        ([{"asks": ["anybody"]}], "stages.1.asks"),
        ([{"asks": ["owner", "owner"]}], "stages.1.asks"),
        ([{"asks": [["owner"]]}], "stages.1.asks"),
        ([{"people": 0}], "stages.1.people"),
        ([{"people": True}], "stages.1.people"),
        ([{"items": "privileged"}], "stages.1.items"),
        ([{"when_nobody": "skip"}], "stages.1.when_nobody"),
        ([{}, {"items": "answered"}], "stages.2.answered"),
        ([{}, {"answered": ["deny"]}], "stages.2.answered"),
        ([{}, {"strategy": "dice"}], "stages.2.strategy"),
        ([{}, {"name": "x" * 61}], "stages.2.name"),
        ([{}, {"color": "red"}], "stages.2.color"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_stages_that_make_no_sense_are_refused_by_their_field(stages, field):
    with pytest.raises(InvalidPolicy) as refusal:
        policies.checked({"stages": {"stages": stages}})
    assert f"stages.{field}" in refusal.value.details["fields"]


def test_where_a_stage_is_said_to_be_the_end_no_answer_leads_on():
    later = (
        {"items": "all"},
        {"items": "privileged"},
        {"items": "disagreed"},
        {"items": "answered", "answered": ["deny"]},
    )
    chosen = [Stages.from_json({"stages": [{}, *more]}) for size in range(3) for more in product(later, repeat=size)]
    ends = [
        (stages, number, is_privileged)
        for stages in chosen
        for number in range(1, stages.independence + 1)
        for is_privileged in (False, True)
        if stages.ends_with(number, is_privileged=is_privileged)
    ]
    for stages, number, is_privileged in ends:
        said = (Passed(*each) for each in product(Outcome, (False, True), (is_privileged,), (False, True)))
        assert [stages.following(number, passed) for passed in said] == [None] * len(Outcome) * 4
    assert (Stages(), 1, False) in ends


# --- several people in one stage -------------------------------------------------------------------------------------


def test_everybody_whom_the_stage_names_is_asked_at_once_and_none_of_the_reserve(make):
    item, owner, backup, member = staged(make, both(people=5))
    inboxes = {person: list_inbox(actor=make.actor(person)).count() for person in (owner, backup, member)}
    assert inboxes == {owner: 1, backup: 1, member: 1}
    assert (item.assignee, Ask.objects.count()) == (owner, 2)


def test_one_person_a_stage_writes_no_rows_beside_the_question(make):
    staged(make, {})
    assert not Ask.objects.exists()


def test_the_first_accept_ends_a_stage_where_one_accepts(make, verbs):
    item, _owner, backup, _ = staged(make, both())
    assert answer(make, item, by=backup).is_attestation
    outcome = Decision.objects.get(decided_by=None)
    assert (state(item)[0], outcome.answer, outcome.decided_by_policy) == ("decided", "approve", "one_accept_accepts")
    assert Grant.objects.get(pk=item.grant_id).reviewed_at == make.NOW
    assert verbs("item.") == ["item.decided"]


def test_others_are_waited_for_as_long_as_they_can_change_the_outcome(make, verbs):
    item, owner, backup, _ = staged(make, both("one_deny_denies"))
    version = item.version
    answer(make, item, by=owner)
    assert state(item) == ("open", 1, backup)
    answer(make, item, "revoke", by=backup, version=version)
    assert state(item)[0] == "decided"
    order = Order.objects.get()
    assert (order.action, order.decision.decided_by_policy) == ("revoke", "one_deny_denies")
    assert verbs("item.") == ["item.answered", "item.decided"]


def test_nobody_answers_twice(make):
    item, owner, backup, _ = staged(make, both("all_must_accept"))
    answer(make, item, by=owner)
    with pytest.raises(StaleItem, match="already"):
        answer(make, item, by=owner)
    answer(make, item, by=backup)
    for person in (owner, backup):
        with pytest.raises((NotAssigned, StaleItem)):
            answer(make, item, by=person)


def test_two_who_scope_down_differently_keep_what_either_wants_kept(make):
    item, owner, backup, _ = staged(make, both("one_deny_denies"))
    targets = [
        {"dialect": "postgresql", "statements": [{"actions": [action], "resources": ["table:ledger/public/payments"]}]}
        for action in ("SELECT", "INSERT")
    ]
    for person, target in zip((owner, backup), targets, strict=True):
        answer(make, item, "scope_down", by=person, target=Permission.from_json(target))
    outcome = Decision.objects.get(decided_by=None)
    assert outcome.proof["holds"]
    kept = Permission.from_json(outcome.target)
    assert sorted(action for each in kept.statements for action in each.actions.include) == ["INSERT", "SELECT"]
    assert Order.objects.get().target == outcome.target


def test_two_who_agree_on_nothing_to_take_away_take_nothing_away(make):
    item, owner, backup, _ = staged(make, both("all_must_accept"))
    for person, action in ((owner, "payments"), (backup, "refunds")):
        target = {"actions": ["SELECT", "INSERT"], "resources": [f"table:ledger/public/{action}"]}
        permission = Permission.from_json({"dialect": "postgresql", "statements": [target]})
        answer(make, item, "scope_down", by=person, target=permission)
    assert Decision.objects.get(decided_by=None).answer == "approve"
    assert not Order.objects.exists()


def test_the_earliest_end_stands(make):
    item, owner, backup, _ = staged(make, both("all_must_accept"))
    answer(make, item, "approve_until", by=owner, until=make.NOW + timedelta(days=90))
    answer(make, item, "approve_until", by=backup, until=make.NOW + timedelta(days=30))
    outcome = Decision.objects.get(decided_by=None)
    assert (outcome.answer, outcome.until) == ("approve_until", make.NOW + timedelta(days=30))
    assert Order.objects.get().execute_after == outcome.until


def test_somebody_who_comes_too_late_is_heard_and_changes_nothing(make, verbs):
    item, owner, backup, _ = staged(make, both())
    answer(make, item, by=backup)
    before = (Order.objects.count(), state(item), item.version)
    late = answer(make, item, "revoke", by=owner, version=1)
    assert (late.stage, late.is_attestation) == (None, True)
    assert (Order.objects.count(), state(item), item.version) == before
    assert verbs("item.") == ["item.answered", "item.decided"]
    with pytest.raises((NotAssigned, StaleItem)):
        answer(make, item, "revoke", by=owner)
    with pytest.raises(NotRecallable):
        recall(decision=late, actor=make.actor(owner), now=make.NOW)


def test_a_holder_of_the_credential_is_not_heard_late_either(make):
    item, owner, backup, _ = staged(make, both())
    answer(make, item, by=backup)
    make.credential(item.identity, holder=owner)
    with pytest.raises(SelfReview):
        answer(make, item, "revoke", by=owner)


def test_the_others_of_a_stage_see_no_answer_before_they_gave_their_own(make):
    item, owner, backup, _ = staged(make, both("all_must_accept"))
    answer(make, item, by=owner)
    item.refresh_from_db()
    assert not list_decisions(item, actor=make.actor(backup))
    assert list_decisions(item, actor=make.actor(owner)).count() == 1
    assert list_decisions(item, actor=make.actor(make.person(Role.AUDITOR))).count() == 1


# --- taking back, handing on, leaving ------------------------------------------------------------------------------


def test_taking_one_answer_back_withdraws_the_outcome_and_asks_those_again_who_were_let_go(make):
    item, owner, backup, _ = staged(make, both("one_deny_denies"))
    mine = answer(make, item, "revoke", by=backup)
    order = Order.objects.get()
    recall(decision=mine, actor=make.actor(backup), now=make.NOW)
    order.refresh_from_db()
    assert (order.state, state(item)) == ("recalled", ("open", 1, backup))
    assert list_inbox(actor=make.actor(owner)).count() == list_inbox(actor=make.actor(backup)).count() == 1
    answer(make, item, by=owner)
    answer(make, item, by=backup)
    standing = Decision.objects.get(decided_by=None, recalls=None, recalled_by=None)
    assert (state(item)[0], standing.answer) == ("decided", "approve")


def test_an_answer_that_others_are_waited_for_can_be_taken_back(make):
    item, owner, backup, _ = staged(make, both("all_must_accept"))
    mine = answer(make, item, "approve", by=owner)
    recall(decision=mine, actor=make.actor(owner), now=make.NOW)
    assert {each.person for each in Ask.objects.all()} == {owner}
    answer(make, item, by=backup)
    assert state(item) == ("open", 1, owner)


def test_a_colleague_takes_over_one_place_and_the_other_stays(make):
    item, owner, backup, _ = staged(make, both("all_must_accept"))
    colleague = make.person()
    fields = {"reason": "Knows better.", "actor": make.actor(backup), "now": make.NOW}
    for taken in (owner, backup):
        with pytest.raises(NotEligible):
            reassign_item(item=item, version=item.version, to=taken, **fields)
    reassign_item(item=item, version=item.version, to=colleague, **fields)
    assert state(item)[2] == owner
    assert list_inbox(actor=make.actor(colleague)).count() == 1
    with pytest.raises(NotAssigned):
        answer(make, item, by=backup)


def test_who_has_answered_is_not_handed_the_place_of_another(make):
    item, owner, backup, _ = staged(make, both("all_must_accept"))
    answer(make, item, by=owner)
    with pytest.raises(NotEligible):
        reassign_item(item=item, version=item.version, to=owner, reason="x", actor=make.actor(backup), now=make.NOW)


def test_somebody_beside_the_assignee_says_not_mine_and_somebody_else_is_asked(make):
    item, owner, backup, _ = staged(make, both("all_must_accept"))
    friend = make.person()
    answer(make, item, "not_mine", by=backup, named_person=friend)
    assert {each.person for each in Ask.objects.all()} == {friend}
    assert state(item)[2] == owner


def test_somebody_who_left_is_replaced_beside_the_assignee_too(make, verbs):
    _item, _owner, backup, member = staged(make, both("all_must_accept"))
    backup.is_active = False
    backup.save()
    assert reroute_orphaned_items(now=make.NOW) == 1
    assert {each.person for each in Ask.objects.all()} == {member}
    assert verbs("item.") == ["item.rerouted"]


def test_a_stand_in_takes_the_seat_beside_the_assignee_and_gives_it_back(make, verbs):
    item, owner, backup, _ = staged(make, both("all_must_accept"))
    friend, days = make.person(), timedelta(days=1)
    away = {"person": backup, "delegate": friend, "starts_at": make.NOW, "ends_at": make.NOW + 2 * days}
    create_delegation(**away, actor=make.actor(backup), now=make.NOW)

    apply_delegations(now=make.NOW)
    apply_delegations(now=make.NOW)

    assert (item.assignee, list(Ask.objects.values_list("person", flat=True))) == (owner, [friend.pk])
    assert verbs("item.rerouted") == ["item.rerouted"], "twice changes nothing twice"
    with pytest.raises(NotAssigned):
        answer(make, item, by=backup)
    apply_delegations(now=make.NOW + 2 * days)
    assert list(Ask.objects.values_list("person", flat=True)) == [backup.pk]


def test_a_stand_in_who_is_asked_already_takes_no_second_seat(make):
    _item, owner, backup, _ = staged(make, both("all_must_accept"))
    away = {"person": backup, "delegate": owner, "starts_at": make.NOW, "ends_at": make.NOW + timedelta(days=2)}
    create_delegation(**away, actor=make.actor(backup), now=make.NOW)
    apply_delegations(now=make.NOW)
    assert list(Ask.objects.values_list("person", flat=True)) == [backup.pk]


def test_who_is_asked_beside_finds_the_question_in_the_same_line_drafts_it_and_is_out_once_heard(make, client):
    item, owner, backup, other = staged(make, both("all_must_accept"))
    me, wish = make.actor(backup), Wish()
    for actor in (make.actor(owner), me):
        waiting = list_waiting(actor)
        assert [(each.id, each.counted) for each in waiting] == [(item.campaign_id, 1)]
        assert [row.pk for row in read_page(actor, wish, waiting).rows] == [item.pk]
        [(fold, first)] = read_folds(actor, Wish(order=ORDERS["permission"]), waiting).rows
        assert (fold.counted, first.pk) == (1, item.pk)
    assert list_waiting(make.actor(other)) == []
    client.force_login(backup)
    assert f"asked with {owner}" in client.get("/inbox/").content.decode()

    save_draft(item=item, version=item.version, answer="approve", reason="Because.", actor=me, now=make.NOW)
    [prospect] = foresee_drafts(drafts=list(list_drafts(me)), actor=me, now=make.NOW)
    assert (prospect.ok, prospect.is_stale) == (True, False)
    assert read_page(me, Wish(without_drafts=True), list_waiting(me)).rows == []
    [sent] = submit_drafts(item_ids=[item.pk], actor=me, now=make.NOW)
    assert sent.ok, sent.problem
    assert list_waiting(me) == []


def test_the_line_of_own_questions_and_those_beside_is_one_order(make):
    owner, me = make.person(Role.OWNER), make.person()
    mine = make.grant(make.identity(owner=me, name="bravo"))
    beside = [make.grant(make.identity(owner=owner, backup_owner=me, name=name)) for name in ("alpha", "charlie")]
    stages = {"stages": {"stages": [{"asks": ["owner", "backup"], "people": 2}]}}
    make.campaign(policy=stages)
    actor = make.actor(me)
    waiting, names, cursor = list_waiting(actor), [], ""
    while True:
        page = read_page(actor, Wish(), waiting, cursor, 1)
        names += [row.identity_name for row in page.rows]
        cursor = page.next_cursor
        if not cursor:
            break
    assert names == ["alpha", "bravo", "charlie"]
    assert (waiting[0].counted, len({mine.pk, *(each.pk for each in beside)})) == (3, 3)


@pytest.mark.parametrize(("stages", "words"), [([both("all_must_accept")], "Give your vote"), ([{}], "Decide")])
def test_the_button_says_what_the_answer_is(make, client, stages, words):
    item, owner, *_ = staged(make, *stages)
    client.force_login(owner)
    assert f">{words}</button>" in client.get(f"/reviews/items/{item.pk}/").content.decode()


def test_the_button_of_an_owner_of_privileged_access_says_attest(make, client):
    item, owner, *_ = staged(make, {}, permission=make.PRIVILEGED)
    client.force_login(owner)
    assert ">Attest</button>" in client.get(f"/reviews/items/{item.pk}/").content.decode()


@pytest.mark.parametrize(("sees", "is_shown"), [("nothing", False), ("answers", True)])
def test_the_panel_of_the_identity_shows_no_more_of_a_running_stage_than_the_question_does(
    make, client, sees, is_shown
):
    second = {"asks": ["backup"], "sees": sees}
    item, owner, backup, _ = staged(make, {}, second)
    answer(make, item, by=owner, reason="The nightly export needs it.")
    assert state(item) == ("attested", 2, backup)
    Identity.objects.filter(pk=item.identity_id).update(owner=owner)
    client.force_login(backup)
    panel = client.get(f"/reviews/of-identity/{item.identity_id}/").content.decode()
    assert ("The nightly export needs it." in panel) is is_shown


def test_a_question_that_is_asked_anew_forgets_what_was_said_about_the_former_access(make):
    item, owner, backup, _ = staged(make, both("all_must_accept"))
    answer(make, item, by=owner)
    make.change_grant(item.grant, make.NARROWER)
    item.refresh_from_db()
    repin_item(item=item, version=item.version, actor=make.actor(backup), now=make.NOW)
    answer(make, item, by=backup)
    assert state(item) == ("open", 1, owner)


# --- one stage after another ---------------------------------------------------------------------------------------


def test_a_later_stage_gets_what_its_rule_says_and_only_that(make):
    second = {"asks": ["independent"], "items": "answered", "answered": ["deny"]}
    boss = make.person(Role.REVIEWER)
    for how, ends in (("approve", "decided"), ("revoke", "attested")):
        item, _owner, *_ = staged(make, {}, second, independent_reviewer=boss)
        assert answer(make, item, how).is_attestation == (ends == "attested")
        assert state(item)[:2] == (ends, 2 if ends == "attested" else 1)
    assert not answer(make, item, "approve", by=boss).is_attestation
    assert (state(item)[0], Order.objects.count()) == ("decided", 0)


def test_five_stages_ask_five_people_and_none_twice(make):
    names = ["owner", "backup", "team", "independent", "reviewers"]
    boss, _free = make.person(Role.REVIEWER), make.person(Role.REVIEWER)
    item, owner, backup, member = staged(
        make, *({"asks": [name]} for name in names), independent_reviewer=boss, fallback_reviewer=make.person()
    )
    asked = []
    while state(item)[0] != "decided":
        asked.append(item.assignee)
        answer(make, item)
    assert asked[:4] == [owner, backup, member, boss]
    assert len(set(asked)) == 5
    assert item.decisions.get(is_attestation=False).decided_by == asked[-1]


def test_disagreement_goes_to_somebody_who_settles_it_without_knowing_what_was_said(make):
    umpire = make.person(Role.REVIEWER)
    last = {"asks": ["independent"], "items": "disagreed", "sees": "nothing"}
    item, owner, backup, _ = staged(make, both("all_must_accept"), last, independent_reviewer=umpire)
    answer(make, item, "approve", by=owner)
    answer(make, item, "revoke", by=backup)
    assert state(item) == ("attested", 2, umpire)
    assert not list_decisions(item, actor=make.actor(umpire))
    assert answer(make, item, "approve", by=umpire).stage == 2
    item.refresh_from_db()
    assert list_decisions(item, actor=make.actor(umpire)).count() == 3
    assert not Order.objects.exists()


def test_agreement_needs_no_umpire(make):
    item, owner, backup, _ = staged(make, both("all_must_accept"), {"asks": ["independent"], "items": "disagreed"})
    answer(make, item, "approve", by=owner)
    answer(make, item, "approve", by=backup)
    assert state(item)[0] == "decided"


def test_a_stage_without_anybody_is_passed_over_or_asks_the_reserve_and_the_trace_says_so(make):
    fallback = make.person(Role.REVIEWER)
    for when_nobody, ends in (("skip", ("decided", 1)), ("fallback", ("attested", 2))):
        stage = {"asks": ["source_owner"], "when_nobody": when_nobody}
        item, *_ = staged(make, {}, stage, fallback_reviewer=fallback)
        decision = answer(make, item)
        assert state(item)[:2] == ends
        assert decision.is_attestation == (when_nobody == "fallback")
        passed = [step["why"] for step in item.resolution if step["rule"] == "stage"]
        assert passed == (["Nobody to ask in stage 2, so it is passed over."] if when_nobody == "skip" else [])


@pytest.mark.parametrize(
    "stages",
    [[{}], [both()], [both("all_must_accept", 3), {"asks": ["backup", "team"]}]],
    ids=["one", "several", "two"],
)
def test_owners_never_decide_on_privileged_access_whatever_the_stages(make, stages):
    boss = make.person(Role.REVIEWER)
    item, *owners = staged(make, *stages, permission=make.PRIVILEGED, independent_reviewer=boss)
    while state(item)[2] in owners:
        answer(make, item)
        assert state(item)[0] != "decided"
    assert item.assignee == boss
    answer(make, item, "revoke")
    assert state(item)[0] == "decided"
    assert Order.objects.get().decision.decided_by == boss


def test_an_independent_answer_that_alone_comes_to_the_same_needs_no_further_one(make):
    manager_of_owner = make.person()
    item, owner, *_ = staged(
        make,
        {"asks": ["owner", "source_owner"], "people": 2, "strategy": "one_deny_denies"},
        permission=make.PRIVILEGED,
    )
    source = item.identity.source
    source.owner = manager_of_owner
    source.save()
    grant = make.grant(item.identity, make.PRIVILEGED)
    item = make.get_item(make.campaign(policy=item.campaign.policy), grant)
    answer(make, item, by=owner)
    answer(make, item, by=manager_of_owner)
    assert state(item)[:2] == ("decided", 1)


def test_taking_a_former_answer_back_leads_back_into_its_stage(make):
    boss = make.person(Role.REVIEWER)
    item, owner, backup, _ = staged(make, both("all_must_accept"), {"asks": ["independent"]}, independent_reviewer=boss)
    first = answer(make, item, by=owner)
    answer(make, item, by=backup)
    assert state(item) == ("attested", 2, boss)
    recall(decision=first, actor=make.actor(owner), now=make.NOW)
    assert state(item) == ("open", 1, owner)
    answer(make, item, by=owner)
    assert state(item) == ("attested", 2, boss)
    answer(make, item, by=boss)
    with pytest.raises(NotRecallable):
        recall(decision=Decision.objects.filter(decided_by=backup).get(), actor=make.actor(backup), now=make.NOW)


def test_whoever_answers_twice_from_an_old_page_is_told_so_and_strangers_are_not(make):
    boss = make.person(Role.REVIEWER)
    item, owner, backup, _ = staged(make, {"asks": ["owner"]}, {"asks": ["independent"]}, independent_reviewer=boss)
    answer(make, item, by=owner)

    with pytest.raises(StaleItem, match="You have answered this question already"):
        answer(make, item, "revoke", by=owner, version=1)
    with pytest.raises(NotAssigned):
        answer(make, item, "revoke", by=backup)
    assert state(item)[:2] == ("attested", 2)
    assert Decision.objects.count() == 1


# --- the deadline --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "how", "ends"),
    [
        ("one_deny_denies", "approve", "decided"),
        ("accepted_if_not_denied", "approve", "decided"),
        ("all_must_accept", "approve", "expired"),
    ],
)
def test_the_deadline_ends_a_half_answered_stage_as_far_as_its_strategy_lets_silence_pass(make, strategy, how, ends):
    item, owner, *_ = staged(make, both(strategy, 3))
    answer(make, item, how, by=owner)
    close_due_campaigns(now=item.campaign.deadline_at + timedelta(hours=1))
    assert state(item)[0] == ends
    assert Decision.objects.filter(decided_by_policy=strategy).exists() == (ends == "decided")
    assert AuditEvent.objects.filter(verb="campaign.closed").count() == 1


def test_silence_of_all_is_left_to_the_deadline_policy(make):
    item, *_ = staged(make, both("accepted_if_not_denied"))
    close_due_campaigns(now=item.campaign.deadline_at + timedelta(hours=1))
    assert state(item)[0] == "expired"
    assert not Decision.objects.exists()


def test_a_half_answered_stage_that_another_would_follow_is_left_to_the_deadline_policy(make):
    item, owner, *_ = staged(make, both("one_deny_denies"), {"asks": ["independent"]})
    answer(make, item, by=owner)
    close_due_campaigns(now=item.campaign.deadline_at + timedelta(hours=1))
    assert state(item)[0] == "expired"


def test_nobody_is_asked_any_more_about_what_the_deadline_policy_took_away(make):
    item, owner, *_ = staged(make, both("one_deny_denies", 3), {"asks": ["independent"]}, deadline_policy="revoke")
    answer(make, item, by=owner)
    assert Ask.objects.filter(item=item, is_released=False).exists()

    close_due_campaigns(now=item.campaign.deadline_at + timedelta(hours=1))

    assert state(item)[0] == "decided"
    assert not Ask.objects.filter(item=item).exists()


def test_access_that_changed_is_not_ended_by_half_an_answer(make):
    item, owner, *_ = staged(make, both("one_deny_denies"))
    answer(make, item, by=owner)
    make.change_grant(item.grant, make.NARROWER)
    close_due_campaigns(now=item.campaign.deadline_at + timedelta(hours=1))
    assert state(item)[0] == "expired"
