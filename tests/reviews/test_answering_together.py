"""Many answers in one transaction are worth what each of them is worth alone, whatever stands beside it."""

import contextlib
import json
import random
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from psycopg.errors import DeadlockDetected

from governance.audit import log
from governance.audit.models import AuditEvent
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from identities.models import Grant
from reviews.decisions import StaleItem, decide, decide_many, deciding
from reviews.decisions.bulk import foresee_many
from reviews.decisions.judging import ONE_AT_A_TIME
from reviews.models import Ask, Decision, Order, ReviewItem

SITUATIONS = (
    "plain",
    "recommended",
    "privileged",
    "somebody else's",
    "drifted",
    "gone",
    "answered",
    "seen too early",
    "held by me",
    "given by me",
    "handed on by a holder",
    "several are asked",
    "two stages",
    "closed",
    "missing",
)
THREE = {"asks": ["owner", "backup", "team"], "people": 2, "strategy": "all_must_accept"}
TWO_STAGES = [{}, {"asks": ["independent"]}]
NOTHING = "No smaller set is recommended here. Answer this question by itself."
Told = tuple[bool, str, str, bool]


class Estate:
    """Questions in every situation, made one by one and asked about in few reviews."""

    def __init__(self, make: Any, situations: list[str]) -> None:
        self.make, self.me, self.other = make, make.person(), make.person()
        self.versions: dict[uuid.UUID, int] = {}
        self.items: list[ReviewItem] = []
        for situation in situations:
            self.items.append(self._one(situation))
        self.chosen = self.items

    def _one(self, situation: str) -> ReviewItem:
        make, me = self.make, self.me
        owner = self.other if situation == "somebody else's" else me
        identity = make.identity(owner=owner, backup_owner=self.other)
        grant = make.grant(identity, make.PRIVILEGED if situation == "privileged" else None)
        if situation == "recommended":
            make.window(identity.source)
            make.use(identity, "SELECT", "table:ledger/public/payments")
        policy = {
            "several are asked": {"stages": {"stages": [THREE]}},
            "two stages": {"stages": {"stages": TWO_STAGES}},
        }.get(situation, {})
        scope = f"source={identity.source.slug}"
        campaign = make.campaign(scope=scope, policy=policy, independent_reviewer=make.person())
        item = make.get_item(campaign, grant)
        self._after_opening(situation, item, grant)
        if situation == "missing":
            return ReviewItem()
        if situation != "somebody else's":
            self.versions[item.pk] = 0 if situation == "seen too early" else 1
        return item

    def _after_opening(self, situation: str, item: ReviewItem, grant: Any) -> None:
        make, me = self.make, self.me
        match situation:
            case "drifted":
                make.change_grant(grant, make.NARROWER)
            case "gone":
                grant.versions.update(seen_until=make.NOW)
                type(grant).objects.filter(pk=grant.pk).update(retired_at=make.NOW)
            case "answered":
                decide(item=item, version=1, answer="approve", actor=make.actor(me), now=make.NOW)
            case "held by me":
                make.credential(grant.identity, holder=me)
            case "given by me":
                type(grant).objects.filter(pk=grant.pk).update(created_by=me)
            case "handed on by a holder":
                holder = make.person()
                make.credential(grant.identity, holder=holder)
                step = {"rule": "delegated", "person": str(me.pk), "by": str(holder.pk), "outcome": "asked", "why": ""}
                ReviewItem.objects.filter(pk=item.pk).update(resolution=[*item.resolution, step])
            case "closed":
                type(item.campaign).objects.filter(pk=item.campaign_id).update(state="closing")

    def choose(self, numbers: Sequence[int]) -> None:
        """Which of the questions are answered, in which order."""
        self.chosen = [self.items[number] for number in numbers]

    def together(self, answer: str) -> list[Told]:
        me, now, ids = self.make.actor(self.me), self.make.NOW, [item.pk for item in self.chosen]
        results = decide_many(item_ids=ids, answer=answer, actor=me, now=now, reason="Needed.", versions=self.versions)
        return [(each.ok, each.code, each.problem, each.is_attestation) for each in results]

    def foreseen(self, answer: str) -> list[Told]:
        me, now, ids = self.make.actor(self.me), self.make.NOW, [item.pk for item in self.chosen]
        results = foresee_many(item_ids=ids, answer=answer, actor=me, now=now, versions=self.versions)
        return [(each.ok, each.code, each.problem, each.is_attestation) for each in results]

    def by_decide(self, answer: str) -> list[Told]:
        """The same by single answers, as a person gives them on the page of a question."""
        found: list[Told] = []
        for item in self.chosen:
            if item.is_privileged:
                found.append((False, "privileged-one-at-a-time", ONE_AT_A_TIME, False))
                continue
            target = item.recommended_target if answer == "scope_down" else None
            if answer == "scope_down" and not target and item.assignee_id == self.me.pk:
                found.append((False, "nothing-recommended", NOTHING, False))
                continue
            facts: Any = {"target": Permission.from_json(target)} if target else {}
            try:
                decision = decide(
                    item=item,
                    version=self.versions.get(item.pk, item.version),
                    answer=answer,
                    actor=self.make.actor(self.me),
                    now=self.make.NOW,
                    reason="Needed.",
                    **facts,
                )
            except DomainError as refusal:
                not_mine = (False, "not-assigned", "This question is not assigned to you.", False)
                told = (False, refusal.code, refusal.message, False)
                found.append(told if item.assignee_id == self.me.pk else not_mine)
            else:
                found.append((True, "", "", decision.is_attestation))
        return found

    def rows(self) -> dict[str, Any]:
        """Everything that answers leave behind, without the ids that differ each time."""
        decisions = Decision.objects.order_by("item_id", "decided_by_policy").values(
            *("item_id", "answer", "is_attestation", "stage", "round", "target", "proof", "reason", "decided_by_id"),
            *("decided_by_policy", "auth_method", "decided_at"),
        )
        orders = Order.objects.order_by("item_id").values(
            *("item_id", "action", "state", "target", "plan", "instructions", "execute_after", "outcome")
        )
        items = ReviewItem.objects.order_by("pk").values(
            *("pk", "state", "assignee_id", "stage", "version", "decided_at", "escalated_at", "resolution")
        )
        grants = Grant.objects.order_by("pk").values_list("reviewed_at", "reviewed_digest")
        asks = Ask.objects.order_by("item_id", "person_id").values("item_id", "person_id", "is_released", "stage")
        records = AuditEvent.objects.values_list("verb", "subject_kind", "payload")
        return {
            "decisions": list(decisions),
            "orders": list(orders),
            "items": list(items),
            "grants": [(at, bytes(digest or b"")) for at, digest in grants],
            "asks": list(asks),
            "records": sorted(self._known(record) for record in records),
        }

    def _known(self, record: tuple[str, str, str]) -> Any:
        verb, kind, payload = record
        told = json.loads(payload)
        told = {name: told[name] for name in ("actor", "old", "new", "context")}
        context = told["context"] or {}
        told["context"] = {name: value for name, value in context.items() if name not in {"decision", "bulk"}}
        (told["context"].get("outcome") or {}).pop("decision", None)
        return verb, kind, json.dumps(told, sort_keys=True)


