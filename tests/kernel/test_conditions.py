"""One condition on one context, as AWS documents its operators."""

import pytest

from governance.kernel.conditions import PartlyKnown, evaluate
from governance.kernel.permissions import Condition

ANA = "AWS:arn:aws:iam::111111111111:user/ana"

CASES = [
    # (operator, values, value of the key, outcome)
    ("StringEquals", "a", "a", True),
    ("StringEquals", "a", "A", False),
    ("stringequals", "a", "a", True),
    ("StringEqualsIgnoreCase", "a", "A", True),
    ("StringNotEqualsIgnoreCase", "a", "A", False),
    ("StringLike", "a?c*", "abcd", True),
    ("StringLike", "${*}x", "*x", True),
    ("StringLike", "${*}x", "yx", False),
    ("StringNotLike", "a*", None, True),
    ("StringNotEqualsIfExists", "a", None, True),
    ("StringLikeIfExists", "a*", None, True),
    ("StringLikeIfExists", "a*", "b", False),
    ("StringEquals", "", "", True),
    ("StringEquals", (), "a", False),
    ("StringNotEquals", (), "a", True),
    ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", True),
    ("Bool", "TRUE", "true", True),
    ("Bool", "true", None, False),
    ("Bool", "true", "maybe", None),
    ("Null", "true", None, True),
    ("Null", "true", [], True),
    ("Null", "false", "x", True),
    ("NumericLessThan", "10", "9.5", True),
    ("NumericEquals", "10", "10.0", True),
    ("NumericNotEquals", "10", "11", True),
    ("NumericGreaterThanEquals", "10", "ten", None),
    ("DateGreaterThan", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+00:00", True),
    ("DateLessThanEquals", "2026-01-01", "1767225600", True),
    ("IpAddress", "10.0.0.0/8", "10.2.3.4", True),
    ("IpAddress", "2001:db8::/32", "2001:db8::1", True),
    ("NotIpAddress", "10.0.0.0/8", "2001:db8::1", True),
    ("IpAddress", ("nonsense", "10.0.0.0/8"), "10.2.3.4", True),
    ("IpAddress", "nonsense", "10.2.3.4", None),
    ("ArnLike", "arn:aws:s3:::b*", "arn:aws:s3:::bucket/a:b", True),
    ("ArnLike", "arn:aws:*:eu-west-1:1:q", "arn:aws:sqs:eu-west-1:1:q", True),
    ("ArnLike", "arn:aws:*:q", "arn:aws:sqs:eu-west-1:1:q", False),
    ("ArnNotEquals", "arn:aws:sqs:eu-west-1:1:q", "arn:aws:sqs:eu-west-1:1:p", True),
    ("ForAllValues:StringEquals", ("a", "b"), ["a", "b"], True),
    ("ForAllValues:StringNotEquals", "a", ["b", "c"], True),
    ("ForAllValues:StringNotEquals", "a", ["b", "a"], False),
    ("ForAllValues:StringNotEquals", "a", None, True),
    ("ForAnyValue:StringLike", "a*", ["b", "ab"], True),
    ("ForAnyValue:StringNotLike", "a*", ["ab"], False),
    ("ForAnyValue:StringNotLike", "a*", None, False),
    ("ForAnyValue:StringLikeIfExists", "a*", None, True),
    ("ForSome:StringLike", "a*", "a", None),
    ("Principal", ANA, ANA, True),
    ("Principal", "AWS:111111111111", "AWS:arn:aws:iam::111111111111:root", True),
    ("Principal", "AWS:111111111111", ANA, False),
    ("PrincipalWithin", "AWS:111111111111", ANA, True),
    ("PrincipalWithin", "AWS:111111111111", "AWS:arn:aws:sts::111111111111:assumed-role/r/s", True),
    ("PrincipalWithin", "AWS:111111111111", "AWS:arn:aws:iam::222222222222:user/ana", False),
    ("NotPrincipal", ANA, "AWS:arn:aws:iam::111111111111:user/bob", True),
    ("StringEquals", "${aws:username}", "ana", True),
    ("StringEquals", "${aws:userid}", "ana", False),
    ("StringNotEquals", "${aws:userid}", "ana", None),
    ("StringNotEquals", ("${aws:userid}", "ana"), "ana", False),
    ("StringLike", "${aws:username}/*", "ana/x", True),
    ("StringEquals", "${aws:userid, 'ana'}", "ana", True),
    ("NumericLessThan", "${limit}", "5", True),
]


@pytest.mark.parametrize(("operator", "values", "value", "outcome"), CASES)
def test_condition(operator, values, value, outcome):
    condition = Condition(operator, "k", (values,) if isinstance(values, str) else values)
    context = {"aws:username": "ana", "LIMIT": "10"} | ({} if value is None else {"K": value})

    assert evaluate(condition, context) is outcome


def test_of_a_context_that_is_partly_known_other_keys_are_open():
    known = PartlyKnown({"a": "x"})

    assert evaluate(Condition("StringEquals", "a", ("x",)), known) is True
    assert evaluate(Condition("StringNotEquals", "b", ("x",)), known) is None
    assert evaluate(Condition("StringEquals", "a", ("${b}",)), known) is None
