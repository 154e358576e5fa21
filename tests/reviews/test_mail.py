import smtplib
from datetime import timedelta

import pytest
from django.core import mail

from governance.audit.models import AuditDetail, AuditEvent
from governance.kernel.actors import Role
from reviews.campaigns.closing import close_due_campaigns
from reviews.campaigns.mail import send_due_mail
from reviews.decisions import decide
from reviews.models import Ask, ReviewMail

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _links(settings):
    settings.PUBLIC_URL = "https://remit.example.org"


def test_everybody_who_is_asked_gets_one_mail_with_a_link_of_their_own(make, verbs):
    owners = [make.person(), make.person()]
    for owner in (*owners, owners[0]):
        make.grant(make.identity(owner=owner))
    make.campaign(name="Spring <review>")
    assert send_due_mail(now=make.NOW) == 2
    assert send_due_mail(now=make.NOW) == 0
    assert sorted(message.to[0] for message in mail.outbox) == sorted(owner.email for owner in owners)
    message = next(message for message in mail.outbox if message.to == [owners[0].email])
    html = message.alternatives[0].content
    assert "2 questions" in message.subject
    assert "https://remit.example.org/m/" in message.body
    assert "Spring <review>" in message.body
    assert "Spring &lt;review&gt;" in html
    assert "https://remit.example.org/m/" in html
    assert verbs("mail.") == ["mail.sent", "mail.sent"]


def test_the_trail_knows_that_a_mail_went_out_but_not_the_address(make):
    owner = make.item().assignee
    send_due_mail(now=make.NOW)
    event = AuditEvent.objects.get(verb="mail.sent")
    assert owner.email not in event.payload
    assert not AuditDetail.objects.filter(text__contains=owner.email).exists()


def test_nobody_gets_an_empty_mail(make):
    item = make.item()
    decide(item=item, version=1, answer="approve", actor=make.actor(item.assignee), now=make.NOW)
    assert send_due_mail(now=make.NOW) == 0
    assert mail.outbox == []


def test_a_mail_whose_questions_were_answered_meanwhile_is_dropped(make, monkeypatch):
    item = make.item()
    ReviewMail.objects.create(campaign=item.campaign, person=item.assignee, kind="invitation")
    decide(item=item, version=1, answer="approve", actor=make.actor(item.assignee), now=make.NOW)
    assert send_due_mail(now=make.NOW) == 0
    assert ReviewMail.objects.get().is_dropped


def test_whoever_is_asked_later_gets_a_mail_then(make):
    item = make.item()
    send_due_mail(now=make.NOW)
    decide(item=item, version=1, answer="not_mine", actor=make.actor(item.assignee), now=make.NOW)
    item.refresh_from_db()
    assert send_due_mail(now=make.NOW) == 1
    assert mail.outbox[-1].to == [item.assignee.email]


def test_somebody_who_left_gets_no_mail(make):
    item = make.item()
    item.assignee.is_active = False
    item.assignee.save()
    assert send_due_mail(now=make.NOW) == 0


def test_a_mail_server_that_refuses_is_asked_again_later(make, monkeypatch):
    make.item()

    def refuse(self, fail_silently=False):
        raise smtplib.SMTPServerDisconnected("gone")

    with monkeypatch.context() as broken:
        broken.setattr("django.core.mail.EmailMultiAlternatives.send", refuse)
        assert send_due_mail(now=make.NOW) == 0
    assert send_due_mail(now=make.NOW + timedelta(minutes=1)) == 0
    assert send_due_mail(now=make.NOW + timedelta(minutes=11)) == 1
    assert AuditEvent.objects.filter(verb="mail.sent").count() == 1


def test_the_manager_hears_about_what_is_left(make):
    item = make.item()
    later = item.campaign.deadline_at + timedelta(hours=1)
    close_due_campaigns(now=later)
    assert send_due_mail(now=later) == 1
    assert mail.outbox[0].to == [item.campaign.manager.email]
    assert "stayed unanswered" in mail.outbox[0].subject
    assert f"https://remit.example.org/reviews/{item.campaign_id}/?state=expired" in mail.outbox[0].body


def asked(make, **more):
    """The mail that the owner of identities with these permissions gets when a review of them opens."""
    owner = make.person()
    for permission in more.pop("about"):
        make.grant(make.identity(owner=owner), permission)
    make.campaign(**({"item_kinds": ["grant"]} | more))
    send_due_mail(now=make.NOW)
    return next(message for message in mail.outbox if message.to == [owner.email])


@pytest.mark.parametrize(
    ("privileged", "plain", "words"),
    [
        (1, 0, "It concerns privileged access."),
        (2, 0, "All of them concern privileged access."),
        (1, 1, "1 of them concerns privileged access and comes first."),
        (2, 1, "2 of them concern privileged access and come first."),
    ],
)
def test_one_question_is_not_spoken_of_as_many(make, privileged, plain, words):
    message = asked(make, about=[make.PRIVILEGED] * privileged + [None] * plain)
    assert words in message.body
    assert ("It asks whether a program" in message.body) == (privileged + plain == 1)


@pytest.mark.parametrize(
    ("kinds", "subject", "words"),
    [
        (["ownership"], "1 question about who answers for what, until", "It asks who answers for a program"),
        (["ownership", "grant"], "2 questions about access, until", "1 of them asks who answers for something."),
    ],
)
def test_a_question_about_ownership_is_not_called_one_about_access(make, kinds, subject, words):
    message = asked(make, about=[None], item_kinds=kinds)
    assert message.subject.startswith(subject)
    assert words in message.body
    assert ("narrow it" in message.body) == ("grant" in kinds)


def test_a_mail_lands_in_a_file_where_no_server_is_set(make, settings, tmp_path):
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)
    make.item()
    send_due_mail(now=make.NOW)
    [written] = tmp_path.iterdir()
    assert "https://remit.example.org/m/" in written.read_text()


def test_whoever_is_asked_beside_the_assignee_gets_a_mail_too(make, settings):
    beside, item = make.person(Role.REVIEWER), make.item()
    Ask.objects.create(item=item, person=beside, stage=1, round=item.round, is_released=False)

    send_due_mail(now=make.NOW)

    told = ReviewMail.objects.filter(kind="invitation").values_list("person_id", flat=True)
    assert set(told) == {item.assignee_id, beside.pk}
    assert {address for message in mail.outbox for address in message.to} >= {beside.email}
