"""Ordered rules folded to a set, with a real server's dry run as the oracle."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.connection import Connection
from redis.exceptions import ResponseError

from governance.kernel.dialects.redis import escape, glob_tokens
from governance.kernel.dialects.redis_rules import BUILT_IN, UnknownRule, fold
from governance.kernel.patterns import Pattern
from governance.kernel.permissions import Answer, Permission, matches


@pytest.mark.parametrize(
    ("rules", "allowed", "refused"),
    [
        ("+@all -@dangerous +flushall", ["flushall", "get"], ["flushdb", "keys"]),
        ("-config|set", [], ["config|set", "config|get"]),
        ("+config -config|set", ["config|get"], ["config|set"]),
        ("+@read -get +GET", ["get", "mget"], ["set"]),
        ("+@all -@all +ping", ["ping"], ["get"]),
        ("allcommands -get", ["set"], ["get"]),
        ("+@admin -config", ["acl|setuser"], ["config|get"]),
    ],
    ids=["57", "59", "second-word", "order", "nothing-again", "alias", "container-of-a-category"],
)
def test_rules_are_folded_in_their_order(rules, allowed, refused):
    found = fold(rules.split())

    assert set(allowed) <= found.allowed
    assert not set(refused) & found.allowed


def test_commands_of_later_versions_come_with_all_and_go_with_nothing_less():
    assert fold(["+@all", "-get"]).is_open
    assert not fold(["+@all", "-@all"]).is_open
    assert not fold(["+@all"]).within(fold(["+@all", "-get"]))
    assert fold(["+@all", "-get", "-set"]).within(fold(["+@all", "-get"]))


def test_a_first_word_lasts_until_its_command_is_named():
    assert fold(["+select|0"]).first_words == {"select|0"}
    assert fold(["+select|0", "+select"]).first_words == frozenset()
    assert fold(["+select|0"]).within(fold(["+select"]))


@pytest.mark.parametrize("rule", ["get", "+nosuchcommand", "+@nosuch", "", "+", "~key", "-select|0"])
def test_a_rule_that_is_not_known_is_never_guessed(rule):
    with pytest.raises(UnknownRule):
        fold([rule])


# --- the oracle -------------------------------------------------------------------------------------------------

SAMPLE = (
    "get",
    "set",
    "del",
    "copy",
    "keys",
    "flushall",
    "ping",
    "exists",
    "hget",
    "config|get",
    "acl|list",
    "publish",
)
ARGUMENTS = {
    "get": ["k"], "set": ["k", "v"], "del": ["k"], "copy": ["k", "k"], "keys": ["*"], "flushall": [], "ping": [],
    "exists": ["k"], "hget": ["k", "f"], "config|get": ["x"], "acl|list": [], "publish": ["c", "m"],
}  # fmt: skip
WORDS = [*(name for name in SAMPLE), "config", "acl", "config|set", "@all", "@read", "@write", "@dangerous", "@admin",
         "@keyspace", "@slow", "@fast", "@connection"]  # fmt: skip


class Oracle:
    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("redis://").partition("/")[0].split(":")
        self.connection = Connection(host=host, port=int(port), protocol=2, decode_responses=True)

    def call(self, *words: str) -> object:
        self.connection.send_command(*words)
        return self.connection.read_response()

    def allows(self, *words: str) -> bool:
        return self.call("ACL", "DRYRUN", "tried", *words) == "OK"


@pytest.fixture(scope="module")
def oracle(redis_broker_url: str) -> Iterator[Oracle]:
    made = Oracle(redis_broker_url)
    yield made
    made.call("ACL", "DELUSER", "tried")
    made.connection.disconnect()


def test_the_catalogue_is_that_of_the_server(oracle):
    listed = {name for category in oracle.call("ACL", "CAT") for name in oracle.call("ACL", "CAT", category)}
    if "7.0." not in str(oracle.call("INFO", "server")):
        pytest.skip("the catalogue is of Redis 7.0")

    assert set(BUILT_IN.categories) == listed


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.builds(str.__add__, st.sampled_from("+-"), st.sampled_from(WORDS)), max_size=6))
def test_folding_agrees_with_the_servers_dry_run(oracle, rules):
    oracle.call("ACL", "SETUSER", "tried", "reset", "on", "~*", "&*", *rules)

    allowed = fold(rules).allowed

    for name in SAMPLE:
        assert oracle.allows(*name.split("|"), *ARGUMENTS[name]) is (name in allowed), (name, rules)


PATTERNS = st.text(alphabet="ab*?[]^-\\z", min_size=1, max_size=7)
KEYS = st.text(alphabet="abz[]^-\\*?", min_size=1, max_size=5)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PATTERNS, st.lists(KEYS, min_size=1, max_size=4))
def test_matching_agrees_with_the_servers_dry_run(oracle, pattern, keys):
    oracle.call("ACL", "SETUSER", "tried", "reset", "on", "+get", f"%R~{pattern}")
    held = Permission.from_json(
        {"dialect": "redis", "statements": [{"actions": ["get"], "resources": [f"read:{pattern}"]}]}
    )

    for key in keys:
        expected = Answer.YES if oracle.allows("get", key) else Answer.NO
        assert matches(held, "get", f"read:{key}") is expected, (pattern, key)


@settings(max_examples=200, deadline=None)
@given(KEYS, KEYS)
def test_an_escaped_name_is_a_pattern_for_just_that_name(name, other):
    tokens = glob_tokens(escape(name))

    assert tokens is not None
    assert Pattern(tokens).matches(name)
    assert Pattern(tokens).matches(other) is (name == other)


def test_a_pattern_beyond_ascii_matches_bytes(oracle):
    oracle.call("ACL", "SETUSER", "tried", "reset", "on", "+get", "%R~é??")
    held = Permission.from_json({"dialect": "redis", "statements": [{"actions": ["get"], "resources": ["read:é??"]}]})

    for key in ("éé", "éab", "éa"):
        try:
            expected = oracle.allows("get", key)
        except ResponseError:
            continue
        assert (matches(held, "get", f"read:{key}") is Answer.YES) is expected
