"""Permissions in plain words, for people who never saw a policy document."""

from datetime import time

from governance.kernel import dialects
from governance.kernel.attributes import is_attribute
from governance.kernel.dialects import Dialect
from governance.kernel.dialects.interface import join_words
from governance.kernel.documents import Permission
from governance.kernel.statements import Condition, Statement

MOST_RESOURCES = 4
MOST_ACTIONS = 12
_ORDER = ("read", "write", "external_send", "destructive", "secret_read", "admin")

_SAYINGS = {
    "IpAddress": "the request comes from {values}",
    "NotIpAddress": "the request does not come from {values}",
    "DateLessThan": "it is before {values}",
    "DateGreaterThan": "it is after {values}",
    "Principal": "asked by {values}",
    "NotPrincipal": "not asked by {values}",
    "RoutingKeyMatches": "the routing key matches {values}",
}


def describe(permission: Permission) -> list[str]:
    """One sentence per statement, such as "read and delete every row of table payments in database ledger"."""
    dialect = dialects.get(permission.dialect)
    return [_sentence(dialect, statement) for statement in permission.statements]


def _sentence(dialect: Dialect, statement: Statement) -> str:
    actions = _in_order(dialect, statement)
    shown = actions[:MOST_ACTIONS]
    places = statement.resources.include
    phrases = [dialect.phrase(shown, place) for place in places[:MOST_RESOURCES]]
    sentence = "; ".join(dict.fromkeys(phrases))
    if len(actions) > len(shown):
        sentence += f" (and {len(actions) - len(shown)} more actions)"
    if len(places) > MOST_RESOURCES:
        sentence += f"; the same on {len(places) - MOST_RESOURCES} more"
    if statement.actions.exclude:
        sentence += f", except to {join_words(_few(statement.actions.exclude))}"
    if statement.resources.exclude:
        sentence += f", except on {join_words(_few(statement.resources.exclude))}"
    if statement.conditions:
        sentence += f", only if {join_words([condition_words(each) for each in statement.conditions])}"
    if statement.until is not None:
        clock = "" if statement.until.time() == time() else f" {statement.until:%H:%M %Z}"
        sentence += f", until {statement.until:%-d %B %Y}{clock}"
    return f"never {sentence}" if statement.effect == "deny" else sentence


def _in_order(dialect: Dialect, statement: Statement) -> tuple[str, ...]:
    """The actions from harmless to harmful, so that those of one privilege class stand together."""
    place = statement.resources.include[0] if statement.resources.include else "*"

    def rank(action: str) -> int:
        return max((_ORDER.index(each) for each in dialect.classes(action, place)), default=0)

    return tuple(sorted(dict.fromkeys(statement.actions.include), key=rank))


def _few(texts: tuple[str, ...]) -> list[str]:
    return [*texts[:MOST_RESOURCES], *([f"{len(texts) - MOST_RESOURCES} more"] if len(texts) > MOST_RESOURCES else [])]


def condition_words(condition: Condition) -> str:
    """One condition as part of a sentence: "the request comes from 10.0.0.0/8"."""
    values = " or ".join(map(_value_words, _few(condition.values)))
    if condition.operator in _SAYINGS:
        return _SAYINGS[condition.operator].format(values=values)
    key = _attribute_words(condition.key) if is_attribute(condition.key) else condition.key.rpartition(":")[2]
    if "Not" in condition.operator:
        return f"{key} is not {values}"
    if condition.operator == "Null":
        return f"{key} is {'absent' if condition.values == ('true',) else 'present'}"
    return f"{key} is {values}"


def _attribute_words(key: str) -> str:
    """`subject.department` as "the subject's department", `context.ip` as "the ip of the request"."""
    part, _, name = key.partition(".")
    return f"the {name} of the request" if part.lower() == "context" else f"the {part.lower()}'s {name}"


def _value_words(value: str) -> str:
    """A value; one that is another attribute of the request (`${subject.email}`) is named as such."""
    name = value[2:-1] if value.startswith("${") and value.endswith("}") else ""
    return _attribute_words(name) if is_attribute(name) else value