def _undone(call: Callable[[], Any]) -> Any:
    """What `call` returns; what it wrote is taken back."""
    before = transaction.savepoint()
    try:
        return call()
    finally:
        transaction.savepoint_rollback(before)


@pytest.fixture
def estate(db: Any, make: Any) -> Estate:
    return Estate(make, list(SITUATIONS))


@pytest.mark.parametrize("answer", ["approve", "revoke", "scope_down"])
def test_any_mix_of_rows_is_answered_and_written_as_each_row_alone(estate, answer):
    drawn = random.Random(answer)
    for number in (len(estate.items), 6, 6):
        estate.choose(drawn.sample(range(len(SITUATIONS)), number))
        alone = _undone(lambda: (estate.by_decide(answer), estate.rows()))
        foreseen = estate.foreseen(answer)
        together = _undone(lambda: (estate.together(answer), estate.rows()))
        assert together == alone
        assert foreseen == together[0]
    assert {ok for ok, *_ in together[0]} == {True, False}


def test_the_mix_holds_every_kind_of_refusal_and_of_success(estate):
    approved = dict(zip(SITUATIONS, _undone(lambda: estate.together("approve")), strict=True))
    codes = {situation: result[1] for situation, result in approved.items()}
    assert codes == {
        "plain": "",
        "recommended": "",
        "privileged": "privileged-one-at-a-time",
        "somebody else's": "not-assigned",
        "drifted": "access-changed",
        "gone": "access-changed",
        "answered": "stale-item",
        "seen too early": "stale-item",
        "held by me": "self-review",
        "given by me": "self-review",
        "handed on by a holder": "self-review",
        "several are asked": "",
        "two stages": "",
        "closed": "campaign-not-open",
        "missing": "not-assigned",
    }
    attests = {situation for situation, result in approved.items() if result[3]}
    assert attests == {"several are asked", "two stages"}


@pytest.mark.parametrize("answer", ["approve", "revoke"])
def test_ten_times_as_many_rows_take_the_same_number_of_statements(db, make, answer):
    def statements(number: int) -> int:
        owner = make.person()
        identity = make.identity(owner=owner)
        grants = [make.grant(identity) for _ in range(number)]
        campaign = make.campaign(scope=f"source={identity.source.slug}")
        ids = [make.get_item(campaign, grant).pk for grant in grants]
        with CaptureQueriesContext(connection) as captured:
            results = decide_many(item_ids=ids, answer=answer, actor=make.actor(owner), now=make.NOW)
        assert all(result.ok for result in results)
        # Looking at a source stands in a transaction of its own, which under a test is a savepoint.
        return sum("SAVEPOINT" not in query["sql"] for query in captured)

    assert statements(20) == statements(2)


