import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.kernel.permissions import InvalidPermission, Permission

GOOD = {
    "dialect": "postgresql",
    "statements": [
        {
            "effect": "allow",
            "actions": {"include": ["SELECT"], "exclude": []},
            "resources": {"include": ["table:ledger/public/payments"]},
            "conditions": [{"operator": "IpAddress", "key": "aws:SourceIp", "values": ["10.0.0.0/8"]}],
            "until": "2027-01-01T00:00:00Z",
        }
    ],
}


def changed(path, value):
    document = copy.deepcopy(GOOD)
    place = document
    *way, last = path
    for step in way:
        place = place[step]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return document


S = ("statements", 0)


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        (None, ""),
        ([], ""),
        ("x", ""),
        ({}, "/dialect"),
        (changed(("dialect",), 5), "/dialect"),
        (changed(("dialect",), "oracle"), "/dialect"),
        (changed(("extra",), 1), "/extra"),
        (changed(("a/b~c",), 1), "/a~1b~0c"),
        (changed(("statements",), {}), "/statements"),
        (changed(("statements",), "SELECT"), "/statements"),
        (changed(S, None), "/statements/0"),
        (changed((*S, "actions"), KeyError), "/statements/0/actions"),
        (changed((*S, "actions"), []), "/statements/0/actions"),
        (changed((*S, "actions"), "SELECT"), "/statements/0/actions"),
        (changed((*S, "actions"), [["SELECT"]]), "/statements/0/actions/0"),
        (changed((*S, "actions"), ["SELECT", "SELEKT"]), "/statements/0/actions/1"),
        (changed((*S, "actions"), ["SELECT\0"]), "/statements/0/actions/0"),
        (changed((*S, "actions", "include"), []), "/statements/0/actions/include"),
        (changed((*S, "actions", "exclude"), None), "/statements/0/actions/exclude"),
        (changed((*S, "actions", "only"), []), "/statements/0/actions/only"),
        (changed((*S, "resources"), ["payments"]), "/statements/0/resources/0"),
        (changed((*S, "resources"), ["table:ledger/payments"]), "/statements/0/resources/0"),
        (changed((*S, "resources"), ["table:ledger//payments"]), "/statements/0/resources/0"),
        (changed((*S, "resources"), ["table:l/p/\x1b"]), "/statements/0/resources/0"),
        (changed((*S, "resources"), ["table:l/p/\ud800"]), "/statements/0/resources/0"),
        (changed((*S, "resources"), ["table:l/p/" + "x" * 2_100]), "/statements/0/resources/0"),
        (changed((*S, "resources"), ["table:l/p/x"] * 10_001), "/statements/0/resources"),
        (changed((*S, "effect"), "Allow"), "/statements/0/effect"),
        (changed((*S, "effect"), None), "/statements/0/effect"),
        (changed((*S, "effect"), ["allow"]), "/statements/0/effect"),
        (changed((*S, "conditions"), {}), "/statements/0/conditions"),
        (changed((*S, "conditions", 0), []), "/statements/0/conditions/0"),
        (changed((*S, "conditions", 0, "values"), []), "/statements/0/conditions/0/values"),
        (changed((*S, "conditions", 0, "values"), [True]), "/statements/0/conditions/0/values/0"),
        (changed((*S, "conditions", 0, "key"), ""), "/statements/0/conditions/0/key"),
        (changed((*S, "until"), 5), "/statements/0/until"),
        (changed((*S, "until"), "tomorrow"), "/statements/0/until"),
        (changed((*S, "until"), "2027-01-01T00:00:00"), "/statements/0/until"),
        (changed((*S, "until"), "0001-01-01T00:00:00+14:00"), "/statements/0/until"),
    ],
)
def test_a_malformed_document_is_refused_with_the_place_and_a_reason(document, pointer):
    with pytest.raises(InvalidPermission) as refused:
        Permission.from_json(document)

    assert refused.value.pointer == pointer
    assert refused.value.reason
    assert refused.value.details == {"pointer": pointer}


def test_patterns_are_counted_over_the_whole_document():
    many = changed(("statements",), [changed(S, None)["statements"][0] or GOOD["statements"][0]] * 1)
    many["statements"] = [
        {"actions": ["SELECT"], "resources": [f"table:l/p/{number}" for number in range(6_000)]} for _ in range(2)
    ]

    with pytest.raises(InvalidPermission, match="more than 10000 patterns"):
        Permission.from_json(many)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_any_json_is_read_or_refused_but_never_crashes(data):
    for document in (data, {"dialect": "aws", "statements": data}, changed((*S, "actions"), data), changed(S, data)):
        try:
            Permission.from_json(document)
        except InvalidPermission as refused:
            assert refused.pointer == "" or refused.pointer.startswith("/")


def test_short_and_long_forms_are_the_same_permission():
    long = Permission.from_json(changed((*S, "conditions"), []))
    short = Permission.from_json(
        {
            "dialect": "postgresql",
            "statements": [
                {
                    "actions": ["SELECT"],
                    "resources": ["table:ledger/public/payments"],
                    "until": "2027-01-01T01:00:00+01:00",
                }
            ],
        }
    )

    assert long == short
    assert long.digest() == short.digest()
    assert json.loads(long.canonical())["dialect"] == "postgresql"
    assert len(long.digest()) == 32


def test_a_permission_without_statements_is_empty():
    empty = Permission.from_json({"dialect": "tools", "statements": []})

    assert empty.is_empty
    assert not Permission.from_json(GOOD).is_empty


def test_a_name_that_needs_escaping_comes_back_unchanged():
    from governance.kernel.dialects import postgresql

    names = ("led/ger", "a*b", "100%", "what?:\n")
    written = postgresql.resource("table", *names[:3])

    assert postgresql.parts(written) == ("table", names[:3])
    assert postgresql.parts(postgresql.resource("schema", "l", names[3])) == ("schema", ("l", names[3]))
    Permission.from_json({"dialect": "postgresql", "statements": [{"actions": ["SELECT"], "resources": [written]}]})
