from datetime import timedelta

import pytest
from django.db import connection

from governance.kernel.actors import Role, system_actor
from governance.kernel.permissions import Permission
from identities.models import Grant
from reviews.decisions import (
    AccessChanged,
    AnswerNotPossible,
    CampaignNotOpen,
    NotAssigned,
    ReasonRequired,
    SelfReview,
    StaleItem,
    TargetNotInside,
    decide,
)
from reviews.decisions.items import RELATED
from reviews.decisions.loading import among
from reviews.models import Decision, Order, ReviewItem

pytestmark = pytest.mark.django_db


def answer(make, item, how="approve", by=None, now=None, **more):
    person = by or item.assignee
    version = more.pop("version", item.version)
    return decide(item=item, version=version, answer=how, actor=make.actor(person), now=now or make.NOW, **more)


def test_an_approval_is_final_changes_nothing_and_is_written_onto_the_grant(make, verbs):
    item = make.item()
    decision = answer(make, item)
    item.refresh_from_db()
    grant = Grant.objects.get(pk=item.grant_id)
    assert (item.state, decision.is_attestation) == ("decided", False)
    assert (grant.reviewed_at, bytes(grant.reviewed_digest)) == (make.NOW, bytes(item.grant_version.digest))
    assert not Order.objects.exists()
    assert verbs("item.") == ["item.decided"]


def test_a_revoke_orders_the_change_with_time_to_take_it_back(make, settings):
    settings.ORDER_RECALL_SECONDS = 20
    item = make.item()
    decision = answer(make, item, "revoke")
    order = Order.objects.get(decision=decision)
    assert (order.action, order.execute_after) == ("revoke", make.NOW + timedelta(seconds=20))
    assert Grant.objects.get(pk=item.grant_id).reviewed_at is None


def test_approve_until_orders_the_end_for_its_date(make):
    item = make.item()
    until = make.NOW + timedelta(days=30)
    decision = answer(make, item, "approve_until", until=until, reason="Migration ends in April.")
    order = Order.objects.get(decision=decision)
    assert (order.action, order.state, order.execute_after) == ("revoke", "planned", until)
    assert Grant.objects.get(pk=item.grant_id).approved_until == until


def test_scope_down_keeps_the_proof_and_orders_the_narrowing(make):
    item = make.item()
    decision = answer(make, item, "scope_down", target=Permission.from_json(make.NARROWER))
    assert decision.proof["holds"]
    assert decision.proof["target"] == Permission.from_json(make.NARROWER).digest().hex()
    assert Order.objects.get(decision=decision).action == "narrow"


def test_a_target_outside_what_is_held_is_refused_with_the_counter_example(make):
    item = make.item()
    wider = {
        "dialect": "postgresql",
        "statements": [{"actions": ["DELETE"], "resources": ["table:ledger/public/payments"]}],
    }
    with pytest.raises(TargetNotInside) as refusal:
        answer(make, item, "scope_down", target=Permission.from_json(wider))
    assert refusal.value.details["counter_example"]["action"] == "DELETE"
    assert not Decision.objects.exists()


@pytest.mark.parametrize(
    "statements",
    [
        [],
        [
            {
                "actions": ["SELECT", "INSERT"],
                "resources": ["table:ledger/public/payments", "table:ledger/public/refunds"],
            }
        ],
        [
            {"actions": ["SELECT", "INSERT"], "resources": ["table:ledger/public/payments"]},
            {"actions": ["INSERT", "SELECT"], "resources": ["table:ledger/public/refunds"]},
        ],
        [
            {"actions": ["SELECT"], "resources": ["table:ledger/public/payments"]},
            {"effect": "deny", "actions": ["*"], "resources": ["*"]},
        ],
    ],
    ids=["nothing", "the same", "the same in other words", "nothing behind a deny"],
)
def test_a_target_that_is_everything_or_nothing_is_refused(make, statements):
    item = make.item()
    with pytest.raises(TargetNotInside):
        answer(
            make, item, "scope_down", target=Permission.from_json({"dialect": "postgresql", "statements": statements})
        )


@pytest.mark.parametrize("how", ["approve", "revoke"])
def test_privileged_access_is_never_answered_without_a_reason(make, how):
    item = make.item(make.PRIVILEGED)
    with pytest.raises(ReasonRequired):
        answer(make, item, how)
    with pytest.raises(ReasonRequired):
        answer(make, item, how, reason="   ")


def test_a_dated_approval_needs_a_reason_and_a_plain_one_does_not(make):
    item = make.item()
    with pytest.raises(ReasonRequired):
        answer(make, item, "approve_until", until=make.NOW + timedelta(days=3))
    answer(make, item, "approve")


