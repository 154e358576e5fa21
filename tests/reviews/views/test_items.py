"""The page of one question: every answer by a real POST, refusals with what was typed, previews without effect."""

import json
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from governance.kernel.actors import Role
from governance.people.access import MAIL_LINK
from governance.people.models import User
from reviews.decisions import decide
from reviews.models import Decision, Order

pytestmark = pytest.mark.django_db


def url(name, item):
    return reverse(f"reviews:{name}", args=[item.pk])


def boxes(text):
    """The keys of the ticked and unticked pieces, by their words."""
    import re

    found = re.findall(
        r'name="keep" value="(\w+)"( checked)?.*?<span class="piece-words">(.*?)</span>', text, flags=re.DOTALL
    )
    return {words: (key, bool(ticked)) for key, ticked, words in found}


@pytest.mark.parametrize(
    ("how", "fields", "action"),
    [
        ("approve", {}, None),
        ("approve_until", {"until": "2027-06-30", "reason": "The migration ends in June."}, "revoke"),
        ("revoke", {}, "revoke"),
    ],
)
def test_each_answer_decides_and_orders_what_it_should(ask, answer, how, fields, action):
    item = ask()

    response = answer(item, how, **fields)

    assert response.status_code == 302
    assert response["Location"] == url("item_detail", item)
    item.refresh_from_db()
    assert item.state == "decided"
    assert Decision.objects.get(item=item).answer == how
    assert list(Order.objects.values_list("action", flat=True)) == ([action] if action else [])


def test_a_day_means_until_its_end(ask, answer):
    item = ask()
    answer(item, "approve_until", until="2027-06-30", reason="Until the end of the migration.")
    assert Decision.objects.get().until.isoformat() == "2027-06-30T23:59:59+00:00"


def test_scoping_down_keeps_exactly_the_ticked_pieces(ask, answer, page_of):
    item = ask()
    offered = boxes(page_of(item.assignee, "reviews:item_detail", item.pk))
    kept = [key for words, (key, _) in offered.items() if words.startswith("read") and "payments" in words]

    response = answer(item, "scope_down", keep=kept)

    assert response.status_code == 302
    target = Decision.objects.get().target
    assert target["statements"] == [{"actions": ["SELECT"], "resources": ["table:ledger/public/payments"]}]
    assert Order.objects.get().action == "narrow"


def test_pieces_are_preset_to_the_recommendation(make, ask, page_of):
    owner = make.person(Role.OWNER)
    identity = make.identity(owner=owner)
    grant = make.grant(identity)
    make.window(identity.source)
    make.use(identity, "SELECT", "table:ledger/public/payments", count=12)
    campaign = make.campaign(deadline_at=timezone.now() + timedelta(days=14))
    item = make.get_item(campaign, grant)

    offered = boxes(page_of(owner, "reviews:item_detail", item.pk))

    ticked = {words for words, (_, is_ticked) in offered.items() if is_ticked}
    assert ticked == {"read every row of table payments in database ledger"}
    assert len(offered) == 4


def test_a_target_written_by_hand_wins_over_the_boxes(make, ask, answer):
    item = ask()
    answer(item, "scope_down", advanced="yes", target_json=json.dumps(make.NARROWER), keep=[])
    assert Decision.objects.get().target == make.NARROWER


def test_a_target_outside_is_refused_with_the_counter_example_and_the_text_kept(make, ask, answer):
    item = ask()
    wider = json.dumps(make.PRIVILEGED)

    response = answer(item, "scope_down", advanced="yes", target_json=wider, reason="Typed with care.")

    text = response.content.decode()
    assert response.status_code == 422
    assert "would be permitted, but is not permitted today" in text
    assert "Typed with care." in text
    assert "TRUNCATE" in text
    assert not Decision.objects.exists()


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"dialect": "postgresql", "statements": "all"}', "[" * 5000])
def test_a_target_that_is_no_permission_is_refused_beside_its_field(ask, answer, broken):
    response = answer(ask(), "scope_down", advanced="yes", target_json=broken)
    assert response.status_code == 422
    assert 'class="errorlist"' in response.content.decode()
    assert not Decision.objects.exists()


