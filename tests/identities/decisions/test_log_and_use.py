"""What was decided is kept: lines of the decision log as the policy says, and use that is exact."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from governance.audit.canonical import canonical
from governance.kernel.actors import system_actor
from identities.models import DecisionTally, Identity, PostureMark, Source, Usage, UsageWindow
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


def told() -> list[dict[str, Any]]:
    """The facts of the lines of the log."""
    RECORDER.flush()
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload FROM audit_stream ORDER BY ordinal")
        return [json.loads(payload)["facts"] for (payload,) in cursor.fetchall()]


def entries_of(line: dict[str, Any]) -> list[dict[str, Any]]:
    """What a line tells, entry by entry; `first_at` only where an entry tells of several decisions."""
    names = "action", "resource", "reason", "evaluation", "count", "first_at"
    return [
        {"at": moment["at"], "count": 1} | dict(zip(names, entry, strict=False))
        for moment in line["moments"]
        for entry in moment["decisions"]
    ]


def entries() -> list[dict[str, Any]]:
    return [entry for line in told() for entry in entries_of(line)]


def test_permits_are_counted_and_every_denial_is_an_entry(busy: World) -> None:
    ask(*["read_file"] * 5, "write_file", "write_file")
    (line,) = told()
    assert sorted((entry["reason"], entry["count"]) for entry in entries_of(line)) == [
        ("granted", 5), ("no_grant", 1), ("no_grant", 1),
    ]  # fmt: skip
    assert (line["identity"], line["domain"], line["policy"]) == (str(Identity.objects.get().pk), "", 1)
    assert len({entry["evaluation"] for entry in entries_of(line)}) == 3
    assert ["first_at" in entry for entry in entries_of(line)] == [False, False, True]


def test_a_line_tells_of_one_identity_and_of_so_many_entries_at_most(
    busy: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "MOST_ENTRIES", 2)
    ask(*["write_file"] * 5)
    ask("read_file", subject="nobody")
    ask("read_file", subject="nobody else")
    assert [(line["identity"] is None, len(entries_of(line))) for line in told()] == [
        (False, 2), (False, 2), (False, 1), (True, 2),
    ]  # fmt: skip


def test_a_line_without_a_second_look_is_the_same_canonical_text(busy: World) -> None:
    busy.grant(Identity.objects.get(), permission("dis\\play", "naïve\N{OGHAM SPACE MARK}", on="server:a\\b/*"))
    ask("read_file", "read_file", "dis\\play", "naïve\N{OGHAM SPACE MARK}", "no", resource='server:a\\b/"c"')
    ask("read_file", subject="who\N{SNOWMAN}")
    RECORDER.flush()
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload FROM audit_stream")
        written = [payload for (payload,) in cursor.fetchall()]
    assert [canonical(json.loads(payload)) for payload in written] == written
    said = {entry["action"] for payload in written for entry in entries_of(json.loads(payload)["facts"])}
    tallied = set(DecisionTally.objects.values_list("action", "resource"))
    assert {"dis\\play"} <= said and ("dis\\play", 'server:a\\b/"c"') in tallied


def test_permits_may_be_entries_of_their_own_or_samples(busy: World) -> None:
    busy.policy(log={"permits": "each"})
    ask(*["read_file"] * 3)
    assert len(entries()) == 3
    busy.policy(log={"permits": "sampled", "one_in": 4})
    ask(*["read_file"] * 8)
    assert len(entries()) == 3 + 2
    usage.fold_decisions(now=timezone.now())
    assert Usage.objects.get().count == 3 + 8, "use is exact however entries are sampled"


def test_a_line_holds_no_word_that_only_the_caller_has_said(busy: World) -> None:
    ask("read_file", subject="mallory@example.com", context={"password": "hunter2", "credential": "AKIASECRET"})
    ask("drop secrets of alice", resource="file:/home/alice/passwords")
    ask("read_file", context={"issuer": "https://evil.example/hunter2"})
    written = json.dumps(told())
    for word in ("mallory", "hunter2", "AKIASECRET", "alice", "evil"):
        assert word not in written
    assert "sha256:" in written


def test_a_flood_of_denials_is_counted_instead_of_kept_one_by_one(busy: World, settings: Any) -> None:
    settings.DECISION_LOG_MOST = 20
    ask(*["write_file"] * 300)
    found = entries()
    assert len(found) < 20 and sum(entry["count"] for entry in found) == 300


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
    assert sorted((entry["action"], entry["count"]) for entry in entries() if entry["reason"] == "granted") == [
        ("read_file", 2)
    ]
    assert sum(entry["count"] for entry in entries()) == 3
    settings.DECISION_LOG_MOST = 1
    monkeypatch.setattr(logging, "_write", fail)
    ask("read_file", "list_files", "write_file")
    assert len(RECORDER) <= 2 and RECORDER.given_up > 0
    RECORDER.given_up = 0


def test_a_search_leaves_no_trace(busy: World) -> None:
    decide_many([question()], now=timezone.now(), is_search=True)
    assert told() == []


def test_a_decision_inside_a_transaction_that_has_written_is_written_with_it(
    world: World, ask: Callable[..., Any]
) -> None:
    world.grant(world.identity("agent"))
    answer = ask()
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload FROM audit_stream")
        (entry,) = entries_of(json.loads(cursor.fetchone()[0])["facts"])
    assert (entry["count"], entry["evaluation"]) == (1, str(answer.evaluation_id))
    assert DecisionTally.objects.get().action == "read_file" and len(RECORDER) == 0


def test_the_timer_writes_what_an_idle_process_gathered(busy: World, settings: Any, wait_for: Any) -> None:
    settings.DECISION_LOG_SECONDS = 1
    ask("read_file")
    assert not DecisionTally.objects.exists()
    wait_for(DecisionTally.objects.exists, 10)


def test_much_is_written_by_a_thread_and_who_asks_helps_only_where_it_is_behind(
    busy: World, settings: Any, wait_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DECISION_LOG_SECONDS, settings.DECISION_LOG_MOST = 1_000, 4
    write, writers, go_on = logging._write, [], threading.Event()

    def slowly(gathered: Any) -> None:
        writers.append(threading.current_thread().name)
        if len(writers) == 1:
            go_on.wait(10)
        write(gathered)

    monkeypatch.setattr(logging, "_write", slowly)
    ask(*(f"no_{number}" for number in range(4)))
    wait_for(lambda: writers, 10)
    ask(*(f"not_{number}" for number in range(4)))
    assert writers == ["decision-log"], "nobody who asks waits"
    threading.Timer(0.05, go_on.set).start()
    ask(*(f"never_{number}" for number in range(4)))
    assert writers == ["decision-log", threading.current_thread().name] and len(RECORDER) == 0
    assert sum(entry["count"] for entry in entries()) == 12


def test_a_forked_process_does_not_write_what_its_parent_gathered(busy: World) -> None:
    ask("read_file")
    child = os.fork()
    if not child:
        os._exit(len(RECORDER))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 and len(RECORDER) == 1


def test_use_of_a_new_day_has_the_identity_looked_at_again_and_more_of_the_same_day_has_not(busy: World) -> None:
    agent, noon = Identity.objects.get(), timezone.now().replace(hour=12, minute=0)

    def marks_after(at: datetime) -> int:
        PostureMark.objects.all().delete()
        DecisionTally.objects.create(
            identity_id=agent.pk, action="read_file", resource="server:a", count=1, first_at=at, last_at=at
        )
        usage.fold_decisions(now=noon + timedelta(days=2))
        return PostureMark.objects.filter(identity=agent).count()

    assert [marks_after(at) for at in (noon, noon + timedelta(hours=1), noon + timedelta(days=1))] == [1, 0, 1]


def test_everything_is_looked_at_again_when_decisions_no_longer_show_all_use(busy: World) -> None:
    Source.objects.update(enforced_since=timezone.now() - timedelta(days=3))
    usage.fold_decisions(now=timezone.now())
    PostureMark.objects.all().delete()

    Source.objects.update(enforced_since=None)
    usage.fold_decisions(now=timezone.now())

    assert not UsageWindow.objects.exists()
    assert PostureMark.objects.get().identity == Identity.objects.get()
