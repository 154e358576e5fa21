"""Mail to whoever must act or was spoken to without being the assignee: soon, once, one per person, never for nothing."""

import os
import re
import signal
import subprocess
import sys
from datetime import timedelta
from email import message_from_string

import pytest
from django.core import mail
from django.utils import timezone

from governance.kernel.actors import Role
from reviews.campaigns.mail import send_due_mail
from reviews.campaigns.nudging import plan_news
from reviews.decisions import (
    ask_remark,
    decide,
    list_awaiting,
    reassign_item,
    refuse,
    release,
    reply_to_remark,
)
from reviews.decisions.nudges import note_seen
from reviews.decisions.reassigning import reassign_many
from reviews.models import Brake, Campaign, Freeze, Nudge, Order, OrderAction, OrderHold, ReviewItem, ReviewMail
from reviews.remediation import retry_order
from reviews.remediation.releasing import call_off_brake, release_brake
from reviews.remediation.urgency import release_urgently
from reviews.states import OrderState

DB = pytest.mark.django_db
MINUTES = timedelta(minutes=1)
HOME = "https://remit.example.org"


@pytest.fixture(autouse=True)
def _links(settings):
    settings.PUBLIC_URL = HOME


def sent(now):
    """The mails of one beat, by address."""
    mail.outbox.clear()
    send_due_mail(now=now)
    found = {}
    for message in mail.outbox:
        [address] = message.to
        assert address not in found, "two mails to one person in one beat"
        found[address] = message
    return found


@pytest.fixture
def order(make):
    """An order on privileged production access that waits for a second person; its decider is the reviewer."""
    reviewer = make.person(Role.REVIEWER)
    grant = make.grant(make.identity(environment="production"), make.PRIVILEGED)
    item = make.get_item(make.campaign(fallback_reviewer=reviewer), grant)
    send_due_mail(now=make.NOW)
    decide(item=item, version=1, answer="revoke", actor=make.actor(reviewer), now=make.NOW, reason="Unused.")
    return Order.objects.get()


# --- a second person ----------------------------------------------------------------------------------------------


@DB
def test_whoever_may_release_an_order_learns_it_with_the_next_beat_and_nobody_else(make, order):
    people = {name: make.person(Role.REVIEWER) for name in ("second", "owner", "holder", "creator", "asker", "left")}
    administrator = make.person(Role.ADMINISTRATOR)
    for role in (Role.OWNER, Role.AUDITOR, Role.CAMPAIGN_MANAGER):
        make.person(role)
    order.identity.owner = people["owner"]
    order.identity.save()
    make.credential(order.identity, holder=people["holder"])
    order.grant.created_by = people["creator"]
    order.grant.save()
    order.item.resolution += [{"rule": "delegated", "outcome": "asked", "person": "x", "by": str(people["asker"].pk)}]
    order.item.save()
    people["left"].is_active = False
    people["left"].save()

    mails = sent(make.NOW + MINUTES)

    manager = order.item.campaign.manager
    assert set(mails) == {people["second"].email, administrator.email, manager.email}
    message = mails[people["second"].email]
    assert message.subject == f"1 order waits for your release: revoke, {order.identity.name}"
    assert f"{HOME}/orders/{order.pk}/\n" in message.body
    assert "/m/" not in message.body, "releasing asks for a sign-in of its own"
    assert "lets nobody do more" not in message.body
    assert sent(make.NOW + 2 * MINUTES) == sent(make.NOW + timedelta(days=1)) == {}


@DB
def test_whoever_asked_for_the_access_does_not_release_its_removal(make, order):
    from reviews.models import AccessRequest

    asker, maker = make.person(Role.REVIEWER), make.person()
    order.grant.created_by = maker
    order.grant.save()
    AccessRequest.objects.create(
        identity=order.identity, grant=order.grant, asked_by=asker, asked_at=make.NOW, until=make.NOW,
        answer_by=make.NOW, permission=make.HELD, is_privileged=False, reason="Needed it.", state="ended", ended_at=make.NOW,
    )  # fmt: skip
    assert not list_awaiting(actor=make.actor(asker)).exists()
    assert asker.email not in sent(make.NOW + MINUTES)


