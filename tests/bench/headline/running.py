"""One review of an invented estate, carried out, then a year of calls after it. Runs inside Django, on an empty database.

Everything goes through the product: readings, opening, answers, orders, verification, restorations. Only the clock is
moved, so that a year passes in minutes, and no worker runs: what a worker would be told to do is called here.
"""

import time as stopwatch
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from unittest import mock

from governance.kernel.actors import system_actor
from governance.people.access import actor_for_user
from governance.people.models import User
from identities.connectors import registry
from identities.models import Source, SyncState
from identities.services.sources import register_source
from identities.sync.read import read_source
from reviews.campaigns.closing import close_due_campaigns
from reviews.campaigns.due import run_now
from reviews.campaigns.opening import open_campaign
from reviews.campaigns.schedules import create_schedule
from reviews.models import Campaign, ItemKind, Order, OrderAction, ReviewerRule
from reviews.remediation import execute_order, restore_order, verify_orders
from reviews.states import OrderState
from tests.bench.headline.estate import LATER_DAYS, OBSERVED_DAYS, Nhi, make_estate, span
from tests.bench.headline.reviewing import Panel
from tests.bench.headline.world import Simulated, World

ACTOR = system_actor("bench")
RESTORED_DAYS = 90


class Clock:
    """The time of the measurement: it runs as real time does, and can be moved on."""

    def __init__(self, start: datetime) -> None:
        self._start, self._began = start, stopwatch.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=stopwatch.monotonic() - self._began)

    def jump(self, **span: float) -> None:
        self._start += timedelta(**span)

    def move_to(self, day: date) -> None:
        """Nine in the morning of that day, unless it is later already."""
        wanted = datetime.combine(day, time(9, 0), UTC)
        self._start += max(wanted - self.now(), timedelta())


@dataclass
class Later:
    """The year after: calls, how many of them the system refused, and what brought the access back."""

    calls: int = 0
    refused: int = 0
    restorations: int = 0
    not_restored: int = 0
    hit: set[str] = field(default_factory=set)


@dataclass
class Headline:
    """One measurement on one database."""

    world: World
    clock: Clock
    say: Callable[[str], None]
    sources: list[Source] = field(default_factory=list)

    @property
    def today(self) -> date:
        return self.clock.now().date()

    def excess(self) -> tuple[int, int]:
        """(holding too much, all) of those whose use can be observed."""
        visible = [nhi for nhi in self.world.nhis.values() if nhi.is_observable]
        return sum(self.world.is_excessive(nhi, *self.world.watched) for nhi in visible), len(visible)

    def read(self) -> None:
        """Read every source again, and let the readings speak for the orders that wait for one."""
        self.world.watched = span(self.today, OBSERVED_DAYS)
        for source in self.sources:
            self.clock.jump(minutes=1)
            run = read_source(source_id=source.pk, actor=ACTOR, now=self.clock.now())
            if run.state != SyncState.APPLIED:
                raise RuntimeError(f"{source.slug}: {run.state} {run.problem} {[*run.row_errors.all()[:3]]}")
            verify_orders(source_id=str(source.pk), run_id=str(run.pk), now=self.clock.now())

    def review(self, name: str, keeper: User) -> tuple[Campaign, Panel]:
        """Open a review over everything, have it answered, close it."""
        actor = actor_for_user(keeper, auth_method="password")
        now = self.clock.now()
        schedule = create_schedule(
            name=name,
            rrule="FREQ=YEARLY",
            starts_at=now + timedelta(days=300),
            interval_reason="Measured, so that the figures in the documents are true.",
            fallback_reviewer=keeper,
            independent_reviewer=User.objects.get(email="reviewer-0@bench.example.org"),
            reviewer_rules=(ReviewerRule.OWNER,),
            item_kinds=(ItemKind.GRANT,),
            actor=actor,
            now=now,
        )
        campaign = run_now(schedule=schedule, actor=actor, now=now)
        campaign = open_campaign(campaign_id=campaign.pk, actor=actor, now=now)
        panel = Panel(self.clock.now)
        panel.clear(campaign)
        panel.release()
        self.clock.jump(days=15)
        close_due_campaigns(now=self.clock.now())
        campaign.refresh_from_db()
        return campaign, panel

    def carry_out(self) -> None:
        """What the workers do with orders that are due."""
        self.clock.jump(minutes=2)
        due = Order.objects.filter(state=OrderState.PLANNED, execute_after__lte=self.clock.now()).order_by("pk")
        for pk in list(due.values_list("pk", flat=True)):
            execute_order(order_id=str(pk), now=self.clock.now())

    def live(self, keeper: User) -> Later:
        """The year after: every call that anybody makes; whoever is refused asks, and gets it back for a time."""
        later, first = Later(), self.today
        due: dict[date, set[str]] = {}
        for day in (first + timedelta(days=number) for number in range(LATER_DAYS)):
            if day in due:
                self.clock.move_to(day)
                self.carry_out()
            for nhi in self.world.nhis.values():
                self._live_a_day(nhi, day, keeper, later, due)
        return later

    def _live_a_day(self, nhi: Nhi, day: date, keeper: User, later: Later, due: dict[date, set[str]]) -> None:
        calls = _calls_of(nhi, day)
        later.calls += calls.total()
        refused = {call: number for call, number in calls.items() if not self.world.allows(nhi, *call)}
        if not refused:
            return
        # A job stops at its first refusal of a call and is run again when the access is back.
        later.refused += len(refused)
        later.hit.add(nhi.name)
        self.clock.move_to(day)
        for order in _taken_from(nhi):
            restore_order(
                order=order,
                reason="A job was refused: it needs this.",
                days=RESTORED_DAYS,
                actor=actor_for_user(keeper, auth_method="password"),
                now=self.clock.now(),
            )
            later.restorations += 1
        self.carry_out()
        due.setdefault(day + timedelta(days=RESTORED_DAYS + 1), set()).add(nhi.name)
        still = [call for call in refused if not self.world.allows(nhi, *call)]
        later.not_restored += len(still)
        later.refused += sum(refused[call] - 1 for call in still)


