"""Policy variables: what is said of templates holds for whatever their variables stand for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.kernel import variables

templates = st.lists(
    st.sampled_from(["a", "b", "/", "*", "?", "${u}", "${V}", "${u, 'a'}", "${*}", "${$}"]), max_size=5
).map("".join)
values = st.fixed_dictionaries({}, optional={"u": st.text("ab*/", max_size=3), "v": st.text("ab*/", max_size=3)})
texts = st.text("ab/*$", max_size=6)


@given(templates, templates, values, texts)
def test_a_covering_template_means_all_that_the_covered_one_means(wide, narrow, known, text):
    if variables.covers(wide, narrow):
        inside, outside = variables.filled(narrow, known.get), variables.filled(wide, known.get)
        if inside is not None and inside.matches(text):
            assert outside is not None
            assert outside.matches(text)


@given(templates, values, texts)
def test_whatever_its_variables_are_a_template_stays_within_its_bound(template, known, text):
    pattern = variables.filled(template, known.get)

    if pattern is not None and pattern.matches(text):
        assert variables.bound(template).matches(text)


@given(templates, values, texts)
def test_solved_values_make_the_template_match(template, known, text):
    found = variables.solved(template, text, known)

    if found is not None:
        pattern = variables.filled(template, {**known, **found}.get)
        assert pattern is not None
        assert pattern.matches(text)


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("b/${u}/*", "b/${u}/x", True),
        ("b/${U}/*", "b/${u}/x", True),
        ("b/*", "b/${u}", True),
        ("b/?", "b/${u}", False),
        ("b/${u}", "b/${v}", False),
        ("b/${u}", "b/bob", False),
        ("b/${u}*", "b/${u}", True),
        ("b/${u, 'A'}", "b/${u, 'a'}", False),
    ],
)
def test_templates_are_compared_with_variables_as_they_are(wide, narrow, covers):
    assert variables.covers(wide, narrow) is covers


def test_a_letter_that_stands_for_a_variable_is_no_way_in():
    assert not variables.covers("b/${u}", "b/\U000f0000")
    assert not variables.covers("b/\U000f0000", "b/${u}")


def test_a_hostile_template_is_not_searched_for_long():
    assert variables.solved("${a}*${b}*${c}*${d}*${e}*${f}*${g}*x", "a" * 300, {}) is None
