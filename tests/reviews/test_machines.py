"""The state machines under random interleavings, on a real database that commits.

People answer, take back and hand on; people leave; readings change and retire grants; workers carry orders out and verify
them; the deadline passes; and anything of it may be cut off at any SQL statement, by an exception or by a lost connection.
After each step everything that a review promises is looked up in the rows, in the trail and at the source.

CI runs the same hundred steps every time. `REMIT_MACHINE_EXAMPLES=500` runs so many new interleavings instead.
"""

import json
import os
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role, system_actor
from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from governance.people.models import Team, User
from identities import provisioning
from identities.models import Grant, Identity
from reviews import remediation
from reviews.campaigns.closing import close_due_campaigns
from reviews.campaigns.opening import open_campaign
from reviews.campaigns.repinning import repin_item
from reviews.decisions import decide, reassign_item, recall, reroute_orphaned_items
from reviews.decisions.items import UNDECIDED
from reviews.models import KEEPING, PASSING_ON, Answer, Ask, Campaign, Decision, Order, ReviewItem
from reviews.states import (
    CAMPAIGN_MOVES,
    ITEM_MOVES,
    ORDER_MOVES,
    CampaignState,
    ItemState,
    OrderState,
)
from tests.reviews.simulated import World, cut_off_at

pytestmark = pytest.mark.slow

SYSTEM = system_actor("scheduler")
EXAMPLES = int(os.environ.get("REMIT_MACHINE_EXAMPLES", "0"))
STEPS = int(os.environ.get("REMIT_MACHINE_STEPS", "12"))
ORDERING = {Answer.REVOKE, Answer.SCOPE_DOWN, Answer.APPROVE_UNTIL}
OWNERS = {"asks": ["owner", "backup", "team"], "people": 3}
CONFIGURATIONS: dict[str, list[dict[str, Any]]] = {
    "one": [{}],
    "one accept": [OWNERS],
    "all": [
        OWNERS | {"strategy": "all_must_accept"},
        {"asks": ["independent"], "items": "disagreed", "sees": "nothing"},
    ],
    "one deny": [{}, OWNERS | {"strategy": "one_deny_denies", "items": "answered", "answered": ["accept"]}],
    "not denied": [
        OWNERS | {"people": 2, "strategy": "accepted_if_not_denied"},
        {"asks": ["source_owner"], "when_nobody": "skip"},
        {"asks": ["reviewers"], "items": "privileged"},
    ],
}
PERMISSIONS = ("HELD", "NARROWER", "PRIVILEGED")
CUTS = some.one_of(some.none(), some.none(), some.integers(0, 45))
ENDS = some.sampled_from(["exception", "connection"])
PICK = some.integers(0, 11)
HOWS = some.sampled_from(["approve", "approve", "revoke", "scope_down", "approve_until", "not_mine", "dont_know"])
ANSWERS = some.tuples(PICK, PICK, HOWS)
NEVER = 10**9


