"""Conditions on the context of a request: taking operators apart, and evaluating one.

The vocabulary is AWS's, because it is the richest of the sources': String, Numeric, Date, Bool, IpAddress, Arn and Null
operators with `IfExists` and the set qualifiers. A missing key makes a positive test false and a negated one true.
`Principal` and `NotPrincipal` are tests on the key `principal`, whose values are written as `AWS:arn:aws:iam::1:user/a`
or `Service:lambda.amazonaws.com`; several values say that the one who asks is all of these (a session and its role).
Keys that name attributes of a request at the decision point are stricter (`governance.kernel.attributes`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from governance.kernel import variables
from governance.kernel.attributes import is_attribute
from governance.kernel.patterns import ANY, Pattern, Token, exact, glob, literal
from governance.kernel.statements import Condition
from governance.kernel.variables import is_open

Context = Mapping[str, str | list[str] | None]


class PartlyKnown(dict[str, str | list[str] | None]):
    """A context of which only these keys are known: any other may be set or not."""


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator taken apart. sort: which kind of values it compares."""

    sort: str
    relation: str
    negated: bool = False
    if_exists: bool = False
    qualifier: str = ""

    @property
    def is_wild(self) -> bool:
        """Whether `*` and `?` in its values are wildcards."""
        return self.relation in ("like", "arn")


_BASE: dict[str, tuple[str, str, bool]] = {
    "StringEquals": ("text", "equals", False),
    "StringNotEquals": ("text", "equals", True),
    "StringEqualsIgnoreCase": ("text", "caseless", False),
    "StringNotEqualsIgnoreCase": ("text", "caseless", True),
    "StringLike": ("text", "like", False),
    "StringNotLike": ("text", "like", True),
    "ArnEquals": ("text", "arn", False),
    "ArnLike": ("text", "arn", False),
    "ArnNotEquals": ("text", "arn", True),
    "ArnNotLike": ("text", "arn", True),
    "BinaryEquals": ("text", "equals", False),
    "Principal": ("text", "principal", False),
    "NotPrincipal": ("text", "principal", True),
    "PrincipalWithin": ("text", "within account", False),
    "Bool": ("bool", "equals", False),
    "IpAddress": ("ip", "within", False),
    "NotIpAddress": ("ip", "within", True),
    "Null": ("null", "missing", False),
}
for _sort in ("Numeric", "Date"):
    for _relation, _negated in (
        ("Equals", False), ("NotEquals", True), ("LessThan", False), ("LessThanEquals", False),
        ("GreaterThan", False), ("GreaterThanEquals", False),
    ):  # fmt: skip
        _BASE[_sort + _relation] = (_sort.lower(), _relation.replace("Not", "").lower(), _negated)
_FOLDED = {name.lower(): base for name, base in _BASE.items()}
_QUALIFIERS = {"forallvalues": "ForAllValues", "foranyvalue": "ForAnyValue"}


@lru_cache(maxsize=1_024)
def parse_operator(name: str) -> Operator | None:
    """The operator of this name in whatever case, or None where the kernel does not know it."""
    first, colon, rest = name.lower().partition(":")
    if not colon:
        first, rest = "", first
    elif first not in _QUALIFIERS:
        return None
    if_exists = rest.endswith("ifexists") and rest != "nullifexists"
    base = _FOLDED.get(rest.removesuffix("ifexists") if if_exists else rest)
    if base is None:
        return None
    return Operator(*base, if_exists=if_exists, qualifier=_QUALIFIERS.get(first, ""))


_NAMES: dict[tuple[str, str, bool], str] = {}
for _name, _base in _BASE.items():
    _NAMES.setdefault(_base, _name)