def test_nothing_ticked_points_to_revoke(ask, answer):
    response = answer(ask(), "scope_down")
    assert response.status_code == 422
    assert "Nothing would remain" in response.content.decode()


@pytest.mark.parametrize(("how", "fields", "said"), [
    ("approve_until", {"reason": "Why not."}, "Choose the day."),
    ("approve_until", {"until": "2027-13-40", "reason": "Why not."}, "not a date"),
    ("approve_until", {"until": "2020-01-01", "reason": "Why not."}, "must lie in the future"),
    ("approve_until", {"until": "2027-06-30", "reason": ""}, "Say why"),
    ("rotate", {"until": "2027-06-30"}, "not one of the available choices"),
    ("", {}, "Choose an answer."),
    ("revoke", {"reason": "x" * 4001}, "at most 4000 characters"),
    ("not_mine", {"named_person": "nobody@example.org"}, "nobody with this address"),
])  # fmt: skip
def test_an_incomplete_answer_comes_back_with_what_was_typed(ask, answer, how, fields, said):
    response = answer(ask(), how, **({"reason": "Kept words."} | fields))
    text = response.content.decode()
    assert response.status_code == 422
    assert said in text
    assert fields.get("reason", "Kept words.")[:20] in text
    assert not Decision.objects.exists()


def test_privileged_access_needs_a_reason_and_the_page_says_so_beforehand(make, ask, answer, page_of):
    item = ask(make.PRIVILEGED)
    assert "needed for privileged access" in page_of(item.assignee, "reviews:item_detail", item.pk)
    assert answer(item, "approve").status_code == 422
    assert answer(item, "approve", reason="Truncates staging every night.").status_code == 302


def test_an_owner_attests_and_the_page_says_who_decides(make, ask, answer, page_of, reviewer):
    item = ask(make.PRIVILEGED, independent_reviewer=reviewer)
    owner = item.assignee
    before = page_of(owner, "reviews:item_detail", item.pk)

    answer(item, "approve", reason="Needed every night.")

    item.refresh_from_db()
    after = page_of(owner, "reviews:item_detail", item.pk)
    assert "You attest, because you own this identity." in before
    assert "Ravi Menon" in before
    assert (item.state, item.assignee) == ("attested", reviewer)
    assert "Ravi Menon decides next." in after
    assert "Your decision" in page_of(reviewer, "reviews:item_detail", item.pk)


def test_an_owner_cannot_decide_after_attesting(make, ask, answer, reviewer):
    item = ask(make.PRIVILEGED, independent_reviewer=reviewer)
    owner = item.assignee
    answer(item, "approve", reason="Needed every night.")
    item.refresh_from_db()

    response = answer(item, "approve", by=owner, reason="Again.")

    assert response.status_code == 409
    assert "You have answered this question already" in response.content.decode()
    item.refresh_from_db()
    assert item.state == "attested"


@pytest.mark.parametrize("how", ["not_mine", "dont_know"])
def test_passing_on_asks_the_named_person_and_returns_to_the_inbox(ask, answer, reviewer, how):
    item = ask()
    response = answer(item, how, named_person=reviewer.email.upper())
    item.refresh_from_db()
    assert response["Location"] == reverse("reviews:inbox")
    assert (item.state, item.assignee) == ("open", reviewer)


@pytest.mark.parametrize(("how", "fields", "action"), [
    ("keep", {}, None), ("rotate", {"until": "2027-06-30"}, "rotate"), ("deactivate", {}, "deactivate"),
])  # fmt: skip
def test_credentials_are_kept_rotated_or_deactivated(make, answer, how, fields, action):
    credential = make.credential(make.identity(owner=make.person(Role.OWNER)))
    campaign = make.campaign(item_kinds=["credential"], deadline_at=timezone.now() + timedelta(days=14))
    item = make.get_item(campaign, credential)

    assert answer(item, how, **fields).status_code == 302

    assert list(Order.objects.values_list("action", flat=True)) == ([action] if action else [])


def test_somebody_else_sees_no_such_question(ask, answer, browse, make):
    item = ask()
    stranger = make.person(Role.REVIEWER)
    assert browse(stranger).get(url("item_detail", item)).status_code == 404
    assert answer(item, "approve", by=stranger).status_code == 404


