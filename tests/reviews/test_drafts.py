"""Drafts: kept without losing anything, shown for what they are, and given only once."""

from datetime import timedelta

import pytest

from governance.audit.models import AuditEvent
from governance.kernel.permissions import Permission
from reviews.decisions import (
    StaleItem,
    decide,
    drop_draft,
    foresee_drafts,
    list_drafts,
    reassign_item,
    save_draft,
    submit_drafts,
)
from reviews.decisions.deciding import answer_all
from reviews.decisions.drafts import DraftTooLarge
from reviews.decisions.items import NotAssigned
from reviews.models import Decision, Draft, Order, ReviewItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked(make):
    """A person with four open questions, the last of them about privileged access of somebody else's identity."""
    me = make.person()
    grants = [make.grant(make.identity(owner=me)) for _ in range(3)]
    strong = make.grant(make.identity(), make.PRIVILEGED)
    campaign = make.campaign(fallback_reviewer=me, independent_reviewer=me)
    return me, [make.get_item(campaign, grant) for grant in (*grants, strong)]


def save(make, me, item, answer="approve", **more):
    more = {"fields": {"answer": [answer]}} | more
    return save_draft(item=item, version=item.version, actor=make.actor(me), now=make.NOW, answer=answer, **more)


def prospects(make, me):
    actor = make.actor(me)
    found = foresee_drafts(drafts=list(list_drafts(actor)), actor=actor, now=make.NOW)
    return {each.draft.item_id: each for each in found}


def test_a_draft_changes_nothing_and_leaves_no_record(make, asked):
    me, items = asked
    before = AuditEvent.objects.count()
    save(make, me, items[0], "revoke")
    items[0].refresh_from_db()
    assert (items[0].state, items[0].version) == ("open", 1)
    assert AuditEvent.objects.count() == before
    assert not Decision.objects.exists()


def test_a_later_draft_replaces_the_earlier_one(make, asked):
    me, items = asked
    save(make, me, items[0], "revoke")
    save(make, me, items[0], "approve", reason="On second thought.")
    assert [(each.answer, each.reason) for each in Draft.objects.all()] == [("approve", "On second thought.")]


def test_what_was_typed_is_kept_although_it_is_incomplete(make, asked):
    me, items = asked
    typed = {"answer": ["scope_down"], "keep": ["a", "b"], "reason": ["half a sen\x00tence"]}
    draft = save(make, me, items[0], "scope_down", problem="Something\x00 is missing.", fields=typed)
    draft.refresh_from_db()
    assert draft.fields == typed | {"reason": ["half a sentence"]}


def test_a_draft_has_a_largest_size(make, asked):
    me, items = asked
    with pytest.raises(DraftTooLarge):
        save(make, me, items[0], fields={"target_json": ["x" * 200_001]})


def test_nobody_drafts_on_a_question_of_somebody_else_nor_on_a_closed_one(make, asked):
    me, items = asked
    with pytest.raises(NotAssigned):
        save(make, make.person(), items[0])
    decide(item=items[0], version=1, answer="approve", actor=make.actor(me), now=make.NOW)
    with pytest.raises(StaleItem):
        save(make, me, items[0])


def test_drafts_are_seen_by_their_author_alone(make, asked):
    me, items = asked
    save(make, me, items[0])
    other = make.actor(make.person())
    assert list(list_drafts(other)) == []
    assert not drop_draft(item_id=items[0].pk, actor=other)
    assert drop_draft(item_id=items[0].pk, actor=make.actor(me))
    assert not Draft.objects.exists()


def test_submitting_gives_each_answer_with_its_own_record(make, asked):
    me, items = asked
    save(make, me, items[0], "approve")
    save(make, me, items[1], "revoke")
    save(make, me, items[2], "scope_down", target=Permission.from_json(make.NARROWER))
    save(make, me, items[3], "approve", reason="Looked at it.")

    sent = submit_drafts(actor=make.actor(me), now=make.NOW)

    assert [each.problem for each in sent] == [""] * 4
    assert dict(Decision.objects.values_list("item_id", "answer")) == {
        items[0].pk: "approve",
        items[1].pk: "revoke",
        items[2].pk: "scope_down",
        items[3].pk: "approve",
    }
    assert AuditEvent.objects.filter(verb="item.decided").count() == 4
    assert Order.objects.count() == 2
    assert not Draft.objects.exists()


