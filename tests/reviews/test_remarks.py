"""Questions on an item: who may be asked, what they may see for it, and what is kept."""

import pytest

from governance.audit.models import AuditDetail, AuditEvent
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import NotFound
from reviews.decisions import CampaignNotOpen, ask_remark, reply_to_remark
from reviews.decisions.remarks import AlreadyReplied, OnlyPeople, RemarkRefused, askable, list_asked_of, list_remarks
from reviews.models import Campaign
from reviews.selectors import access_item

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(make):
    owner, reviewer = make.person(Role.OWNER, name="Olga"), make.person(Role.REVIEWER, name="Ravi")
    grant = make.grant(make.identity(owner=owner))
    campaign = make.campaign(fallback_reviewer=reviewer, reviewer_rules=[])
    make.owner, make.reviewer, make.asked_about = owner, reviewer, make.get_item(campaign, grant)
    return make


def ask(make, text="Who uses it?", asked=None):
    return ask_remark(
        item=make.asked_about,
        asked=asked or make.owner,
        text=text,
        actor=make.actor(make.reviewer),
        now=make.NOW,
    )


def test_asking_lets_the_asked_person_look_and_moves_nothing(scene):
    with pytest.raises(NotFound):
        access_item(actor=scene.actor(scene.owner), item_id=scene.asked_about.pk)
    remark = ask(scene)
    item = access_item(actor=scene.actor(scene.owner), item_id=scene.asked_about.pk)
    assert (item.assignee_id, item.version, item.state) == (scene.reviewer.pk, 1, "open")
    assert list(list_asked_of(scene.actor(scene.owner))) == [remark]
    assert not list(list_asked_of(scene.actor(scene.reviewer)))


def test_a_reply_stands_with_its_question_and_leaves_the_inbox(scene):
    remark = ask(scene)
    reply_to_remark(remark=remark, text="The month-end run.", actor=scene.actor(scene.owner), now=scene.NOW)
    [kept] = list_remarks(scene.asked_about)
    assert (kept.text, kept.reply.text, kept.reply.author) == ("Who uses it?", "The month-end run.", scene.owner)
    assert not list(list_asked_of(scene.actor(scene.owner)))


def test_only_the_asked_person_replies_and_once(scene):
    remark = ask(scene)
    with pytest.raises(NotFound):
        reply_to_remark(remark=remark, text="I know!", actor=scene.actor(scene.reviewer), now=scene.NOW)
    reply_to_remark(remark=remark, text="Me.", actor=scene.actor(scene.owner), now=scene.NOW)
    with pytest.raises(AlreadyReplied):
        reply_to_remark(remark=remark, text="Me again.", actor=scene.actor(scene.owner), now=scene.NOW)


def test_strangers_cannot_be_asked_and_so_never_see_the_question(scene):
    stranger = scene.person()
    with pytest.raises(RemarkRefused):
        ask(scene, asked=stranger)
    with pytest.raises(NotFound):
        access_item(actor=scene.actor(stranger), item_id=scene.asked_about.pk)


def test_whoever_left_cannot_be_asked(scene):
    scene.owner.is_active = False
    scene.owner.save()
    assert scene.owner not in askable(scene.asked_about, scene.actor(scene.reviewer))


@pytest.mark.parametrize("text", ["", "  ", "x" * 2001, "a\x00b"], ids=["empty", "blank", "long", "nul"])
def test_a_text_that_cannot_be_kept_is_refused(scene, text):
    with pytest.raises(RemarkRefused):
        ask(scene, text)


def test_a_program_takes_no_part(scene):
    program = Actor(kind=ActorKind.API_CLIENT, id="t", label="API token", scopes=frozenset({"reviews:write"}))
    with pytest.raises(OnlyPeople):
        ask_remark(item=scene.asked_about, asked=scene.owner, text="Hm?", actor=program, now=scene.NOW)


def test_nothing_is_asked_once_the_review_is_closed(scene):
    remark = ask(scene)
    Campaign.objects.update(state="closing")
    with pytest.raises(CampaignNotOpen):
        ask(scene)
    with pytest.raises(CampaignNotOpen):
        reply_to_remark(remark=remark, text="Late.", actor=scene.actor(scene.owner), now=scene.NOW)


def test_both_are_recorded_and_their_text_stands_outside_the_chain(scene):
    remark = ask(scene, "Does Erika still run it?")
    reply_to_remark(remark=remark, text="Yes, Erika does.", actor=scene.actor(scene.owner), now=scene.NOW)
    events = AuditEvent.objects.filter(verb__startswith="remark.")
    assert sorted(events.values_list("verb", flat=True)) == ["remark.answered", "remark.asked"]
    assert not any("Erika" in event.payload for event in events)
    assert sum("Erika" in detail.text for detail in AuditDetail.objects.all()) == 2
