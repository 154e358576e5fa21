"""Bodies of the decision API have one meaning or none, and what is refused is refused quickly."""

import json
from itertools import combinations
from typing import Any

import pytest

from identities.pdp.authzen.entities import read_request
from identities.pdp.authzen.wire import DEEPEST, MOST_BYTES, Malformed, read_object
from tests.identities.authzen.conftest import question

GOOD = question("user:alice", "read", "record:1")
HOSTILE = {
    "empty": b"",
    "blank": b"  ",
    "not json": b"{not json",
    "a list": b"[]",
    "a text": b'"alice"',
    "null": b"null",
    "two documents": b"{} {}",
    "a comma too many": b'{"a": 1,}',
    "a repeated name": b'{"subject": 1, "subject": 2}',
    "a repeated name deep inside": b'{"context": {"a": {"explain": true, "explain": false}}}',
    "a repeated name by escapes": b'{"a": 1, "\\u0061": 2}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "a number without end": b'{"a": 1e999}',
    "a number of many digits": b'{"a": ' + b"9" * 5_000 + b"}",
    "half a character": b'{"a": "\\ud800"}',
    "half a character as a name": b'{"\\udfff": 1}',
    "not UTF-8": b'{"a": "\xff"}',
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a control character": b'{"a": "\x01"}',
    "lists without end": b'{"a": ' + b"[" * 100_000,
    "closed lists without end": b'{"a": ' + b"[" * 400_000 + b"]" * 400_000 + b"}",
    "objects without end": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "one level too deep": b'{"a": ' + b"[" * DEEPEST + b"]" * DEEPEST + b"}",
    "megabytes": b'{"a": "' + b"x" * MOST_BYTES + b'"}',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_what_means_nothing_or_two_things_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        read_object(body)

    assert refused.value.status == 400
    assert len(refused.value.message) < 100


@pytest.mark.parametrize(
    "body", [b"{}", b' {"a": [1.5, "\xc3\xbc", "\\ud83d\\ude00", null]} ', b'{"a": ' + b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1) + b"}"]
)  # fmt: skip
def test_what_can_be_meant_is_read(body: bytes) -> None:
    assert read_object(body) == json.loads(body)


VALUES = [None, True, 0, -7, 1.5, 10**15, "", "a", "ü", "\U0001f600", [], [1, "a", None], {}, {"a": {"a": [{}]}}]


@pytest.mark.parametrize("is_ascii", [True, False])
def test_every_object_is_read_as_it_is(is_ascii: bool) -> None:
    found = {str(value): value for value in VALUES} | {"ü\n\u2028": VALUES}

    assert read_object(json.dumps(found, ensure_ascii=is_ascii).encode()) == found


@pytest.mark.parametrize("parts", [combination for n in range(3) for combination in combinations(GOOD, n)])
def test_nothing_but_whole_entities_becomes_a_request(parts: tuple[str, ...]) -> None:
    for value in VALUES:
        with pytest.raises(Malformed):
            read_request({part: GOOD[part] for part in parts} | {"context": {}, "resources": value}, domain="")


NO_TEXTS = [None, 7, 1.5, True, [], {}, ["alice"], "", "a\x00b", "a\nb", "x" * 2_000]


@pytest.mark.parametrize("value", NO_TEXTS, ids=repr)
@pytest.mark.parametrize(
    "part, name", [("subject", "type"), ("subject", "id"), ("action", "name"), ("resource", "type"), ("resource", "id")]
)
def test_a_name_is_a_text_and_nothing_is_made_into_one(part: str, name: str, value: Any) -> None:
    with pytest.raises(Malformed, match=rf"{part}\.{name}"):
        read_request(GOOD | {part: GOOD[part] | {name: value}}, domain="")


@pytest.mark.parametrize("part", ["subject", "action", "resource"])
@pytest.mark.parametrize("value", [None, "alice", 7, [], True])
def test_an_entity_is_an_object(part: str, value: Any) -> None:
    with pytest.raises(Malformed, match=part):
        read_request(GOOD | {part: value}, domain="")


@pytest.mark.parametrize("properties", ["x", 7, [], True, {str(n): n for n in range(201)}])
@pytest.mark.parametrize("part", ["subject", "action", "resource", "context"])
def test_properties_and_context_are_objects_of_reasonable_size(part: str, properties: Any) -> None:
    body = GOOD | ({"context": properties} if part == "context" else {part: GOOD[part] | {"properties": properties}})

    with pytest.raises(Malformed, match=f"{part}.*"):
        read_request(body, domain="")


def test_unknown_members_and_null_members_are_passed_over() -> None:
    padded = {part: members | {"future": {"x": 1}, "properties": None} for part, members in GOOD.items()}

    assert read_request(padded | {"context": None, "foo": "bar"}, domain="d") == read_request(GOOD, domain="d")
