"""What a process remembers never outlives a change: whoever writes, in whatever order transactions commit."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.utils import timezone

from governance.kernel.actors import Actor, ActorKind, Role, system_actor
from identities.models import (
    DecisionNote,
    Grant,
    Identity,
    IdentityPosture,
    Source,
    SyncMode,
    SyncOrigin,
    Withholding,
)
from identities.pdp import deciding, freshness, usage
from identities.pdp.deciding import decide, decide_many
from identities.pdp.freshness import MEMORY
from identities.pdp.logging import RECORDER
from identities.pdp.policy import change_decision_policy, read_policy
from identities.selectors.filters import InventoryFilter
from identities.selectors.selection import Selection
from identities.services import bulk_edit, review_facts, sources
from identities.services import identities as edits
from identities.sync.receive import receive
from tests.identities.decisions.test_each_input import assure
from tests.identities.decisions.world import NOW, READ_FILES, World, permission, question

SYSTEM = system_actor("test")
ADA = Actor(
    kind=ActorKind.PERSON, id=str(uuid.uuid4()), label="person", roles=frozenset({Role.ADMINISTRATOR}),
    auth_method="password",
)  # fmt: skip
BEHIND_A_TAG = permission(
    "read_file", conditions=[{"operator": "StringEquals", "key": "subject.tags", "values": ["trusted"]}]
)


class Known(World):
    """One source with an agent that may, by records sent as any reading is."""

    def __init__(self, slug: str = "agents", name: str = "agent") -> None:
        self.source = self.make_source(slug, max_retire_percent=100)
        self.name = name
        self.send(self.said(), self.given())

    @property
    def agent(self) -> Identity:
        return Identity.objects.get(source=self.source, external_id=self.name)

    @property
    def held(self) -> Grant:
        return Grant.objects.get(identity=self.agent, retired_at=None)

    def said(self, name: str = "", **more: Any) -> dict[str, Any]:
        return {"type": "identity", "id": name or self.name, "kind": "ai_agent", **more}

    def given(self, name: str = "g1", holder: str = "", **more: Any) -> dict[str, Any]:
        return {"type": "grant", "id": name, "identity": holder or self.name, "permission": READ_FILES, **more}

    def send(self, *records: dict[str, Any], mode: SyncMode = SyncMode.DELTA) -> None:
        lines = [json.dumps(record).encode() for record in records]
        lines.append(b'{"type":"end","records":%d}' % len(records))
        run = receive(
            source=Source.objects.get(pk=self.source.pk), lines=lines, mode=mode, origin=SyncOrigin.API,
            is_complete=mode == SyncMode.SNAPSHOT, actor=SYSTEM, now=timezone.now(),
        )  # fmt: skip
        assert run.state == "applied", run.problem

    def by_hand(self, statement: str) -> None:
        """As somebody who knows nothing of notes."""
        with connection.cursor() as cursor:
            cursor.execute(statement, {"agent": self.agent.pk, "grant": self.held.pk, "source": self.source.pk})


@pytest.fixture
def known(committed_db: Any, settings: Any) -> Iterator[Known]:
    settings.DECISION_LOG_SECONDS = 0
    yield Known()
    RECORDER.flush()


def permits(**more: Any) -> bool:
    return decide(question(**more), now=timezone.now()).permit


def _ask_for_reviews() -> None:
    policy = read_policy()
    document = {
        "staleness": {"seconds": None}, "approval": {"required_for": "all"},
        "assurance": {"least": 0, "least_privileged": 0}, "trust": {"issuer": "when_named"},
        "delegation": {"unknown": "not_assessed"}, "log": {"permits": "each", "denies": "each", "one_in": 1},
    }  # fmt: skip
    change_decision_policy(
        number=policy.number, document=document, reason="Nothing without a review.", actor=SYSTEM, now=timezone.now()
    )


RETIRE = "UPDATE identities_grant SET retired_at = now() WHERE id = %(grant)s"
WRITERS: dict[str, Callable[[Known], Any]] = {
    "a reading that lacks the grant": lambda w: w.send(w.said(), mode=SyncMode.SNAPSHOT),
    "a reading that narrows it": lambda w: w.send(w.given(permission=permission("list_files"))),
    "a reading that gives it to another": lambda w: w.send(w.said("other"), w.given(holder="other")),
    "a reading that disables the identity": lambda w: w.send(w.said(status="disabled")),
    "a reading that retires the grant": lambda w: w.send({"type": "retire", "of": "grant", "id": "g1"}),
    "a reading that retires the identity": lambda w: w.send({"type": "retire", "of": "identity", "id": w.name}),
    "a reading that adds a deny": lambda w: w.send(w.given("g2", permission=permission("*", on="*", effect="deny"))),
    "a reading of more than a thousand": lambda w: w.send(
        *(w.said(f"n{number}") for number in range(1_001)), w.said(status="disabled")
    ),
    "an order to remove it": lambda w: review_facts.withhold(narrowed={w.held.pk: None}, now=NOW),
    "an order to narrow it": lambda w: review_facts.withhold(narrowed={w.held.pk: permission("list_files")}, now=NOW),
    "an approval that lapses": lambda w: review_facts.lapse_review(
        grant_ids=[w.held.pk], why=Withholding.APPROVAL_LAPSED, now=NOW
    ),
    "an approval that has ended": lambda w: review_facts.note_review(
        grant_ids=[w.held.pk], digest_by_grant={w.held.pk: b"x"}, approved_until=NOW - timedelta(days=9), now=NOW
    ),
    "an identity of the same name elsewhere": lambda w: w.identity(w.name, source=w.make_source(f"other-{w.name}")),
    "a source that is switched off": lambda w: sources.switch_source(
        source=w.source, is_enabled=False, actor=SYSTEM, now=NOW
    ),
    "a grant changed by hand": lambda w: w.by_hand(RETIRE),
    "a version changed by hand": lambda w: w.by_hand(
        "UPDATE identities_grantversion SET valid_until = now() WHERE grant_id = %(grant)s"
    ),
    "an identity changed by hand": lambda w: w.by_hand(
        "UPDATE identities_identity SET status = 'disabled' WHERE id = %(agent)s"
    ),
    "a source made stale by hand": lambda w: w.by_hand(
        "UPDATE identities_source SET last_success_at = now() - interval '9 days' WHERE id = %(source)s"
    ),
    "a policy that asks for reviews": lambda w: _ask_for_reviews(),
}


def test_whoever_writes_a_change_holds_at_the_next_request(committed_db: Any, settings: Any) -> None:
    settings.DECISION_LOG_SECONDS = 0
    unheeded = []
    for number, (what, change) in enumerate(WRITERS.items()):
        world = Known(f"source-{number}", f"agent-{number}")
        assert permits(subject=world.name), what
        assert MEMORY.recall(world.agent.pk), what
        with transaction.atomic() if what.startswith(("an order", "an approval")) else nullcontext():
            change(world)
        if permits(subject=world.name):
            unheeded.append(what)
    assert unheeded == []


def test_tags_that_people_take_away_hold_at_the_next_request(known: Known) -> None:
    known.send(known.given(permission=BEHIND_A_TAG))
    assert not permits()
    agent = known.agent
    edits.edit_identity(
        identity=agent, version=agent.version, changes={"tags": ["trusted"]}, actor=ADA, now=timezone.now()
    )
    assert permits()
    chosen = Selection(filters=InventoryFilter(q="agent"))
    bulk_edit.bulk_edit_identities(
        selection=chosen, changes={"remove_tags": ["trusted"]}, digest=None, actor=ADA, now=timezone.now()
    )
    assert not permits()


def test_assurance_that_falls_holds_at_the_next_request_and_other_scores_wake_nobody(known: Known) -> None:
    assure(known.agent, 3)
    known.policy(assurance={"least": 2})
    assert permits()
    remembered = MEMORY.recall(known.agent.pk)
    IdentityPosture.objects.update(worst_case=50)
    assert permits() and MEMORY.recall(known.agent.pk) is remembered
    IdentityPosture.objects.update(assurance_lower=1)
    assert not permits()


def test_precise_notes_leave_everybody_else_in_memory(known: Known) -> None:
    known.send(known.said("other"), known.given("g2", "other"))
    assert permits() and permits(subject="other")
    other = MEMORY.recall(Identity.objects.get(external_id="other").pk)
    known.send(known.given(permission=permission("list_files")))
    assert not permits() and permits(subject="other")
    assert MEMORY.recall(other.id) is other
    assert not DecisionNote.objects.filter(scope="everything").exists()


def test_a_reading_that_changes_nothing_wakes_nobody(known: Known) -> None:
    assert permits()
    DecisionNote.objects.all().delete()
    known.send(known.said(), known.given())
    assert set(DecisionNote.objects.values_list("scope", flat=True)) == {"shared"}


def test_a_transaction_that_commits_late_is_seen_however_early_it_began(known: Known, committed_db: Any) -> None:
    """Ids and numbers of transactions are given when they write, not when they commit."""
    assert permits()
    with psycopg.connect(committed_db.url) as early:
        early.execute("UPDATE identities_grant SET retired_at = now()")
        for number in range(3):
            known.send(known.said(f"later-{number}"))
            assert permits(), "what is not committed holds for nobody"
        early.commit()
    assert not permits()


def test_what_was_read_before_a_change_is_not_kept_after_its_note_was_taken(
    known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads: one reads; the other takes the note of a change before the first has put away what it read."""
    read = freshness.read_principals

    def slowly(*args: Any) -> Any:
        found = read(*args)
        monkeypatch.setattr(freshness, "read_principals", read)
        done = threading.Thread(target=_change_and_look)
        done.start()
        done.join()
        return found

    def _change_and_look() -> None:
        try:
            known.by_hand(RETIRE)
            assert not permits()
        finally:
            connection.close()

    monkeypatch.setattr(freshness, "read_principals", slowly)
    assert permits(), "this request began before the change"
    assert not permits()