def test_who_may_look_but_is_not_asked_cannot_answer(ask, answer, make, page_of):
    item = ask()
    auditor = make.person(Role.AUDITOR)

    response = answer(item, "approve", by=auditor)

    assert response.status_code == 403
    assert "not assigned to you" in response.content.decode()
    text = page_of(auditor, "reviews:item_detail", item.pk)
    assert "answer-send" not in text
    assert "This question is assigned to" in text


def test_answers_need_a_csrf_token(ask, browse):
    item = ask()
    response = browse(item.assignee, csrf=True).post(url("item_answer", item), {"answer": "approve", "version": 1})
    assert response.status_code == 403
    assert not Decision.objects.exists()


def test_the_slower_of_two_people_learns_who_was_faster(ask, answer, make):
    item = ask()
    first = item.assignee
    seen = item.version
    answer(item, "revoke", reason="Unused.")

    response = answer(item, "approve", version=seen, reason="I typed this meanwhile.")

    text = response.content.decode()
    assert response.status_code == 409
    assert f"{first} answered “Revoke”" in text
    assert Decision.objects.count() == 1


def test_an_old_version_is_refused_and_the_next_try_carries_the_new_one(ask, answer, make, reviewer):
    item = ask()
    answer(item, "not_mine", named_person=reviewer.email)

    response = answer(item, "approve", by=reviewer, reason="Kept words.")

    item.refresh_from_db()
    text = response.content.decode()
    assert response.status_code == 409
    assert "Kept words." in text
    assert f'name="version" value="{item.version}"' in text
    assert answer(item, "approve", by=reviewer).status_code == 302


def test_an_answer_is_taken_back_while_its_order_waits(ask, answer, browse, page_of):
    item = ask()
    answer(item, "revoke", reason="Wrong row.")
    decision = Decision.objects.get()
    assert "Take it back" in page_of(item.assignee, "reviews:item_detail", item.pk)

    response = browse(item.assignee).post(url("item_recall", item), {"decision": decision.pk})

    item.refresh_from_db()
    assert response.status_code == 302
    assert item.state == "open"
    assert Order.objects.get().state == "recalled"
    text = page_of(item.assignee, "reviews:item_detail", item.pk)
    assert "Take it back" not in text
    assert "taken back later" in text


def test_a_sent_order_offers_no_recall_and_refuses_one(ask, answer, browse, page_of):
    item = ask()
    answer(item, "revoke")
    Order.objects.update(state="executing")

    assert "Take it back" not in page_of(item.assignee, "reviews:item_detail", item.pk)
    response = browse(item.assignee).post(url("item_recall", item), {"decision": Decision.objects.get().pk})

    assert response.status_code == 409
    item.refresh_from_db()
    assert item.state == "decided"


@pytest.mark.parametrize("sent", ["", "nonsense", "00000000-0000-0000-0000-000000000000"])
def test_taking_back_nothing_is_not_found(ask, browse, sent):
    item = ask()
    assert browse(item.assignee).post(url("item_recall", item), {"decision": sent}).status_code == 404


def test_the_question_can_be_handed_on_but_not_by_mail_link(ask, browse, reviewer):
    item = ask()
    form = {"to": reviewer.email, "why": "Ravi runs this.", "version": item.version}

    by_mail = browse(item.assignee, method=MAIL_LINK).post(url("item_reassign", item), form)
    signed_in = browse(item.assignee).post(url("item_reassign", item), form)

    item.refresh_from_db()
    assert by_mail.status_code == 403
    assert signed_in.status_code == 302
    assert item.assignee == reviewer


def test_an_owner_with_a_mail_link_can_answer(ask, browse):
    item = ask()
    client = browse(item.assignee, method=MAIL_LINK)
    response = client.post(url("item_answer", item), {"answer": "approve", "version": item.version})
    assert response.status_code == 302


def test_a_preview_proves_the_target_and_changes_nothing(make, ask, browse, verbs):
    item = ask()
    before = verbs()
    form = {
        "answer": "scope_down",
        "version": item.version,
        "advanced": "yes",
        "target_json": json.dumps(make.NARROWER),
    }

    response = browse(item.assignee).post(url("item_preview", item), form, headers={"HX-Request": "true"})

    text = response.content.decode()
    assert response.status_code == 200
    assert "<html" not in text
    assert "Proved:" in text
    assert "No calls were observed" in text
    assert "diff-removed" in text
    assert "A person has to do this." in text
    assert not Decision.objects.exists()
    assert verbs() == before