@DB
def test_five_hundred_orders_are_one_mail_with_a_number(make):
    second, identity = make.person(Role.REVIEWER), make.identity()
    facts = {"identity": identity, "source": identity.source, "action": OrderAction.REVOKE, "execute_after": make.NOW}
    Order.objects.bulk_create(Order(state=OrderState.AWAITING_SECOND, **facts) for _ in range(500))

    message = sent(make.NOW)[second.email]

    assert message.subject == "500 orders wait for your release"
    assert f"{HOME}/orders/?view=second" in message.body
    assert Nudge.objects.count() == 1, "and one row, not five hundred"
    assert sent(make.NOW + 20 * MINUTES) == {}


@DB
@pytest.mark.parametrize("use_case", [release, refuse])
def test_what_is_released_or_refused_before_the_mail_goes_out_is_in_none(make, order, use_case):
    second = make.person(Role.REVIEWER)
    plan_news(now=make.NOW)
    use_case(order=order, reason="I saw it.", actor=make.actor(second), now=make.NOW)
    mails = sent(make.NOW + MINUTES)
    assert not any("release" in message.subject for message in mails.values())
    assert not ReviewMail.objects.filter(kind="news", sent_at__isnull=False).exists()


@DB
def test_what_was_told_before_is_no_reason_for_another_mail(make, order):
    second, owner = make.person(Role.REVIEWER), make.person(Role.REVIEWER)
    assert {second.email, owner.email} <= set(sent(make.NOW))
    identity = make.identity(owner=owner)
    facts = {"identity": identity, "source": identity.source, "action": OrderAction.REVOKE, "execute_after": make.NOW}
    Order.objects.create(state=OrderState.AWAITING_SECOND, **facts)
    mails = sent(make.NOW + 20 * MINUTES)
    assert owner.email not in mails, "the new one is not theirs to release, and the old one was told"
    assert mails[second.email].subject.startswith("1 order waits"), "of the new one alone"
    new = Order.objects.create(state=OrderState.AWAITING_SECOND, **facts)
    plan_news(now=make.NOW + 40 * MINUTES)
    release(order=new, reason="Fine.", actor=make.actor(second), now=make.NOW)
    assert second.email not in sent(make.NOW + 40 * MINUTES), "the new one is settled, and the others were told"


@DB
def test_a_role_that_was_taken_away_meanwhile_gets_no_mail(make, order):
    second = make.person(Role.REVIEWER)
    plan_news(now=make.NOW)
    second.role_assignments.all().delete()
    assert second.email not in sent(make.NOW + MINUTES)


@DB
def test_an_order_that_asks_for_a_release_again_is_told_again(make, order):
    second = make.person(Role.REVIEWER)
    assert second.email in sent(make.NOW)
    release(order=order, reason="Fine.", actor=make.actor(second), now=make.NOW)
    Order.objects.update(state=OrderState.DRIFTED)
    make.change_grant(order.grant, make.HELD)
    retry_order(order=order, actor=make.actor(make.person(Role.ADMINISTRATOR)), now=make.NOW)
    assert second.email in sent(make.NOW + 20 * MINUTES)


@pytest.fixture
def hurried(make):
    """A due order that a freeze holds and one person wants to send."""
    Freeze.objects.create(reason="year end", starts_at=make.NOW - MINUTES, ends_at=make.NOW + timedelta(days=9))
    identity = make.identity(owner=make.person(Role.REVIEWER))
    facts = {"action": OrderAction.QUARANTINE, "plan": {"pre_hash": "a" * 64}, "execute_after": make.NOW}
    order = Order.objects.create(identity=identity, source=identity.source, **facts)
    first = make.person(Role.REVIEWER)
    release_urgently(order=order, reason="Charged twice.", actor=make.actor(first), now=make.NOW)
    return order, first


@DB
def test_the_second_person_of_an_urgent_release_is_told_and_neither_the_first_nor_the_owner(make, hurried):
    order, _ = hurried
    second = make.person(Role.REVIEWER)
    mails = sent(make.NOW)
    assert set(mails) == {second.email}
    assert order.identity.name in mails[second.email].subject
    assert f"{HOME}/orders/{order.pk}/" in mails[second.email].body
    assert sent(make.NOW + MINUTES) == {}


@DB
def test_an_urgent_release_that_two_agreed_on_or_that_was_planned_anew_is_in_no_mail(make, hurried):
    order, _ = hurried
    second, third = make.person(Role.REVIEWER), make.person(Role.REVIEWER)
    plan_news(now=make.NOW)
    release_urgently(order=order, reason="Agreed.", actor=make.actor(second), now=make.NOW)
    assert sent(make.NOW) == {}
    Order.objects.update(plan={"pre_hash": "b" * 64})
    order.refresh_from_db()
    release_urgently(order=order, reason="The new plan too.", actor=make.actor(second), now=make.NOW)
    assert set(sent(make.NOW)) >= {third.email}, "the new plan is another matter, and is told"