def _calls_of(nhi: Nhi, day: date) -> Counter[tuple[str, str]]:
    made: Counter[tuple[str, str]] = Counter()
    for job in nhi.jobs:
        if (day.toordinal() - job.phase) % job.every == 0:
            for action, place in job.calls:
                made[action, place.on(day)] += job.times
    return made


def _taken_from(nhi: Nhi) -> list[Order]:
    """What a review took away and nobody has brought back yet."""
    orders = Order.objects.filter(identity__external_id=nhi.name, action__in=[OrderAction.NARROW, OrderAction.REVOKE])
    return [
        order
        for order in orders.exclude(plan=None)
        if order.state in {OrderState.APPLIED, OrderState.VERIFIED}
        and not order.restorations.exclude(state__in=[OrderState.RECALLED, OrderState.FAILED]).exists()
    ]


@contextmanager
def moved_clock(start: datetime) -> Iterator[Clock]:
    """Let the product live at another time, from `start` on."""
    clock = Clock(start)
    with mock.patch("django.utils.timezone.now", clock.now):
        yield clock


def measure(*, number: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Everything, on a database that `furnish` has filled with people. Numbers are documented in docs/speed.md."""
    Simulated.WORLD = World({nhi.name: nhi for nhi in make_estate(number, seed)})
    # At noon: what a day's calls are dated by, three in the morning, must have passed.
    start = datetime.now(UTC).replace(hour=12, minute=0) - timedelta(days=LATER_DAYS + 140)
    kinds = {**registry._KINDS, "simulated": Simulated}
    with mock.patch.object(registry, "_KINDS", kinds), moved_clock(start) as clock:
        keeper = User.objects.get(email="keeper@bench.example.org")
        headline = Headline(Simulated.WORLD, clock, say)
        headline.sources = [
            _source(part, keeper, clock) for part in sorted({n.part for n in Simulated.WORLD.nhis.values()})
        ]
        return _run(headline, keeper)


def _run(headline: Headline, keeper: User) -> dict[str, Any]:
    world, say = headline.world, headline.say
    headline.read()
    before = headline.excess()
    window = {nhi.name: world.calls(nhi, *world.watched) for nhi in world.nhis.values()}
    say(f"{len(world.nhis):,} identities, {before[0] / before[1]:.1%} of {before[1]:,} hold too much")
    campaign, first = headline.review("First", keeper)
    say(f"{campaign.items.count():,} questions: {dict(first.clicks.answers)}, refused {dict(first.clicks.refused)}")
    watched = world.watched
    headline.carry_out()
    headline.read()
    world.watched = watched
    after = headline.excess()
    states = Counter(Order.objects.values_list("state", flat=True))
    say(f"{after[0] / after[1]:.1%} hold too much afterwards; orders: {dict(states)}")
    made = sum(calls.total() for calls in window.values())
    refused = sum(
        number
        for name, calls in window.items()
        for call, number in calls.items()
        if not world.allows(world.nhis[name], *call)
    )
    say(f"{refused:,} of {made:,} calls of the window would be refused")
    later = headline.live(keeper)
    say(f"a year on: {later.refused:,} of {later.calls:,} calls refused, {later.restorations:,} restorations")
    headline.read()
    _, second = headline.review("Second", keeper)
    say(f"second review: {dict(second.clicks.answers)}, refused {dict(second.clicks.refused)}")
    return {
        "identities": len(world.nhis),
        "not_observable": len(world.nhis) - before[1],
        "before": before,
        "after": after,
        "window_calls": made,
        "window_refused": refused,
        "later_calls": later.calls,
        "later_refused": later.refused,
        "later_hit": len(later.hit),
        "later_restorations": later.restorations,
        "later_not_restored": later.not_restored,
        "orders": {str(state): count for state, count in states.items()},
        "answers": dict(first.clicks.answers),
        "answers_refused": dict(first.clicks.refused),
        "actions_first": first.clicks.actions,
        "actions_second": second.clicks.actions,
        "campaign": str(campaign.state),
    }


def _source(part: str, keeper: User, clock: Clock) -> Source:
    return register_source(
        slug=part,
        name=part.title(),
        kind="simulated",
        environment="production",
        settings={"part": part},
        owner=keeper,
        actor=ACTOR,
        now=clock.now(),
        max_retire_percent=100,
    )