@pytest.mark.parametrize(
    ("how", "more"),
    [
        ("keep", {}),
        ("nonsense", {}),
        ("approve", {"until": timedelta(days=1)}),
        ("approve_until", {"reason": "x"}),
        ("approve_until", {"reason": "x", "until": timedelta(days=-1)}),
        ("approve_until", {"reason": "x", "until": timedelta(days=9999)}),
        ("scope_down", {}),
        ("approve", {"reason": "nul\x00"}),
        ("approve", {"reason": "x" * 5000}),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused_in_words(make, how, more):
    item = make.item()
    if "until" in more:
        more = more | {"until": make.NOW + more["until"]}
    with pytest.raises(AnswerNotPossible) as refusal:
        answer(make, item, how, **more)
    assert refusal.value.message.endswith(".")


def test_only_the_person_asked_may_answer(make):
    item = make.item()
    for other in (make.person(Role.REVIEWER), make.person(Role.ADMINISTRATOR), item.campaign.manager):
        with pytest.raises(NotAssigned):
            answer(make, item, by=other)
    with pytest.raises(NotAssigned):
        decide(item=item, version=1, answer="approve", actor=system_actor("script"), now=make.NOW)


def test_an_answer_to_an_older_state_of_the_item_is_refused(make):
    item = make.item()
    with pytest.raises(StaleItem):
        answer(make, item, version=item.version + 1)
    answer(make, item)
    with pytest.raises(StaleItem):
        answer(make, item)
    assert Decision.objects.count() == 1


def test_access_that_changed_since_opening_is_not_decided_unseen(make):
    item = make.item()
    make.change_grant(item.grant, make.NARROWER)
    for how in ("approve", "revoke"):
        with pytest.raises(AccessChanged) as refusal:
            answer(make, item, how)
        assert refusal.value.details["gone"] is False


def test_access_that_came_back_to_what_was_seen_can_be_decided(make):
    item = make.item()
    make.change_grant(item.grant, make.NARROWER)
    make.change_grant(item.grant, make.HELD)
    answer(make, item)


def test_access_that_is_gone_is_not_decided(make):
    item = make.item()
    Grant.objects.filter(pk=item.grant_id).update(retired_at=make.NOW)
    with pytest.raises(AccessChanged) as refusal:
        answer(make, item)
    assert refusal.value.details["gone"] is True


def test_no_answer_counts_outside_the_open_time(make):
    item = make.item()
    with pytest.raises(CampaignNotOpen):
        answer(make, item, now=item.campaign.deadline_at)
    item.campaign.state = "closing"
    item.campaign.save()
    with pytest.raises(CampaignNotOpen):
        answer(make, item)


def test_a_mail_link_is_enough_to_answer_what_one_is_asked(make):
    item = make.item()
    decision = decide(
        item=item, version=1, answer="approve", actor=make.actor(item.assignee, "mail_link"), now=make.NOW
    )
    assert decision.auth_method == "mail_link"


# --- privileged: the owner attests, somebody independent decides ---------------------------------------------------


def test_an_owner_attests_and_the_independent_reviewer_decides(make, verbs):
    independent = make.person(Role.REVIEWER)
    item = make.item(make.PRIVILEGED, independent_reviewer=independent)
    owner = item.assignee
    first = answer(make, item, "revoke", reason="Nobody uses it.")
    item.refresh_from_db()
    assert first.is_attestation
    assert (item.state, item.assignee) == ("attested", independent)
    assert not Order.objects.exists()
    with pytest.raises(StaleItem, match="answered this question already"):
        answer(make, item, "revoke", by=owner, reason="x")

    second = answer(make, item, "revoke", by=independent, reason="Agreed.")

    item.refresh_from_db()
    assert (item.state, second.is_attestation) == ("decided", False)
    assert Order.objects.get().decision == second
    assert verbs("item.") == ["item.answered", "item.decided"]


def test_an_attested_approval_is_not_yet_an_approval(make):
    item = make.item(make.PRIVILEGED)
    answer(make, item, "approve", reason="Needed.")
    assert Grant.objects.get(pk=item.grant_id).reviewed_at is None


def test_an_independent_reviewer_decides_directly_where_nobody_owns_it(make):
    independent = make.person(Role.REVIEWER)
    grant = make.grant(make.identity(), make.PRIVILEGED)
    item = make.get_item(make.campaign(independent_reviewer=independent), grant)
    assert item.assignee == independent
    assert not answer(make, item, "revoke", reason="Too much.").is_attestation


def test_an_owner_who_became_the_independent_reviewer_cannot_decide(make):
    independent = make.person(Role.REVIEWER)
    item = make.item(make.PRIVILEGED, independent_reviewer=independent)
    answer(make, item, "approve", reason="Needed.")
    item.identity.owner = independent
    item.identity.save()
    item.refresh_from_db()
    with pytest.raises(SelfReview):
        answer(make, item, "approve", reason="Mine, so fine.")


@pytest.mark.parametrize("role", ["holder", "creator"])
@pytest.mark.parametrize("permission", ["HELD", "PRIVILEGED"])
def test_who_holds_the_credential_or_made_the_grant_neither_decides_nor_attests(make, role, permission):
    item = make.item(getattr(make, permission))
    if role == "holder":
        make.credential(item.identity, holder=item.assignee)
    else:
        Grant.objects.filter(pk=item.grant_id).update(created_by=item.assignee)
    with pytest.raises(SelfReview):
        answer(make, item, "approve", reason="Mine.")
    decision = answer(make, item, "not_mine")
    item.refresh_from_db()
    assert item.assignee_id != decision.decided_by_id


def test_a_retired_credential_binds_nobody(make):
    item = make.item()
    make.credential(item.identity, holder=item.assignee, retired_at=make.NOW)
    answer(make, item)


def test_an_owner_decides_alone_on_what_is_not_privileged(make):
    item = make.item()
    assert not answer(make, item).is_attestation


# --- not mine, don't know ------------------------------------------------------------------------------------------


def test_not_mine_asks_the_next_person_and_leaves_the_question_open(make, verbs):
    fallback = make.person(Role.REVIEWER)
    item = make.item(fallback_reviewer=fallback)
    answer(make, item, "not_mine")
    item.refresh_from_db()
    assert (item.state, item.assignee) == ("open", fallback)
    assert [step["rule"] for step in item.resolution][-1] == "fallback"
    assert verbs("item.") == ["item.rerouted"]


def test_dont_know_asks_the_person_who_is_named(make):
    item = make.item()
    colleague = make.person()
    answer(make, item, "dont_know", named_person=colleague)
    item.refresh_from_db()
    assert item.assignee == colleague
    assert not answer(make, item).is_attestation


def test_a_named_person_who_left_is_passed_over_with_the_reason(make):
    item = make.item()
    answer(make, item, "not_mine", named_person=make.person(is_active=False))
    item.refresh_from_db()
    named = next(step for step in item.resolution if step["rule"] == "named")
    assert (named["outcome"], named["why"]) == ("skipped", "Has left or cannot sign in.")


def test_a_question_never_comes_back_to_who_passed_it_on(make):
    manager, fallback = make.person(Role.CAMPAIGN_MANAGER), make.person(Role.REVIEWER)
    item = make.item(manager=manager, fallback_reviewer=fallback)
    owner = item.assignee
    asked = [owner]
    for _ in range(2):
        answer(make, item, "not_mine", named_person=owner)
        item.refresh_from_db()
        asked.append(item.assignee)
    assert asked == [owner, fallback, manager]


def test_whoever_an_owner_names_for_privileged_access_attests_in_their_place(make):
    independent, friend = make.person(Role.REVIEWER), make.person(Role.REVIEWER)
    item = make.item(make.PRIVILEGED, independent_reviewer=independent)
    answer(make, item, "dont_know", named_person=friend)
    item.refresh_from_db()
    assert item.assignee == friend
    assert answer(make, item, "approve", reason="Sure.").is_attestation
    item.refresh_from_db()
    assert (item.state, item.assignee) == ("attested", independent)


def test_an_attesting_friend_cannot_be_the_one_who_decides(make):
    friend, fallback = make.person(Role.REVIEWER), make.person(Role.REVIEWER)
    item = make.item(make.PRIVILEGED, independent_reviewer=friend, fallback_reviewer=fallback)
    answer(make, item, "dont_know", named_person=friend)
    item.refresh_from_db()
    answer(make, item, "approve", reason="Sure.")
    item.refresh_from_db()
    assert item.assignee == fallback


# --- credentials ---------------------------------------------------------------------------------------------------


@pytest.fixture
def credential_item(make):
    credential = make.credential(make.identity(owner=make.person(Role.OWNER)))
    return make.get_item(make.campaign(item_kinds=["credential"]), credential)


@pytest.mark.parametrize(("how", "action"), [("keep", None), ("deactivate", "deactivate"), ("rotate", "rotate")])
def test_a_credential_is_kept_rotated_or_deactivated(make, credential_item, how, action):
    until = make.NOW + timedelta(days=7) if how == "rotate" else None
    answer(make, credential_item, how, until=until)
    assert list(Order.objects.values_list("action", flat=True)) == ([action] if action else [])


def test_a_credential_takes_no_answer_about_access(make, credential_item):
    with pytest.raises(AnswerNotPossible):
        answer(make, credential_item, "revoke")


def test_one_question_is_found_without_looking_at_the_others(make):
    make.many_grants(300)
    item = make.campaign().items.first()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE reviews_reviewitem, identities_grant, identities_grantversion, identities_identity")

    plan = ReviewItem.objects.filter(pk__in=among([item.pk])).select_related(*RELATED).explain()

    assert "Seq Scan on reviews_reviewitem" not in plan, plan
