"""Conditions on attributes of a request: what is absent or unclear never permits, and proofs hold for decisions too."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.kernel.attributes import attribute_context
from governance.kernel.decisions import missing_attributes
from governance.kernel.dialects.authzen import resource_parts, resource_text
from governance.kernel.permissions import (
    Answer,
    Condition,
    CounterExample,
    NotProvable,
    PatternSet,
    Permission,
    Proof,
    Statement,
    describe,
    includes,
    matches,
)
from governance.kernel.privileges import classes_of, is_privileged

RECORD = PatternSet(("record:*",))


def statement(*conditions, actions=("read",), effect="allow", resources=RECORD):
    tests = tuple(Condition(operator, key, tuple(values)) for operator, key, *values in conditions)
    return Statement(PatternSet(actions), resources, effect, tests)


def permission(*statements):
    return Permission("authzen", statements)


def decided(held, **parts):
    return matches(held, "read", "record:7", attribute_context(**parts))


IS_OWNER = ("StringEquals", "resource.owner", "${subject.email}")
ARCHIVED = ("StringEquals", "resource.status", "archived")
NOT_ARCHIVED = ("StringNotEquals", "resource.status", "archived")


@pytest.mark.parametrize(
    "test, parts, answer",
    [
        (IS_OWNER, {"subject": {"email": "a@b.c"}, "resource": {"owner": "a@b.c"}}, Answer.YES),
        (IS_OWNER, {"subject": {"email": "a@b.c"}, "resource": {"owner": "x@b.c"}}, Answer.NO),
        (IS_OWNER, {"subject": {"email": "a@b.c"}, "resource": {}}, Answer.NO),
        (IS_OWNER, {"subject": {}, "resource": {"owner": "a@b.c"}}, Answer.UNKNOWN),
        (IS_OWNER, {"subject": {"email": ""}, "resource": {"owner": ""}}, Answer.YES),
        (("StringNotEquals", "resource.owner", "${subject.email}"), {"subject": {}, "resource": {"owner": "a"}}, Answer.UNKNOWN),
        (NOT_ARCHIVED, {"resource": {"status": "active"}}, Answer.YES),
        (NOT_ARCHIVED, {"resource": {"status": None}}, Answer.NO),
        (NOT_ARCHIVED, {"resource": {}}, Answer.NO),
        (NOT_ARCHIVED, {"resource": {"status": []}}, Answer.NO),
        (("StringNotEqualsIfExists", "resource.status", "archived"), {"resource": {}}, Answer.YES),
        (("Null", "resource.hold", "true"), {"resource": {}}, Answer.YES),
        (("Null", "resource.hold", "true"), {"resource": {"hold": {"by": "court"}}}, Answer.NO),
        (("Bool", "action.soft", "true"), {"action": {"soft": True}}, Answer.YES),
        (("Bool", "action.soft", "true"), {"action": {"soft": False}}, Answer.NO),
        (("Bool", "action.soft", "true"), {"action": {"soft": 1}}, Answer.UNKNOWN),
        (("Bool", "action.soft", "true"), {}, Answer.NO),
        (ARCHIVED, {"resource": {"status": ["archived", "active"]}}, Answer.UNKNOWN),
        (NOT_ARCHIVED, {"resource": {"status": ["x", "active"]}}, Answer.UNKNOWN),
        (ARCHIVED, {"resource": {"status": ["archived"]}}, Answer.YES),
        (ARCHIVED, {"resource": {"status": "archived", "Status": "active"}}, Answer.UNKNOWN),
        (("ForAnyValue:StringEquals", "subject.roles", "admin"), {"subject": {"roles": ["a", "admin"]}}, Answer.YES),
        (("ForAllValues:StringEquals", "subject.roles", "admin"), {"subject": {}}, Answer.NO),
        (("NumericLessThanEquals", "action.amount", "${subject.limit}"), {"action": {"amount": 5}, "subject": {"limit": 5.5}}, Answer.YES),
        (("NumericLessThanEquals", "action.amount", "${subject.limit}"), {"action": {"amount": "5; x"}, "subject": {"limit": 9}}, Answer.UNKNOWN),
        (("NumericGreaterThan", "action.amount", "1"), {"action": {"amount": "many"}}, Answer.UNKNOWN),
        (("StringEquals", "resource.owner", "${subject.team}"), {"resource": {"owner": "*"}, "subject": {"team": "red"}}, Answer.NO),
        (("StringLike", "resource.owner", "${subject.team}"), {"resource": {"owner": "red"}, "subject": {"team": "*"}}, Answer.NO),
        (("IsWeekend", "context.time", "true"), {"context": {"time": "x"}}, Answer.UNKNOWN),
    ],
)  # fmt: skip
def test_an_allow_holds_by_what_is_known_and_by_nothing_else(test, parts, answer):
    assert decided(permission(statement(test)), **parts) is answer


@pytest.mark.parametrize("status", [{}, {"status": "archived"}, {"status": ["archived", "x"]}, {"status": None}])
@pytest.mark.parametrize("test", [ARCHIVED, ("StringEquals", "resource.status", "${subject.shunned}")])
def test_a_deny_holds_unless_it_is_known_not_to(test, status):
    held = permission(statement(), statement(test, effect="deny"))

    assert decided(held, resource=status) is not Answer.YES
    if test is ARCHIVED:
        assert decided(held, resource={"status": "active"}) is Answer.YES


def test_what_was_asked_for_and_is_absent_is_named():
    held = permission(statement(IS_OWNER, ARCHIVED), statement(("Bool", "action.soft", "true"), actions=("write",)))
    context = attribute_context(subject={}, resource={"status": "archived"})

    assert missing_attributes(held, "read", "record:7", context) == ["resource.owner", "subject.email"]
    assert missing_attributes(held, "read", "folder:7", context) == []
    assert missing_attributes(held, "write", "record:7", context) == ["action.soft"]


@pytest.mark.parametrize(
    "wide, narrow, verdict",
    [
        ([statement()], [statement(IS_OWNER)], Proof),
        ([statement(IS_OWNER)], [statement(IS_OWNER, ARCHIVED)], Proof),
        ([statement(IS_OWNER)], [statement()], CounterExample),
        ([statement(IS_OWNER)], [statement(("StringEquals", "resource.owner", "${subject.id}"))], (CounterExample, NotProvable)),
        ([statement(("NumericLessThan", "action.amount", "9"))], [statement(("NumericLessThan", "action.amount", "5"))], Proof),
        ([statement(("NumericLessThan", "action.amount", "5"))], [statement(("NumericLessThan", "action.amount", "9"))], CounterExample),
        # A test and its opposite are not everything: neither holds where the attribute is absent or unclear.
        ([statement(ARCHIVED), statement(NOT_ARCHIVED)], [statement()], CounterExample),
        ([statement(("StringEqualsIfExists", *ARCHIVED[1:])), statement(("StringNotEqualsIfExists", *ARCHIVED[1:]))], [statement()], NotProvable),
        ([statement(IS_OWNER), statement(("StringNotEquals", *IS_OWNER[1:]))], [statement(("Null", "resource.owner", "false"))], NotProvable),
        ([statement(), statement(ARCHIVED, effect="deny")], [statement(NOT_ARCHIVED)], Proof),
        ([statement(NOT_ARCHIVED)], [statement(), statement(ARCHIVED, effect="deny")], Proof),
        ([statement()], [statement(("IsWeekend", "context.time", "true"))], Proof),
        ([statement(("IsWeekend", "context.time", "true"))], [statement(("IsWeekend", "context.time", "false"))], NotProvable),
    ],
)  # fmt: skip
def test_inclusion_goes_by_the_same_meaning(wide, narrow, verdict):
    assert isinstance(includes(permission(*wide), permission(*narrow)), verdict)


VALUES = [None, "a", "b", "7", "x", True, ["a", "b"], ["7"], {"a": 1}, ""]
TESTS = [
    ("StringEquals", "resource.k", "a"),
    ("StringNotEquals", "resource.k", "a"),
    ("StringEqualsIfExists", "resource.k", "a"),
    ("StringNotEqualsIfExists", "resource.k", "a"),
    ("StringLike", "resource.k", "?"),
    ("StringEquals", "resource.k", "${subject.v}"),
    ("StringNotEquals", "resource.k", "${subject.v}"),
    ("StringEqualsIfExists", "resource.k", "${subject.v}"),
    ("StringLike", "resource.k", "${subject.v}*"),
    ("NumericLessThan", "resource.k", "9"),
    ("NumericGreaterThanEquals", "resource.k", "9"),
    ("NumericGreaterThanEqualsIfExists", "resource.k", "9"),
    ("Bool", "resource.k", "true"),
    ("Null", "resource.k", "true"),
    ("Null", "resource.k", "false"),
    ("ForAnyValue:StringEquals", "resource.k", "a"),
    ("ForAllValues:StringEquals", "resource.k", "a"),
    ("ForAllValues:StringNotEquals", "resource.k", "a"),
    ("Unheard", "resource.k", "a"),
]
statements = st.builds(
    lambda tests, effect, action: statement(*tests, effect=effect, actions=(action,)),
    st.lists(st.sampled_from(TESTS), max_size=2, unique=True),
    st.sampled_from(["allow", "allow", "deny"]),
    st.sampled_from(["read", "*"]),
)
permissions = st.lists(statements, min_size=1, max_size=3).map(lambda listed: permission(*listed))


@settings(max_examples=150, deadline=None)
@given(permissions, permissions)
def test_what_is_proved_to_lie_inside_never_permits_more(wide, narrow):
    """Over every value that an attribute may have, also those that no condition can read."""
    verdict = includes(wide, narrow)
    if isinstance(verdict, Proof):
        for value, other in product(VALUES, [None, "a", "b", ["a", "b"]]):
            parts = {"resource": {"k": value}, "subject": {"v": other}}
            if decided(narrow, **parts) is Answer.YES:
                assert decided(wide, **parts) is Answer.YES, parts
    elif isinstance(verdict, CounterExample):
        asked = (verdict.action, verdict.resource, verdict.context, verdict.at)
        assert matches(narrow, *asked) is Answer.YES
        assert matches(wide, *asked) is Answer.NO


@settings(max_examples=50)
@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_every_type_and_id_has_one_text_in_which_nothing_is_wild(kind, identifier):
    text = resource_text(kind, identifier)

    assert resource_parts(text) == (kind, identifier)
    assert "*" not in text and "?" not in text
    assert matches(permission(statement(resources=PatternSet((text,)))), "read", text, {}) is Answer.YES


def test_a_type_is_never_a_part_of_another():
    held = permission(statement())

    assert matches(held, "read", resource_text("record:secret", "7"), {}) is Answer.NO
    assert matches(held, "read", resource_text("records", "7"), {}) is Answer.NO
    assert matches(held, "read", resource_text("record", "a:7"), {}) is Answer.YES


@pytest.mark.parametrize("text", ["record", ":7", "record:", ""])
def test_a_resource_without_type_or_id_is_refused(text):
    with pytest.raises(Exception, match=r"type:id|must not be empty"):
        Permission.from_json({"dialect": "authzen", "statements": [{"actions": ["read"], "resources": [text]}]})


def test_it_is_said_in_plain_words():
    (said,) = describe(permission(statement(IS_OWNER, ARCHIVED, ("Bool", "context.mfa", "true"))))

    assert said == (
        "read every record, only if the resource's owner is the subject's email, the resource's status is archived and"
        " the mfa of the request is true"
    )


@pytest.mark.parametrize(
    "action, classes", [("GET", {"read"}), ("DELETE", {"destructive"}), ("can_delete_todo", {"destructive"}), ("frobnicate", {"read", "write"})]
)  # fmt: skip
def test_names_of_actions_tell_how_much_harm_they_do(action, classes):
    assert classes_of(permission(statement(actions=(action,)))) == classes


def test_everything_is_privileged():
    assert is_privileged(permission(statement(actions=("*",))))