@pytest.fixture
def brake(make):
    """A brake that holds two orders, released by the first of two people."""
    brake = Brake.objects.create(scope="all", budget=1, tripped_at=make.NOW)
    identity = make.identity()
    facts = {"identity": identity, "source": identity.source, "action": OrderAction.REVOKE, "execute_after": make.NOW}
    for _ in range(2):
        OrderHold.objects.create(order=Order.objects.create(**facts), brake=brake, held_at=make.NOW)
    make.first = make.person(Role.ADMINISTRATOR)
    return release_brake(brake=brake, reason="Looks right.", actor=make.actor(make.first), now=make.NOW)


@DB
def test_the_second_person_of_a_brake_is_told_and_nobody_without_the_role(make, brake):
    second = make.person(Role.CAMPAIGN_MANAGER)
    make.person(Role.REVIEWER)
    mails = sent(make.NOW)
    assert set(mails) == {second.email}
    assert mails[second.email].subject == "2 changes that the brake holds wait for a second person"
    assert f"{HOME}/orders/brakes/{brake.pk}/" in mails[second.email].body


@DB
def test_a_brake_that_was_called_off_meanwhile_is_in_no_mail(make, brake):
    second = make.person(Role.CAMPAIGN_MANAGER)
    plan_news(now=make.NOW)
    call_off_brake(brake=brake, reason="No.", actor=make.actor(second), now=make.NOW)
    assert sent(make.NOW) == {}


# --- what people say to each other --------------------------------------------------------------------------------


@pytest.fixture
def talk(make):
    """An owner without a password, and a reviewer who is asked about their access; its invitation is out."""
    make.owner, make.reviewer = make.person(Role.OWNER, name="Olga"), make.person(Role.REVIEWER, name="Ravi")
    grant = make.grant(make.identity(owner=make.owner))
    campaign = make.campaign(
        fallback_reviewer=make.reviewer, reviewer_rules=[], deadline_at=timezone.now() + timedelta(days=14)
    )
    make.about = make.get_item(campaign, grant)
    send_due_mail(now=make.NOW)

    def ask(text="Who uses it?", item=None):
        facts = {"actor": make.actor(make.reviewer), "now": make.NOW}
        return ask_remark(item=item or make.about, asked=make.owner, text=text, **facts)

    make.ask = ask
    make.reply = lambda remark: reply_to_remark(
        remark=remark, text="Payroll, at night.", actor=make.actor(make.owner), now=make.NOW
    )
    return make


@DB
def test_whoever_is_asked_gets_a_link_that_leads_to_the_question_and_whoever_asked_one_to_the_reply(talk, client):
    remark = talk.ask("Is this still payroll's?")
    mails = sent(now := timezone.now())
    assert set(mails) == {talk.owner.email}
    body = mails[talk.owner.email].body
    assert mails[talk.owner.email].subject == f"Ravi asks you about {talk.about.identity.name}"
    assert "payroll" not in body, "what people write to each other stays in Remit"
    link = re.search(rf"{HOME}(/m/\S+)", body)[1]
    assert "Open the question" in client.get(link).content.decode()
    arrived = client.post(link)
    assert arrived["Location"] == f"/reviews/items/{talk.about.pk}/#talk-title"
    assert "Is this still payroll" in client.get(arrived["Location"]).content.decode()

    talk.reply(remark)
    mails = sent(now + MINUTES)
    assert set(mails) == {talk.reviewer.email}
    assert mails[talk.reviewer.email].subject == f"Olga replied to you about {talk.about.identity.name}"
    assert f"?to=/reviews/items/{talk.about.pk}/" in mails[talk.reviewer.email].body
    assert sent(now + timedelta(hours=1)) == {}


@DB
@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example/", "/settings/people/", "/reviews/items/../x/"])
def test_a_link_leads_to_questions_only(talk, client, to):
    talk.ask()
    link = re.search(rf"{HOME}(/m/\S+)\?", sent(timezone.now())[talk.owner.email].body)[1]
    assert client.post(f"{link}?to={to}")["Location"] == "/inbox/"


