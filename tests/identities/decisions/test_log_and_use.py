"""What was decided is kept: lines of the decision log as the policy says, and use that is exact."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from governance.kernel.actors import system_actor
from identities.models import DecisionTally, Identity, Source, Usage, UsageWindow
from identities.pdp import logging, usage
from identities.pdp.deciding import decide_many
from identities.pdp.logging import RECORDER
from tests.identities.decisions.world import World, permission, question

LATER = timedelta(minutes=2)


@pytest.fixture
def busy(committed_db: Any, settings: Any) -> Iterator[World]:
    settings.DECISION_LOG_SECONDS = 0
    world = World()
    Source.objects.update(last_success_at=timezone.now())
    agent = world.identity("agent")
    world.grant(agent, permission("read_file", "list_files"))
    yield world
    RECORDER.flush()


def ask(*actions: str, **more: Any) -> None:
    decide_many([question(action=action, **more) for action in actions], now=timezone.now())


def lines() -> list[dict[str, Any]]:
    RECORDER.flush()
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload FROM audit_stream ORDER BY ordinal")
        return [json.loads(payload)["facts"] for (payload,) in cursor.fetchall()]


def test_permits_are_counted_and_every_denial_is_a_line(busy: World) -> None:
    ask(*["read_file"] * 5, "write_file", "write_file")
    found = lines()
    assert sorted((line["permit"], line["reason"], line.get("count")) for line in found) == [
        (False, "no_grant", None), (False, "no_grant", None), (True, "granted", 5),
    ]  # fmt: skip
    agent = Identity.objects.get()
    assert {line["identity"] for line in found} == {str(agent.pk)}
    assert len({line["evaluation"] for line in found}) == 3


def test_permits_may_be_lines_of_their_own_or_samples(busy: World) -> None:
    busy.policy(log={"permits": "each"})
    ask(*["read_file"] * 3)
    assert len(lines()) == 3
    busy.policy(log={"permits": "sampled", "one_in": 4})
    ask(*["read_file"] * 8)
    assert len(lines()) == 3 + 2
    usage.fold_decisions(now=timezone.now())
    assert Usage.objects.get().count == 3 + 8, "use is exact however lines are sampled"


def test_a_line_holds_no_word_that_only_the_caller_has_said(busy: World) -> None:
    ask("read_file", subject="mallory@example.com", context={"password": "hunter2", "credential": "AKIASECRET"})
    ask("drop secrets of alice", resource="file:/home/alice/passwords")
    ask("read_file", context={"issuer": "https://evil.example/hunter2"})
    written = json.dumps(lines())
    for word in ("mallory", "hunter2", "AKIASECRET", "alice", "evil"):
        assert word not in written
    assert "sha256:" in written


def test_a_flood_of_denials_is_counted_instead_of_kept_line_by_line(busy: World, settings: Any) -> None:
    settings.DECISION_LOG_MOST = 20
    ask(*["write_file"] * 300)
    found = lines()
    assert len(found) < 20 and sum(line.get("count", 1) for line in found) == 300


def test_permitted_requests_become_use_and_denied_ones_do_not(busy: World) -> None:
    ask("read_file", "read_file", "write_file")
    RECORDER.flush()
    ask("read_file")
    RECORDER.flush()
    assert DecisionTally.objects.count() == 2
    assert usage.fold_decisions(now=timezone.now()) == 2
    assert list(Usage.objects.values_list("action", "resource", "count")) == [("read_file", "server:files", 3)]
    assert Identity.objects.get().last_seen_at and not DecisionTally.objects.exists()
    assert usage.fold_decisions(now=timezone.now()) == 0
    assert Usage.objects.get().count == 3


def test_only_where_everything_asks_first_no_decision_means_no_use(busy: World) -> None:
    ask("read_file")
    RECORDER.flush()
    usage.fold_decisions(now=timezone.now() + LATER)
    assert not UsageWindow.objects.exists()
    began = timezone.now()
    usage.note_enforcement(
        source=busy.source, is_enforced=True, actor=system_actor("test"), now=began, reason="The gateway."
    )
    usage.fold_decisions(now=began + LATER)
    window = UsageWindow.objects.get()
    assert (window.log, window.identity, window.observed_from) == ("decisions", None, began)
    assert window.observed_until == began + LATER - usage.WRITTEN_WITHIN
    usage.note_enforcement(
        source=busy.source, is_enforced=False, actor=system_actor("test"), now=began, reason="Taken down."
    )
    usage.fold_decisions(now=began + LATER)
    assert not UsageWindow.objects.exists()


def test_what_cannot_be_written_is_kept_and_given_up_only_when_there_is_too_much(
    busy: World, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = logging._write

    def fail(gathered: Any) -> None:
        raise RuntimeError("away")

    monkeypatch.setattr(logging, "_write", fail)
    ask("read_file", "write_file")
    assert RECORDER.flush() == 0 and len(RECORDER) == 2
    ask("read_file")
    monkeypatch.setattr(logging, "_write", write)
    assert sum(line.get("count", 1) for line in lines()) == 3
    settings.DECISION_LOG_MOST = 1
    monkeypatch.setattr(logging, "_write", fail)
    ask("read_file", "list_files", "write_file")
    assert len(RECORDER) <= 2 and RECORDER.given_up > 0
    RECORDER.given_up = 0


def test_a_search_leaves_no_trace(busy: World) -> None:
    decide_many([question()], now=timezone.now(), is_search=True)
    assert lines() == []


def test_a_decision_inside_a_transaction_that_has_written_is_written_with_it(
    world: World, ask: Callable[..., Any]
) -> None:
    world.grant(world.identity("agent"))
    answer = ask()
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload FROM audit_stream")
        assert UUID(json.loads(cursor.fetchone()[0])["facts"]["count"] and str(answer.evaluation_id))
    assert DecisionTally.objects.get().action == "read_file" and len(RECORDER) == 0


def test_the_timer_writes_what_an_idle_process_gathered(busy: World, settings: Any, wait_for: Any) -> None:
    settings.DECISION_LOG_SECONDS = 1
    ask("read_file")
    assert not DecisionTally.objects.exists()
    wait_for(DecisionTally.objects.exists, 10)