@lru_cache(maxsize=32_768)
def canonical(condition: Condition, *, denies: bool = False) -> Condition | None:
    """One form for equal tests: names of operators and keys, order of values. None for a test that always holds.

    denies: an account that something is denied to means everybody in it, and an absent attribute fulfils the test.
    """
    values = tuple(sorted(set(condition.values)))
    operator = parse_operator(condition.operator)
    if operator is None:
        return Condition(condition.operator, condition.key.lower(), values)
    if operator.relation == "principal" and not operator.negated:
        if not {"*", "AWS:*"}.isdisjoint(values):
            return None
        if denies:
            return Condition("PrincipalWithin", condition.key.lower(), values)
    if operator.sort == "bool":
        values = tuple(sorted({value.lower() for value in values}))
    name = _NAMES[operator.sort, operator.relation, operator.negated]
    before = f"{operator.qualifier}:" if operator.qualifier else ""
    # A deny holds where what it asks for is absent, an allow does not: see `attributes`.
    absent_holds = operator.if_exists or (denies and operator.sort != "null" and is_attribute(condition.key))
    return Condition(f"{before}{name}{'IfExists' if absent_holds else ''}", condition.key.lower(), values)


def if_missing(operator: Operator, condition: Condition) -> bool | None:
    """What the condition says where its key is not set."""
    if operator.sort == "null":
        wanted = [boolean(value) for value in condition.values]
        return None if None in wanted else True in wanted
    if is_attribute(condition.key):
        return operator.if_exists
    if operator.qualifier:
        return operator.qualifier == "ForAllValues" or operator.if_exists
    return operator.if_exists or operator.negated


def evaluate(condition: Condition, context: Context | None) -> bool | None:
    """Whether the condition holds; None where that cannot be known (no context, unknown operator, unreadable value).

    A value with a policy variable that is not set matches nothing.
    """
    operator = parse_operator(condition.operator)
    if operator is None or context is None:
        return None
    given = values_of(context, condition.key)
    if given is None:
        return None if isinstance(context, PartlyKnown) else if_missing(operator, condition)
    if operator.sort == "null":
        wanted = [boolean(value) for value in condition.values]
        return None if None in wanted else False in wanted
    if len(given) > 1 and not operator.qualifier and is_attribute(condition.key):
        return None
    return _of_values(operator, [_hit(operator, value, condition, context) for value in given])


def _of_values(operator: Operator, hits: list[bool | None]) -> bool | None:
    """The outcome over all values of the key."""
    if not operator.qualifier:
        return _turned(_any(hits), negated=operator.negated)
    each = [_turned(hit, negated=operator.negated) for hit in hits]
    if operator.qualifier == "ForAnyValue":
        return _any(each)
    return _turned(_any([_turned(hit, negated=True) for hit in each]), negated=True)


def _any(hits: list[bool | None]) -> bool | None:
    return True if True in hits else None if None in hits else False


def _turned(hit: bool | None, *, negated: bool) -> bool | None:
    return None if hit is None else hit != negated


def _hit(operator: Operator, value: str, condition: Condition, context: Context) -> bool | None:
    """Whether one value of the key is one of the condition's."""
    found: list[bool | None] = []
    for wanted in condition.values:
        if not is_open(wanted):
            found.append(_compare(operator, value, wanted))
            continue
        pattern = _filled(operator, wanted, context)
        if pattern is None:
            # Nothing is equal to what is not there; whether something is unequal to it is left open.
            is_left_open = operator.negated or isinstance(context, PartlyKnown) or is_attribute(condition.key)
            found.append(None if is_left_open else False)
        elif isinstance(pattern, str):
            found.append(_compare(operator, value, pattern))
        else:
            found.append(pattern.matches(value))
    return _any(found)


def _filled(operator: Operator, wanted: str, context: Context) -> Pattern | str | None:
    def lookup(name: str) -> str | None:
        found = values_of(context, name)
        return found[0] if found and len(found) == 1 else None

    if operator.sort == "text" and operator.relation == "like":
        return variables.filled(wanted, lookup)
    return variables.filled_text(wanted, lookup)


def values_of(context: Context, key: str) -> list[str] | None:
    """The values of a key, whatever its case; None where it is not set or set to nothing."""
    folded = key.lower()
    for name, value in context.items():
        if name.lower() == folded and value is not None:
            return [_written(each) for each in (value if isinstance(value, list | tuple) else [value])] or None
    return None


