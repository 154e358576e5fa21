import dataclasses
import re
from pathlib import Path

import pytest

from reviews.decisions import policy
from reviews.models import DeadlinePolicy
from reviews.policies.outcomes import Kind
from reviews.policies.stages import Asked, Entry, Nobody, Sees, Stage
from reviews.states import CAMPAIGN_MOVES, ITEM_MOVES, ORDER_MOVES

PAGE = (Path(__file__).parents[2] / "docs" / "reviews.md").read_text()


@pytest.mark.parametrize(
    ("heading", "moves"), [("Campaign", CAMPAIGN_MOVES), ("Item", ITEM_MOVES), ("Order", ORDER_MOVES)]
)
def test_the_printed_states_are_the_real_ones(heading, moves):
    section = PAGE.split(f"### {heading}\n")[1].split("\n###")[0]
    printed = dict(re.findall(r"^\| (\w+) \| ([\w, -]+) \|$", section, re.MULTILINE))
    printed.pop("from")
    assert printed == {str(state): ", ".join(sorted(wanted)) or "-" for state, wanted in moves.items()}


def test_every_deadline_policy_is_in_the_printed_table():
    for name in DeadlinePolicy.values:
        assert f"| `{name}` |" in PAGE
        assert f"| {name} |" in policy.__doc__


def test_every_setting_of_a_stage_is_in_the_printed_table():
    for each in dataclasses.fields(Stage):
        assert f"| `{each.name}` |" in PAGE
    for known in (Asked, Entry, Kind, Sees, Nobody):
        assert all(f"`{value}`" in PAGE for value in known)
