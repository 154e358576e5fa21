"""Acknowledging a result and packs of evidence, as people and programs meet them."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role, system_actor
from governance.kernel.errors import DomainError
from governance.people.models import RoleAssignment
from governance.people.tokens import create_token
from reviews.campaigns import acknowledging
from reviews.campaigns.acknowledging import acknowledge, fingerprint, is_current, numbers_of
from reviews.campaigns.closing import close_due_campaigns
from reviews.decisions import decide
from reviews.models import Acknowledgement, Campaign, EvidencePack, Order

pytestmark = pytest.mark.django_db


@pytest.fixture
def closed(make: Any) -> Campaign:
    """A review with one revocation, closed; its owner answered, its manager did not."""
    item = make.item()
    decide(item=item, version=1, answer="revoke", actor=make.actor(item.assignee), now=make.NOW, reason="Gone.")
    close_due_campaigns(now=item.campaign.deadline_at + timedelta(hours=1))
    item.campaign.refresh_from_db()
    return item.campaign


def test_a_signature_names_the_state_and_whoever_signed_it(make: Any, closed: Campaign) -> None:
    manager, later = make.actor(closed.manager), make.NOW + timedelta(days=30)
    signed = acknowledge(campaign=closed, statement=" I have seen it. ", actor=manager, now=later)

    assert (signed.statement, signed.signed_name) == ("I have seen it.", closed.manager.name)
    assert signed.numbers == {"questions": {"decided": 1}, "orders": {"task": 1}}
    assert is_current(signed, numbers_of(closed))
    event = AuditEvent.objects.get(verb="campaign.acknowledged")
    assert signed.state_digest in event.payload and "seen it" not in event.payload
    assert closed.manager.name not in event.payload

    Order.objects.update(state_since=later + timedelta(seconds=1))
    assert not is_current(signed, numbers_of(closed))
    Order.objects.update(state="verified", state_since=later - timedelta(seconds=1))
    assert not is_current(signed, numbers_of(closed)), "what was about to commit is dated before the signature"


def signers(make: Any, closed: Campaign, who: str) -> Any:
    if who == "who answered":
        person = closed.items.get().assignee
        RoleAssignment.objects.create(user=person, role=Role.ADMINISTRATOR)
        return make.actor(person)
    return {
        "administrator": lambda: make.actor(make.person(Role.ADMINISTRATOR)),
        "manager": lambda: make.actor(closed.manager),
        "another manager": lambda: make.actor(make.person(Role.CAMPAIGN_MANAGER)),
        "auditor": lambda: make.actor(make.person(Role.AUDITOR)),
        "reviewer": lambda: make.actor(make.person(Role.REVIEWER)),
        "by mail link": lambda: make.actor(make.person(Role.ADMINISTRATOR), "mail_link"),
        "program": lambda: system_actor("scheduler"),
    }[who]()


@pytest.mark.parametrize(
    ("who", "code"),
    [
        ("administrator", None),
        ("manager", None),
        ("another manager", "forbidden"),
        ("auditor", "forbidden"),
        ("reviewer", "forbidden"),
        ("by mail link", "forbidden"),
        ("program", "forbidden"),
        ("who answered", "signer-reviewed"),
    ],
)
def test_who_may_sign(make: Any, closed: Campaign, who: str, code: str | None) -> None:
    found = None
    try:
        acknowledge(campaign=closed, statement="Seen.", actor=signers(make, closed, who), now=make.NOW)
    except DomainError as refusal:
        found = refusal.code
    assert found == code
    assert Acknowledgement.objects.count() == (code is None)


def test_a_review_may_let_its_reviewers_sign(make: Any, closed: Campaign) -> None:
    closed.policy = {"signing": {"reviewers_may_sign": True}}
    closed.save()
    acknowledge(campaign=closed, statement="Seen.", actor=signers(make, closed, "who answered"), now=make.NOW)
    assert Acknowledgement.objects.count() == 1


@pytest.mark.parametrize(
    ("state", "statement", "seen", "code"),
    [
        ("closed", "  ", None, "statement-required"),
        ("closed", "x" * 4001, None, "statement-required"),
        ("closed", "Seen.", "0123456789abcdef", "state-moved"),
        ("open", "Seen.", None, "review-not-over"),
        ("cancelled", "Seen.", None, "review-not-over"),
    ],
)
def test_what_is_not_signed(make: Any, closed: Campaign, state: str, statement: str, seen: str, code: str) -> None:
    Campaign.objects.update(state=state)
    with pytest.raises(DomainError) as refusal:
        acknowledge(campaign=closed, statement=statement, actor=make.actor(closed.manager), now=make.NOW, seen=seen)
    assert refusal.value.code == code
    assert not AuditEvent.objects.filter(verb="campaign.acknowledged").exists()


def test_the_page_signs_and_asks_for_a_pack(make: Any, closed: Campaign, sign_in: Any) -> None:
    client = sign_in(Client(), closed.manager, method="password+totp")
    place = reverse("reviews:campaign_evidence", args=[closed.pk])
    assert "Nobody of management has acknowledged" in client.get(place).content.decode()
    form = {"statement": "", "seen": fingerprint(numbers_of(closed))}
    sign = reverse("reviews:campaign_acknowledge", args=[closed.pk])
    assert client.post(sign, form).status_code == 422
    assert client.post(sign, form | {"statement": "I know it <now>."}).status_code == 302
    assert client.post(place).status_code == 302
    text = client.get(place).content.decode()
    assert "I know it &lt;now&gt;." in text and "Waiting to be written" in text and "every 2s" in text
    EvidencePack.objects.update(progress={"file": "decisions.csv", "done": 40, "of": 100}, state="building")
    assert 'value="40" max="100"' in client.get(place).content.decode()
    pack = EvidencePack.objects.get()
    assert client.get(reverse("reviews:pack_download", args=[pack.pk])).status_code == 409
    Order.objects.update(state="reappeared")
    assert "out of date" in client.get(place).content.decode()


def test_the_page_costs_few_queries_however_many_packs_there_are(
    make: Any, closed: Campaign, sign_in: Any, django_assert_max_num_queries: Any
) -> None:
    client = sign_in(Client(), closed.manager, method="password+totp")
    facts = {"campaign": closed, "requested_by": {}, "requested_at": make.NOW, "state": "failed"}
    EvidencePack.objects.bulk_create(EvidencePack(**facts) for _ in range(30))
    with django_assert_max_num_queries(16):
        client.get(reverse("reviews:campaign_evidence", args=[closed.pk]))


def test_a_program_asks_once_and_takes_the_file(make: Any, closed: Campaign, settings: Any, tmp_path: Any) -> None:
    settings.EVIDENCE_DIR = tmp_path
    boss = make.person(Role.ADMINISTRATOR)
    _, token = create_token(
        name="grc", scopes={"audit:read"}, expires_at=timezone.now() + timedelta(days=9),
        actor=system_actor("test"), now=timezone.now(), accountable=boss,
    )  # fmt: skip
    program = Client(headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "once"})
    place = reverse("api_campaign_packs", args=[closed.pk])
    first = program.post(place, content_type="application/json")
    EvidencePack.objects.update(state="failed", problem="The disk is full.")
    again = program.post(place, content_type="application/json")
    assert (first.status_code, again.status_code, again["Idempotency-Replayed"]) == (202, 202, "true")
    assert first.json()["id"] == again.json()["id"] and EvidencePack.objects.count() == 1
    detail = program.get(first["Location"]).json()
    assert (detail["state"], detail["problem"]) == ("failed", "The disk is full.")
    file = program.get(f"{first['Location']}file/")
    assert (file.status_code, file.json()["code"]) == (409, "pack-not-ready")
    assert program.get(place).json()["results"][0]["id"] == detail["id"]

    pack = EvidencePack.objects.get()
    (tmp_path / f"{pack.pk}.zip").write_bytes(b"the file")
    EvidencePack.objects.update(
        state="ready", size=7, root=bytes(32), note="n", origin="o", sha256="0" * 64, file_size=8, problem=""
    )
    file = program.get(f"{first['Location']}file/")
    assert b"".join(file.streaming_content) == b"the file"
    assert file["Content-Disposition"].startswith('attachment; filename="remit-evidence-')
    assert AuditEvent.objects.filter(verb="evidence_pack.downloaded").count() == 1


def test_the_usual_statement_says_what_is_not_finished(make: Any, closed: Campaign) -> None:
    text = acknowledging.usual_statement(closed, numbers_of(closed))
    assert "Questions: 1, of which decided: 1." in text and "Not finished: 1." in text