class Machine(RuleBasedStateMachine):
    """One review of four grants. `make` is the fixture of that name."""

    make: Any

    @initialize(
        stages=some.sampled_from(sorted(CONFIGURATIONS)),
        policy=some.sampled_from(["keep_and_escalate", "revoke"]),
        given=some.lists(ANSWERS, min_size=2, max_size=5),
    )
    def begin(self, stages: str, policy: str, given: list[tuple[int, int, str]]) -> None:
        self.open(stages, policy)
        for at, who, how in given:
            self.answer(at, who, how)

    def open(self, stages: str, policy: str) -> None:
        make = self.make
        self.world = World()
        provisioning.connector_for = lambda *_: self.world
        self.source = make.source(max_retire_percent=100)
        self.people: list[User] = [
            make.person(*roles)
            for roles in ([Role.OWNER], [], [], [Role.REVIEWER], [Role.REVIEWER], [Role.CAMPAIGN_MANAGER])
        ]
        for number, name in enumerate(("HELD", "HELD", "PRIVILEGED", "HELD")):
            self.world.identity_of[f"grant-{number}"] = f"svc-{number % 2}"
            self.world.held[f"grant-{number}"] = getattr(make, name)
        assert self.world.sync(self.source).state == "applied"
        team = Team.objects.create(name=f"Team {self.source.slug}")
        team.members.add(self.people[2])
        Identity.objects.filter(source=self.source).update(owner=self.people[0], backup_owner=self.people[1], team=team)
        self.opened_at = timezone.now()
        campaign = make.campaign(
            is_open=False,
            scope=f"source={self.source.slug}",
            policy={"stages": {"stages": CONFIGURATIONS[stages]}},
            deadline_policy=policy,
            independent_reviewer=self.people[3],
            fallback_reviewer=self.people[4],
            manager=self.people[5],
            deadline_at=self.opened_at + timedelta(days=14),
        )
        self.campaign: Campaign = open_campaign(campaign_id=campaign.pk, actor=SYSTEM, now=timezone.now())
        self.population = set(self.items().values_list("pk", flat=True))
        assert len(self.population) == 4
        self.later = timedelta()
        self.states: dict[UUID, str] = {}

    def teardown(self) -> None:
        if hasattr(self, "campaign"):
            connection.close()
            Campaign.objects.filter(pk=self.campaign.pk).update(state=CampaignState.CANCELLED)
            User.objects.filter(pk__in=[each.pk for each in self.people]).update(is_active=False)

    # --- what can happen ------------------------------------------------------------------------------------------

    @rule(given=some.lists(ANSWERS, min_size=1, max_size=4), cut=CUTS, end=ENDS)
    def answer_in_turn(self, given: list[tuple[int, int, str]], cut: int | None, end: str) -> None:
        *before, (at, who, how) = given
        for each in before:
            self.answer(*each)
        self.answer(at, who, how, cut, end)

    @rule(at=PICK, how=HOWS, cut=CUTS, end=ENDS)
    def answer_until_it_is_decided(self, at: int, how: str, cut: int | None, end: str) -> None:
        for _ in range(4):
            if self.item(at).state in UNDECIDED:
                self.answer(at, 0, how)
        self.answer(at, 1, how, cut, end)

    def answer(self, at: int, who: int, how: str, cut: int | None = None, end: str = "exception") -> None:
        """who: 0 is the assignee, then everybody else who is or was asked, then anybody."""
        item = self.item(at)
        asked = [
            item.assignee_id,
            *Ask.objects.filter(item=item).order_by("created_at", "pk").values_list("person_id", flat=True),
        ]
        person = User.objects.get(pk=asked[who % len(asked)]) if who < 10 else self.person(who + at)
        target = Permission.from_json(self.make.NARROWER) if how == "scope_down" else None
        with Tried(cut, end):
            decide(
                item=item,
                version=item.version,
                answer=how,
                actor=self.make.actor(person),
                now=self.now,
                reason="Because.",
                until=self.now + timedelta(days=60) if how == "approve_until" else None,
                target=target,
                named_person=self.person(at + who) if how == "dont_know" else None,
            )

    @precondition(lambda self: self.said())
    @rule(at=PICK, cut=CUTS, end=ENDS, by_manager=some.booleans())
    def take_back(self, at: int, cut: int | None, end: str, by_manager: bool) -> None:
        said = self.said()
        decision = said[at % len(said)]
        person = self.people[5] if by_manager else decision.decided_by or self.people[5]
        with Tried(cut, end):
            recall(decision=decision, actor=self.make.actor(person), now=self.now)

    @rule(at=PICK, to=PICK, by_manager=some.booleans(), cut=CUTS, end=ENDS)
    def hand_on(self, at: int, to: int, by_manager: bool, cut: int | None, end: str) -> None:
        item = self.item(at)
        giver = self.people[5] if by_manager else item.assignee
        with Tried(cut, end):
            actor = self.make.actor(giver)
            reassign_item(
                item=item, version=item.version, to=self.person(to), reason="Ask them.", actor=actor, now=self.now
            )

    @rule(who=some.integers(0, 4), back=some.sampled_from([True, True, False]), cut=CUTS, end=ENDS)
    def leave_or_come_back(self, who: int, back: bool, cut: int | None, end: str) -> None:
        User.objects.filter(pk=self.people[who].pk).update(is_active=back)
        with Tried(cut, end):
            reroute_orphaned_items(now=self.now)

    @precondition(lambda self: len(self.answered()) > 1)
    @rule(at=some.integers(0, 3), to=some.sampled_from([*PERMISSIONS, None]))
    def change_at_the_source(self, at: int, to: str | None) -> None:
        name = f"grant-{at}"
        if to is None:
            self.world.held.pop(name, None)
        else:
            self.world.held[name] = getattr(self.make, to)

    @rule(cut=CUTS, end=ENDS)
    def read(self, cut: int | None, end: str) -> None:
        with Tried(cut, end):
            run = self.world.sync(self.source)
            remediation.verify_orders(source_id=str(self.source.pk), run_id=str(run.pk), now=timezone.now())

    @rule(at=PICK, cut=CUTS, end=ENDS)
    def bring_up_to_date(self, at: int, cut: int | None, end: str) -> None:
        item = self.item(at)
        with Tried(cut, end):
            repin_item(item=item, version=item.version, actor=self.make.actor(item.assignee), now=self.now)

    @precondition(lambda self: self.unsent())
    @rule(at=PICK, cut=CUTS, end=ENDS, dies_after_changing=some.booleans())
    def carry_out(self, at: int, cut: int | None, end: str, dies_after_changing: bool) -> None:
        orders = self.unsent()
        order = orders[at % len(orders)]
        due = max(order.execute_after, order.leased_until or order.execute_after, self.now) + timedelta(seconds=1)
        self.world.dies_after_changing = dies_after_changing
        with Tried(NEVER if dies_after_changing else cut, "exception" if dies_after_changing else end):
            remediation.execute_order(order_id=str(order.pk), now=due)
        self.world.dies_after_changing = False

    @precondition(lambda self: len(self.answered()) > 4)
    @rule(cut=CUTS, end=ENDS)
    def pass_the_deadline(self, cut: int | None, end: str) -> None:
        self.later = timedelta(days=15)
        with Tried(cut, end):
            close_due_campaigns(now=self.now)

    # --- what always holds ----------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_lost_and_nothing_decided_twice(self) -> None:
        items = list(self.items())
        assert {item.pk for item in items} == self.population
        final, voices = Counter[UUID](), Counter[tuple[UUID, int, UUID]]()
        for decision in self.standing():
            if not decision.is_attestation:
                final[decision.item_id] += 1
            if decision.decided_by_id and (decision.stage or not decision.is_attestation):
                voices[decision.item_id, decision.round, decision.decided_by_id] += 1
        assert {pk: final[pk] for pk in final if final[pk] != 1} == {}
        assert {item.pk for item in items if item.state == ItemState.DECIDED} == set(final)
        assert {key: n for key, n in voices.items() if n > 1} == {}, "a person counts once per question and round"
        self.campaign.refresh_from_db()
        if self.campaign.state in {CampaignState.CLOSED, CampaignState.COMPLETED}:
            assert not [item for item in items if item.state in UNDECIDED]

    @invariant()
    def who_is_asked_is_asked_once_and_has_not_answered(self) -> None:
        heard = defaultdict(set)
        for decision in self.standing():
            if decision.decided_by_id and decision.stage:
                heard[decision.item_id, decision.round].add(decision.decided_by_id)
        beside = defaultdict(list)
        for ask in Ask.objects.filter(item__campaign=self.campaign, is_released=False):
            beside[ask.item_id].append(ask.person_id)
        for item in self.items():
            asked = [item.assignee_id, *beside[item.pk]]
            if item.state not in UNDECIDED:
                assert beside[item.pk] == [] or item.state in {ItemState.EXPIRED, ItemState.CANCELLED}
                continue
            assert len(set(asked)) == len(asked)
            is_nobody = item.resolution[-1]["rule"] == "nobody" and item.assignee_id == self.campaign.manager_id
            assert is_nobody or not heard[item.pk, item.round] & set(asked), "nobody answers twice"

    @invariant()
    def no_order_without_a_decision_that_stands(self) -> None:
        orders = defaultdict(list)
        for order in Order.objects.filter(identity__source=self.source).select_related("decision", "item"):
            assert order.decision is not None and not order.decision.is_attestation
            orders[order.decision_id].append(order)
        standing = {decision.pk: decision for decision in self.standing()}
        for decision_id, found in orders.items():
            assert len(found) == 1
            assert found[0].state == OrderState.RECALLED or decision_id in standing
        for decision in standing.values():
            if not decision.is_attestation and decision.answer in ORDERING:
                assert len(orders[decision.pk]) == 1, "a decision that changes something has its order"
        planned = Counter(order.grant.external_id for each in orders.values() for order in each if order.grant)
        for name, changes in self.world.changes.items():
            assert changes <= planned[name], "the source is changed at most once per order"

    @invariant()
    def an_approval_on_the_grant_is_somebodys_decision(self) -> None:
        kept = {d.item.grant_id for d in self.standing() if not d.is_attestation and d.answer in KEEPING}
        for grant in Grant.objects.filter(source=self.source, reviewed_at__isnull=False):
            assert grant.pk in kept

    @invariant()
    def owners_never_decide_on_privileged_access(self) -> None:
        owners = {each.pk for each in self.people[:3]}
        for decision in self.standing():
            if decision.item.is_privileged and not decision.is_attestation and decision.round == decision.item.round:
                assert decision.decided_by_id not in owners

    @invariant()
    def every_answer_has_its_record_and_every_move_is_legal_and_recorded(self) -> None:
        records = self.records()
        told = Counter[str]()
        for record in records:
            context = record["context"]
            told.update([str(context.get("decision")), str(context.get("recalls"))])
            told.update([str((context.get("outcome") or {}).get("decision"))] if context.get("outcome") else [])
        for decision in Decision.objects.filter(item__campaign=self.campaign):
            assert told[str(decision.recalls_id or decision.pk)], "no answer without a record"
        self.follow(records, "item", ITEM_MOVES, dict(self.items().values_list("pk", "state")), "open")
        orders = Order.objects.filter(item__campaign=self.campaign)
        self.follow(records, "order", ORDER_MOVES, dict(orders.values_list("pk", "state")), "planned")

    @invariant()
    def the_review_itself_moves_as_the_table_says(self) -> None:
        self.campaign.refresh_from_db()
        before = self.states.get(self.campaign.pk, CampaignState.OPEN)
        reachable, wanted = {CampaignState(before)}, CampaignState(self.campaign.state)
        for _ in CampaignState:
            reachable |= {state for known in reachable for state in CAMPAIGN_MOVES[known]}
        assert wanted in reachable
        self.states[self.campaign.pk] = wanted

    # --- helpers --------------------------------------------------------------------------------------------------

    def said(self) -> list[Decision]:
        """What can be taken back, the newest first."""
        return sorted((each for each in self.answered() if each.decided_by_id), key=lambda each: each.decided_at)[::-1]

    @property
    def now(self) -> datetime:
        return timezone.now() + self.later

    def items(self) -> Any:
        return ReviewItem.objects.filter(campaign=self.campaign).order_by("grant__external_id")

    def item(self, at: int) -> ReviewItem:
        return self.items().select_related("assignee")[at % 4]

    def person(self, at: int) -> User:
        return User.objects.get(pk=self.people[at % len(self.people)].pk)

    def answered(self) -> list[Decision]:
        return [each for each in self.standing() if each.answer not in PASSING_ON]

    def standing(self) -> list[Decision]:
        said = Decision.objects.filter(item__campaign=self.campaign, recalls=None, recalled_by=None)
        return list(said.exclude(answer__in=PASSING_ON).select_related("item"))

    def unsent(self) -> list[Order]:
        moving = [OrderState.PLANNED, OrderState.EXECUTING]
        return list(Order.objects.filter(item__campaign=self.campaign, state__in=moving).order_by("created_at", "pk"))

    def records(self) -> list[dict[str, Any]]:
        found = AuditEvent.objects.filter(subject_kind__in=["item", "order"], occurred_at__gte=self.opened_at)
        return [json.loads(event.payload) | {"about": event.subject_id, "kind": event.subject_kind} for event in found]

    def follow(self, records: list[dict[str, Any]], kind: str, moves: Any, states: dict[UUID, str], first: str) -> None:
        """Each object's records lead from its first state to the present one, by legal moves and without a gap."""
        steps = defaultdict(list)
        for record in records:
            old, new = (record.get("old") or {}).get("state"), (record.get("new") or {}).get("state")
            if record["kind"] == kind and new and old != new:
                steps[record["about"]].append((old, new))
        for pk, state in states.items():
            left = Counter(steps[str(pk)])
            for old, new in left:
                assert old is None or new in moves[type(next(iter(moves)))(old)], f"{old} to {new}"
            into, out_of = Counter[str](), Counter[str]()
            for (old, new), times in left.items():
                into[new] += times
                out_of[old or "nowhere"] += times
            start = first if not out_of["nowhere"] else "nowhere"
            balance = {each: into[each] - out_of[each] for each in {*into, *out_of, state, start}}
            expected = Counter({state: 1})
            expected.subtract({start: 1})
            assert balance == {each: expected[each] for each in balance}, f"{kind} {pk} is {state} without its record"


class Tried:
    """Run something that may be refused in words, or cut off; anything else is a fault."""

    def __init__(self, cut: int | None, end: str) -> None:
        self.scene = cut_off_at(cut, by=end)

    def __enter__(self) -> None:
        self.scene.__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if isinstance(error, DomainError):
            self.scene.__exit__(None, None, None)
            return True
        return bool(self.scene.__exit__(kind, error, trace))


@pytest.fixture
def own_trail(settings: Any, tmp_path: Any) -> None:
    settings.AUDIT_CHECKPOINT_DIR = tmp_path / "checkpoints"
    settings.ORDER_RECALL_SECONDS = 0


def test_no_interleaving_loses_or_doubles_anything(
    own_trail: None, committed_db: Any, make: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(provisioning, "connector_for", provisioning.connector_for)
    Machine.make = make
    run_state_machine_as_test(
        Machine,
        settings=settings(
            derandomize=not EXAMPLES,
            max_examples=EXAMPLES or 8,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