@DB
def test_what_was_replied_to_or_looked_at_before_the_mail_is_in_none(talk):
    remark = talk.ask()
    plan_news(now=talk.NOW)
    talk.reply(remark)
    note_seen(item_id=talk.about.pk, actor=talk.actor(talk.reviewer), now=talk.NOW)
    assert sent(talk.NOW) == {}


@DB
def test_nothing_is_told_of_a_review_that_is_over(talk):
    talk.ask()
    Campaign.objects.update(state="closing")
    assert talk.owner.email not in sent(talk.NOW)


@DB
def test_whoever_left_hears_nothing(talk):
    talk.ask()
    plan_news(now=talk.NOW)
    talk.owner.is_active = False
    talk.owner.save()
    assert sent(talk.NOW) == {}


@DB
def test_whoever_may_not_see_the_question_any_more_gets_no_mail_of_the_reply(talk):
    remark = talk.ask()
    talk.reply(remark)
    ReviewItem.objects.update(assignee=talk.person(Role.REVIEWER))
    assert talk.reviewer.email not in sent(talk.NOW)


@DB
def test_in_one_mail_questions_are_answered_by_the_link_and_orders_released_after_a_sign_in(talk, make):
    talk.ask()
    asked = make.person(Role.REVIEWER)
    talk.about.identity.backup_owner = asked
    talk.about.identity.save()
    ask_remark(item=talk.about, asked=asked, text="You?", actor=talk.actor(talk.reviewer), now=talk.NOW)
    identity = make.identity()
    facts = {"identity": identity, "source": identity.source, "action": OrderAction.REVOKE, "execute_after": make.NOW}
    order = Order.objects.create(state=OrderState.AWAITING_SECOND, **facts)
    body = sent(talk.NOW)[asked.email].body
    assert f"{HOME}/orders/{order.pk}/\n" in body
    assert re.search(rf"{HOME}/m/\S+\?to=/reviews/items/{talk.about.pk}/", body)
    assert f"Open my inbox:\n{HOME}/inbox/\n" in body


@DB
def test_ten_questions_in_a_row_are_two_mails(talk):
    talk.ask()
    assert len(sent(talk.NOW)) == 1
    for number in range(11):
        talk.ask(f"And number {number}?")
        assert sent(talk.NOW + MINUTES) == {}
    message = sent(talk.NOW + 11 * MINUTES)[talk.owner.email]
    assert message.subject == f"Ravi asks you about {talk.about.identity.name}, and 10 more"
    assert message.body.count("- Ravi asks you about") == 10
    assert "There is 1 more" in message.body
    assert sent(talk.NOW + 30 * MINUTES) == {}


@DB
def test_a_mail_that_was_not_sent_holds_up_none(talk):
    first = talk.ask()
    plan_news(now=talk.NOW)
    talk.reply(first)
    sent(talk.NOW)
    talk.ask("And who else?")
    assert set(sent(talk.NOW + MINUTES)) == {talk.owner.email}


@DB
def test_what_is_urgent_does_not_wait_for_the_next_mail(talk, hurried):
    second = talk.person(Role.REVIEWER)
    Nudge.objects.all().delete()
    remark = ask_remark(item=talk.about, asked=talk.owner, text="Hm?", actor=talk.actor(talk.reviewer), now=talk.NOW)
    talk.reply(remark)
    assert talk.reviewer.email in sent(talk.NOW)
    order, _ = hurried
    Order.objects.update(plan={"pre_hash": "c" * 64})
    order.refresh_from_db()
    release_urgently(order=order, reason="Again.", actor=talk.actor(second), now=talk.NOW)
    assert talk.reviewer.email in sent(talk.NOW + MINUTES)


# --- questions that somebody passes on ----------------------------------------------------------------------------


@DB
def test_whoever_knows_is_told_of_each_question_that_comes_to_them_also_after_their_invitation(make):
    owner, knows = make.person(Role.OWNER), make.person(Role.REVIEWER)
    grants = [make.grant(make.identity(owner=owner)) for _ in range(3)]
    campaign = make.campaign()
    items = [make.get_item(campaign, grant) for grant in grants]
    send_due_mail(now=make.NOW)

    def pass_on(item):
        facts = {"actor": make.actor(owner), "now": make.NOW, "named_person": knows}
        decide(item=item, version=1, answer="dont_know", **facts)

    pass_on(items[0])
    first = sent(make.NOW)
    assert "until" in first[knows.email].subject, "the invitation to the review says it"
    pass_on(items[1])
    assert sent(make.NOW + MINUTES) == {}, "within the pause"
    pass_on(items[2])
    message = sent(make.NOW + 11 * MINUTES)[knows.email]
    assert message.subject == "2 questions were passed on to you"
    assert sent(make.NOW + 30 * MINUTES) == {}


