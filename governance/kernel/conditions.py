"""Conditions on the context of a request: evaluating one, and finding the few contexts that represent all.

The vocabulary is AWS's, because it is the richest of the sources': String, Numeric, Date, Bool, IpAddress, Arn and Null
operators with `IfExists` and the set qualifiers. A missing key makes a positive test false and a negated one true.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from governance.kernel.patterns import Pattern, Token, exact, glob, literal, representatives
from governance.kernel.statements import Condition

Context = Mapping[str, str | list[str] | None]


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator taken apart. sort: which kind of values it compares."""

    sort: str
    relation: str
    negated: bool = False
    if_exists: bool = False
    qualifier: str = ""


_BASE: dict[str, tuple[str, str, bool]] = {
    "StringEquals": ("text", "equals", False),
    "StringNotEquals": ("text", "equals", True),
    "StringEqualsIgnoreCase": ("caseless", "equals", False),
    "StringNotEqualsIgnoreCase": ("caseless", "equals", True),
    "StringLike": ("text", "like", False),
    "StringNotLike": ("text", "like", True),
    "ArnEquals": ("text", "arn", False),
    "ArnLike": ("text", "arn", False),
    "ArnNotEquals": ("text", "arn", True),
    "ArnNotLike": ("text", "arn", True),
    "BinaryEquals": ("text", "equals", False),
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


@lru_cache(maxsize=1_024)
def parse_operator(name: str) -> Operator | None:
    """The operator of this name, or None where the kernel does not know it."""
    qualifier, colon, rest = name.partition(":")
    if not colon:
        qualifier, rest = "", name
    elif qualifier not in ("ForAllValues", "ForAnyValue"):
        return None
    if_exists = rest.endswith("IfExists") and rest != "NullIfExists"
    base = _BASE.get(rest.removesuffix("IfExists") if if_exists else rest)
    if base is None:
        return None
    return Operator(*base, if_exists=if_exists, qualifier=qualifier)


def evaluate(condition: Condition, context: Context | None) -> bool | None:  # noqa: PLR0911 - one per rule
    """Whether the condition holds; None where that cannot be known (no context, unknown operator, unreadable value)."""
    operator = parse_operator(condition.operator)
    if operator is None or context is None:
        return None
    condition = _substituted(condition, operator, context)
    if any("${" in value for value in condition.values):
        return None
    given = _values(context, condition.key)
    if operator.sort == "null":
        wanted = [_boolean(value) for value in condition.values]
        return None if None in wanted else (given is None) in wanted
    if given is None or (operator.qualifier and not given):
        return (
            operator.if_exists or operator.negated if not operator.qualifier else operator.qualifier == "ForAllValues"
        )
    try:
        hits = [any(_compare(operator, value, wanted) for wanted in condition.values) for value in given]
    except ValueError:
        return None
    if operator.qualifier == "ForAllValues":
        return all(hit != operator.negated for hit in hits)
    if operator.qualifier == "ForAnyValue":
        return any(hit != operator.negated for hit in hits)
    return any(hits) != operator.negated


_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def variables_in(text: str) -> list[str]:
    """Names of policy variables such as `aws:username` in `${aws:username}`."""
    return _VARIABLE.findall(text)


def _substituted(condition: Condition, operator: Operator, context: Context) -> Condition:
    """The condition with policy variables replaced, where a plain comparison lets a value stand for itself."""
    if operator.relation != "equals" or not any("${" in value for value in condition.values):
        return condition

    def put(found: re.Match[str]) -> str:
        value = _values(context, found.group(1))
        return value[0] if value and len(value) == 1 else found.group()

    return Condition(condition.operator, condition.key, tuple(_VARIABLE.sub(put, each) for each in condition.values))


def _values(context: Context, key: str) -> list[str] | None:
    folded = key.lower()
    for name, value in context.items():
        if name.lower() == folded and value is not None:
            return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]
    return None


def _compare(operator: Operator, value: str, wanted: str) -> bool:
    left: Any
    right: Any
    match operator.sort:
        case "text" | "caseless":
            return text_pattern(operator, wanted).matches(value.lower() if operator.sort == "caseless" else value)
        case "bool":
            left, right = _boolean(value), _boolean(wanted)
            if left is None or right is None:
                raise ValueError(value)
            return left == right
        case "ip":
            return ip_address(value) in ip_network(wanted, strict=False)
        case _:
            left, right = _number(operator.sort, value), _number(operator.sort, wanted)
            return {
                "equals": left == right,
                "lessthan": left < right,
                "lessthanequals": left <= right,
                "greaterthan": left > right,
                "greaterthanequals": left >= right,
            }[operator.relation]