def test_submitting_twice_answers_once(make, asked):
    me, items = asked
    save(make, me, items[0], "revoke")
    stale = Draft.objects.get()
    submit_drafts(actor=make.actor(me), now=make.NOW)
    stale.save(force_insert=True)  # as after a crash between the answer and the end of its draft
    assert prospects(make, me)[items[0].pk].is_stale
    [sent] = submit_drafts(actor=make.actor(me), now=make.NOW)
    assert not sent.ok
    assert Decision.objects.count() == 1


def test_an_unfinished_draft_stays_and_says_what_is_missing(make, asked):
    me, items = asked
    save(make, me, items[0], "approve_until", problem="Choose the day.")
    [sent] = submit_drafts(actor=make.actor(me), now=make.NOW)
    assert (sent.ok, sent.problem) == (False, "Choose the day.")
    assert Draft.objects.count() == 1


def change_version(make, me, item):
    ReviewItem.objects.filter(pk=item.pk).update(version=item.version + 1)


def reassign(make, me, item):
    reassign_item(item=item, version=1, to=make.person(), reason="x", actor=make.actor(me), now=make.NOW)


def answer(make, me, item):
    decide(item=item, version=1, answer="approve", actor=make.actor(me), now=make.NOW)


def close(make, me, item):
    type(item.campaign).objects.filter(pk=item.campaign_id).update(state="closing")


@pytest.mark.parametrize(
    ("meanwhile", "words"),
    [
        (change_version, "changed since you drafted"),
        (reassign, "Somebody else is asked"),
        (answer, "closed meanwhile"),
        (close, "closed meanwhile"),
    ],
    ids=["changed", "reassigned", "answered", "closed"],
)
def test_a_draft_of_a_question_that_moved_on_is_shown_as_such_and_not_sent(make, asked, meanwhile, words):
    me, items = asked
    save(make, me, items[0], "revoke")
    meanwhile(make, me, items[0])
    before = Decision.objects.count()
    [shown] = prospects(make, me).values()
    assert shown.is_stale
    assert words in shown.problem
    [sent] = submit_drafts(actor=make.actor(me), now=make.NOW)
    assert not sent.ok
    assert Decision.objects.count() == before


def test_what_submitting_does_is_foreseen_as_it_then_happens(make, asked, django_assert_max_num_queries):
    me, items = asked
    make.change_grant(items[1].grant, make.NARROWER)
    owned = make.grant(make.identity(owner=me), make.PRIVILEGED)
    campaign = make.campaign()
    attested = make.get_item(campaign, owned)
    for item in (*items, attested):
        save(make, me, item, "approve", reason="Needed.")
    actor = make.actor(me)
    drafts = list(list_drafts(actor))
    with django_assert_max_num_queries(19):
        foreseen = foresee_drafts(drafts=drafts, actor=actor, now=make.NOW)
    sent = submit_drafts(actor=actor, now=make.NOW)
    assert [(each.ok, each.is_attestation, each.problem) for each in foreseen] == [
        (each.ok, each.is_attestation, each.problem) for each in sent
    ]
    assert {each.is_attestation for each in sent} == {True, False}


def test_a_draft_survives_its_authors_later_typing_while_it_is_sent(make, asked, monkeypatch):
    me, items = asked
    save(make, me, items[0], "revoke")

    def answer_and_type(**given):
        outcomes = answer_all(**given)
        Draft.objects.update(changed_at=make.NOW + timedelta(seconds=1))
        return outcomes

    monkeypatch.setattr("reviews.decisions.drafts.answer_all", answer_and_type)
    submit_drafts(actor=make.actor(me), now=make.NOW)
    assert Draft.objects.count() == 1


def test_a_narrowing_that_ends_its_question_is_not_foretold_as_testimony(make):
    me = make.person()
    grant = make.grant(make.identity(owner=me))
    stages = {"stages": {"stages": [{}, {"asks": ["independent"], "items": "privileged"}]}}
    item = make.get_item(make.campaign(policy=stages), grant)
    save(make, me, item, "scope_down", target=Permission.from_json(make.NARROWER))
    [foreseen] = prospects(make, me).values()
    [sent] = submit_drafts(actor=make.actor(me), now=make.NOW)
    assert (foreseen.ok, foreseen.is_attestation) == (sent.ok, sent.is_attestation) == (True, False)
