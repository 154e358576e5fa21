"""The few values of one condition key that represent all values it can have."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import combinations
from typing import Any

from governance.kernel.attributes import is_attribute
from governance.kernel.conditions import Operator, network, number, parse_operator, text_pattern
from governance.kernel.patterns import ANY, Pattern, representatives
from governance.kernel.statements import Condition

Value = str | tuple[str, ...] | None
"""One value, several values of a multi-valued key, or None: the key is not set."""

MOST_IN_SETS = 7
UNREADABLE = "?"
TEXT_LIMIT = 1_500
_ANYTHING = Pattern((ANY,))


def representative_values(conditions: Iterable[Condition]) -> list[Value] | None:
    """Values of one key (None: the key is missing) such that every value behaves like one of them.

    All conditions are `decidable`. None where they compare different kinds of values or there are too many.
    """
    return _representatives(tuple(conditions))


@lru_cache(maxsize=16_384)
def _representatives(conditions: tuple[Condition, ...]) -> list[Value] | None:
    operators = [(each, operator) for each in conditions if (operator := parse_operator(each.operator)) is not None]
    compared = [(operator, each.values) for each, operator in operators if operator.sort != "null"]
    sorts_compared = {operator.sort for operator, _ in compared}
    if len(sorts_compared) > 1:
        return None
    singles = _singles(next(iter(sorts_compared)), compared) if sorts_compared else ["x"]
    if singles is None:
        return None
    # Of an attribute, an answer may also be left open: by a value that says nothing here, or by several of them.
    strict = any(is_attribute(each.key) for each in conditions)
    if strict and sorts_compared - {"text"}:
        singles = [*singles, UNREADABLE]
    if not any(operator.qualifier for operator, _ in compared):
        return [*singles, *([(singles[0], UNREADABLE)] if strict else []), None]
    if len(singles) > MOST_IN_SETS:
        return None
    sets = [each for size in range(2, len(singles) + 1) for each in combinations(singles, size)]
    return [*singles, *sets, None]


def _singles(sort: str, compared: list[tuple[Operator, tuple[str, ...]]]) -> list[str] | None:
    values = [value for _, listed in compared for value in listed]
    match sort:
        case "bool":
            return ["true", "false"]
        case "ip":
            return _addresses([network(value) for value in values])
        case "text":
            wanted = [text_pattern(operator.relation, value) for operator, listed in compared for value in listed]
            seeds = [value for value in values if "*" not in value]
            found = representatives(_ANYTHING, wanted, [*seeds, *(each.sample() for each in wanted)], limit=TEXT_LIMIT)
            return list(found.texts) if found.complete else None
        case _:
            try:
                return _numbers(sort, values)
            except OverflowError:
                return None


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
    ordered = sorted({number(sort, text) for text in texts}) or [Decimal(0)]
    found = [ordered[0] - step]
    for each, following in zip(ordered, [*ordered[1:], ordered[-1] + 2 * step], strict=True):
        found += [each, (each + following) / 2]
    if sort == "date":
        return [_moment_text(each) for each in found]
    return [format(each, "f") for each in found]


def _moment_text(seconds: Decimal) -> str:
    return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(seconds))).isoformat()
