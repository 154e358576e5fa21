"""Typing a person: whom the line suggests and takes, and to whom it shows whom."""

import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from governance.kernel.actors import Role
from governance.people.access import MAIL_LINK
from governance.people.models import Team
from reviews.forms.answers import ReassignForm
from reviews.models import Delegation
from reviews.views.people import MOST_A_MINUTE

ROWS = pytest.mark.django_db
PATH = "/reviews/people/"


@pytest.fixture
def scene(make):
    """A question asked of the owner; a holder of a key, a backup, a leaver, and many others who have no part in it."""
    make.owner = make.person(Role.OWNER, name="Olga Brandt")
    make.backup = make.person(Role.REVIEWER, name="Berta Brandt")
    make.holder = make.person(Role.REVIEWER, name="Hanno Brandt")
    make.manager = make.person(Role.CAMPAIGN_MANAGER, name="Mira Kallas")
    make.stranger = make.person(Role.REVIEWER, name="Stefan Brandt")
    make.gone = make.person(name="Gone Brandt", is_active=False)
    identity = make.identity(owner=make.owner, backup_owner=make.backup)
    make.credential(identity, holder=make.holder)
    grant = make.grant(identity)
    make.review = make.campaign(manager=make.manager, deadline_at=timezone.now() + timedelta(days=9))
    make.question = make.get_item(make.review, grant)
    cache.clear()
    return make


@pytest.fixture
def suggested(browse):
    def go(person, text="", item=None, **more):
        data = {"q": text} | ({"item": str(item.pk)} if item else {})
        response = browse(person, **more).get(PATH, data)
        assert response.status_code == 200, response.content
        return re.findall(r">([^<]+)</option>", response.content.decode())

    return go


@ROWS
def test_whoever_sees_the_directory_anyway_is_offered_everybody_who_can_be_asked(scene, suggested):
    everybody = ["Berta Brandt", "Hanno Brandt", "Olga Brandt", "Stefan Brandt"]
    for role in (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.AUDITOR):
        assert suggested(scene.person(role), "brandt") == everybody
    administrator = scene.person(Role.ADMINISTRATOR)
    assert suggested(administrator, scene.stranger.email[:6]) == ["Stefan Brandt"], "addresses by their beginning"
    assert suggested(administrator, "b") == suggested(administrator) == [], "nobody lists all of it"
    assert suggested(scene.manager, "kallas") == [], "not oneself"


@ROWS
@pytest.mark.parametrize("role", [Role.OWNER, Role.REVIEWER])
def test_nobody_else_learns_who_works_here(scene, suggested, role):
    visitor = scene.person(role)
    assert suggested(visitor, "brandt") == suggested(visitor, "Stefan Brandt") == suggested(visitor) == []


@ROWS
def test_those_around_a_question_are_offered_to_whoever_has_it_and_only_if_they_may_answer(scene, suggested):
    offered = suggested(scene.owner, item=scene.question)
    assert "Berta Brandt" in offered
    assert "Hanno Brandt" not in offered, "who holds a credential cannot be handed it"
    assert "Stefan Brandt" not in offered
    administrator = scene.person(Role.ADMINISTRATOR)
    assert suggested(administrator, "brandt", scene.question) == ["Berta Brandt", "Stefan Brandt"], "nor who is asked"


@ROWS
def test_a_question_of_somebody_else_answers_nothing(scene, browse):
    response = browse(scene.stranger).get(PATH, {"q": "brandt", "item": str(scene.question.pk)})
    assert response.status_code == 404
    assert browse(scene.stranger).get(PATH, {"item": "x"}).status_code == 404


@ROWS
def test_ones_team_and_manager_are_offered_without_a_question_but_not_to_a_link_from_a_mail(scene, suggested):
    team = Team.objects.create(name="Ledger")
    team.members.set([scene.owner, scene.backup, scene.gone])
    scene.owner.manager = scene.stranger
    scene.owner.save()
    assert suggested(scene.owner) == ["Berta Brandt", "Stefan Brandt"]
    assert suggested(scene.owner, method=MAIL_LINK) == []


@ROWS
def test_nobody_reads_the_directory_letter_by_letter(scene, browse):
    client = browse(scene.person(Role.ADMINISTRATOR))
    answers = [client.get(PATH, {"q": "br"}).status_code for _ in range(MOST_A_MINUTE + 1)]
    assert set(answers[:-1]) == {200}
    assert answers[-1] == 429
    assert browse(scene.manager).get(PATH, {"q": "br"}).status_code == 200, "each person by themselves"