def _written(value: object) -> str:
    """As a policy would write it: contexts out of JSON hold numbers and booleans as such."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _compare(operator: Operator, value: str, wanted: str) -> bool | None:
    try:
        if operator.sort == "text":
            return text_pattern(operator.relation, wanted).matches(value)
        if operator.sort == "bool":
            left, right = boolean(value), boolean(wanted)
            return None if left is None or right is None else left == right
        if operator.sort == "ip":
            return ip_address(value) in network(wanted)
        return _ordered(operator.relation, number(operator.sort, value), number(operator.sort, wanted))
    except ValueError:
        return None


def _ordered(relation: str, left: Decimal, right: Decimal) -> bool:
    match relation:
        case "equals":
            return left == right
        case "lessthan":
            return left < right
        case "lessthanequals":
            return left <= right
        case "greaterthan":
            return left > right
        case _:
            return left >= right


@lru_cache(maxsize=8_192)
def _arn_pattern(text: str) -> Pattern:
    """Five fields in which a wildcard stays, and a sixth that is free."""
    fields = text.split(":", 5)
    tokens: list[Token] = []
    for index, part in enumerate(fields):
        tokens += [literal(":")] if index else []
        tokens += (glob(part, ":") if index < 5 else glob(part)).tokens
    return Pattern(tuple(tokens))


@lru_cache(maxsize=32_768)
def text_pattern(relation: str, wanted: str) -> Pattern:
    """The set of texts that a value of a String, Arn or Principal operator accepts."""
    match relation:
        case "like":
            return variables.bound(wanted) if "${" in wanted else glob(wanted)
        case "arn":
            return _arn_pattern(wanted)
        case "caseless":
            return Pattern(tuple(_either_case(char) for char in wanted))
        case "principal" | "within account":
            return principal_pattern(wanted, whole_account=relation == "within account")
        case _:
            return exact(wanted.replace("${*}", "*").replace("${?}", "?").replace("${$}", "$"))


def _either_case(char: str) -> Token:
    return Token(frozenset(each for each in (char, char.lower(), char.upper()) if len(each) == 1))


_ACCOUNT = re.compile(r"AWS:(?:arn:[a-z-]+:iam::)?([0-9]{12,14})(?::root)?")


def account_of(principal: str) -> str:
    """The account that a principal entry stands for as a whole (`AWS:1…` or its root), or an empty text."""
    found = _ACCOUNT.fullmatch(principal)
    return found.group(1) if found else ""


def principal_pattern(wanted: str, *, whole_account: bool = False) -> Pattern:
    """Who is named by one entry of a Principal element.

    An account names its root, and leaves it to the account which of its identities that reaches; where something is
    denied to it (`whole_account`), all of them are meant.
    """
    if wanted in ("*", "AWS:*"):
        return Pattern((ANY,))
    account = account_of(wanted)
    if not account:
        return exact(wanted)
    if not whole_account:
        return exact(f"AWS:arn:aws:iam::{account}:root")
    return Pattern((*exact("AWS:").tokens, *_arn_pattern(f"arn:*:*:*:{account}:*").tokens))


@lru_cache(maxsize=8_192)
def network(text: str) -> IPv4Network | IPv6Network:
    """An address or a range. Raises ValueError."""
    return ip_network(text, strict=False)


def boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def number(sort: str, text: str) -> Decimal:
    """A number, or a moment as seconds. Raises ValueError."""
    if sort == "numeric":
        try:
            found = Decimal(text)
        except InvalidOperation:
            raise ValueError(text) from None
        if not found.is_finite():
            raise ValueError(text)
        return found
    return Decimal(str(parse_moment(text).timestamp()))


def parse_moment(text: str) -> datetime:
    """A date value: ISO 8601 or seconds since 1970. Raises ValueError."""
    try:
        if text.lstrip("-").isdigit():
            return datetime.fromtimestamp(int(text), UTC)
        moment = datetime.fromisoformat(text)
    except (OverflowError, OSError):
        raise ValueError(text) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_PROBES: dict[str, Any] = {
    "text": "x", "bool": "true", "ip": "192.0.2.1", "numeric": "1", "date": "1", "null": "x",
}  # fmt: skip


@lru_cache(maxsize=16_384)
def decidable(condition: Condition) -> bool:
    """Whether representative values of this condition's key can be found; otherwise it is a yes-or-no of its own."""
    operator = parse_operator(condition.operator)
    if operator is None or any(is_open(value) for value in condition.values):
        return False
    return evaluate(condition, {condition.key: _PROBES[operator.sort]}) is not None
