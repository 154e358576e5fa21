"""Compiled sets find by beginnings what going through all of them finds."""

from hypothesis import given
from hypothesis import strategies as st

from governance.kernel.dialects.aws import AWS
from governance.kernel.patterns import glob
from governance.kernel.sets import Side

patterns = st.text("ab*?", min_size=1, max_size=5)
many = st.lists(patterns, min_size=8, max_size=30)
texts = st.text("ab", max_size=5)


def side(listed):
    return Side([AWS().resource(each) for each in listed])


@given(many, texts)
def test_membership(listed, text):
    assert side(listed).has(text) is any(glob(each).matches(text) for each in listed)


@given(many, patterns)
def test_covering(listed, other):
    assert side(listed).has_all_of(glob(other)) is any(glob(each).covers(glob(other)) for each in listed)


@given(many, patterns)
def test_overlapping(listed, target):
    found = {str(getattr(each, "prefix", each)) for each in side(listed).overlapping(glob(target))}
    expected = {glob(each).prefix for each in listed if glob(each).may_overlap(glob(target))}

    assert found == expected


@given(many, many)
def test_apart(left, right):
    meet = any(glob(one).may_overlap(glob(other)) for one in left for other in right)

    assert side(left).apart(side(right)) is not meet