@ROWS
def test_nobody_without_a_session_is_answered(client, scene):
    assert client.get(PATH, {"q": "brandt"}).status_code == 302


def hand_on(browse, scene, actor, to):
    path = reverse("reviews:item_reassign", args=[scene.question.pk])
    return browse(actor).post(path, {"to": to, "why": "Knows it.", "version": "1"})


@ROWS
@pytest.mark.parametrize("typed", ["berta brandt", "  Berta   Brandt ", "address"])
def test_a_name_and_an_address_are_taken_alike(scene, browse, typed):
    text = scene.backup.email.upper() if typed == "address" else typed
    assert hand_on(browse, scene, scene.owner, text).status_code == 302
    scene.question.refresh_from_db()
    assert scene.question.assignee == scene.backup


@ROWS
def test_a_name_that_several_have_asks_for_the_address(scene, browse):
    scene.person(name="Berta Brandt")
    text = hand_on(browse, scene, scene.manager, "Berta Brandt").content.decode()
    assert "Several people are called Berta Brandt. Give the e-mail address." in text
    scene.question.refresh_from_db()
    assert scene.question.assignee == scene.owner


@ROWS
@pytest.mark.parametrize("name", ["Stefan Brandt", "Nobody At All", "Gone Brandt"])
def test_by_name_a_stranger_a_leaver_and_nobody_look_alike(scene, browse, name):
    response = hand_on(browse, scene, scene.owner, name)
    assert response.status_code == 422
    assert "Nobody of this name can be chosen here. Give the e-mail address." in response.content.decode()


@ROWS
def test_a_form_that_does_not_know_who_is_at_it_takes_addresses_alone(scene):
    assert not ReassignForm({"to": "Berta Brandt", "why": "x"}).is_valid()
    assert ReassignForm({"to": scene.backup.email, "why": "x"}).is_valid()


@ROWS
def test_absences_and_hand_overs_take_names_too(scene, browse):
    starts, ends = (timezone.now().date() + timedelta(days=days) for days in (1, 3))
    administrator = scene.person(Role.ADMINISTRATOR)
    data = {"person": "Olga Brandt", "delegate": "Stefan Brandt", "starts_at": starts, "ends_at": ends}
    browse(administrator).post(reverse("reviews:absence"), data | {"reason": "Ill."})
    assert (Delegation.objects.get().person, Delegation.objects.get().delegate) == (scene.owner, scene.stranger)
    move = {"person": str(scene.owner.pk), "to": "Stefan Brandt", "reason": "Ill."}
    browse(scene.manager).post(reverse("reviews:campaign_move", args=[scene.review.pk]), move)
    scene.question.refresh_from_db()
    assert scene.question.assignee == scene.stranger


@ROWS
def test_every_line_for_a_person_asks_for_suggestions_and_has_its_list(scene, browse):
    pages = {
        reverse("reviews:item_detail", args=[scene.question.pk]): ("id_to", "id_named_person"),
        reverse("reviews:campaign_move", args=[scene.review.pk]): ("id_to",),
        reverse("reviews:absence"): ("id_delegate",),
    }
    for path, names in pages.items():
        person = scene.owner if "items" in path else scene.manager
        text = browse(person).get(path).content.decode()
        for name in names:
            [line] = re.findall(rf'<input[^>]*id="{name}"[^>]*>', text)
            assert f'list="{name}_people"' in line
            assert f'hx-get="{PATH}' in line
            assert f'<datalist id="{name}_people">' in text


@pytest.mark.browser
def test_the_suggestions_come_while_one_types(site, scene, visit):
    page = visit(scene.manager, f"/reviews/{scene.review.pk}/move/")
    with page.expect_response(lambda answer: answer.url.startswith(site + PATH) and "ber" in answer.url):
        page.locator("#id_to").press_sequentially("ber", delay=20)
    option = page.locator("#id_to_people option")
    option.wait_for(state="attached")
    assert option.get_attribute("value") == scene.backup.email
    page.locator("#id_to").fill("Berta Brandt")
    page.locator("#id_person").select_option(str(scene.owner.pk))
    page.locator("#id_reason").fill("Ill.")
    page.get_by_role("button", name="Move them").click()
    page.wait_for_url("**/move/")
    scene.question.refresh_from_db()
    assert scene.question.assignee == scene.backup
