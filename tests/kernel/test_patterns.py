import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.kernel.patterns import exact, glob, representatives

globs = st.text(alphabet="ab/*?", max_size=6)
texts = st.text(alphabet="abx/", max_size=6)


def expression(text: str, separator: str = "") -> re.Pattern[str]:
    one = f"[^{separator}]" if separator else "."
    return re.compile("".join({"*": f"{one}*", "?": one}.get(c) or re.escape(c) for c in text), re.DOTALL)


@given(globs, texts, st.sampled_from(["", "/"]))
def test_a_glob_matches_what_the_equivalent_regular_expression_matches(pattern, text, separator):
    assert glob(pattern, separator).matches(text) is bool(expression(pattern, separator).fullmatch(text))


@given(globs, globs, st.lists(texts, max_size=20))
def test_a_covering_pattern_matches_every_text_of_the_covered_one(wide, narrow, several):
    if glob(wide).covers(glob(narrow)):
        assert all(glob(wide).matches(text) for text in several if glob(narrow).matches(text))


@given(globs, globs, texts)
def test_patterns_with_a_common_text_overlap(left, right, text):
    if glob(left).matches(text) and glob(right).matches(text):
        assert glob(left).overlaps(glob(right))
        assert glob(left).may_overlap(glob(right))


@given(globs, st.lists(globs, max_size=4), st.lists(texts, max_size=20))
def test_representatives_show_every_combination_of_hits_that_a_text_can_show(target, others, several):
    patterns = [glob(other) for other in others]

    found = representatives(glob(target), patterns)

    def hits(text):
        return tuple(pattern.matches(text) for pattern in patterns)

    assert found.complete
    assert all(glob(target).matches(text) for text in found.texts)
    shown = {hits(text) for text in found.texts}
    assert all(hits(text) in shown for text in several if glob(target).matches(text))


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("a*c", "a*b*c", True),
        ("a*b*c", "a*c", False),
        ("*", "**", True),
        ("**", "*", True),
        ("*?", "?*", True),
        ("?*", "*?", True),
        ("?*", "*", False),
        ("s3:*etObject", "s3:?etObject", True),
        ("s3:?etObject", "s3:*etObject", False),
        ("bkt*", "bkt/*", True),
        ("bkt/*", "bkt*", False),
        ("bkt/*", "bkt", False),
    ],
)
def test_covering_of_globs(wide, narrow, covers):
    assert glob(wide).covers(glob(narrow)) is covers


def test_a_separator_stops_the_star():
    assert glob("table:a/*", "/").matches("table:a/b")
    assert not glob("table:a/*", "/").matches("table:a/b/c")
    assert not glob("a/*", "/").covers(glob("a/*"))
    assert glob("a/*").covers(glob("a/*", "/"))


def test_a_hostile_pattern_costs_milliseconds_not_minutes():
    bomb = glob("*a" * 60 + "*b")
    started = time.perf_counter()

    assert not bomb.matches("a" * 2_000)
    found = representatives(glob("*"), [glob(f"*{c}*{d}*") for c in "abcdefgh" for d in "hgfedcba"], limit=2_000)

    assert not found.complete
    assert time.perf_counter() - started < 5


def test_a_literal_that_hides_the_only_known_text_does_not_hide_the_combination():
    found = representatives(glob("a*"), [exact("a"), glob("a?*")])

    assert "a" in found.texts
    assert any(glob("a?*").matches(text) for text in found.texts)
