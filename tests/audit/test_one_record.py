"""What the trail does about itself leaves exactly its own record, written with the rights of production's programs."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from governance.audit import carriers
from governance.audit.checkpoint import write_checkpoint
from governance.audit.epochs import begin_epoch
from governance.audit.erasure import erase_details
from governance.audit.models import AuditEvent
from governance.audit.places import send_checkpoints
from governance.audit.rights import grants_sql
from governance.audit.stream import Line, append, seal_pending
from governance.kernel.actors import Actor, system_actor

pytestmark = pytest.mark.usefixtures("committed_db", "outside")

SIGNER = system_actor("checkpoint")


@pytest.fixture
def as_writer(committed_db: Any) -> Iterator[None]:
    role = f"{committed_db.name}_programs"[-63:]
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE ROLE "{role}" NOSUPERUSER')
        cursor.execute(grants_sql(role))
        cursor.execute(f'SET ROLE "{role}"')
    yield
    with connection.cursor() as cursor:
        cursor.execute(f'RESET ROLE; DROP OWNED BY "{role}"; DROP ROLE "{role}"')


@pytest.mark.parametrize(
    "verb",
    [
        *("checkpoint.signed", "detail.erased", "decision_log.sealed"),
        *("checkpoint.place_failed", "checkpoint.place_recovered", "checkpoint.signed epoch.begun"),
    ],
)
def test_a_use_case_leaves_exactly_its_record(
    make_event: Callable[..., UUID],
    as_writer: None,
    actor: Actor,
    now: datetime,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
) -> None:
    event = make_event(reason="Person 7 asked for it.")
    settings.AUDIT_CHECKPOINT_PLACES = ["https://receiver.example.org/secret"]

    def refuse(*given: Any) -> None:
        raise carriers.Undelivered("answered 503 to person 7")

    def fail() -> None:
        write_checkpoint(now=now, actor=SIGNER)
        with monkeypatch.context() as patched:
            patched.setattr(carriers.Webhook, "send", refuse)
            send_checkpoints(now=now, actor=SIGNER)

    def recover() -> None:
        fail()
        monkeypatch.setattr(carriers.Webhook, "send", lambda *given: None)
        send_checkpoints(now=now + timedelta(hours=1), actor=SIGNER)

    append([Line(now, "decision", {"answer": "deny"})])
    acts: dict[str, Callable[[], Any]] = {
        "checkpoint.signed": lambda: write_checkpoint(now=now, actor=SIGNER),
        "detail.erased": lambda: erase_details(event_ids=[event], actor=actor, now=now, reason="Person 7 asked."),
        "decision_log.sealed": lambda: seal_pending(now=now, actor=SIGNER),
        "checkpoint.place_failed": fail,
        "checkpoint.place_recovered": recover,
        "checkpoint.signed epoch.begun": lambda: begin_epoch(actor=actor, now=now, reason="Person 7 restored it."),
    }
    acts[verb]()

    left = AuditEvent.objects.exclude(pk=event)
    expected = {
        "checkpoint.place_failed": "checkpoint.place_failed checkpoint.signed",
        "checkpoint.place_recovered": "checkpoint.place_failed checkpoint.place_recovered checkpoint.signed",
    }.get(verb, verb)
    assert sorted(left.values_list("verb", flat=True)) == expected.split()
    for payload in left.values_list("payload", flat=True):
        assert "erson 7" not in payload
        assert "secret" not in payload
        assert json.loads(payload)["actor"]["id"]