@DB
def test_a_question_that_went_back_and_forth_is_told_anew_and_one_that_was_opened_is_not(make):
    owner, other = make.person(Role.OWNER), make.person(Role.REVIEWER)
    grant = make.grant(make.identity(owner=owner))
    item = make.get_item(make.campaign(), grant)
    hand = {"reason": "Ask them.", "now": make.NOW}
    send_due_mail(now=make.NOW)
    reassign_item(item=item, version=1, to=other, actor=make.actor(owner), **hand)
    assert set(sent(make.NOW)) == {other.email}
    reassign_item(item=item, version=2, to=owner, actor=make.actor(other), **hand)
    message = sent(make.NOW + MINUTES)[owner.email]
    assert message.subject == f"A question about {item.identity.name} was passed on to you"
    assert f"?to=/reviews/items/{item.pk}/" in message.body
    reassign_item(item=item, version=3, to=other, actor=make.actor(owner), **hand)
    note_seen(item_id=item.pk, actor=make.actor(other), now=make.NOW)
    assert sent(make.NOW + 20 * MINUTES) == {}


@DB
def test_nobody_is_told_what_they_did_themself(make):
    owner, manager = make.person(Role.OWNER), make.person(Role.CAMPAIGN_MANAGER)
    grant = make.grant(make.identity(owner=owner))
    item = make.get_item(make.campaign(manager=manager), grant)
    reassign_item(item=item, version=1, to=manager, reason="Mine.", actor=make.actor(manager), now=make.NOW)
    assert not Nudge.objects.exists()


@DB
def test_many_questions_handed_over_at_once_are_one_mail(make):
    owner, other = make.person(Role.OWNER), make.person(Role.REVIEWER)
    grants = [make.grant(make.identity(owner=owner)) for _ in range(12)]
    campaign = make.campaign(fallback_reviewer=other, reviewer_rules=["owner"])
    first, *rest = [make.get_item(campaign, grant) for grant in grants]
    send_due_mail(now=make.NOW)
    reassign_item(item=first, version=1, to=other, reason="Yours.", actor=make.actor(owner), now=make.NOW)
    sent(make.NOW)
    facts = {"reason": "Holidays.", "actor": make.actor(owner), "now": make.NOW}
    reassign_many(item_ids=[item.pk for item in rest], to=other, **facts)
    assert sent(make.NOW + 11 * MINUTES)[other.email].subject == "11 questions were passed on to you"


# --- workers that die ---------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
import django
django.setup()
from django.utils import timezone
from reviews.campaigns import mail
def die(*given, **more):
    os.kill(os.getpid(), signal.SIGKILL)
{where}
mail.send_due_mail(now=timezone.now())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "already"),
    [
        ("mail._mark_sent = die", 1),
        ("mail._claim = die", 0),
        ("from reviews.campaigns import nudging; nudging._tell_by_mails = die", 0),
    ],
    ids=["sent and not noted", "planned and not sent", "half planned"],
)
def test_a_worker_that_dies_loses_no_mail_and_sends_none_that_cannot_be_recognised(
    committed_db, make, settings, tmp_path, where, already
):
    second, identity = make.person(Role.REVIEWER), make.identity()
    facts = {"identity": identity, "source": identity.source, "action": OrderAction.REVOKE, "execute_after": make.NOW}
    Order.objects.create(state=OrderState.AWAITING_SECOND, **facts)
    variables = {
        "DATABASE_URL": committed_db.url,
        "DATA_DIR": str(tmp_path),
        "EMAIL_URL": "filemail://",
        "PUBLIC_URL": HOME,
    }
    worker = subprocess.run(
        [sys.executable, "-c", KILLED.format(where=where)],
        env=os.environ | variables,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert worker.returncode == -signal.SIGKILL, worker.stderr
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path / "mail")
    send_due_mail(now=timezone.now() + 11 * MINUTES)
    send_due_mail(now=timezone.now() + 40 * MINUTES)

    texts = [path.read_text() for path in sorted((tmp_path / "mail").iterdir())]
    mails = [message_from_string(text) for text in texts]
    assert [each["To"] for each in mails] == [second.email] * (already + 1)
    assert len({each["Message-ID"] for each in mails}) == 1, "whoever got it twice can see that it is the same"