def test_answers_to_other_questions_are_not_looked_at_however_many_there_are(db, make):
    earlier, number = make.item(), 5_000
    said = [
        Decision(item=earlier, answer="approve", decided_by=earlier.assignee, decided_at=make.NOW)
        for _ in range(number)
    ]
    Decision.objects.bulk_create(said)
    _forget_statistics(Decision)
    owner = make.person()
    identity = make.identity(owner=owner)
    grants = [make.grant(identity) for _ in range(2)]
    campaign = make.campaign(scope=f"source={identity.source.slug}")
    ids = [make.get_item(campaign, grant).pk for grant in grants]

    before = _rows_read(Decision)
    results = decide_many(item_ids=ids, answer="approve", actor=make.actor(owner), now=make.NOW)

    assert all(result.ok for result in results)
    read = _rows_read(Decision) - before
    assert read < number, read


def _forget_statistics(model: Any) -> None:
    """As in a database that has not counted its rows yet, whatever it knows of the tests before this one."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM pg_statistic WHERE starelid = %s::regclass", [model._meta.db_table])
        cursor.execute(
            """UPDATE pg_class SET relpages = 0, reltuples = -1 WHERE oid = %(table)s::regclass
                  OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = %(table)s::regclass)""",
            {"table": model._meta.db_table},
        )


def _rows_read(model: Any) -> int:
    """How many rows this transaction has read of a table so far."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relname = %s",
            [model._meta.db_table],
        )
        return int(cursor.fetchone()[0])


def test_a_question_that_changed_while_its_plan_was_made_is_left_alone(db, make, monkeypatch):
    items = [make.item() for _ in range(2)]
    ReviewItem.objects.update(assignee=items[0].assignee)
    plan = deciding.prepare

    def plan_slowly(**given: Any) -> Any:
        ReviewItem.objects.filter(pk=items[1].pk).update(version=2)
        return plan(**given)

    monkeypatch.setattr(deciding, "prepare", plan_slowly)
    me, ids = make.actor(items[0].assignee), [item.pk for item in items]
    results = decide_many(item_ids=ids, answer="revoke", actor=me, now=make.NOW)
    assert [result.code for result in results] == ["", "stale-item"]
    assert Order.objects.count() == Decision.objects.count() == 1


@pytest.fixture
def forty(committed_db: Any, make: Any) -> Any:
    owner = make.person()
    identity = make.identity(owner=owner)
    campaigns, ids = [], []
    grants = [make.grant(identity) for _ in range(20)]
    for _ in range(2):
        campaigns.append(make.campaign(scope=f"source={identity.source.slug}"))
        ids += [make.get_item(campaigns[-1], grant).pk for grant in grants]
    return make.actor(owner), ids


def test_two_who_answer_the_same_rows_in_opposite_order_answer_each_once(forty, make):
    actor, ids = forty
    start, answers = threading.Barrier(3), []

    def many(wanted: list[uuid.UUID]) -> None:
        try:
            start.wait()
            answers.append(decide_many(item_ids=wanted, answer="approve", actor=actor, now=make.NOW, versions=seen))
        finally:
            connection.close()

    def single() -> None:
        try:
            start.wait()
            with contextlib.suppress(StaleItem):
                decide(item=ReviewItem(pk=ids[7]), version=1, answer="revoke", actor=actor, now=make.NOW)
        finally:
            connection.close()

    seen = dict.fromkeys(ids, 1)
    threads = [threading.Thread(target=many, args=[ids]), threading.Thread(target=many, args=[ids[::-1]])]
    threads.append(threading.Thread(target=single))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(answers) == 2
    assert {result.code for results in answers for result in results} == {"", "stale-item"}
    assert Decision.objects.count() == Decision.objects.values("item").distinct().count() == 40
    assert AuditEvent.objects.filter(verb="item.decided").count() == 40


def test_a_call_that_is_cut_off_before_its_end_leaves_nothing(forty, make, monkeypatch):
    actor, ids = forty

    def cut_off(records: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(log, "record_many", cut_off)
        decide_many(item_ids=ids, answer="approve", actor=actor, now=make.NOW)

    assert not Decision.objects.exists()
    assert not ReviewItem.objects.exclude(state="open", version=1).exists()
    assert not Grant.objects.exclude(reviewed_at=None).exists()


def test_the_victim_of_a_deadlock_is_answered_all_the_same(forty, make, monkeypatch):
    actor, ids = forty
    lock, tries = deciding.lock_items, []

    def deadlocked_once(*args: Any, **more: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise OperationalError("deadlock detected") from DeadlockDetected()
        return lock(*args, **more)

    monkeypatch.setattr(deciding, "lock_items", deadlocked_once)
    results = decide_many(item_ids=ids, answer="approve", actor=actor, now=make.NOW)
    assert (len(tries), all(result.ok for result in results)) == (2, True)
    assert Decision.objects.count() == 40
