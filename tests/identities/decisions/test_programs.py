"""The fast form of a permission says what the kernel says, on generated permissions and requests."""

import pickle
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from governance.kernel.conditions import PartlyKnown
from governance.kernel.decisions import Answer, Stand, matches, together
from governance.kernel.permissions import Permission
from identities.models.note_triggers import WATCHED
from identities.pdp.deciding import _ids_of
from identities.pdp.index import _READ
from identities.pdp.programs import Program

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ACTIONS = ["read", "write", "list", "read_all", "delete"]
RESOURCES = ["file:a", "file:b", "file:a/b", "mail:x", "mail:x/y"]
PATTERNS = {
    "actions": [*ACTIONS, "read*", "*", "?rite", "*e"],
    "resources": [*RESOURCES, "file:*", "file:a*", "*", "mail:?", "*:x", "file:${aws:username}"],
}
CONDITIONS = [
    {"operator": "StringEquals", "key": "aws:Env", "values": ["prod", "test"]},
    {"operator": "StringNotEquals", "key": "aws:Env", "values": ["prod"]},
    {"operator": "StringLike", "key": "aws:Env", "values": ["p*"]},
    {"operator": "NumericLessThan", "key": "aws:Risk", "values": ["50"]},
    {"operator": "StringEqualsIfExists", "key": "aws:Team", "values": ["a"]},
    {"operator": "Unheard", "key": "aws:Env", "values": ["x"]},
]
UNTIL = ["2026-11-23T11:00:00Z", "2026-11-23T13:00:00Z"]


def sets(side: str) -> st.SearchStrategy[Any]:
    some = st.lists(st.sampled_from(PATTERNS[side]), min_size=1, max_size=5, unique=True)
    return some | st.builds(lambda include, exclude: {"include": include, "exclude": exclude}, some, some)


statements = st.fixed_dictionaries(
    {"actions": sets("actions"), "resources": sets("resources")},
    optional={
        "effect": st.sampled_from(["allow", "deny"]),
        "conditions": st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=2),
        "until": st.sampled_from(UNTIL),
    },
)
permissions = st.lists(statements, min_size=1, max_size=4).map(
    lambda listed: Permission.from_json({"dialect": "aws", "statements": listed})
)
contexts = st.fixed_dictionaries(
    {},
    optional={
        "aws:env": st.sampled_from(["prod", "test", "dev"]),
        "aws:risk": st.sampled_from(["10", "90", "high"]),
        "aws:team": st.sampled_from(["a", "b"]),
        "aws:username": st.sampled_from(["a", "b"]),
    },
)


@given(permissions, st.sampled_from(ACTIONS), st.sampled_from(RESOURCES), contexts)
def test_a_program_answers_as_the_kernel_does(
    permission: Permission, action: str, resource: str, given_context: dict[str, str]
) -> None:
    context = PartlyKnown(given_context)
    assert fast(permission, action, resource, context) is matches(permission, action, resource, context, NOW)


class Said:
    """Everything in one context."""

    def __init__(self, context: PartlyKnown) -> None:
        self.known = self.partly = context

    def value(self, key: str) -> Any:
        return self.known.get(key)


def fast(permission: Permission, action: str, resource: str, context: PartlyKnown) -> Answer:
    program = Program(permission)
    action, resource = program.dialect.fold_action(action), program.dialect.fold_resource(resource)
    said: dict[bool, list[bool | None]] = {True: [], False: []}
    for rule in program.rules:
        if action in rule.actions and resource in rule.resources:
            found: bool | None = rule.is_certain(program.dialect, action, resource, context)
            tests = [found, rule.until is None or rule.until > NOW, *(t.holds(Said(context)) for t in rule.tests)]
            said[rule.is_deny].append(False if False in tests else None if None in tests else True)

    def some(answers: list[bool | None]) -> bool | None:
        return True if True in answers else None if None in answers else False

    return together([Stand(allows=some(said[False]), denies=some(said[True]))])


def test_every_column_that_decisions_read_wakes_them_when_it_changes() -> None:
    """Whoever lets a decision read another column has to let a change of it be noted."""
    tables = {
        "i": "identities_identity", "g": "identities_grant", "v": "identities_grantversion",
        "c": "identities_credential", "t": "identities_trustrelation",
    }  # fmt: skip
    watched = {table: set(columns.split(", ")) for table, columns in WATCHED}
    fixed = {"id"}
    generated = {"effective_environment": "environment_edited"}
    read = re.findall(r"\b([igvct])\.([a-z_]+)", _READ)
    assert len(read) > 20
    for letter, column in read:
        assert column in fixed or generated.get(column, column) in watched[tables[letter]], (letter, column)


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=3))
def test_ids_of_evaluations_are_random_uuids(random: list[bytes]) -> None:
    found = _ids_of(b"".join(random))
    assert found == [uuid.UUID(bytes=each, version=4) for each in random]
    made = found[-1]
    assert pickle.loads(pickle.dumps(made)) == made
    assert (made.version, made.variant, str(made)) == (4, uuid.RFC_4122, str(uuid.UUID(str(made))))
