"""Conditions and ends only where a source has words for them, and never on a deny."""

from datetime import UTC, datetime

import pytest

from governance.kernel.conditions import parse_operator
from governance.kernel.dialects import DIALECTS
from governance.kernel.dialects.aws import expiry_of
from governance.kernel.limits import NotSayable, limited, limits_of
from governance.kernel.permissions import Condition, Permission, includes

HELD = Permission.from_json(
    {
        "dialect": "aws",
        "statements": [
            {"actions": ["s3:*"], "resources": ["*"]},
            {"effect": "deny", "actions": ["s3:DeleteObject"], "resources": ["*"]},
        ],
    }
)
HERE = Condition("IpAddress", "aws:SourceIp", ("10.0.0.0/8",))
END = datetime(2027, 1, 1, tzinfo=UTC)


def test_what_is_limited_lies_inside_and_not_the_other_way_round():
    narrow = limited(HELD, [HERE], END)
    assert includes(HELD, narrow).holds
    assert not includes(narrow, HELD).holds


def test_denies_stay_whole():
    allow, deny = limited(HELD, [HERE], END).statements
    assert deny == HELD.statements[1]
    assert expiry_of(allow) == END


def test_nothing_added_is_the_same():
    assert limited(HELD, [], None) == HELD


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "aws"])
def test_other_sources_have_no_words_for_it(dialect):
    permission = Permission(dialect, ())
    with pytest.raises(NotSayable):
        limited(permission, [HERE], None)
    with pytest.raises(NotSayable):
        limited(permission, [], END)


def test_an_operator_that_is_not_offered_is_refused():
    with pytest.raises(NotSayable):
        limited(HELD, [Condition("StringMatches", "aws:SourceIp", ("x",))], None)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_operator_that_is_offered_is_one_that_the_kernel_reads(dialect):
    assert all(parse_operator(name) for name, _ in limits_of(dialect).operators)
