"""The page of seals: where checkpoints are kept, which place fails, how far decisions are sealed, which guard is down."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from governance.audit import carriers
from governance.audit.checkpoint import write_checkpoint
from governance.audit.places import send_checkpoints
from governance.audit.stream import Line, append
from governance.kernel.actors import Role, system_actor
from tests.reviews import conftest as make

pytestmark = pytest.mark.django_db
SIGNER = system_actor("checkpoint")
MOST_QUERIES = 24


@pytest.fixture
def auditor(signed_in: Callable[..., Client], settings: Any, tmp_path: Path) -> Client:
    settings.AUDIT_CHECKPOINT_DIR = tmp_path / "checkpoints"
    settings.AUDIT_KEY_FILE = tmp_path / "key.pem"
    return signed_in(make.make_person(Role.AUDITOR))


def test_a_new_installation_is_told_what_more_it_could_do(auditor: Client) -> None:
    page = auditor.get("/audit/seals/").content.decode()

    assert "all guards stand as they were installed" in page
    assert "who can switch every guard off" in page  # tests sign in as a superuser
    assert "Only the folder is set up" in page and "AUDIT_CHECKPOINT_PLACES" in page
    assert "No decision has been logged yet" in page


def test_a_place_that_fails_is_named_beside_those_that_work(
    auditor: Client, settings: Any, decided_item: Any, seal: Any, monkeypatch: pytest.MonkeyPatch,
    django_assert_max_num_queries: Any,
) -> None:  # fmt: skip
    def refuse(*given: Any) -> None:
        raise carriers.Undelivered("answered 503")

    decided_item(make.make_person(Role.OWNER))
    seal()
    settings.AUDIT_CHECKPOINT_PLACES = ["https://siem.example.org/hook?token=hidden", "mailto:auditors@example.org"]
    now = timezone.now()
    checkpoint = write_checkpoint(now=now, actor=SIGNER)
    monkeypatch.setattr(carriers.Webhook, "send", refuse)
    send_checkpoints(now=now, actor=SIGNER)
    append([Line(now, "decision", {"answer": "deny"})])

    with django_assert_max_num_queries(MOST_QUERIES):
        page = auditor.get("/audit/seals/").content.decode()

    assert "Webhook siem.example.org" in page and "answered 503" in page and "token=" not in page
    assert page.count(f"#{checkpoint.size}") == 2  # the folder and the mail
    assert "sealed through #0; 1 pending" in page


def test_a_guard_that_is_down_is_the_first_thing_said(auditor: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER audit_event_no_change")

    page = auditor.get("/audit/seals/").content.decode()

    assert "no longer guards the trail" in page
    assert "audit_event_no_change on audit_auditevent is switched off" in page


def test_others_do_not_see_it(signed_in: Callable[..., Client]) -> None:
    assert signed_in(make.make_person(Role.REVIEWER)).get("/audit/seals/").status_code == 403