def test_a_transaction_that_has_written_is_answered_by_itself_and_leaves_nothing_behind(known: Known) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        known.by_hand(RETIRE)
        assert not permits()
        raise RuntimeError("rolled back")
    assert permits()


def test_notes_that_everybody_has_seen_are_removed_and_a_long_pause_begins_anew(
    known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert permits()
    usage.forget_notes()
    assert usage.forget_notes() == 0, "nobody is that slow yet"
    known.by_hand(RETIRE)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO identities_decisionmark SELECT now() - interval '1 hour', max(xid) + 1"
            " FROM identities_decisionnote"
        )
    assert usage.forget_notes() > 0
    MEMORY._checked_at -= freshness.LONGEST_PAUSE_SECONDS + 1
    assert not permits()


def test_memory_is_bounded_and_what_was_used_least_goes_first(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    known.send(*(known.said(f"n{n}") for n in range(9)), *(known.given(f"h{n}", f"n{n}") for n in range(9)))
    small = freshness.Memory(most_bytes=6_000)
    monkeypatch.setattr(deciding, "MEMORY", small)
    for number in range(9):
        assert permits(subject=f"n{number}") and permits(subject="n0")
    assert small.size <= 6_000 and 1 < len(small) < 9
    assert small.recall(Identity.objects.get(external_id="n0").pk)


def test_a_batch_is_checked_once(known: Known, django_assert_num_queries: Any) -> None:
    known.send(*(known.said(f"n{n}") for n in range(20)), *(known.given(f"h{n}", f"n{n}") for n in range(20)))
    asked = [question(f"n{number % 20}") for number in range(100)]
    decide_many(asked, now=timezone.now())
    with django_assert_num_queries(1):
        answers = decide_many(asked, now=timezone.now())
    assert all(answer.permit for answer in answers)


def test_a_connection_that_the_server_ended_is_replaced(known: Known, committed_db: Any) -> None:
    assert permits()
    _end_sessions(committed_db)
    assert permits()


def test_a_database_that_is_away_denies_with_a_reason_and_answers_when_it_is_back(
    known: Known, committed_db: Any
) -> None:
    assert permits()
    with psycopg.connect(committed_db.url.replace(committed_db.name, "postgres"), autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{committed_db.name}" ALLOW_CONNECTIONS false')
        _end_sessions(committed_db)
        try:
            away = decide_many([question(), question()], now=timezone.now())
        finally:
            admin.execute(f'ALTER DATABASE "{committed_db.name}" ALLOW_CONNECTIONS true')
    assert [(each.permit, each.reason, each.policy_number) for each in away] == [(False, "unavailable", 0)] * 2
    assert permits()


def _end_sessions(database: Any) -> None:
    with psycopg.connect(database.url.replace(database.name, "postgres"), autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database.name])