def test_a_preview_shows_the_counter_example(make, ask, browse):
    item = ask()
    form = {"answer": "scope_down", "version": 1, "advanced": "yes", "target_json": json.dumps(make.PRIVILEGED)}
    response = browse(item.assignee).post(url("item_preview", item), form, headers={"HX-Request": "true"})
    assert "Not inside what is held." in response.content.decode()


def test_a_preview_replays_what_was_seen(make, ask, browse):
    item = ask()
    make.use(item.identity, "INSERT", "table:ledger/public/payments", count=7)
    make.use(item.identity, "SELECT", "table:ledger/public/payments", count=4205)
    form = {"answer": "scope_down", "version": 1, "advanced": "yes", "target_json": json.dumps(make.NARROWER)}
    text = browse(item.assignee).post(url("item_preview", item), form, headers={"HX-Request": "true"}).content.decode()
    assert "7 of 4\u202f212</strong> calls seen until now would have been refused" in text


def test_a_preview_of_a_revocation_says_which_calls_needed_it(make, ask, browse):
    item = ask()

    def shown(item):
        given = {"answer": "revoke", "version": item.version}
        page = browse(item.assignee).post(url("item_preview", item), given, headers={"HX-Request": "true"})
        return page.content.decode()

    assert "No log shows its use" in shown(item)
    make.window(item.identity.source)
    assert "None of the calls seen since" in shown(item)
    make.use(item.identity, "DELETE", "table:ledger/public/other", count=7)
    assert "None of the calls seen since" in shown(item), "what it never allowed did not need it"
    make.use(item.identity, "SELECT", "table:ledger/public/payments", count=654)
    text = shown(item)
    assert "<strong>654 calls</strong> seen since" in text
    assert "<code>SELECT</code> on <code>table:ledger/public/payments</code>, 654 calls" in text


def test_a_preview_says_that_a_second_person_releases_the_order(ask, browse):
    careful = {"remedies": {"second_actions": ["revoke"], "second_risk": "any", "second_environment": "any"}}
    texts = {}
    for policy in (careful, {}):
        item = ask(policy=policy)
        for answer in ("revoke", "approve"):
            given = {"answer": answer, "version": item.version}
            page = browse(item.assignee).post(url("item_preview", item), given, headers={"HX-Request": "true"})
            texts[bool(policy), answer] = "A second person releases it" in page.content.decode()

    assert texts == {
        (True, "revoke"): True,
        (True, "approve"): False,
        (False, "revoke"): False,
        (False, "approve"): False,
    }


def test_without_script_the_preview_is_the_page_with_the_input_kept(ask, browse):
    item = ask()
    response = browse(item.assignee).post(
        url("item_preview", item), {"answer": "revoke", "version": item.version, "reason": "Unused for years."}
    )
    text = response.content.decode()
    assert response.status_code == 200
    assert "<html" in text
    assert "A person has to do this." in text
    assert "Unused for years." in text


def test_the_state_refreshes_alone(ask, answer, browse):
    item = ask()
    answer(item, "revoke")
    Order.objects.update(state="planned")
    headers = {"HX-Request": "true", "HX-Target": "item-state"}
    text = browse(item.assignee).get(url("item_detail", item), headers=headers).content.decode()
    assert text.strip().startswith('<div id="item-state"')
    assert "sent in" in text
    assert "<html" not in text


def test_next_and_previous_follow_the_inbox(make, page_of):
    owner = make.person(Role.OWNER)
    grants = [make.grant(make.identity(owner=owner, name=name)) for name in ("alpha", "beta", "gamma")]
    campaign = make.campaign(deadline_at=timezone.now() + timedelta(days=14))
    first, second, third = (make.get_item(campaign, grant) for grant in grants)

    text = page_of(owner, "reviews:item_detail", second.pk)

    assert "2 of 3" in text
    assert f'href="{url("item_detail", first)}" data-key="p"' in text
    assert f'href="{url("item_detail", third)}" data-key="n"' in text


