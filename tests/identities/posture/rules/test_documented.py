"""docs/rules.md says of every rule what the rule says of itself, and names every threshold and reason it needs."""

import re
from pathlib import Path
from typing import Any

import pytest

from identities.posture.policy import first_policy
from identities.posture.rules import ALL, CATEGORIES, OF_SOURCES

TEXT = (Path(__file__).parents[4] / "docs/rules.md").read_text(encoding="utf-8")
HEADINGS = set(re.findall(r"^#+ (.*)$", TEXT, re.M))


@pytest.mark.parametrize("rule", [*ALL, *OF_SOURCES], ids=lambda rule: rule.id)
def test_a_rule_has_its_heading_and_says_the_same(rule: Any) -> None:
    assert f"{rule.id} {rule.title}" in HEADINGS
    part = TEXT.partition(f"### {rule.id} {rule.title}\n")[2].partition("\n### ")[0]
    for said in (rule.condition, rule.blind_spots, rule.cautions, *(f"`{name}`" for name in rule.thresholds)):
        assert said in part
    assert f"| base severity | {rule.base or 'none'}" in part


def test_no_heading_is_of_a_rule_that_is_gone() -> None:
    known = {rule.id for rule in (*ALL, *OF_SOURCES)}

    assert set(re.findall(r"^### (\S+)", TEXT, re.M)) == known


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_has_its_heading(category: str) -> None:
    assert f"{category} {CATEGORIES[category]}" in HEADINGS


@pytest.mark.parametrize(("name", "value"), first_policy().thresholds.items())
def test_a_threshold_stands_with_its_default(name: str, value: int) -> None:
    assert f"| `{name}` | {value} |" in TEXT