@lru_cache(maxsize=8_192)
def _arn_pattern(text: str) -> Pattern:
    """Five fields in which a wildcard stays, and a sixth that is free."""
    fields = text.split(":", 5)
    tokens: list[Token] = []
    for index, part in enumerate(fields):
        tokens += [literal(":")] if index else []
        tokens += (glob(part, ":") if index < 5 else glob(part)).tokens
    return Pattern(tuple(tokens))


def text_pattern(operator: Operator, wanted: str) -> Pattern:
    """The set of texts that a value of a String or Arn operator accepts."""
    if operator.relation == "like":
        return glob(wanted)
    if operator.relation == "arn":
        return _arn_pattern(wanted)
    return exact(wanted.lower() if operator.sort == "caseless" else wanted)


def _boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def _number(sort: str, text: str) -> Decimal:
    if sort == "numeric":
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise ValueError(text) from None
        if not number.is_finite():
            raise ValueError(text)
        return number
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


def decidable(condition: Condition) -> bool:
    """Whether representative values of this condition's key can be found; otherwise it is a yes-or-no of its own."""
    operator = parse_operator(condition.operator)
    if operator is None or operator.qualifier or any("${" in value for value in condition.values):
        return False
    probe = {"text": "x", "caseless": "x", "bool": "true", "ip": "192.0.2.1", "numeric": "1", "date": "1", "null": "x"}
    return evaluate(condition, {condition.key: probe[operator.sort]}) is not None


def representative_values(conditions: Iterable[Condition]) -> list[str | None] | None:
    """Values of one key (None: the key is missing) such that every value behaves like one of them.

    None where the conditions compare different kinds of values or there are too many combinations.
    """
    listed = list(conditions)
    operators = [(each, parse_operator(each.operator)) for each in listed]
    sorts = {operator.sort for _, operator in operators if operator is not None and operator.sort != "null"}
    if len(sorts) > 1:
        return None
    values = [(operator, value) for each, operator in operators if operator is not None for value in each.values]
    present: list[str] | None
    match sorts.pop() if sorts else "null":
        case "null":
            present = ["x"]
        case "bool":
            present = ["true", "false"]
        case "ip":
            present = _addresses(
                [ip_network(value, strict=False) for operator, value in values if operator.sort == "ip"]
            )
        case "text" | "caseless":
            wanted = [text_pattern(operator, value) for operator, value in values if operator.sort != "null"]
            seeds = [value for operator, value in values if operator.sort != "null" and "*" not in value]
            found = representatives(glob("*"), wanted, [*seeds, *(pattern.sample() for pattern in wanted)], limit=1_500)
            present = list(found.texts) if found.complete else None
        case sort:
            try:
                present = _numbers(sort, [value for operator, value in values if operator.sort == sort])
            except OverflowError:
                return None
    return None if present is None else [*present, None]


def _addresses(networks: list[IPv4Network | IPv6Network]) -> list[str]:
    """An address of every network outside each of its parts, and one outside of all."""
    universe: list[Any] = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    nets = list(dict.fromkeys([*networks, *universe]))
    found = []
    for net in nets:
        inner = sorted(
            (other for other in nets if other != net and other.version == net.version and other.subnet_of(net)),
            key=lambda other: int(other.network_address),
        )
        place, last = int(net.network_address), int(net.broadcast_address)
        for part in inner:
            if int(part.network_address) > place:
                break
            place = max(place, int(part.broadcast_address) + 1)
        if place <= last:
            found.append(str(type(net.network_address)(place)))
    return list(dict.fromkeys(found))


def _numbers(sort: str, texts: list[str]) -> list[str]:
    """Every mentioned number, one between each two neighbours, one below and one above all."""
    step = Decimal(1)
    ordered = sorted({_number(sort, text) for text in texts})
    found = [ordered[0] - step]
    for number, following in zip(ordered, [*ordered[1:], ordered[-1] + 2 * step], strict=True):
        found += [number, (number + following) / 2]
    if sort == "date":
        return [_moment_text(number) for number in found]
    return [format(number, "f") for number in found]


def _moment_text(seconds: Decimal) -> str:
    return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(seconds))).isoformat()
