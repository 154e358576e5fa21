"""The text of a filter: one canonical form, and refusals that name the field and what it takes."""

import uuid
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identities.selectors.filters import LISTS, PATHS, SEGMENTS, InvalidFilter, InventoryFilter

TEXTS = st.text(alphabet=st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"]), max_size=12)
CHOICES = {
    "segment": SEGMENTS,
    "path": PATHS,
    "kind": ("bot", "workload", "ai_agent"),
    "environment": ("production", "unknown"),
    "status": ("active", "disabled"),
    "finding_state": ("open", "assigned", "accepted", "fixed"),
    "finding": ("NHI5", "NHI10-B", "TB-1"),
}


@st.composite
def filters(draw: st.DrawFn) -> dict[str, str]:
    given = {}
    for name, values in CHOICES.items():
        some = draw(st.lists(st.sampled_from(values), max_size=3))
        minus = draw(st.sampled_from(["", "-"]))
        if some:
            given[name] = ",".join(minus + each for each in some)
    for name in ("privileged", "standing", "retired"):
        if word := draw(st.sampled_from(["", "yes", "no"])):
            given[name] = word
    for name in ("new_days", "unused_days"):
        if days := draw(st.integers(0, 3650)):
            given[name] = f"{days:04d}" if draw(st.booleans()) else str(days)
    if draw(st.booleans()):
        given["new_since"] = draw(st.dates(date(1970, 1, 1), date(2100, 1, 1))).isoformat()
    for name in ("q", "access"):
        if draw(st.booleans()):
            given[name] = "ab1" + draw(TEXTS)
    return given


@given(filters())
def test_the_canonical_text_says_the_same_and_stays_as_it_is(given: dict[str, str]) -> None:
    parsed = InventoryFilter.parse(given)
    text = parsed.to_text()

    assert InventoryFilter.parse(text) == parsed
    assert InventoryFilter.parse("?" + text).to_text() == text


def test_order_and_repetition_of_values_do_not_matter() -> None:
    assert (
        InventoryFilter.parse("kind=workload,bot,bot").to_text()
        == InventoryFilter.parse("kind=bot, workload").to_text()
    )
    assert InventoryFilter.parse("retired=no&q=").is_empty


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("colour=red", "colour", "Known: access, environment"),
        ("kind=robot", "kind", "Known: service_account"),
        ("kind=bot,-workload", "kind", "each with a minus"),
        ("kind=-", "kind", "is not a known kind"),
        ("segment=-queues,-moon", "segment", "“moon” is not a known segment"),
        ("privileged=yes,no", "privileged", "Known: yes, no"),
        ("standing=maybe", "standing", "Known: yes, no"),
        ("new_days=0", "new_days", "from 1 to 3650"),
        ("unused_days=9999999999999", "unused_days", "from 1 to 3650"),
        ("new_since=2026-02-30", "new_since", "a day such as"),
        ("new_since=20260131", "new_since", "a day such as"),
        ("new_since=0001-01-01", "new_since", "a day such as"),
        ("unused_days=٣", "unused_days", "whole number"),
        ("team=ledger", "team", "identifier of a team, or “none”"),
        ("q=ab", "q", "at least 3 characters"),
        ("access=%2D%2Da", "access", "two of them letters or digits"),
        ("q=abc&q=abd", "q", "given twice"),
        (f"q={'x' * 201}", "q", "too long"),
        ("tag=-", "tag", "nothing behind the minus"),
        ("source=,", "source", "what is wanted"),
    ],
)
def test_a_refusal_names_the_field_and_what_it_takes(text: str, field: str, said: str) -> None:
    with pytest.raises(InvalidFilter) as refused:
        InventoryFilter.parse(text)

    assert refused.value.details["field"] == field
    assert said in refused.value.message


def test_a_flood_of_fields_is_refused() -> None:
    with pytest.raises(InvalidFilter):
        InventoryFilter.parse("&".join(f"q{n}=x" for n in range(1000)))


@pytest.mark.parametrize("name", sorted(LISTS - set(CHOICES) - {"team"}))
def test_names_that_only_the_inventory_knows_may_be_anything(name: str) -> None:
    picked = InventoryFilter.parse({name: "-b@x,-a y"}).picked(name)

    assert picked is not None and picked.is_negated
    assert picked.values == ("a y", "b@x")


def test_teams_are_written_in_one_way() -> None:
    team = uuid.uuid4()

    assert InventoryFilter.parse({"team": team.hex.upper()}).team == str(team)
