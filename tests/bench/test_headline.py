"""The measurement itself: its estate, its world, and a small run of the whole."""

from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest

from governance.kernel.permissions import Answer, Permission, matches
from tests.bench.headline.estate import OBSERVED_DAYS, Held, Job, Nhi, Place, make_estate, probes
from tests.bench.headline.running import measure
from tests.bench.headline.world import World

TODAY = date(2026, 6, 1)
WATCHED = (TODAY - timedelta(days=OBSERVED_DAYS), TODAY)
QUEUE = Place("sqs", "arn:aws:sqs:eu-central-1:417390025518:orders")


def an_nhi(*statements: dict[str, list[str]], calls: tuple[tuple[str, Place], ...] = ()) -> Nhi:
    held = Held("g", "g", "aws", list(statements))
    return Nhi("n", "cloud", "workload", 0, True, (Job(1, 0, 1, calls),), (held,), (QUEUE,))


def test_the_same_seed_gives_the_same_estate_and_another_one_another() -> None:
    assert make_estate(20, 1) == make_estate(20, 1) != make_estate(20, 2)


def test_about_97_in_100_hold_too_much_and_15_cannot_be_observed() -> None:
    world = World({nhi.name: nhi for nhi in make_estate(3_000, 1)})
    visible = [nhi for nhi in world.nhis.values() if nhi.is_observable]
    excessive = sum(world.is_excessive(nhi, *WATCHED) for nhi in visible)

    assert 0.83 < len(visible) / 3_000 < 0.87
    assert 0.96 < excessive / len(visible) < 0.98


def test_nobody_is_refused_before_anything_is_taken_away() -> None:
    world = World({nhi.name: nhi for nhi in make_estate(300, 1)})

    for nhi in world.nhis.values():
        assert all(world.allows(nhi, *call) for call in world.calls(nhi, *WATCHED)), nhi


def test_whoever_holds_exactly_what_it_used_does_not_hold_too_much() -> None:
    used = ("sqs:ReceiveMessage", QUEUE)
    exact = an_nhi({"actions": ["sqs:ReceiveMessage"], "resources": [QUEUE.name]}, calls=(used,))
    wider = an_nhi({"actions": ["sqs:Receive*", "sqs:PurgeQueue"], "resources": [QUEUE.name]}, calls=(used,))

    assert not World({"n": exact}).is_excessive(exact, *WATCHED)
    assert World({"n": wider}).is_excessive(wider, *WATCHED)


def test_the_world_and_the_kernel_answer_alike_without_sharing_code() -> None:
    world, answers = World({nhi.name: nhi for nhi in make_estate(150, 3)}), Counter[bool]()
    for nhi in world.nhis.values():
        held = [Permission.from_json({"dialect": each.dialect, "statements": each.statements}) for each in nhi.held]
        for action, place in probes(nhi):
            call = (action, place.on(TODAY))
            said = world.allows(nhi, *call)
            assert said == any(matches(each, *call) is Answer.YES for each in held), (nhi, call)
            answers[said] += 1
    assert min(answers[True], answers[False]) > 100


def test_jobs_run_on_their_days_only() -> None:
    weekly = Job(7, 3, 1, ())

    assert [day.toordinal() % 7 for day in weekly.days(*WATCHED)] == [3] * 13


@pytest.mark.slow
def test_one_review_leaves_nobody_with_too_much_and_refuses_no_call_that_was_seen(
    committed_db: Any, bench_people: Any
) -> None:
    found = measure(number=12, seed=5, say=lambda text: None)

    assert found["before"][0] >= 8 and found["after"][0] == 0
    assert found["window_refused"] == 0 and found["window_calls"] > 1_000
    assert set(found["orders"]) == {"verified"}
    assert found["later_refused"] * 1_000 < found["later_calls"]


@pytest.fixture
def bench_people(committed_db: Any) -> None:
    from tests.bench.inside import furnish

    furnish(sources=["unused"])