def test_a_closed_review_takes_no_answers(ask, answer, page_of):
    item = ask()
    item.campaign.deadline_at = timezone.now() - timedelta(minutes=1)
    item.campaign.save()
    response = answer(item, "approve")
    assert response.status_code == 409
    assert "deadline" in response.content.decode()


def test_access_that_changed_meanwhile_is_not_decided_on(make, ask, answer):
    item = ask()
    make.change_grant(item.grant, make.NARROWER)
    response = answer(item, "approve")
    assert response.status_code == 409
    assert "changed at the source" in response.content.decode()


def test_the_page_costs_a_fixed_number_of_queries(make, ask, browse, django_assert_max_num_queries, answer):
    item = ask()
    client = browse(item.assignee)
    client.get(url("item_detail", item))
    for number in range(30):
        make.use(item.identity, "SELECT", f"table:ledger/public/t{number}")
        make.credential(item.identity)
    with django_assert_max_num_queries(40):
        client.get(url("item_detail", item))


def test_what_people_typed_is_printed_as_text(ask, answer, page_of):
    item = ask()
    answer(item, "approve", reason="<script>alert(1)</script>")
    text = page_of(item.assignee, "reviews:item_detail", item.pk)
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_the_panel_of_an_identity_shows_questions_answers_and_orders(ask, answer, page_of, make):
    item = ask()
    open_panel = page_of(item.assignee, "reviews:of_identity", item.identity_id)
    answer(item, "revoke", reason="Unused.")
    panel = page_of(item.assignee, "reviews:of_identity", item.identity_id)
    assert "Open questions" in open_panel
    assert "No planned review asks about it." in open_panel
    assert "next-review" not in open_panel
    assert "Unused." in panel
    assert url("order_detail", Order.objects.get()) in panel


def test_a_decision_by_someone_removed_from_the_page_is_refused_by_the_domain_alone(make, ask):
    """The page and the use case use one predicate: what the page hides, `decide` refuses."""
    item = ask()
    with pytest.raises(Exception, match="not assigned"):
        decide(
            item=item,
            version=item.version,
            answer="approve",
            actor=make.actor(make.person(Role.ADMINISTRATOR)),
            now=timezone.now(),
        )


def test_whoever_attests_is_not_told_that_they_decide(make, ask, page_of):
    owner = make.person(Role.OWNER)
    attested = ask(make.PRIVILEGED, owner=owner)
    decided = ask(owner=owner)
    assert "You attest" in page_of(owner, "reviews:item_detail", attested.pk)
    assert "You decide." not in page_of(owner, "reviews:item_detail", attested.pk)
    assert "You decide." in page_of(owner, "reviews:item_detail", decided.pk)


def test_an_owner_who_left_is_said_to_have_left(make, ask, page_of):
    item = ask(owner=make.person(Role.OWNER))
    reader = make.person(Role.ADMINISTRATOR)
    assert "Has left" not in page_of(reader, "reviews:item_detail", item.pk)
    User.objects.filter(pk=item.identity.owner_id).update(left_at=timezone.now(), is_active=False)
    assert "Has left" in page_of(reader, "reviews:item_detail", item.pk)


@pytest.mark.parametrize(("how", "is_offered"), [("approve", True), ("not_mine", False)])
def test_taking_back_is_offered_behind_an_answer_that_can_be_taken_back(ask, browse, how, is_offered):
    item = ask()
    data = {"answer": how, "version": item.version, "reason": "", "until": "", "then": "next"}
    shown = browse(item.assignee).post(url("item_answer", item), data, follow=True).content.decode()
    assert (f'<a href="{url("item_detail", item)}">See it, or take it back</a>' in shown) == is_offered


def test_whom_one_can_ask_is_named_with_their_part_in_it(make, ask, page_of):
    owner, boss = make.person(Role.OWNER, name="Olga Brandt"), make.person(Role.CAMPAIGN_MANAGER, name="Mira Kallas")
    item = ask(owner=owner, manager=boss)
    assert ">Mira Kallas, runs the review</option>" in page_of(owner, "reviews:item_detail", item.pk)
    # The owner is asked to answer as well; owning it says more.
    assert ">Olga Brandt, owner</option>" in page_of(boss, "reviews:item_detail", item.pk)
