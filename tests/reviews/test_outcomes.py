"""The four strategies: what several answers to one question amount to."""

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from governance.kernel.inclusion import includes
from governance.kernel.permissions import Permission
from reviews.policies.outcomes import (
    Kind,
    Outcome,
    Strategy,
    agreed_target,
    early_table,
    outcome_of,
    settled,
    truth_table,
)

PAGE = (Path(__file__).parents[2] / "docs" / "reviews.md").read_text()
A, R, D = Kind.ACCEPT, Kind.REDUCE, Kind.DENY
ANSWERS = some.lists(some.sampled_from(Kind), max_size=4)
STRATEGIES = some.sampled_from(Strategy)


def printed(heading):
    section = PAGE.split(f"#### {heading}\n")[1].split("\n#")[0]
    rows = re.findall(r"^\|(.+)\|$", section, re.MULTILINE)
    return [tuple(cell.strip() for cell in row.split("|")) for row in rows]


@pytest.mark.parametrize(
    ("heading", "first", "table"),
    [
        ("When everybody was heard, or the time is over", ("answers", "somebody silent"), truth_table),
        ("While two more people are asked", ("answers so far",), early_table),
    ],
    ids=["outcomes", "early"],
)
def test_the_printed_truth_tables_are_the_real_ones(heading, first, table):
    head, _line, *rows = printed(heading)
    assert head == (*first, *(strategy.value for strategy in Strategy))
    assert rows == table()


def test_every_strategy_is_told_in_words():
    for strategy in Strategy:
        assert f"| `{strategy}` | {strategy.sentence} |" in PAGE


@pytest.mark.parametrize(
    ("strategy", "given_answers", "silent", "outcome"),
    [
        (Strategy.ONE_ACCEPT_ACCEPTS, [D, D, A], 0, Outcome.ACCEPT),
        (Strategy.ONE_ACCEPT_ACCEPTS, [D, D], 0, Outcome.DENY),
        (Strategy.ALL_MUST_ACCEPT, [A, A], 0, Outcome.ACCEPT),
        (Strategy.ALL_MUST_ACCEPT, [A, A], 1, Outcome.NONE),
        (Strategy.ALL_MUST_ACCEPT, [A, D], 1, Outcome.DENY),
        (Strategy.ONE_DENY_DENIES, [A, A, D], 0, Outcome.DENY),
        (Strategy.ONE_DENY_DENIES, [A, R], 0, Outcome.REDUCE),
        (Strategy.ACCEPTED_IF_NOT_DENIED, [A, R], 0, Outcome.ACCEPT),
        (Strategy.ACCEPTED_IF_NOT_DENIED, [A, D], 0, Outcome.DENY),
    ],
    ids=lambda value: value.value if isinstance(value, Strategy | Outcome) else "".join(map(str, [value])),
)
def test_each_strategy_does_what_its_name_says(strategy, given_answers, silent, outcome):
    assert outcome_of(strategy, given_answers, silent=silent) is outcome


@given(STRATEGIES, some.integers(1, 5))
def test_silence_alone_never_accepts_and_is_not_nobody(strategy, silent):
    assert outcome_of(strategy, [], silent=silent) is Outcome.NONE
    assert outcome_of(strategy, [], silent=0) is Outcome.NOBODY


@given(STRATEGIES, ANSWERS, some.integers(0, 2), some.randoms())
def test_neither_order_nor_number_of_equal_answers_matters(strategy, answers, silent, random):
    shuffled = [*answers, *answers]
    random.shuffle(shuffled)
    assert outcome_of(strategy, answers, silent=silent) is outcome_of(strategy, shuffled, silent=silent)


@given(STRATEGIES, ANSWERS)
def test_what_everybody_says_is_what_comes_out(strategy, answers):
    for kind in Kind:
        assert outcome_of(strategy, [kind] * 3) is Outcome(kind)
    assert outcome_of(strategy, [*answers, A, A]) is not Outcome.NOBODY


@pytest.mark.parametrize("strategy", list(Strategy), ids=str)
@pytest.mark.parametrize("waiting", [1, 2, 3])
def test_a_settled_outcome_is_what_every_end_comes_to_and_nothing_else_is_settled(strategy, waiting):
    for size in range(4):
        for answers in itertools.product(Kind, repeat=size):
            ends = {
                outcome_of(strategy, [*answers, *more], silent=waiting - len(more))
                for heard in range(waiting + 1)
                for more in itertools.product(Kind, repeat=heard)
            }
            early = settled(strategy, answers, waiting=waiting)
            if early is None:
                assert len(ends) > 1 or ends == {Outcome.REDUCE}
            else:
                assert ends == {early}


# --- what remains when two want different things to remain ---------------------------------------------------------

RESOURCES = ["table:a/b/c", "table:a/b/d", "table:a/b/*", "table:a/*/*"]


def permission(*statements):
    rows = [{"actions": list(actions), "resources": [resource]} for actions, resource in statements]
    return Permission.from_json({"dialect": "postgresql", "statements": rows})


HELD = permission((("SELECT", "INSERT", "DELETE"), "table:a/*/*"))
PARTS = some.lists(
    some.tuples(
        some.lists(some.sampled_from(["SELECT", "INSERT", "DELETE"]), min_size=1, max_size=3, unique=True),
        some.sampled_from(RESOURCES),
    ),
    min_size=1,
    max_size=3,
).map(lambda parts: permission(*parts))


@given(some.lists(PARTS, min_size=1, max_size=3))
def test_an_agreed_target_lies_inside_what_is_held_is_smaller_and_keeps_what_anybody_wants_kept(targets):
    agreed = agreed_target(HELD, targets)
    if agreed is None:
        together = permission(
            *((each.actions.include, r) for t in targets for each in t.statements for r in each.resources.include)
        )
        assert includes(together, HELD).holds
        return
    assert includes(HELD, agreed).holds
    assert not includes(agreed, HELD).holds
    assert all(includes(agreed, each).holds for each in targets)


def test_a_deny_of_one_side_never_takes_away_what_another_wants_kept():
    one = permission((("SELECT",), "table:a/b/*"))
    other = Permission.from_json(
        {
            "dialect": "postgresql",
            "statements": [
                {"actions": ["INSERT", "SELECT"], "resources": ["table:a/b/*"]},
                {"effect": "deny", "actions": ["SELECT"], "resources": ["table:a/b/c"]},
            ],
        }
    )
    agreed = agreed_target(HELD, [one, other])
    assert agreed is None or includes(agreed, one).holds
